/* SPDX-License-Identifier: MIT */
/* SwiGLU (Shazeer 2020, arXiv 2002.05202) with the weight of its row in front:
 *
 *   h = γ p,  p = silu(g) ⊙ u,  silu(g) = g σ(g)
 *   dγ = <dh, p>,  du = γ dh ⊙ silu(g),  dg = γ dh ⊙ u ⊙ σ(g) (1 + g (1 - σ(g)))
 *
 * The weight of an expert's row stands here rather than behind W_down, which is linear: W_down then
 * gives weighted rows, and γ's gradient needs no output of an expert. Backward makes h again where
 * dh was, so that a layer need not keep it. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 8 };

typedef struct act_args {
    dsm_real *h, *dg, *du, *dgate, *dh;
    const dsm_real *g, *u, *gate;
    int64_t gu_rs, R, F;
} act_args;

static inline dsm_real sigmoid(dsm_real g)
{
    return 1 / (1 + dsm_exp(-g));
}

static dsm_real gate_of(const act_args *a, int64_t r)
{
    return a->gate ? a->gate[r] : 1;
}

static void forward_rows(void *arg, int64_t item, int worker)
{
    const act_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *g = a->g + r * a->gu_rs, *u = a->u + r * a->gu_rs;
        dsm_real *h = a->h + r * a->F, gate = gate_of(a, r);
        DSM_SIMD
        for (int64_t f = 0; f < a->F; f++)
            h[f] = gate * (g[f] * sigmoid(g[f]) * u[f]);
    }
}

void DSM_K(swiglu)(const dsm_exec *x, dsm_real *h, const dsm_real *g, const dsm_real *u,
                   int64_t gu_rs, const dsm_real *gate, int64_t R, int64_t F)
{
    act_args a = {.h = h, .g = g, .u = u, .gate = gate, .gu_rs = gu_rs, .R = R, .F = F};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), forward_rows, &a);
}

static dsm_acc backward_row(const act_args *a, int64_t r)
{
    const dsm_real *g = a->g + r * a->gu_rs, *u = a->u + r * a->gu_rs;
    dsm_real *dg = a->dg + r * a->gu_rs, *du = a->du + r * a->gu_rs, *dh = a->dh + r * a->F;
    dsm_real gate = gate_of(a, r);
    dsm_acc dgate = 0;
    DSM_SIMD_SUM(dgate)
    for (int64_t f = 0; f < a->F; f++) {
        dsm_real gf = g[f], uf = u[f], d = gate * dh[f], s = sigmoid(gf), p = gf * s * uf;
        dgate += (dsm_acc)dh[f] * (dsm_acc)p;
        du[f] = d * (gf * s);
        dg[f] = d * uf * (s * (1 + gf * (1 - s)));
        dh[f] = gate * p;
    }
    return dgate;
}

static void backward_rows(void *arg, int64_t item, int worker)
{
    const act_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        dsm_acc dgate = backward_row(a, r);
        if (a->dgate) a->dgate[r] = (dsm_real)dgate;
    }
}

void DSM_K(swiglu_bwd)(const dsm_exec *x, dsm_real *dg, dsm_real *du, dsm_real *dgate, dsm_real *dh,
                       const dsm_real *g, const dsm_real *u, int64_t gu_rs, const dsm_real *gate,
                       int64_t R, int64_t F)
{
    act_args a = {.dg = dg,
                  .du = du,
                  .dgate = dgate,
                  .dh = dh,
                  .g = g,
                  .u = u,
                  .gate = gate,
                  .gu_rs = gu_rs,
                  .R = R,
                  .F = F};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), backward_rows, &a);
}
