/* SPDX-License-Identifier: MIT */
/* Grouped linear maps over micro-kernel tiles.
 *
 * forward and input: C (rows, n) = A (rows, k) · B (k, n), B being wᵀ or w. An item is (block of
 * rows of one group, panel of columns). It packs its panel of B, `block_k` deep, into cache and
 * sweeps the rows over it; A is read where it stands, through one pointer per row, so a row
 * map costs nothing and a gather copy is never made. Every panel is packed once per block of rows;
 * groups of very different size still give items of about equal size, so a heavy expert idles no
 * core. Groups of a few rows go by dot products straight from the stored weights;
 * a map that has no others (decoding) is few_tiled.c's. Quantised weights are unpacked, then
 * packed.
 *
 * weight: dw (n, k) += dyᵀ · x. An item is a tile of dw of one group; dy and x are packed
 * WEIGHT_DEPTH rows at a time, so the rows that a map gathers are copied once per tile, in cache.
 *
 * Every output element belongs to one item and is summed in ascending k: results do not depend on
 * threads. The scheme is that of Goto & van de Geijn ("Anatomy of High-Performance Matrix
 * Multiplication", 2008) with the roles of its A and B exchanged. */
#include "kernels/groups.h"
#include "kernels/tiled/tiled.h"

enum {
    SET_COLUMNS = 288,  /* columns of C that an item computes at most */
    ITEMS = 4,          /* per thread, before cutting stops */
    WEIGHT_DEPTH = 192, /* rows of dy and x packed at a time */
    WEIGHT_N = 352,     /* rows and */
    WEIGHT_PANELS = 6,  /* panels of a tile of dw at most */
    WEIGHT_N_MIN = 48   /* and at least */
};

/* ---- cutting a matrix into blocks ----------------------------------------------------------- */

/* The depth of one packed block: K cut evenly into blocks of at most `most`, whole `units`. */
static int64_t depth(int64_t K, int64_t most, int64_t unit)
{
    int64_t blocks = dsm_chunk_count(K, most);
    return blocks ? dsm_chunk_count(dsm_chunk_count(K, blocks), unit) * unit : 0;
}

/* ---- forward and input ---------------------------------------------------------------------- */

typedef struct linear_job {
    const dsm_exec *x;
    const dsm_linear *op;
    const dsm_blocks *blocks;
    bool input;           /* C is dx, not y */
    int64_t n, k;         /* columns of C; length of its sums */
    int64_t panels, sets; /* panels of B in all; sets of panels, one to an item */
} linear_job;

typedef struct linear_item {
    const dsm_mat *w;
    dsm_range rows, panels;
} linear_item;

static const float *a_row(const linear_job *j, int64_t r)
{
    return j->input ? dsm_dy_row(j->op, r) : dsm_x_row(j->op, r);
}

static float *c_row(const linear_job *j, int64_t r)
{
    return j->input ? j->op->dx + r * j->op->dx_rs : j->op->y + r * j->op->y_rs;
}

static int64_t c_stride(const linear_job *j)
{
    return j->input ? j->op->dx_rs : j->op->y_rs;
}

static const void *weight_at(const dsm_mat *w, int64_t row, int64_t column)
{
    return (const char *)w->data + dsm_dtype_bytes(w->dtype, row * w->cols + column);
}

static bool is_quantised(const dsm_mat *w)
{
    return dsm_dtype_block(w->dtype) > 1;
}

/* The same of a quantised weight, by way of `values`. Whole blocks are unpacked, from the one
 * before the first column wanted to the one after the last. */
static void pack_unpacked(const linear_job *j, const dsm_mat *w, dsm_range columns, dsm_range k,
                          float *packed, float *values)
{
    const int64_t width = dsm_panel_width(TILE, columns), block = dsm_dtype_block(w->dtype);
    const dsm_range rows = j->input ? k : columns, along = j->input ? columns : k;
    const int64_t n = columns.end - columns.begin, from = along.begin / block * block;
    const int64_t rs = dsm_chunk_count(along.end, block) * block - from;
    for (int64_t r = rows.begin; r < rows.end; r++)
        j->blocks->unpack(values + (r - rows.begin) * rs, weight_at(w, r, from), w->dtype, rs);
    values += along.begin - from;
    if (j->input)
        TILE->pack_rows(packed, width, values, DSM_F32, rs, NULL, n, k.end - k.begin);
    else
        TILE->pack_transposed(packed, width, values, DSM_F32, rs, n, k.end - k.begin);
}

/* Panels of B one after another, k deep; behind them is room for unpacked values. */
static void pack_panels(const linear_job *j, const linear_item *it, dsm_range k, float *packed)
{
    const dsm_mat *w = it->w;
    const int64_t len = k.end - k.begin;
    for (int64_t p = it->panels.begin; p < it->panels.end; p++) {
        dsm_range c = dsm_panel(TILE, j->n, p);
        int64_t width = dsm_panel_width(TILE, c), n = c.end - c.begin;
        if (is_quantised(w))
            pack_unpacked(j, w, c, k, packed, packed + width * len);
        else if (j->input)
            TILE->pack_rows(packed, width, weight_at(w, k.begin, c.begin), w->dtype, w->cols, NULL,
                            n, len);
        else
            TILE->pack_transposed(packed, width, weight_at(w, c.begin, k.begin), w->dtype, w->cols,
                                  n, len);
        packed += width * len;
    }
}

/* `rows` rows of C from r on, across the panels. */
static void sweep_panels(const linear_job *j, const linear_item *it, dsm_range k, int64_t r,
                         int rows, const float *packed)
{
    const int64_t len = k.end - k.begin;
    const float *a[DSM_TILE_MAX_ROWS];
    for (int i = 0; i < rows; i++)
        a[i] = a_row(j, r + i) + k.begin;
    for (int64_t p = it->panels.begin; p < it->panels.end; p++) {
        dsm_range c = dsm_panel(TILE, j->n, p);
        int64_t width = dsm_panel_width(TILE, c);
        TILE->by_rows[width / TILE->lanes - 1][rows - 1](len, a, packed, c_row(j, r) + c.begin,
                                                         c_stride(j), c.end - c.begin,
                                                         j->op->accumulate || k.begin > 0);
        packed += width * len;
    }
}

static void many_rows(const linear_job *j, const linear_item *it, float *packed)
{
    const int64_t block = dsm_dtype_block(it->w->dtype);
    const int64_t step = depth(j->k, TILE->block_k, block > 4 && !j->input ? block : 4);
    for (int64_t at = 0; at < j->k; at += step) {
        dsm_range k = {at, at + step < j->k ? at + step : j->k};
        pack_panels(j, it, k, packed);
        for (int64_t r = it->rows.begin; r < it->rows.end; r += TILE->rows) {
            int64_t left = it->rows.end - r;
            sweep_panels(j, it, k, r, left < TILE->rows ? (int)left : TILE->rows, packed);
        }
    }
}

static dsm_range panel_columns(const linear_job *j, dsm_range panels)
{
    return (dsm_range){dsm_panel(TILE, j->n, panels.begin).begin,
                       dsm_panel(TILE, j->n, panels.end - 1).end};
}

static void linear_run_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    const dsm_linear *op = j->op;
    int64_t block = item / j->sets, set = item % j->sets,
            g = dsm_group_of_block(op, TILE->block_m, block);
    int64_t group_rows = op->begin[g + 1] - op->begin[g];
    linear_item it = {
        &op->w[g],
        dsm_chunk(group_rows, TILE->block_m, block - dsm_first_block(op, TILE->block_m, g)),
        {set * j->panels / j->sets, (set + 1) * j->panels / j->sets}};
    if (it.rows.begin >= it.rows.end) return;
    it.rows.begin += op->begin[g];
    it.rows.end += op->begin[g];
    if (!j->input && group_rows <= DSM_DOT_MAX_ROWS)
        DSM_K(few_rows)
        (op, j->blocks, it.w, it.rows, panel_columns(j, it.panels), dsm_exec_scratch(j->x, worker));
    else
        many_rows(j, &it, dsm_exec_scratch(j->x, worker));
}

/* An item takes several panels, so that a row of A and of C is in cache once; as many sets of them
 * as keep every thread busy. An element's sum does not depend on the cut. */
static void cut_linear(linear_job *j, int64_t blocks)
{
    const int64_t most = SET_COLUMNS / (TILE->vectors * TILE->lanes);
    const int64_t wanted = ITEMS * dsm_pool_threads(j->x->pool);
    j->panels = dsm_panel_count(TILE, j->n);
    j->sets = dsm_chunk_count(j->panels, most);
    while (blocks * j->sets < wanted && j->sets < j->panels)
        j->sets = 2 * j->sets < j->panels ? 2 * j->sets : j->panels;
}

static void linear_run(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks,
                       bool input)
{
    linear_job j = {.x = x, .op = op, .blocks = blocks, .input = input};
    j.n = input ? op->K : op->N;
    j.k = input ? op->N : op->K;
    int64_t n_blocks = dsm_first_block(op, TILE->block_m, op->n_groups);
    cut_linear(&j, n_blocks);
    dsm_pool_run(x->pool, n_blocks * j.sets, linear_run_item, &j);
}

extern const dsm_blocks dsm_blocks_avx2; /* runs wherever this does */

void DSM_K(linear_blocks)(const dsm_exec *x, const dsm_linear *op, const dsm_blocks *blocks)
{
    if (DSM_K(linear_few)(x, op, blocks)) return;
    for (const dsm_linear *o = op; o; o = o->next) {
        dsm_linear one = *o;
        one.next = NULL;
        if (op->next && DSM_K(linear_few)(x, &one, blocks)) continue;
        if (!DSM_K(linear_many)(x, &one, blocks)) linear_run(x, &one, blocks, false);
    }
}

void DSM_K(linear_tiled)(const dsm_exec *x, const dsm_linear *op)
{
    DSM_K(linear_blocks)(x, op, &dsm_blocks_avx2);
}

void DSM_K(linear_input_tiled)(const dsm_exec *x, const dsm_linear *op)
{
    linear_run(x, op, &dsm_blocks_avx2, true);
}

/* ---- weight --------------------------------------------------------------------------------- */

typedef struct weight_job {
    const dsm_exec *x;
    const dsm_linear *op;
    int64_t n_step, n_tiles; /* rows of dw per tile; tiles */
    int64_t panels, k_tiles; /* panels of K in all; tiles of up to WEIGHT_PANELS */
} weight_job;

static void pack_x(const dsm_linear *op, dsm_range r, dsm_range columns, float *panel)
{
    const float *x = op->x + columns.begin + (op->x_rows ? 0 : r.begin * op->x_rs);
    TILE->pack_rows(panel, dsm_panel_width(TILE, columns), x, DSM_F32, op->x_rs,
                    op->x_rows ? op->x_rows + r.begin : NULL, columns.end - columns.begin,
                    r.end - r.begin);
}

static void pack_dy(const dsm_linear *op, dsm_range r, dsm_range columns, float *a)
{
    const float *dy = op->y + columns.begin + (op->dy_rows ? 0 : r.begin * op->y_rs);
    TILE->pack_columns(a, dy, op->y_rs, op->dy_rows ? op->dy_rows + r.begin : NULL,
                       columns.end - columns.begin, r.end - r.begin);
}

static void sweep_weight(const dsm_linear *op, float *dw, int64_t len, dsm_range n,
                         dsm_range columns, bool accumulate, const float *a, const float *panel)
{
    int64_t vectors = dsm_panel_width(TILE, columns) / TILE->lanes;
    dsm_tile_fn *const *kernels = TILE->by_panel[vectors - 1];
    for (int64_t c = n.begin; c < n.end; c += TILE->rows, a += len * TILE->rows) {
        int rows = n.end - c < TILE->rows ? (int)(n.end - c) : TILE->rows;
        kernels[rows - 1](len, &a, panel, dw + c * op->K + columns.begin, op->K,
                          columns.end - columns.begin, accumulate);
    }
}

static void weight_run_item(void *arg, int64_t item, int worker)
{
    const weight_job *j = arg;
    const dsm_linear *op = j->op;
    int64_t g = item / (j->n_tiles * j->k_tiles), tile = item % (j->n_tiles * j->k_tiles);
    dsm_range n = dsm_chunk(op->N, j->n_step, tile / j->k_tiles);
    int64_t kt = tile % j->k_tiles;
    int64_t first = kt * j->panels / j->k_tiles, last = (kt + 1) * j->panels / j->k_tiles;
    int64_t R = op->begin[g + 1] - op->begin[g], step = depth(R, WEIGHT_DEPTH, 4);
    float *panel = dsm_exec_scratch(j->x, worker);
    if (R == 0 && op->first)
        dsm_clear_tile(
            op->dw[g], op->K, n,
            (dsm_range){dsm_panel(TILE, op->K, first).begin, dsm_panel(TILE, op->K, last - 1).end});
    float *a = panel + WEIGHT_DEPTH * TILE->vectors * TILE->lanes;
    for (int64_t at = 0; at < R; at += step) {
        dsm_range r = {op->begin[g] + at, op->begin[g] + (at + step < R ? at + step : R)};
        pack_dy(op, r, n, a);
        for (int64_t p = first; p < last; p++) {
            dsm_range columns = dsm_panel(TILE, op->K, p);
            pack_x(op, r, columns, panel);
            sweep_weight(op, op->dw[g], r.end - r.begin, n, columns, !op->first || at > 0, a,
                         panel);
        }
    }
}

/* Cut dw into tiles: large ones, for their dy and x are packed once per tile, unless that leaves
 * threads idle. An element's sum does not depend on the tile it is in, so the threads may count. */
static void cut_weight(weight_job *j)
{
    const dsm_linear *op = j->op;
    const int64_t rows = TILE->rows, wanted = ITEMS * dsm_pool_threads(j->x->pool);
    j->panels = dsm_panel_count(TILE, op->K);
    j->k_tiles = dsm_chunk_count(j->panels, WEIGHT_PANELS);
    j->n_step = dsm_chunk_count(op->N, dsm_chunk_count(op->N, WEIGHT_N));
    while (op->n_groups * dsm_chunk_count(op->N, j->n_step) * j->k_tiles < wanted) {
        bool wide = op->K / j->k_tiles > j->n_step && 2 * j->k_tiles <= j->panels;
        if (wide)
            j->k_tiles *= 2;
        else if (j->n_step >= 2 * WEIGHT_N_MIN)
            j->n_step = dsm_chunk_count(j->n_step, 2);
        else
            break;
    }
    j->n_step = dsm_chunk_count(j->n_step, rows) * rows;
    j->n_tiles = dsm_chunk_count(op->N, j->n_step);
}

void DSM_K(linear_weight_tiled)(const dsm_exec *x, const dsm_linear *op)
{
    weight_job j = {.x = x, .op = op};
    cut_weight(&j);
    dsm_pool_run(x->pool, op->n_groups * j.n_tiles * j.k_tiles, weight_run_item, &j);
}
