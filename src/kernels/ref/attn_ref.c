/* SPDX-License-Identifier: MIT */
/* Causal attention with grouped key heads, and its gradients.
 *
 *   s_tj = scale · <q_t, k_j>,  j <= past + t      p_t = softmax(s_t)      out_t = Σ_j p_tj v_j
 *   delta_t = <dout_t, out_t>     dp_tj = <dout_t, v_j>     ds_tj = p_tj (dp_tj - delta_t)
 *   dq_t = scale Σ_j ds_tj k_j    dk_j = scale Σ_{h,t} ds_tj q_t    dv_j = Σ_{h,t} p_tj dout_t
 *
 * Backward runs twice over the scores, by query for dq and by key for dk and dv, so that every
 * output has one owner and one order of summation. Scores of one row live in worker scratch. */
#include "kernels/attn_at.h"
#include "kernels/variant.h"

#include <assert.h>

typedef struct head_at { /* one (sequence, query head, row or key) of an item index */
    int64_t b, h, i;
} head_at;

static head_at locate(int64_t item, int64_t heads, int64_t rows)
{
    return (head_at){item / (heads * rows), item / rows % heads, item % rows};
}

static int64_t key_head(const dsm_attention *op, int64_t h)
{
    return h / (op->H / op->Hk);
}

static const dsm_real *q_at(const dsm_attention *op, int64_t b, int64_t h, int64_t t)
{
    return op->q + dsm_q_at(op, b, h, t);
}

static const dsm_real *k_at(const dsm_attention *op, int64_t b, int64_t hk, int64_t j)
{
    return op->k + dsm_k_at(op, b, hk, j);
}

static const dsm_real *v_at(const dsm_attention *op, int64_t b, int64_t hk, int64_t j)
{
    return op->v + dsm_v_at(op, b, hk, j);
}

static int64_t out_at(const dsm_attention *op, int64_t b, int64_t h, int64_t t)
{
    return dsm_out_at(op, b, h, t);
}

static dsm_acc dot(const dsm_real *a, const dsm_real *b, int64_t n)
{
    dsm_acc sum = 0;
    DSM_SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += (dsm_acc)a[i] * (dsm_acc)b[i];
    return sum;
}

static void add_scaled(dsm_acc *sum, dsm_acc c, const dsm_real *v, int64_t n)
{
    DSM_SIMD
    for (int64_t i = 0; i < n; i++)
        sum[i] += c * (dsm_acc)v[i];
}

static void store(dsm_real *out, const dsm_acc *sum, dsm_acc c, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (dsm_real)(c * sum[i]);
}

typedef struct attn_args {
    const dsm_exec *x;
    const dsm_attention *op;
} attn_args;

static void forward_query(void *arg, int64_t item, int worker)
{
    const attn_args *a = arg;
    const dsm_attention *op = a->op;
    head_at at = locate(item, op->H, op->T);
    int64_t hk = key_head(op, at.h), S = dsm_keys_seen(op, at.i + 1);
    dsm_acc *sum = dsm_exec_scratch(a->x, worker), *score = sum + op->Dv; /* (Dv), (S) */
    assert((size_t)(op->Dv + S) * sizeof *sum <= a->x->scratch_bytes);

    dsm_acc top = -HUGE_VAL, total = 0;
    for (int64_t j = 0; j < S; j++) {
        score[j] =
            (dsm_acc)op->scale * dot(q_at(op, at.b, at.h, at.i), k_at(op, at.b, hk, j), op->Dk);
        if (score[j] > top) top = score[j];
    }
    memset(sum, 0, (size_t)op->Dv * sizeof *sum);
    for (int64_t j = 0; j < S; j++) {
        dsm_acc p = (dsm_acc)dsm_exp((dsm_real)(score[j] - top));
        total += p;
        add_scaled(sum, p, v_at(op, at.b, hk, j), op->Dv);
    }
    store(op->out + out_at(op, at.b, at.h, at.i), sum, 1 / total, op->Dv);
    if (op->lse) op->lse[item] = (dsm_real)((double)top + log((double)total));
}

void DSM_K(attention)(const dsm_exec *x, const dsm_attention *op)
{
    attn_args a = {x, op};
    assert(op->H % op->Hk == 0);
    dsm_pool_run(x->pool, op->n_seq * op->H * op->T, forward_query, &a);
}

/* p and ds of query row (b, h, t) at key j, from the saved log-sum-exp and delta. */
static void score_grad(const dsm_attention *op, head_at at, int64_t j, dsm_acc *p, dsm_acc *ds)
{
    int64_t hk = key_head(op, at.h), row = (at.b * op->H + at.h) * op->T + at.i;
    const dsm_real *dout = op->dout + out_at(op, at.b, at.h, at.i);
    dsm_acc s = (dsm_acc)op->scale * dot(q_at(op, at.b, at.h, at.i), k_at(op, at.b, hk, j), op->Dk);
    *p = (dsm_acc)dsm_exp((dsm_real)(s - (dsm_acc)op->lse[row]));
    *ds = *p * (dot(dout, v_at(op, at.b, hk, j), op->Dv) - (dsm_acc)op->delta[row]);
}

static void backward_query(void *arg, int64_t item, int worker)
{
    const attn_args *a = arg;
    const dsm_attention *op = a->op;
    head_at at = locate(item, op->H, op->T);
    int64_t o = out_at(op, at.b, at.h, at.i);
    dsm_acc *dq = dsm_exec_scratch(a->x, worker), p, ds;
    memset(dq, 0, (size_t)op->Dk * sizeof *dq);
    op->delta[item] = (dsm_real)dot(op->dout + o, op->out + o, op->Dv);
    for (int64_t j = 0; j <= at.i; j++) {
        score_grad(op, at, j, &p, &ds);
        add_scaled(dq, ds, k_at(op, at.b, key_head(op, at.h), j), op->Dk);
    }
    store(op->dq + (at.b * op->T + at.i) * op->q_rs + at.h * op->Dk, dq, (dsm_acc)op->scale,
          op->Dk);
}

static void backward_key(void *arg, int64_t item, int worker)
{
    const attn_args *a = arg;
    const dsm_attention *op = a->op;
    head_at key = locate(item, op->Hk, op->T);
    int64_t group = op->H / op->Hk;
    dsm_acc *dk = dsm_exec_scratch(a->x, worker), *dv = dk + op->Dk, p, ds;
    memset(dk, 0, (size_t)(op->Dk + op->Dv) * sizeof *dk);
    for (int64_t h = key.h * group; h < (key.h + 1) * group; h++)
        for (int64_t t = key.i; t < op->T; t++) {
            score_grad(op, (head_at){key.b, h, t}, key.i, &p, &ds);
            add_scaled(dk, ds, q_at(op, key.b, h, t), op->Dk);
            add_scaled(dv, p, op->dout + out_at(op, key.b, h, t), op->Dv);
        }
    store(op->dk + dsm_k_at(op, key.b, key.h, key.i), dk, (dsm_acc)op->scale, op->Dk);
    store(op->dv + dsm_v_at(op, key.b, key.h, key.i), dv, 1, op->Dv);
}

void DSM_K(attention_bwd)(const dsm_exec *x, const dsm_attention *op)
{
    attn_args a = {x, op};
    assert(op->past == 0 && op->lse && op->delta && op->H % op->Hk == 0);
    assert((size_t)(op->Dk + op->Dv) * sizeof(dsm_acc) <= x->scratch_bytes);
    dsm_pool_run(x->pool, op->n_seq * op->H * op->T, backward_query, &a);
    dsm_pool_run(x->pool, op->n_seq * op->Hk * op->T, backward_key, &a);
}
