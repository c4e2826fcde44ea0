/* SPDX-License-Identifier: MIT */
/* Rotary position embedding (Su et al. 2021, arXiv 2104.09864) on half-split pairs.
 *
 *   (a, b) = (v_j, v_{j+Dh/2})  →  (a cos θ - b sin θ, b cos θ + a sin θ),   θ = pos · freq_j
 *
 * The backward is the rotation by -θ, so the same loop with sign = -1. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 16 };

typedef struct rope_args {
    dsm_real *v;
    const dsm_real *cos_sin;
    int64_t rs, R, T, pos0, n_heads, Dh;
    dsm_real sign;
} rope_args;

static void rotate_head(dsm_real *restrict lo, dsm_real *restrict hi,
                        const dsm_real *restrict cos_sin, int64_t half, dsm_real sign)
{
    DSM_SIMD
    for (int64_t j = 0; j < half; j++) {
        dsm_real c = cos_sin[2 * j], s = sign * cos_sin[2 * j + 1];
        dsm_real a = lo[j], b = hi[j];
        lo[j] = a * c - b * s;
        hi[j] = b * c + a * s;
    }
}

static void rope_rows(void *arg, int64_t item, int worker)
{
    const rope_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    int64_t half = a->Dh / 2;
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *cos_sin = a->cos_sin + (a->pos0 + r % a->T) * a->Dh;
        for (int64_t h = 0; h < a->n_heads; h++) {
            dsm_real *v = a->v + r * a->rs + h * a->Dh;
            rotate_head(v, v + half, cos_sin, half, a->sign);
        }
    }
}

void DSM_K(rope)(const dsm_exec *x, dsm_real *v, int64_t rs, int64_t R, int64_t T, int64_t pos0,
                 int64_t n_heads, int64_t Dh, const dsm_real *cos_sin, int sign)
{
    rope_args a = {v, cos_sin, rs, R, T, pos0, n_heads, Dh, (dsm_real)sign};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), rope_rows, &a);
}
