/* SPDX-License-Identifier: MIT */
/* Grouped linear maps on AMX (amx.h), with the items of linear_tiled.c: (block of rows of one group,
 * set of columns) for forward and input, a tile of dw for weight.
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
#include "kernels/variant.h"
#include "kernels/x86/amx.h"

enum {
    BLOCK_M = 1024,  /* rows of C that share one packing of B */
    BLOCK_K = 512,   /* values of k packed at a time */
    SET_STRIPS = 22, /* strips of B in an item at most */
    ITEMS = 4,       /* per thread, before cutting stops */
    WEIGHT_R = 256,  /* rows of dy and x packed at a time */
    WEIGHT_N = 22,   /* strips of dy and */
    WEIGHT_K = 32,   /* of x in a tile of dw at most, and */
    WEIGHT_MIN = 4   /* of either at least */
};

dsm_linear_fn dsm_linear_tiled_avx512, dsm_linear_amx;
dsm_linear_input_fn dsm_linear_input_tiled_avx512, dsm_linear_input_amx;
dsm_linear_weight_fn dsm_linear_weight_amx;

/* ---- 32 × 32 of C --------------------------------------------------------------------------- */

/* Tiles 0-3: C, two by two; 4, 5: A; 6, 7: B. All are 16 rows of 64 bytes. */
static void open_tiles(void)
{
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
}

#define LOAD_A(i)                                                                                  \
    do {                                                                                           \
        _tile_loadd(4, a + (i) * TILE, 64);                                                        \
        if (m > 1) _tile_loadd(5, a2 + (i) * TILE, 64);                                            \
    } while (0)
#define LOAD_B(i)                                                                                  \
    do {                                                                                           \
        _tile_loadd(6, b + (i) * TILE, 64);                                                        \
        if (n > 1) _tile_loadd(7, b2 + (i) * TILE, 64);                                            \
    } while (0)
#define MULTIPLY()                                                                                 \
    do {                                                                                           \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        if (n > 1) _tile_dpbf16ps(1, 4, 7);                                                        \
        if (m > 1) _tile_dpbf16ps(2, 5, 6);                                                        \
        if (m > 1 && n > 1) _tile_dpbf16ps(3, 5, 7);                                               \
    } while (0)

/* C += A · B over the steps of m strips of A and n of B; the small products first. */
static inline __attribute__((always_inline)) void sum_steps(int m, int n, int64_t steps,
                                                            const pair *a, const pair *b)
{
    const pair *a2 = a + steps * SPLITS * TILE, *b2 = b + steps * SPLITS * TILE;
    for (int64_t s = 0; s < steps; s++) {
        if (SPLITS == 3) {
            LOAD_A(2);
            LOAD_B(0);
            MULTIPLY();
            LOAD_A(1);
            MULTIPLY();
            LOAD_B(1);
            MULTIPLY();
            LOAD_A(0);
            MULTIPLY();
            LOAD_B(2);
            MULTIPLY();
        } else {
            LOAD_A(0);
        }
        LOAD_B(0);
        MULTIPLY();
        a += SPLITS * TILE;
        a2 += SPLITS * TILE;
        b += SPLITS * TILE;
        b2 += SPLITS * TILE;
    }
}

static inline __attribute__((always_inline)) void clear_c(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

static inline __attribute__((always_inline)) void load_c(int m, int n, const float *c,
                                                         int64_t c_rs)
{
    _tile_loadd(0, c, c_rs * 4);
    if (n > 1) _tile_loadd(1, c + STRIP, c_rs * 4);
    if (m > 1) _tile_loadd(2, c + STRIP * c_rs, c_rs * 4);
    if (m > 1 && n > 1) _tile_loadd(3, c + STRIP * c_rs + STRIP, c_rs * 4);
}

static inline __attribute__((always_inline)) void store_c(int m, int n, float *c, int64_t c_rs)
{
    _tile_stored(0, c, c_rs * 4);
    if (n > 1) _tile_stored(1, c + STRIP, c_rs * 4);
    if (m > 1) _tile_stored(2, c + STRIP * c_rs, c_rs * 4);
    if (m > 1 && n > 1) _tile_stored(3, c + STRIP * c_rs + STRIP, c_rs * 4);
}

/* rows × columns <= 32 × 32 floats from one place to another. */
static void copy_part(float *to, int64_t to_rs, const float *from, int64_t from_rs, int64_t rows,
                      int64_t columns)
{
    const vec_mask left = vec_first(columns),
                   right = vec_first(columns > STRIP ? columns - STRIP : 0);
    for (int64_t i = 0; i < rows; i++, to += to_rs, from += from_rs) {
        vec_store_masked(to, left, vec_load_masked(from, left));
        vec_store_masked(to + STRIP, right, vec_load_masked(from + STRIP, right));
    }
}

/* A block that C has only a part of is summed beside it, in the same order. */
static inline __attribute__((always_inline)) void block_of(int m, int n, int64_t steps,
                                                           const pair *a, const pair *b, float *c,
                                                           int64_t c_rs, int64_t rows,
                                                           int64_t columns, bool accumulate)
{
    float part[4 * TILE] __attribute__((aligned(64)));
    const bool whole = rows == m * STRIP && columns == n * STRIP;
    float *at = whole ? c : part;
    const int64_t at_rs = whole ? c_rs : 2 * STRIP;
    if (accumulate) {
        if (!whole) copy_part(part, 2 * STRIP, c, c_rs, rows, columns);
        load_c(m, n, at, at_rs);
    } else {
        clear_c();
    }
    if (!accumulate) for (int64_t i = 0; i < rows; i++) { _mm_prefetch((const char *)(c + i * c_rs), _MM_HINT_ET0); _mm_prefetch((const char *)(c + i * c_rs + 16), _MM_HINT_ET0);}
    sum_steps(m, n, steps, a, b);
    store_c(m, n, at, at_rs);
    if (!whole) copy_part(c, c_rs, part, 2 * STRIP, rows, columns);
}

/* C (rows, columns <= 32) (=|+=) the strips a · b, neighbours `steps` apart. */
static void block(int64_t steps, const pair *a, const pair *b, float *c, int64_t c_rs, int64_t rows,
                  int64_t columns, bool accumulate)
{
    if (rows > STRIP && columns > STRIP)
        block_of(2, 2, steps, a, b, c, c_rs, rows, columns, accumulate);
    else if (rows > STRIP)
        block_of(2, 1, steps, a, b, c, c_rs, rows, columns, accumulate);
    else if (columns > STRIP)
        block_of(1, 2, steps, a, b, c, c_rs, rows, columns, accumulate);
    else
        block_of(1, 1, steps, a, b, c, c_rs, rows, columns, accumulate);
}

/* ---- packing -------------------------------------------------------------------------------- */

/* Lanes are rows, k runs along them: A by rows. */
static void pack_by_rows(pair *strip, const float *const *row, int64_t rows, int64_t k)
{
    const int64_t whole = k / STEP;
    for (int64_t i = 0; i < rows; i++) {
        const float *p = row[i];
        pair *out = strip + i * STRIP;
        for (int64_t s = 0; s < whole; s++, p += STEP, out += SPLITS * TILE)
            store_splits(out, vec_load(p), vec_load(p + STRIP));
        if (k % STEP)
            store_splits(out, load_up_to(p, k % STEP), load_up_to(p + STRIP, k % STEP - STRIP));
    }
}

/* Lanes are columns, k runs down the rows: two rows 16 apart to each row of pairs, across strips. */
static void pack_pairs(pair *strips, int64_t stride, const float *const *row, int64_t k,
                       int64_t columns)
{
    const int64_t whole = columns / STRIP;
    for (int64_t p = 0; p < step_count(k) * STRIP; p++) {
        const int64_t first = p / STRIP * STEP + p % STRIP;
        const float *lo = first < k ? row[first] : NULL;
        const float *hi = first + STRIP < k ? row[first + STRIP] : NULL;
        pair *out = strips + p / STRIP * SPLITS * TILE + p % STRIP * STRIP;
        for (int64_t c = 0; c < strip_count(columns); c++, out += stride) {
            int64_t n = c < whole ? STRIP : columns % STRIP;
            store_splits(out, lo ? load_up_to(lo + c * STRIP, n) : vec_zero(),
                         hi ? load_up_to(hi + c * STRIP, n) : vec_zero());
        }
    }
}

static inline __m128 quad_up_to(const float *p, int64_t n)
{
    return n >= 4   ? _mm_loadu_ps(p)
           : n <= 0 ? _mm_setzero_ps()
                    : _mm_maskz_loadu_ps((__mmask8)((1u << n) - 1u), p);
}

/* Columns `at` … at + 3 of 16 rows as 4 vectors; rows and columns past the end read as zero. */
static inline __attribute__((always_inline)) void columns_of(__m512 out[4], const float *const *row,
                                                             int64_t rows, int64_t at,
                                                             int64_t columns)
{
    __m128 quad[STRIP];
#pragma GCC unroll 16
    for (int i = 0; i < STRIP; i++)
        quad[i] = i < rows ? quad_up_to(row[i] + at, columns - at) : _mm_setzero_ps();
    transpose_quad(out, quad);
}

/* Lanes are rows (up to 16), k runs along them, transposed: B from w by rows. */
static inline __attribute__((always_inline)) void
transpose_steps(pair *strip, const float *const *row, int64_t rows, int64_t from, int64_t to,
                int64_t k)
{
    for (int64_t s = from; s < to; s++)
        for (int p = 0; p < STRIP; p += 4) {
            __m512 lo[4], hi[4];
            columns_of(lo, row, rows, s * STEP + p, k);
            columns_of(hi, row, rows, s * STEP + STRIP + p, k);
            for (int i = 0; i < 4; i++)
                store_splits(strip + s * SPLITS * TILE + (p + i) * STRIP, lo[i], hi[i]);
        }
}

static void pack_transposed(pair *strip, const float *const *row, int64_t rows, int64_t k)
{
    const int64_t whole = rows >= STRIP ? k / STEP : 0;
    transpose_steps(strip, row, STRIP, 0, whole, INT64_MAX);
    transpose_steps(strip, row, rows, whole, step_count(k), k);
}

/* Lanes are columns, k runs down the rows, transposed: A from dy by rows. */
static inline __attribute__((always_inline)) void
transpose_columns(pair *strips, int64_t stride, const float *const *row, int64_t k, int64_t from,
                  int64_t to, int64_t columns)
{
    for (int64_t c = from; c < to; c += 4) {
        __m512 lo[4], hi[4];
        columns_of(lo, row, k, c, columns);
        columns_of(hi, row + STRIP, k - STRIP, c, columns);
        for (int i = 0; i < 4; i++)
            store_splits(strips + (c + i) / STRIP * stride + (c + i) % STRIP * STRIP, lo[i], hi[i]);
    }
}

static void pack_columns(pair *strips, int64_t stride, const float *const *row, int64_t k,
                         int64_t columns)
{
    for (int64_t s = 0; s < step_count(k); s++, row += STEP, strips += SPLITS * TILE) {
        const int64_t left = k - s * STEP, whole = left >= STEP ? columns / 4 * 4 : 0;
        transpose_columns(strips, stride, row, STEP, 0, whole, INT64_MAX);
        transpose_columns(strips, stride, row, left, whole, columns, columns);
    }
}

/* ---- forward and input ---------------------------------------------------------------------- */

typedef struct linear_job {
    const dsm_exec *x;
    const dsm_linear *op;
    bool input;           /* C is dx, not y */
    int64_t n, k;         /* columns of C; length of its sums */
    int64_t strips, sets; /* of B in all; sets of strips, one to an item */
} linear_job;

/* Blocks of rows of all groups under one numbering without a table: group g starts at number
 * begin[g] / BLOCK_M + g; the few numbers that no block takes are empty items. */
static int64_t first_block(const dsm_linear *op, int64_t g)
{
    return op->begin[g] / BLOCK_M + g;
}

static int64_t group_of_block(const dsm_linear *op, int64_t number)
{
    int64_t lo = 0, hi = op->n_groups - 1;
    while (lo < hi) {
        int64_t mid = (lo + hi + 1) / 2;
        if (first_block(op, mid) <= number)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

static const float *x_row(const dsm_linear *op, int64_t r)
{
    return op->x + (op->x_rows ? op->x_rows[r] : r) * op->x_rs;
}

static const float *a_row(const linear_job *j, int64_t r)
{
    return j->input ? j->op->y + r * j->op->y_rs : x_row(j->op, r);
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
              j->op->accumulate || k.begin > 0);
    }
}

static void linear_item(void *arg, int64_t item, int worker)
{
    const linear_job *j = arg;
    const dsm_linear *op = j->op;
    int64_t number = item / j->sets, set = item % j->sets, g = group_of_block(op, number);
    dsm_range rows = dsm_chunk(op->begin[g + 1] - op->begin[g], BLOCK_M,
                               number - first_block(op, g));
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
    j.sets = dsm_chunk_count(j.strips, SET_STRIPS);
    const int64_t blocks = first_block(op, op->n_groups);
    const int64_t wanted = ITEMS * dsm_pool_threads(x->pool);
    while (blocks * j.sets < wanted && 2 * j.sets <= j.strips)
        j.sets *= 2;
    dsm_pool_run(x->pool, blocks * j.sets, linear_item, &j);
}

/* Short of rows, or weights not stored as f32: what reads w once and computes little. */
static bool is_small(const dsm_linear *op)
{
    return op->begin[op->n_groups] < STRIP || op->w[0].dtype != DSM_F32;
}

void DSM_K(linear)(const dsm_exec *x, const dsm_linear *op)
{
    if (is_small(op))
        dsm_linear_tiled_avx512(x, op);
    else
        linear_run(x, op, false);
}

void DSM_K(linear_input)(const dsm_exec *x, const dsm_linear *op)
{
    if (is_small(op))
        dsm_linear_input_tiled_avx512(x, op);
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
                         const pair *a, const pair *b)
{
    const int64_t step = strip_pairs(len);
    __asm__ volatile("" ::: "memory");
    for (int64_t i = n.begin; i < n.end; i += 2 * STRIP, a += 2 * step) {
        const pair *across = b;
        for (int64_t c = k.begin; c < k.end; c += 2 * STRIP, across += 2 * step)
            block(step_count(len), a, across, dw + i * op->K + c, op->K,
                  n.end - i < 2 * STRIP ? n.end - i : 2 * STRIP,
                  k.end - c < 2 * STRIP ? k.end - c : 2 * STRIP, true);
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
    if (R == 0) return;
    const int64_t step = depth(R, WEIGHT_R);
    pair *a = dsm_exec_scratch(j->x, worker);
    pair *b = a + strip_count(n.end - n.begin) * strip_pairs(step);
    open_tiles();
    for (int64_t at = 0; at < R; at += step) {
        const int64_t len = at + step < R ? step : R - at;
        const float *dy[WEIGHT_R], *x[WEIGHT_R];
        for (int64_t i = 0; i < len; i++) {
            dy[i] = op->y + (op->begin[g] + at + i) * op->y_rs + n.begin;
            x[i] = x_row(op, op->begin[g] + at + i) + k.begin;
        }
        pack_columns(a, strip_pairs(len), dy, len, n.end - n.begin);
        pack_pairs(b, strip_pairs(len), x, len, k.end - k.begin);
        sweep_weight(op, op->dw[g], n, k, len, a, b);
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
    cut_weight(&j);
    dsm_pool_run(x->pool, op->n_groups * j.n_tiles * j.k_tiles, weight_item, &j);
}
