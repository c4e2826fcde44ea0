/* SPDX-License-Identifier: MIT */
/* Linear maps of a few rows (decoding): dot products straight from the stored weights, which are
 * read once; reading them is what they cost.
 *
 * The rows of w of all groups that have rows of x are one long list, cut into spans: large ones
 * first, for a span starts cold, then ever smaller ones, so that threads end together. A result is
 * one dot product wherever the cuts are. */
#include "kernels/groups.h"
#include "kernels/tiled/tiled.h"

enum { LEAST_BYTES = 1 << 14 }; /* of a span */

typedef struct few_job {
    const dsm_linear *op;
    const dsm_blocks *blocks;
    int n_active;
    int32_t *active;  /* (n_active) groups that have rows */
    dsm_x8 *x8;       /* (R) rows of x for quantised weights */
    size_t row_bytes; /* of w */
    int64_t n_rows;   /* of w in the list */
    int64_t least;    /* rows of a span */
    int threads;
} few_job;

static bool is_quantised(dsm_dtype t)
{
    return dsm_dtype_block(t) > 1;
}

/* Rows of w between list positions begin and end, all of group g. */
static void dot_part(const few_job *j, int g, int64_t begin, int64_t end)
{
    const dsm_linear *op = j->op;
    const dsm_mat *w = &op->w[g];
    const int64_t first = op->begin[g], m = op->begin[g + 1] - first;
    const void *at = (const char *)w->data + (size_t)begin * j->row_bytes;
    float *y = op->y + first * op->y_rs + begin;
    if (is_quantised(w->dtype)) {
        j->blocks->dot[m - 1](op->K, j->x8 + first, at, w->dtype, end - begin, y, op->y_rs,
                              op->accumulate);
        return;
    }
    const float *x[DSM_DOT_MAX_ROWS];
    for (int64_t i = 0; i < m; i++)
        x[i] = dsm_x_row(op, first + i);
    TILE->dot[m - 1](op->K, x, at, w->dtype, op->K, end - begin, y, op->y_rs, op->accumulate);
}

/* Span `item` of the list: every round hands each thread 1 / (2 · threads) of what is left. */
static dsm_range span_of(const few_job *j, int64_t item)
{
    int64_t at = 0;
    for (;; item -= j->threads) {
        int64_t size = (j->n_rows - at) / (2 * j->threads);
        if (size < j->least) size = j->least;
        if (item < j->threads || at >= j->n_rows) {
            dsm_range r = {at + item * size, at + (item + 1) * size};
            if (r.begin > j->n_rows) r.begin = j->n_rows;
            if (r.end > j->n_rows) r.end = j->n_rows;
            return r;
        }
        at += j->threads * size;
    }
}

static int64_t span_count(const few_job *j)
{
    int64_t n = 0;
    while (span_of(j, n).begin < j->n_rows)
        n++;
    return n;
}

static void run_span(void *arg, int64_t item, int worker)
{
    const few_job *j = arg;
    const int64_t N = j->op->N;
    dsm_range r = span_of(j, item);
    (void)worker;
    while (r.begin < r.end) {
        const int64_t a = r.begin / N, end = r.end < (a + 1) * N ? r.end : (a + 1) * N;
        dot_part(j, j->active[a], r.begin - a * N, end - a * N);
        r.begin = end;
    }
}

/* Few rows in every group, one type of weight, and room for the rounded rows. */
static bool is_few(const dsm_exec *x, const dsm_linear *op)
{
    const int64_t R = op->begin[op->n_groups];
    size_t bytes = sizeof(int32_t) * (size_t)op->n_groups + DSM_ALIGN;
    if (R == 0 || op->N == 0) return false;
    for (int g = 0; g < op->n_groups; g++) {
        const int32_t rows = op->begin[g + 1] - op->begin[g];
        if (rows > DSM_DOT_MAX_ROWS || (rows > 0 && op->w[g].dtype != op->w[0].dtype)) return false;
    }
    if (is_quantised(op->w[0].dtype))
        bytes += (size_t)R * (sizeof(dsm_x8) + DSM_K(x8_bytes)(op->K) + DSM_ALIGN) + DSM_ALIGN;
    return bytes <= x->scratch_bytes;
}

static void *take(unsigned char **at, size_t bytes)
{
    void *p = *at;
    *at += (bytes + DSM_ALIGN - 1) / DSM_ALIGN * DSM_ALIGN;
    return p;
}

static void prepare(few_job *j, const dsm_exec *x)
{
    const dsm_linear *op = j->op;
    const int64_t R = op->begin[op->n_groups];
    unsigned char *memory = dsm_exec_scratch(x, 0);
    j->active = take(&memory, sizeof *j->active * (size_t)op->n_groups);
    for (int g = 0; g < op->n_groups; g++)
        if (op->begin[g + 1] > op->begin[g]) j->active[j->n_active++] = g;
    if (!is_quantised(op->w[0].dtype)) return;
    j->x8 = take(&memory, sizeof *j->x8 * (size_t)R);
    for (int64_t r = 0; r < R; r++)
        j->x8[r] = DSM_K(x8_make)(take(&memory, DSM_K(x8_bytes)(op->K)), dsm_x_row(op, r), op->K,
                                  op->w[0].dtype);
}

bool DSM_K(linear_few)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks)
{
    if (!is_few(x, op)) return false;
    few_job j = {.op = op, .blocks = blocks, .threads = dsm_pool_threads(x->pool)};
    prepare(&j, x);
    j.row_bytes = dsm_dtype_bytes(op->w[0].dtype, op->K);
    j.n_rows = j.n_active * op->N;
    j.least = dsm_chunk_count(LEAST_BYTES, (int64_t)j.row_bytes + 1);
    dsm_pool_run(x->pool, span_count(&j), run_span, &j);
    return true;
}
