/* SPDX-License-Identifier: MIT */
/* Rotary position embedding (Su et al. 2021, arXiv 2104.09864) on half-split or adjacent pairs.
 *
 *   (a, b) = (v_j, v_{j+Dh/2}) or (v_{2j}, v_{2j+1})
 *   (a, b) → (a cos θ - b sin θ, b cos θ + a sin θ),   θ = pos · freq_j
 *
 * The backward is the rotation by -θ, so the same loop with sign = -1. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 16 };

static void rotate_halves(dsm_real *restrict lo, dsm_real *restrict hi,
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

static void rotate_adjacent(dsm_real *restrict v, const dsm_real *restrict cos_sin, int64_t half,
                            dsm_real sign)
{
    DSM_SIMD
    for (int64_t j = 0; j < half; j++) {
        dsm_real c = cos_sin[2 * j], s = sign * cos_sin[2 * j + 1];
        dsm_real a = v[2 * j], b = v[2 * j + 1];
        v[2 * j] = a * c - b * s;
        v[2 * j + 1] = b * c + a * s;
    }
}

static void rope_rows(void *arg, int64_t item, int worker)
{
    const dsm_rope *op = arg;
    dsm_range rows = dsm_chunk(op->R, ROWS, item);
    const dsm_real sign = (dsm_real)op->sign;
    const int64_t half = op->Dh / 2;
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *cos_sin = op->cos_sin + r % op->T * op->Dh;
        for (int64_t h = 0; h < op->n_heads; h++) {
            dsm_real *v = op->v + r * op->rs + h * op->head_rs;
            if (op->adjacent)
                rotate_adjacent(v, cos_sin, half, sign);
            else
                rotate_halves(v, v + half, cos_sin, half, sign);
        }
    }
}

void DSM_K(rope)(const dsm_exec *x, const dsm_rope *op)
{
    dsm_pool_run(x->pool, dsm_chunk_count(op->R, ROWS), rope_rows, (void *)(uintptr_t)op);
}
