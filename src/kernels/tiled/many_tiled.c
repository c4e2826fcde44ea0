/* SPDX-License-Identifier: MIT */
/* Linear maps of many rows with quantised weights (prompts), by integer products (many.h).
 *
 * An item is (block of rows of one group, set of panels of w). It rounds its rows of x once; then,
 * for each panel and 256 values of k at a time, w is taken apart into the first-level cache and
 * swept over all rows. Groups of a few rows go by dot products (few_tiled.c).
 *
 * An element of y is summed by one item, k ascending: the same bits whatever the cut. */
#include "kernels/groups.h"
#include "kernels/tiled/tiled.h"

enum {
    PART = 32,
    DEPTH = 8,              /* parts of a panel in cache: a block of 256 */
    MOST_ROWS = 512,        /* of x in an item, and */
    MOST_X_BYTES = 1 << 21, /* what they may take, rounded */
    MOST_PANELS = 64,       /* in an item */
    ITEMS = 6               /* per thread, before cutting stops */
};

typedef struct many_job {
    const dsm_exec *x;
    const dsm_linear *op;
    const dsm_blocks *blocks;
    int64_t parts;   /* of a row */
    int64_t block_m; /* rows of x in an item at most */
    int64_t panels, sets;
} many_job;

/* What an item works with, in its worker's scratch. */
typedef struct workspace {
    unsigned char *panel; /* (DEPTH) */
    float *c;             /* (rows, width) */
    dsm_x8_quad *x;       /* (rows / 4, parts) */
} workspace;

static workspace lay_out(const many_job *j, void *scratch)
{
    const dsm_many *many = j->blocks->many;
    workspace s = {.panel = scratch};
    s.c = (float *)(void *)(s.panel + DEPTH * many->part_bytes);
    s.x = (dsm_x8_quad *)(void *)(s.c + j->block_m * many->width);
    return s;
}

static void round_rows(const many_job *j, dsm_x8_quad *to, const dsm_mat *w, dsm_range rows)
{
    const float *x[DSM_QUAD];
    for (int64_t r = rows.begin; r < rows.end; r += DSM_QUAD, to += j->parts) {
        const int64_t n = rows.end - r < DSM_QUAD ? rows.end - r : DSM_QUAD;
        for (int64_t i = 0; i < n; i++)
            x[i] = dsm_x_row(j->op, r + i);
        j->blocks->many->round(to, x, n, j->op->K, w->dtype);
    }
}

/* All quads times parts `at` … at + n - 1 of the panel. */
static void sweep(const many_job *j, const workspace *s, dsm_dtype t, int64_t quads, int64_t at,
                  int64_t n)
{
    const dsm_many *many = j->blocks->many;
    for (int64_t q = 0; q < quads; q++)
        many->multiply(s->c + q * DSM_QUAD * many->width, s->x + q * j->parts + at, s->panel, t, n);
}

static void store(const dsm_linear *op, const float *c, int64_t width, dsm_range rows,
                  dsm_range columns)
{
    const int64_t n = columns.end - columns.begin;
    for (int64_t r = rows.begin; r < rows.end; r++, c += width) {
        float *y = op->y + r * op->y_rs + columns.begin;
        if (op->accumulate) {
            DSM_SIMD
            for (int64_t i = 0; i < n; i++)
                y[i] += c[i];
        } else
            memcpy(y, c, (size_t)n * sizeof *y);
    }
}

static void multiply_panel(const many_job *j, const workspace *s, const dsm_mat *w, dsm_range rows,
                           dsm_range columns)
{
    const dsm_many *many = j->blocks->many;
    const size_t row_bytes = dsm_dtype_bytes(w->dtype, w->cols);
    const char *from = (const char *)w->data + (size_t)columns.begin * row_bytes;
    const int64_t quads = dsm_chunk_count(rows.end - rows.begin, DSM_QUAD);
    memset(s->c, 0, (size_t)(quads * DSM_QUAD * many->width) * sizeof *s->c);
    for (int64_t at = 0; at < j->parts; at += DEPTH) {
        const int64_t n = j->parts - at < DEPTH ? j->parts - at : DEPTH;
        many->pack(s->panel, from, row_bytes, w->dtype, columns.end - columns.begin, at, n);
        sweep(j, s, w->dtype, quads, at, n);
    }
    store(j->op, s->c, many->width, rows, columns);
}

static void many_item(void *arg, int64_t item, int worker)
{
    const many_job *j = arg;
    const dsm_linear *op = j->op;
    const int64_t number = item / j->sets, set = item % j->sets;
    const int64_t g = dsm_group_of_block(op, j->block_m, number);
    const dsm_mat *w = &op->w[g];
    const int64_t first = op->begin[g], width = j->blocks->many->width;
    dsm_range rows = dsm_chunk(op->begin[g + 1] - first, j->block_m,
                               number - dsm_first_block(op, j->block_m, g));
    if (rows.begin >= rows.end) return;
    rows = (dsm_range){first + rows.begin, first + rows.end};
    dsm_range columns = {set * j->panels / j->sets * width,
                         (set + 1) * j->panels / j->sets * width};
    if (columns.end > op->N) columns.end = op->N;
    if (op->begin[g + 1] - first <= DSM_BLOCKS_MAX_ROWS) {
        DSM_K(few_rows)(op, j->blocks, w, rows, columns, dsm_exec_scratch(j->x, worker));
        return;
    }
    const workspace s = lay_out(j, dsm_exec_scratch(j->x, worker));
    round_rows(j, s.x, w, rows);
    for (int64_t n = columns.begin; n < columns.end; n += width)
        multiply_panel(j, &s, w, rows,
                       (dsm_range){n, n + width < columns.end ? n + width : columns.end});
}

/* Does every weight that rows use come in blocks? */
static bool all_quantised(const dsm_linear *op)
{
    for (int g = 0; g < op->n_groups; g++)
        if (op->begin[g + 1] > op->begin[g] && dsm_dtype_block(op->w[g].dtype) == 1) return false;
    return true;
}

bool DSM_K(linear_many)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks)
{
    if (op->exact || !all_quantised(op)) return false;
    many_job j = {.x = x, .op = op, .blocks = blocks, .parts = op->K / PART};
    const int64_t most = MOST_X_BYTES * DSM_QUAD / (j.parts * (int64_t)sizeof(dsm_x8_quad) + 1);
    j.block_m = most < MOST_ROWS ? most / DSM_QUAD * DSM_QUAD : MOST_ROWS;
    if (j.block_m == 0) return false;
    const int64_t blocks_of_rows = dsm_first_block(op, j.block_m, op->n_groups);
    const int64_t wanted = ITEMS * dsm_pool_threads(x->pool);
    j.panels = dsm_chunk_count(op->N, blocks->many->width);
    j.sets = dsm_chunk_count(j.panels, MOST_PANELS);
    while (blocks_of_rows * j.sets < wanted && 2 * j.sets <= j.panels)
        j.sets *= 2;
    dsm_pool_run(x->pool, blocks_of_rows * j.sets, many_item, &j);
    return true;
}
