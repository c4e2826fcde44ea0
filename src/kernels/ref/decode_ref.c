/* SPDX-License-Identifier: MIT */
/* Attention of a few positions over stored keys and values, row by row.
 *
 *   s_j = scale · <q, k_j>     p = softmax(s)     out = Σ_j p_j v_j */
#include "kernels/decode_at.h"
#include "kernels/variant.h"

#include <assert.h>

typedef struct decode_args {
    const dsm_exec *x;
    const dsm_decode *op;
} decode_args;

static void decode_row(void *arg, int64_t item, int worker)
{
    const decode_args *a = arg;
    const dsm_decode *op = a->op;
    int64_t rows = dsm_decode_rows(op), hk = item / rows, i = item % rows;
    int64_t S = dsm_decode_seen(op, i, op->past + op->T);
    dsm_acc *sum = dsm_exec_scratch(a->x, worker), *score = sum + op->Dv; /* (Dv), (S) */
    dsm_real *row = (dsm_real *)(score + S), *out = dsm_decode_out(op, hk, i);
    const dsm_real *q = dsm_decode_q(op, hk, i);
    assert((size_t)(op->Dv + S + op->Dk + op->Dv) * sizeof *sum <= a->x->scratch_bytes);
    dsm_acc top = -HUGE_VAL, total = 0;
    for (int64_t j = 0; j < S; j++) {
        dsm_acc s = 0;
        dsm_dtype_load(row, dsm_decode_key(op, hk, j), op->dtype, op->Dk);
        for (int64_t d = 0; d < op->Dk; d++)
            s += (dsm_acc)q[d] * (dsm_acc)row[d];
        score[j] = (dsm_acc)op->scale * s;
        if (score[j] > top) top = score[j];
    }
    memset(sum, 0, (size_t)op->Dv * sizeof *sum);
    for (int64_t j = 0; j < S; j++) {
        dsm_acc p = (dsm_acc)dsm_exp((dsm_real)(score[j] - top));
        dsm_dtype_load(row, dsm_decode_value(op, hk, j), op->dtype, op->Dv);
        total += p;
        for (int64_t d = 0; d < op->Dv; d++)
            sum[d] += p * (dsm_acc)row[d];
    }
    for (int64_t d = 0; d < op->Dv; d++)
        out[d] = (dsm_real)(sum[d] / total);
}

void DSM_K(decode)(const dsm_exec *x, const dsm_decode *op)
{
    decode_args a = {x, op};
    assert(op->H % op->Hk == 0);
    dsm_pool_run(x->pool, op->Hk * dsm_decode_rows(op), decode_row, &a);
}
