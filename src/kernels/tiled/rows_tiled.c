/* SPDX-License-Identifier: MIT */
/* Softmax, cross entropy and SwiGLU by the row functions of a dsm_tile: what act_ref.c and
 * softmax_ref.c say, with the exp by hand. A compiler makes of those files anything from half this
 * speed (AVX-512) to a tenth of it (AVX2: gcc 12 leaves the loop scalar). */
#include "kernels/tiled/tiled.h"

enum { ROWS = 8 };

typedef struct rows_args {
    float *out, *out2, *dh, *dgate; /* score | logits, loss | h | dg, du */
    const float *in, *in2, *gate;   /* logits | g, u */
    const int32_t *target;
    int64_t rs, R, n;
    float scale;
} rows_args;

static void scale_row(float *e, float c, int64_t n)
{
    DSM_SIMD
    for (int64_t i = 0; i < n; i++)
        e[i] *= c;
}

static void softmax_rows(void *arg, int64_t item, int worker)
{
    const rows_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const float *z = a->in + r * a->n;
        float *e = a->out + r * a->n;
        scale_row(e, 1 / TILE->row_exp(e, z, a->n, 1, TILE->row_max(z, a->n)), a->n);
    }
}

void DSM_K(softmax_tiled)(const dsm_exec *x, float *score, const float *logit, int64_t R, int64_t E)
{
    rows_args a = {.out = score, .in = logit, .R = R, .n = E};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), softmax_rows, &a);
}

static float xent_row(float *z, int32_t target, int64_t V, float scale)
{
    if (target < 0) {
        if (scale != 0) memset(z, 0, (size_t)V * sizeof *z);
        return 0;
    }
    float top = TILE->row_max(z, V), at_target = z[target];
    float sum = TILE->row_exp(scale != 0 ? z : NULL, z, V, 1, top);
    if (scale != 0) {
        scale_row(z, scale / sum, V);
        z[target] -= scale;
    }
    return (top - at_target) + logf(sum);
}

static void xent_rows(void *arg, int64_t item, int worker)
{
    const rows_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        a->out2[r] = xent_row(a->out + r * a->rs, a->target[r], a->n, a->scale);
}

void DSM_K(xent_tiled)(const dsm_exec *x, float *logits, int64_t rs, const int32_t *target,
                       float *loss, int64_t R, int64_t V, float dlogit_scale)
{
    rows_args a = {.out = logits,
                   .out2 = loss,
                   .target = target,
                   .rs = rs,
                   .R = R,
                   .n = V,
                   .scale = dlogit_scale};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), xent_rows, &a);
}

static float gate_of(const rows_args *a, int64_t r)
{
    return a->gate ? a->gate[r] : 1;
}

static void swiglu_rows(void *arg, int64_t item, int worker)
{
    const rows_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        TILE->row_swiglu(a->out + r * a->n, a->in + r * a->rs, a->in2 + r * a->rs, gate_of(a, r),
                         a->n);
}

void DSM_K(swiglu_tiled)(const dsm_exec *x, float *h, const float *g, const float *u, int64_t gu_rs,
                         const float *gate, int64_t R, int64_t F)
{
    rows_args a = {.out = h, .in = g, .in2 = u, .gate = gate, .rs = gu_rs, .R = R, .n = F};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), swiglu_rows, &a);
}

static void swiglu_bwd_rows(void *arg, int64_t item, int worker)
{
    const rows_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        float dgate =
            TILE->row_swiglu_bwd(a->out + r * a->rs, a->out2 + r * a->rs, a->dh + r * a->n,
                                 a->in + r * a->rs, a->in2 + r * a->rs, gate_of(a, r), a->n);
        if (a->dgate) a->dgate[r] = dgate;
    }
}

void DSM_K(swiglu_bwd_tiled)(const dsm_exec *x, float *dg, float *du, float *dgate, float *dh,
                             const float *g, const float *u, int64_t gu_rs, const float *gate,
                             int64_t R, int64_t F)
{
    rows_args a = {.out = dg,
                   .out2 = du,
                   .dgate = dgate,
                   .dh = dh,
                   .in = g,
                   .in2 = u,
                   .gate = gate,
                   .rs = gu_rs,
                   .R = R,
                   .n = F};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), swiglu_bwd_rows, &a);
}
