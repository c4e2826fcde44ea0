/* SPDX-License-Identifier: MIT */
/* Linear maps of a few rows (decoding): dot products straight from the stored weights, which are
 * read once; reading them is what they cost.
 *
 * The rows of w of all maps and groups that have rows of x are one long list, cut by bytes into
 * spans: large ones first, for a span starts cold, then ever smaller ones, so that threads end
 * together. A result is one dot product wherever the cuts are. */
#include "kernels/groups.h"
#include "kernels/tiled/tiled.h"

enum {
    LEAST_BYTES = 1 << 14, /* of a span */
    ROUND = 4,             /* a round hands out all but a fourth of what is left */
    TOGETHER = 4,          /* rows of w that kernels read side by side: no span cuts fewer */
    NEAR = 16              /* rounded rows among which the next is looked for */
};

typedef struct few_part { /* one group's w */
    const dsm_linear *op;
    const dsm_mat *w;
    dsm_range rows;   /* of x and y */
    const dsm_x8 *x8; /* the same rounded, if w is quantised */
    int64_t begin;    /* in the list, in bytes */
    int64_t bytes;    /* of TOGETHER rows of w */
} few_part;

typedef struct few_row { /* of x, rounded for weights of a type */
    const float *x;
    int64_t K;
    dsm_dtype type;
    dsm_x8 x8;
} few_row;

typedef struct few_job {
    const dsm_blocks *blocks;
    few_row *made; /* (n_made) */
    int64_t n_made;
    few_part *parts;
    int64_t n_parts;
    int64_t bytes; /* of the list */
    int threads;
} few_job;

static bool is_quantised(dsm_dtype t)
{
    return dsm_dtype_block(t) > 1;
}

/* ---- spans ---------------------------------------------------------------------------------- */

/* Some rows and columns of y; x8: the rows, rounded, if w is quantised. */
static void dot_rows(const dsm_linear *op, const dsm_blocks *blocks, const dsm_mat *w,
                     dsm_range rows, dsm_range columns, const dsm_x8 *x8)
{
    const int64_t m = rows.end - rows.begin, n = columns.end - columns.begin;
    const void *at = (const char *)w->data + dsm_dtype_bytes(w->dtype, columns.begin * op->K);
    float *y = op->y + rows.begin * op->y_rs + columns.begin;
    if (x8) {
        blocks->dot[m - 1](op->K, x8, at, w->dtype, n, y, op->y_rs, op->accumulate);
        return;
    }
    const float *x[DSM_DOT_MAX_ROWS];
    for (int64_t i = 0; i < m; i++)
        x[i] = dsm_x_row(op, rows.begin + i);
    TILE->dot[m - 1](op->K, x, at, w->dtype, op->K, n, y, op->y_rs, op->accumulate);
}

/* The first row of w that begins at or behind a place of the list. */
static int64_t row_at(const few_part *p, int64_t place)
{
    const int64_t row =
        place > p->begin ? dsm_chunk_count(place - p->begin, p->bytes) * TOGETHER : 0;
    return row < p->op->N ? row : p->op->N;
}

/* Span `item` of the list, in bytes. */
static dsm_range span_of(const few_job *j, int64_t item)
{
    for (int64_t at = 0;; item -= j->threads) {
        int64_t size = (j->bytes - at) / j->threads * (ROUND - 1) / ROUND;
        if (size < LEAST_BYTES) size = LEAST_BYTES;
        if (item < j->threads || at >= j->bytes) {
            const int64_t begin = at + item * size;
            return (dsm_range){begin, begin + size < j->bytes ? begin + size : j->bytes};
        }
        at += j->threads * size;
    }
}

static int64_t span_count(const few_job *j)
{
    int64_t n = 0;
    while (span_of(j, n).begin < j->bytes)
        n++;
    return n;
}

static void run_span(void *arg, int64_t item, int worker)
{
    const few_job *j = arg;
    const dsm_range span = span_of(j, item);
    (void)worker;
    for (const few_part *p = j->parts; p < j->parts + j->n_parts && p->begin < span.end; p++) {
        const dsm_range w = {row_at(p, span.begin), row_at(p, span.end)};
        if (w.begin < w.end) dot_rows(p->op, j->blocks, p->w, p->rows, w, p->x8);
    }
}

/* ---- the list ------------------------------------------------------------------------------- */

/* Few rows in every group. */
static bool is_few(const dsm_linear *op)
{
    for (int g = 0; g < op->n_groups; g++)
        if (op->begin[g + 1] - op->begin[g] > DSM_DOT_MAX_ROWS) return false;
    return op->begin[op->n_groups] > 0 && op->N > 0;
}

static size_t aligned(size_t bytes)
{
    return (bytes + DSM_ALIGN - 1) / DSM_ALIGN * DSM_ALIGN;
}

/* What a map takes of the memory that prepare() cuts up. */
static size_t list_bytes(const dsm_linear *op)
{
    const size_t R = (size_t)op->begin[op->n_groups];
    return R * (sizeof(few_part) + sizeof(few_row) + aligned(sizeof(dsm_x8)) +
                aligned(DSM_K(x8_bytes)(op->K)));
}

static void *take(unsigned char **at, size_t bytes)
{
    void *p = *at;
    *at += aligned(bytes);
    return p;
}

void DSM_K(few_rows)(const dsm_linear *op, const dsm_blocks *blocks, const dsm_mat *w,
                     dsm_range rows, dsm_range columns, unsigned char *scratch)
{
    const bool quantised = is_quantised(w->dtype);
    dsm_x8 x8[DSM_DOT_MAX_ROWS];
    for (int64_t r = rows.begin; quantised && r < rows.end; r++)
        x8[r - rows.begin] = DSM_K(x8_make)(take(&scratch, DSM_K(x8_bytes)(op->K)),
                                            dsm_x_row(op, r), op->K, w->dtype);
    dot_rows(op, blocks, w, rows, columns, quantised ? x8 : NULL);
}

/* A row of x for weights of type t: one of the last that were made, or made. */
static dsm_x8 round_row(few_job *j, const dsm_linear *op, const float *x, dsm_dtype t,
                        unsigned char **memory)
{
    for (int64_t i = j->n_made > NEAR ? j->n_made - NEAR : 0; i < j->n_made; i++) {
        const few_row *made = &j->made[i];
        if (made->x == x && made->K == op->K && made->type == t) return made->x8;
    }
    few_row row = {x, op->K, t, DSM_K(x8_make)(take(memory, DSM_K(x8_bytes)(op->K)), x, op->K, t)};
    j->made[j->n_made++] = row;
    return row.x8;
}

static void add_part(few_job *j, const dsm_linear *op, int g, unsigned char **memory)
{
    const dsm_mat *w = &op->w[g];
    few_part p = {.op = op, .w = w, .rows = {op->begin[g], op->begin[g + 1]}, .begin = j->bytes};
    const int64_t m = p.rows.end - p.rows.begin;
    if (m == 0) return;
    p.bytes = (int64_t)dsm_dtype_bytes(w->dtype, TOGETHER * op->K);
    if (is_quantised(w->dtype)) {
        dsm_x8 *x8 = take(memory, sizeof *x8 * (size_t)m);
        for (int64_t i = 0; i < m; i++)
            x8[i] = round_row(j, op, dsm_x_row(op, p.rows.begin + i), w->dtype, memory);
        p.x8 = x8;
    }
    j->bytes += (int64_t)dsm_dtype_bytes(w->dtype, op->N * op->K);
    j->parts[j->n_parts++] = p;
}

bool DSM_K(linear_few)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks)
{
    size_t need = 2 * DSM_ALIGN;
    int64_t rows = 0;
    for (const dsm_linear *o = op; o; o = o->next) {
        if (!is_few(o)) return false;
        need += list_bytes(o);
        rows += o->begin[o->n_groups];
    }
    if (need > x->scratch_bytes) return false;
    unsigned char *memory = dsm_exec_scratch(x, 0);
    few_job j = {.blocks = blocks, .threads = dsm_pool_threads(x->pool)};
    j.parts = take(&memory, sizeof *j.parts * (size_t)rows);
    j.made = take(&memory, sizeof *j.made * (size_t)rows);
    for (const dsm_linear *o = op; o; o = o->next)
        for (int g = 0; g < o->n_groups; g++)
            add_part(&j, o, g, &memory);
    dsm_pool_run(x->pool, span_count(&j), run_span, &j);
    return true;
}
