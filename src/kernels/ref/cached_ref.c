/* SPDX-License-Identifier: MIT */
/* What attention moves between its products: columns of rows, rows to and from a cache, the keys of
 * all latent heads, and the results over two sets of keys joined.
 *
 *   k_h = [ kv_h's first Dn ; shared ]      dkv_h's first Dn = dk_h's first Dn,  dshared = Σ_h rest
 *
 * kv holds, head by head, Dn values of the key and then those of the value. With log-sum-exp l_a,
 * l_b of the scores of two sets, l = log(e^l_a + e^l_b) and out = e^(l_a - l) out_a + e^(l_b - l)
 * out_b. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 16 };

typedef struct columns_args {
    dsm_real *y;
    const dsm_real *in;
    int64_t y_rs, in_rs, R, n;
} columns_args;

static void columns_rows(void *arg, int64_t item, int worker)
{
    const columns_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        memcpy(a->y + r * a->y_rs, a->in + r * a->in_rs, (size_t)a->n * sizeof *a->y);
}

void DSM_K(columns)(const dsm_exec *x, dsm_real *y, int64_t y_rs, const dsm_real *in, int64_t in_rs,
                    int64_t R, int64_t n)
{
    columns_args a = {y, in, y_rs, in_rs, R, n};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), columns_rows, &a);
}

typedef struct stored_args {
    dsm_real *real;
    unsigned char *stored;
    dsm_dtype t;
    int64_t real_rs, R, n;
    size_t stored_rs;
} stored_args;

static void store_rows(void *arg, int64_t item, int worker)
{
    const stored_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        dsm_dtype_store(a->stored + (size_t)r * a->stored_rs, a->t, a->real + r * a->real_rs, a->n);
}

void DSM_K(store_rows)(const dsm_exec *x, void *y, dsm_dtype t, size_t y_rs, const dsm_real *in,
                       int64_t in_rs, int64_t R, int64_t n)
{
    stored_args a = {(dsm_real *)(uintptr_t)in, y, t, in_rs, R, n, y_rs};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), store_rows, &a);
}

static void load_rows(void *arg, int64_t item, int worker)
{
    const stored_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        dsm_dtype_load(a->real + r * a->real_rs, a->stored + (size_t)r * a->stored_rs, a->t, a->n);
}

void DSM_K(load_rows)(const dsm_exec *x, dsm_real *y, int64_t y_rs, const void *in, dsm_dtype t,
                      size_t in_rs, int64_t R, int64_t n)
{
    stored_args a = {y, (unsigned char *)(uintptr_t)in, t, y_rs, R, n, in_rs};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), load_rows, &a);
}

static void join_rows(void *arg, int64_t item, int worker)
{
    const dsm_keys *op = arg;
    dsm_range rows = dsm_chunk(op->R, ROWS, item);
    const size_t own = (size_t)op->Dn * sizeof *op->k, shared = (size_t)op->Dr * sizeof *op->k;
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        for (int64_t h = 0; h < op->H; h++) {
            dsm_real *k = op->k + (r * op->H + h) * (op->Dn + op->Dr);
            memcpy(k, op->kv + r * op->kv_rs + h * op->kv_hs, own);
            memcpy(k + op->Dn, op->shared + r * op->Dr, shared);
        }
}

void DSM_K(keys)(const dsm_exec *x, const dsm_keys *op)
{
    dsm_pool_run(x->pool, dsm_chunk_count(op->R, ROWS), join_rows, (void *)(uintptr_t)op);
}

static void split_row(const dsm_keys *op, int64_t r)
{
    dsm_real *dshared = op->shared + r * op->Dr;
    memset(dshared, 0, (size_t)op->Dr * sizeof *dshared);
    for (int64_t h = 0; h < op->H; h++) {
        const dsm_real *dk = op->k + (r * op->H + h) * (op->Dn + op->Dr);
        memcpy(op->kv + r * op->kv_rs + h * op->kv_hs, dk, (size_t)op->Dn * sizeof *dk);
        DSM_SIMD
        for (int64_t d = 0; d < op->Dr; d++)
            dshared[d] += dk[op->Dn + d];
    }
}

static void split_rows(void *arg, int64_t item, int worker)
{
    const dsm_keys *op = arg;
    dsm_range rows = dsm_chunk(op->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        split_row(op, r);
}

void DSM_K(keys_bwd)(const dsm_exec *x, const dsm_keys *op)
{
    dsm_pool_run(x->pool, dsm_chunk_count(op->R, ROWS), split_rows, (void *)(uintptr_t)op);
}

typedef struct join_args {
    dsm_real *out, *lse;
    const dsm_real *more, *more_lse;
    int64_t T, H, Dv;
} join_args;

static void join_row(void *arg, int64_t t, int worker)
{
    const join_args *a = arg;
    (void)worker;
    for (int64_t h = 0; h < a->H; h++) {
        dsm_real *la = &a->lse[h * a->T + t], lb = a->more_lse[h * a->T + t];
        dsm_real top = dsm_fmax(*la, lb), ea = dsm_exp(*la - top), eb = dsm_exp(lb - top);
        dsm_real *out = a->out + (t * a->H + h) * a->Dv, both = ea + eb;
        const dsm_real *more = a->more + (t * a->H + h) * a->Dv;
        DSM_SIMD
        for (int64_t d = 0; d < a->Dv; d++)
            out[d] = (ea * out[d] + eb * more[d]) / both;
        *la = top + dsm_log(both);
    }
}

void DSM_K(join)(const dsm_exec *x, dsm_real *out, dsm_real *lse, const dsm_real *more,
                 const dsm_real *more_lse, int64_t T, int64_t H, int64_t Dv)
{
    join_args a = {out, lse, more, more_lse, T, H, Dv};
    dsm_pool_run(x->pool, T, join_row, &a);
}
