/* SPDX-License-Identifier: MIT */
/* SwiGLU (Shazeer 2020, arXiv 2002.05202): h = silu(g) ⊙ u, silu(g) = g σ(g).
 *
 *   du = dh ⊙ silu(g)        dg = dh ⊙ u ⊙ σ(g) (1 + g (1 - σ(g))) */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 8 };

typedef struct act_args {
    dsm_real *h, *dg, *du;
    const dsm_real *g, *u, *dh;
    int64_t gu_rs, R, F;
} act_args;

static inline dsm_real sigmoid(dsm_real g)
{
    return 1 / (1 + dsm_exp(-g));
}

static void forward_rows(void *arg, int64_t item, int worker)
{
    const act_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *g = a->g + r * a->gu_rs, *u = a->u + r * a->gu_rs;
        dsm_real *h = a->h + r * a->F;
        DSM_SIMD
        for (int64_t f = 0; f < a->F; f++)
            h[f] = g[f] * sigmoid(g[f]) * u[f];
    }
}

void DSM_K(swiglu)(const dsm_exec *x, dsm_real *h, const dsm_real *g, const dsm_real *u,
                   int64_t gu_rs, int64_t R, int64_t F)
{
    act_args a = {.h = h, .g = g, .u = u, .gu_rs = gu_rs, .R = R, .F = F};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), forward_rows, &a);
}

static void backward_rows(void *arg, int64_t item, int worker)
{
    const act_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *g = a->g + r * a->gu_rs, *u = a->u + r * a->gu_rs, *dh = a->dh + r * a->F;
        dsm_real *dg = a->dg + r * a->gu_rs, *du = a->du + r * a->gu_rs;
        DSM_SIMD
        for (int64_t f = 0; f < a->F; f++) {
            dsm_real gf = g[f], uf = u[f], d = dh[f], s = sigmoid(gf);
            du[f] = d * (gf * s);
            dg[f] = d * uf * (s * (1 + gf * (1 - s)));
        }
    }
}

void DSM_K(swiglu_bwd)(const dsm_exec *x, dsm_real *dg, dsm_real *du, const dsm_real *dh,
                       const dsm_real *g, const dsm_real *u, int64_t gu_rs, int64_t R, int64_t F)
{
    act_args a = {.dg = dg, .du = du, .dh = dh, .g = g, .u = u, .gu_rs = gu_rs, .R = R, .F = F};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), backward_rows, &a);
}
