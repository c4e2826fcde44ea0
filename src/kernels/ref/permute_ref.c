/* SPDX-License-Identifier: MIT */
/* Rows that move: experts' outputs back to their tokens (combine), table look-up (gather).
 *
 *   y_t += Σ_k rows[pos_tk]
 *
 * Each (t, k) has its own row, so combine's backward is a gather. gather's backward sums rows of
 * equal id; it runs by column blocks, each over all rows in order. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 16, COLUMNS = 64 };

typedef struct combine_args {
    dsm_real *y;
    const dsm_real *rows;
    const int32_t *pos;
    int64_t T, K, D;
} combine_args;

static void combine_token(const combine_args *a, int64_t t, dsm_real *restrict y)
{
    for (int64_t k = t * a->K; k < (t + 1) * a->K; k++) {
        if (a->pos[k] < 0) continue;
        const dsm_real *row = a->rows + a->pos[k] * a->D;
        DSM_SIMD
        for (int64_t d = 0; d < a->D; d++)
            y[d] += row[d];
    }
}

static void combine_rows(void *arg, int64_t item, int worker)
{
    const combine_args *a = arg;
    dsm_range rows = dsm_chunk(a->T, ROWS, item);
    (void)worker;
    for (int64_t t = rows.begin; t < rows.end; t++)
        combine_token(a, t, a->y + t * a->D);
}

void DSM_K(combine)(const dsm_exec *x, dsm_real *y, const dsm_real *rows, const int32_t *pos,
                    int64_t T, int64_t K, int64_t D)
{
    combine_args a = {.y = y, .rows = rows, .pos = pos, .T = T, .K = K, .D = D};
    dsm_pool_run(x->pool, dsm_chunk_count(T, ROWS), combine_rows, &a);
}

typedef struct gather_args {
    dsm_real *y, *dtable;
    const dsm_mat *table;
    const dsm_real *dy;
    const int32_t *id;
    int64_t R, D;
} gather_args;

static void gather_rows(void *arg, int64_t item, int worker)
{
    const gather_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    const unsigned char *data = a->table->data;
    size_t row_bytes = dsm_dtype_bytes(a->table->dtype, a->D);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        dsm_dtype_load(a->y + r * a->D, data + (size_t)a->id[r] * row_bytes, a->table->dtype, a->D);
}

void DSM_K(gather)(const dsm_exec *x, dsm_real *y, const dsm_mat *table, const int32_t *id,
                   int64_t R)
{
    gather_args a = {.y = y, .table = table, .id = id, .R = R, .D = table->cols};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), gather_rows, &a);
}

static void gather_bwd_columns(void *arg, int64_t item, int worker)
{
    const gather_args *a = arg;
    dsm_range columns = dsm_chunk(a->D, COLUMNS, item);
    (void)worker;
    for (int64_t r = 0; r < a->R; r++) {
        dsm_real *restrict to = a->dtable + a->id[r] * a->D;
        const dsm_real *restrict from = a->dy + r * a->D;
        DSM_SIMD
        for (int64_t d = columns.begin; d < columns.end; d++)
            to[d] += from[d];
    }
}

void DSM_K(gather_bwd)(const dsm_exec *x, dsm_real *dtable, const dsm_real *dy, const int32_t *id,
                       int64_t R, int64_t D)
{
    gather_args a = {.dtable = dtable, .dy = dy, .id = id, .R = R, .D = D};
    dsm_pool_run(x->pool, dsm_chunk_count(D, COLUMNS), gather_bwd_columns, &a);
}
