/* SPDX-License-Identifier: MIT */
/* Grouped linear maps on AMX (amx.h), with the items of linear_tiled.c: (block of rows of one
 * group, set of columns) for forward and input, a tile of dw for weight.
 *
 *                 A, lanes × k      B, lanes × k
 *   forward   y   x by rows         w by rows, transposed
 *   input     dx  dy by rows        w by pairs of rows
 *   weight    dw  dy transposed     x by pairs of rows
 *
 * An item packs its set of B once per block of k, then A two strips at a time; C is summed in tiles
 * of 32 × 32. Every element of C belongs to one item and its sum does not depend on the cut, so
 * results are the same for any number of threads. Compiled once per compute precision. */
#include "kernels/chunk.h"
#include "kernels/groups.h"
#include "kernels/variant.h"
#include "kernels/x86/amx.h"

enum {
    BLOCK_M = 1024,                 /* rows of C that share one packing of B */
    BLOCK_K = 512,                  /* values of k packed at a time */
    SET_PAIRS = 22 * 16 * 3 * TILE, /* of B in an item at most: half a second-level cache */
    ITEMS = 2,                      /* per thread, before cutting stops */
    WEIGHT_R = 256,                 /* rows of dy and x packed at a time */
    WEIGHT_N = 32,                  /* strips of dy and */
    WEIGHT_K = 32,                  /* of x in a tile of dw at most, and */
    WEIGHT_MIN = 4,                 /* of either at least */
    NARROW = 128                    /* N + K below which packing does not pay */
};

/* What this file leaves to others: few rows, narrow maps, maps that want f32, weights that are not
 * f32. */
dsm_linear_fn dsm_linear_vnni, dsm_linear_amx, dsm_linear_stored_amx, dsm_linear_bf16_amx;
dsm_linear_input_fn dsm_linear_input_tiled_avx512, dsm_linear_input_amx;
dsm_linear_weight_fn dsm_linear_weight_amx, dsm_linear_weight_tiled_avx512;

/* ---- forward and input ---------------------------------------------------------------------- */

typedef struct linear_job {
    const dsm_exec *x;
    const dsm_linear *op;
    bool input;           /* C is dx, not y */
    int64_t n, k;         /* columns of C; length of its sums */
    int64_t strips, sets; /* of B in all; sets of strips, one to an item */
} linear_job;

static const float *a_row(const linear_job *j, int64_t r)
{
    return j->input ? dsm_dy_row(j->op, r) : dsm_x_row(j->op, r);
}

/* The longest cut of k into equal blocks of whole steps, at most `most`. */
static int64_t depth(int64_t k, int64_t most)
{
    int64_t blocks = dsm_chunk_count(k, most);
    return dsm_chunk_count(dsm_chunk_count(k, blocks), STEP) * STEP;
}

static void pack_b(const linear_job *j, const dsm_mat *w, dsm_range strips, dsm_range k, pair *b)
{
    const float *data = w->data, *row[BLOCK_K];
    const int64_t len = k.end - k.begin, first = strips.begin * STRIP;
    const int64_t last = strips.end * STRIP < j->n ? strips.end * STRIP : j->n;
    if (j->input) {
        for (int64_t i = 0; i < len; i++)
            row[i] = data + (k.begin + i) * w->cols + first;
        pack_pairs(b, strip_pairs(len), row, len, last - first);
        return;
    }
    for (int64_t c = first; c < last; c += STRIP, b += strip_pairs(len)) {
        const int64_t rows = last - c < STRIP ? last - c : STRIP;
        for (int64_t i = 0; i < rows; i++)
            row[i] = data + (c + i) * w->cols + k.begin;
        pack_transposed(b, row, rows, len);
    }
}

/* Up to 32 rows of C from r on, across the strips of B. */
static void sweep(const linear_job *j, int64_t r, int64_t rows, dsm_range strips, dsm_range k,
                  pair *a, const pair *b)
{
    const int64_t len = k.end - k.begin, step = strip_pairs(len);
    const float *row[2 * STRIP];
    for (int64_t i = 0; i < rows; i++)
        row[i] = a_row(j, r + i) + k.begin;
    for (int64_t i = 0; i < rows; i += STRIP)
        pack_by_rows(a + i / STRIP * step, row + i, rows - i < STRIP ? rows - i : STRIP, len);
    __asm__ volatile("" ::: "memory"); /* the tiles read what was written */
    float *c = j->input ? j->op->dx + r * j->op->dx_rs : j->op->y + r * j->op->y_rs;
    const int64_t c_rs = j->input ? j->op->dx_rs : j->op->y_rs;
    for (int64_t s = strips.begin; s < strips.end; s += 2, b += 2 * step) {
        int64_t end = s + 2 < strips.end ? s + 2 : strips.end;
        int64_t columns = (end * STRIP < j->n ? end * STRIP : j->n) - s * STRIP;
        block(step_count(len), a, b, c + s * STRIP, c_rs, rows, columns,
              j->op->accumulate || k.begin > 0,
              c + (end < strips.end ? end : strips.begin) * STRIP);
    }
}

static void linear_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    const dsm_linear *op = j->op;
    int64_t number = item / j->sets, set = item % j->sets,
            g = dsm_group_of_block(op, BLOCK_M, number);
    dsm_range rows = dsm_chunk(op->begin[g + 1] - op->begin[g], BLOCK_M,
                               number - dsm_first_block(op, BLOCK_M, g));
    dsm_range strips = {set * j->strips / j->sets, (set + 1) * j->strips / j->sets};
    if (rows.begin >= rows.end) return;
    const int64_t step = depth(j->k, BLOCK_K);
    pair *a = dsm_exec_scratch(j->x, worker), *b = a + 2 * strip_pairs(step);
    open_tiles();
    for (int64_t at = 0; at < j->k; at += step) {
        dsm_range k = {at, at + step < j->k ? at + step : j->k};
        pack_b(j, &op->w[g], strips, k, b);
        for (int64_t r = rows.begin; r < rows.end; r += 2 * STRIP)
            sweep(j, op->begin[g] + r, rows.end - r < 2 * STRIP ? rows.end - r : 2 * STRIP, strips,
                  k, a, b);
    }
    _tile_release();
}

static void linear_run(const dsm_exec *x, const dsm_linear *op, bool input)
{
    linear_job j = {.x = x, .op = op, .input = input};
    j.n = input ? op->K : op->N;
    j.k = input ? op->N : op->K;
    j.strips = strip_count(j.n);
    j.sets = dsm_chunk_count(j.strips, SET_PAIRS / strip_pairs(depth(j.k, BLOCK_K)));
    const int64_t blocks = dsm_first_block(op, BLOCK_M, op->n_groups);
    const int64_t wanted = ITEMS * dsm_pool_threads(x->pool);
    while (blocks * j.sets < wanted && 2 * j.sets <= j.strips)
        j.sets *= 2;
    dsm_pool_run(x->pool, blocks * j.sets, linear_item, &j);
}

/* Short of rows: what reads w once and computes little. */
static bool is_small(const dsm_linear *op)
{
    return op->begin[op->n_groups] < STRIP;
}

/* A value is packed in three parts for N or K products: with few of them AVX-512 is faster (63
 * experts of 64 × 48: by a tenth). */
static bool is_narrow(const dsm_linear *op)
{
    return SPLITS == 3 && op->N + op->K < NARROW;
}

static bool is_f32(dsm_dtype t)
{
    return t == DSM_F32;
}

static bool is_bf16(dsm_dtype t)
{
    return t == DSM_BF16;
}

/* Weights whose maps may have their operands rounded to bf16: in f32 only those that are quantised,
 * which are coarse anyway. */
static bool is_coarse(dsm_dtype t)
{
    return dsm_dtype_block(t) > 1 || (SPLITS == 1 && (t == DSM_BF16 || t == DSM_F16));
}

/* Are all the weights that rows use such? */
static bool all_are(bool (*such)(dsm_dtype t), const dsm_linear *op)
{
    for (int g = 0; g < op->n_groups; g++)
        if (op->begin[g + 1] > op->begin[g] && !such(op->w[g].dtype)) return false;
    return true;
}

static bool wants_f32(const dsm_linear *op)
{
    return SPLITS < 3 && op->exact;
}

static void linear_one(const dsm_exec *x, const dsm_linear *op)
{
    if (is_small(op))
        dsm_linear_vnni(x, op);
    else if (!op->exact && all_are(is_coarse, op))
        dsm_linear_stored_amx(x, op);
    else if (all_are(is_bf16, op))
        dsm_linear_bf16_amx(x, op);
    else if (!all_are(is_f32, op) || is_narrow(op))
        dsm_linear_vnni(x, op);
    else if (wants_f32(op))
        dsm_linear_amx(x, op);
    else
        linear_run(x, op, false);
}

void DSM_K(linear)(const dsm_exec *x, const dsm_linear *op)
{
    const dsm_linear *large = op;
    while (large && is_small(large))
        large = large->next;
    if (!large) { /* decoding: all maps in one loop */
        dsm_linear_vnni(x, op);
        return;
    }
    for (; op; op = op->next) {
        dsm_linear one = *op;
        one.next = NULL;
        linear_one(x, &one);
    }
}

void DSM_K(linear_input)(const dsm_exec *x, const dsm_linear *op)
{
    if (is_small(op) || !all_are(is_f32, op) || is_narrow(op))
        dsm_linear_input_tiled_avx512(x, op);
    else if (wants_f32(op))
        dsm_linear_input_amx(x, op);
    else
        linear_run(x, op, true);
}

/* ---- weight --------------------------------------------------------------------------------- */

typedef struct weight_job {
    const dsm_exec *x;
    const dsm_linear *op;
    int64_t n_strips, n_tiles; /* of dy in all; tiles of them */
    int64_t k_strips, k_tiles; /* of x */
} weight_job;

static dsm_range part_of(int64_t strips, int64_t tiles, int64_t i, int64_t lanes)
{
    dsm_range r = {i * strips / tiles * STRIP, (i + 1) * strips / tiles * STRIP};
    if (r.end > lanes) r.end = lanes;
    return r;
}

/* dw (n, k) += the packed rows. */
static void sweep_weight(const dsm_linear *op, float *dw, dsm_range n, dsm_range k, int64_t len,
                         bool accumulate, const pair *a, const pair *b)
{
    const int64_t step = strip_pairs(len);
    __asm__ volatile("" ::: "memory");
    for (int64_t i = n.begin; i < n.end; i += 2 * STRIP, a += 2 * step) {
        const pair *across = b;
        for (int64_t c = k.begin; c < k.end; c += 2 * STRIP, across += 2 * step)
            block(step_count(len), a, across, dw + i * op->K + c, op->K,
                  n.end - i < 2 * STRIP ? n.end - i : 2 * STRIP,
                  k.end - c < 2 * STRIP ? k.end - c : 2 * STRIP, accumulate,
                  dw + i * op->K + c + (c + 2 * STRIP < k.end ? 2 * STRIP : 0));
    }
}

/* Add the rows r of x and dy to the tile: x is packed once, dy a few strips at a time. */
static void add_rows(const dsm_linear *op, float *dw, dsm_range r, dsm_range n, dsm_range k,
                     bool accumulate, pair *packed)
{
    const int64_t len = r.end - r.begin, step = strip_pairs(len);
    const float *x[WEIGHT_R], *dy[WEIGHT_R];
    for (int64_t i = 0; i < len; i++)
        x[i] = dsm_x_row(op, r.begin + i) + k.begin;
    pack_pairs(packed, step, x, len, k.end - k.begin);
    pair *a = packed + strip_count(k.end - k.begin) * step;
    for (dsm_range part = n; part.begin < n.end; part.begin += TOGETHER) {
        part.end = part.begin + TOGETHER < n.end ? part.begin + TOGETHER : n.end;
        for (int64_t i = 0; i < len; i++)
            dy[i] = dsm_dy_row(op, r.begin + i) + part.begin;
        pack_columns(a, step, dy, len, part.end - part.begin);
        sweep_weight(op, dw, part, k, len, accumulate, a, packed);
    }
}

static void weight_item(void *arg, int64_t item, int worker)
{
    const weight_job *j = arg;
    const dsm_linear *op = j->op;
    int64_t g = item / (j->n_tiles * j->k_tiles), tile = item % (j->n_tiles * j->k_tiles);
    dsm_range n = part_of(j->n_strips, j->n_tiles, tile / j->k_tiles, op->N);
    dsm_range k = part_of(j->k_strips, j->k_tiles, tile % j->k_tiles, op->K);
    const int64_t R = op->begin[g + 1] - op->begin[g];
    if (R == 0 && op->first) dsm_clear_tile(op->dw[g], op->K, n, k);
    if (R == 0) return;
    const int64_t step = depth(R, WEIGHT_R);
    open_tiles();
    for (int64_t at = 0; at < R; at += step) {
        dsm_range r = {op->begin[g] + at, op->begin[g] + (at + step < R ? at + step : R)};
        add_rows(op, op->dw[g], r, n, k, !op->first || at > 0, dsm_exec_scratch(j->x, worker));
    }
    _tile_release();
}

static void cut_weight(weight_job *j)
{
    const dsm_linear *op = j->op;
    const int64_t wanted = ITEMS * dsm_pool_threads(j->x->pool);
    j->n_strips = strip_count(op->N);
    j->k_strips = strip_count(op->K);
    j->n_tiles = dsm_chunk_count(j->n_strips, WEIGHT_N);
    j->k_tiles = dsm_chunk_count(j->k_strips, WEIGHT_K);
    while (op->n_groups * j->n_tiles * j->k_tiles < wanted) {
        const int64_t n = j->n_strips / j->n_tiles, k = j->k_strips / j->k_tiles;
        if (n < 2 * WEIGHT_MIN && k < 2 * WEIGHT_MIN) break;
        if (n > k)
            j->n_tiles *= 2;
        else
            j->k_tiles *= 2;
    }
}

void DSM_K(linear_weight)(const dsm_exec *x, const dsm_linear *op)
{
    weight_job j = {.x = x, .op = op};
    if (is_narrow(op)) {
        dsm_linear_weight_tiled_avx512(x, op);
        return;
    }
    if (wants_f32(op)) {
        dsm_linear_weight_amx(x, op);
        return;
    }
    cut_weight(&j);
    dsm_pool_run(x->pool, op->n_groups * j.n_tiles * j.k_tiles, weight_item, &j);
}
