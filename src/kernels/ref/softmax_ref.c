/* SPDX-License-Identifier: MIT */
/* Softmax of rows, and softmax fused with cross entropy: both subtract the row's maximum first.
 *
 *   loss = log Σ_v e^{z_v} - z_target          dz_v = scale · (softmax(z)_v - 1[v = target]) */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 8 };

static dsm_real row_max(const dsm_real *z, int64_t n)
{
    dsm_real top = z[0];
    DSM_SIMD_MAX(top)
    for (int64_t i = 1; i < n; i++)
        top = z[i] > top ? z[i] : top;
    return top;
}

/* e[i] = exp(z[i] - top) and their sum; e may be z. */
static dsm_acc exp_row(dsm_real *e, const dsm_real *z, dsm_real top, int64_t n)
{
    dsm_acc sum = 0;
    DSM_SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++) {
        dsm_real v = dsm_exp(z[i] - top);
        e[i] = v;
        sum += (dsm_acc)v;
    }
    return sum;
}

static dsm_acc exp_sum(const dsm_real *z, dsm_real top, int64_t n)
{
    dsm_acc sum = 0;
    DSM_SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += (dsm_acc)dsm_exp(z[i] - top);
    return sum;
}

static void scale_row(dsm_real *e, dsm_real c, int64_t n)
{
    DSM_SIMD
    for (int64_t i = 0; i < n; i++)
        e[i] *= c;
}

typedef struct softmax_args {
    dsm_real *score;
    const dsm_real *logit;
    int64_t R, E;
} softmax_args;

static void softmax_rows(void *arg, int64_t item, int worker)
{
    const softmax_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *z = a->logit + r * a->E;
        dsm_real *e = a->score + r * a->E;
        dsm_acc sum = exp_row(e, z, row_max(z, a->E), a->E);
        scale_row(e, (dsm_real)(1 / sum), a->E);
    }
}

void DSM_K(softmax)(const dsm_exec *x, dsm_real *score, const dsm_real *logit, int64_t R, int64_t E)
{
    softmax_args a = {score, logit, R, E};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), softmax_rows, &a);
}

typedef struct xent_args {
    dsm_real *logits, *loss;
    const int32_t *target;
    int64_t rs, R, V;
    dsm_real scale;
} xent_args;

static dsm_real xent_row(dsm_real *z, int32_t target, int64_t V, dsm_real scale)
{
    if (target < 0) {
        if (scale != 0) memset(z, 0, (size_t)V * sizeof *z);
        return 0;
    }
    dsm_real top = row_max(z, V), at_target = z[target];
    dsm_acc sum = scale != 0 ? exp_row(z, z, top, V) : exp_sum(z, top, V);
    if (scale != 0) {
        scale_row(z, (dsm_real)((dsm_acc)scale / sum), V);
        z[target] -= scale;
    }
    return (top - at_target) + dsm_log((dsm_real)sum);
}

static void xent_rows(void *arg, int64_t item, int worker)
{
    const xent_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        a->loss[r] = xent_row(a->logits + r * a->rs, a->target[r], a->V, a->scale);
}

void DSM_K(xent)(const dsm_exec *x, dsm_real *logits, int64_t rs, const int32_t *target,
                 dsm_real *loss, int64_t R, int64_t V, dsm_real dlogit_scale)
{
    xent_args a = {logits, loss, target, rs, R, V, dlogit_scale};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), xent_rows, &a);
}
