/* SPDX-License-Identifier: MIT */
/* Forward linear maps of many rows with weights stored as bf16, f16 or quantised blocks, on AMX.
 *
 * Both operands are rounded to bf16 once, x always and w where it is not bf16 already; sums are
 * f32. (amx.h compiled with one split; but a pair holds neighbours in k here, as a row of bf16
 * does.)
 *
 * A prompt gives each expert a few dozen rows, so what costs is reading and unpacking w: that must
 * happen once, in the order of memory. Therefore w is the operand that needs no transposition,
 * 32 rows of it at a time over the whole of k, and C comes out transposed: lanes of w down, rows of
 * x across. x is packed once per item.
 *
 * Weights that are bf16 already are exact, so that three splits of x make the product as good as
 * one of f32 (amx.h): dsm_linear_bf16_amx.
 *
 * An item is (block of rows of one group, set of rows of w). An element of C is summed by one item,
 * k ascending in blocks of BLOCK_K: the same bits whatever the cut. */
#include "kernels/chunk.h"
#include "kernels/groups.h"
#include "kernels/variant.h"
#include "kernels/x86/amx.h"

#include "kernels/x86/parts.h"

enum {
    WIDE = 2 * STRIP,       /* rows of w, and of x, multiplied together */
    BLOCK_K = 256,          /* values of k whose pairs of w stay in the first-level cache */
    MOST_ROWS = 512,        /* of x in an item, and */
    MOST_X_BYTES = 1 << 20, /* what their pairs may take */
    MOST_SET = 24,          /* times WIDE rows of w in an item */
    ITEMS = 6,              /* per thread, before cutting stops */
    AHEAD = 2048,           /* bytes of w asked for while it is packed */
    SPLITS_MOST = 3         /* of x */
};

dsm_linear_fn dsm_linear_vnni, dsm_linear_stored_amx, dsm_linear_bf16_amx;

typedef struct stored_job {
    const dsm_exec *x;
    const dsm_linear *op;
    int splits;      /* of x */
    int64_t steps;   /* of k */
    int64_t block_m; /* rows of x in an item at most */
    int64_t sets;    /* of rows of w */
} stored_job;

/* ---- packing -------------------------------------------------------------------------------- */

INLINE __m512i to_pairs(__m512 lo, __m512 hi)
{
    return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
}

/* Step s of a row of K weights. */
INLINE __m512i weight_pairs(dsm_dtype t, const void *row, int64_t s, int64_t K,
                            block_scales *scales)
{
    const int64_t left = K - s * STEP;
    const uint16_t *p = (const uint16_t *)row + s * STEP;
    const __mmask32 most = left >= STEP ? ~0u : (1u << left) - 1u;
    if (t == DSM_BF16) return _mm512_maskz_loadu_epi16(most, p);
    if (t == DSM_F16) {
        const __m512i h = _mm512_maskz_loadu_epi16(most, p);
        return to_pairs(_mm512_cvtph_ps(_mm512_castsi512_si256(h)),
                        _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h, 1)));
    }
    vec v[PART_VECTORS];
    const part values = part_of(t, row, s, scales);
    part_values(v, &values);
    return to_pairs(v[0], v[1]);
}

/* `rows` rows of w as two strips: lane, then pair. */
INLINE void pack_weights(dsm_dtype t, pair *a, const unsigned char *w, size_t row_bytes,
                         int64_t rows, int64_t K)
{
    const int64_t steps = step_count(K);
    const size_t step_bytes = row_bytes / (size_t)steps;
    block_scales scales;
    for (int64_t i = 0; i < rows; i++) {
        const unsigned char *row = w + (size_t)i * row_bytes;
        pair *out = a + i / STRIP * steps * TILE + i % STRIP * STRIP;
        for (int64_t s = 0; s < steps; s++) {
            _mm_prefetch((const char *)row + (size_t)s * step_bytes + AHEAD, _MM_HINT_T0);
            _mm512_store_si512(out + s * TILE, weight_pairs(t, row, s, K, &scales));
        }
    }
}

#define PACK_CASE(t)                                                                               \
    case t:                                                                                        \
        pack_weights(t, a, from, row_bytes, rows, w->cols);                                        \
        break;

static void pack_w(pair *a, const dsm_mat *w, int64_t first, int64_t rows)
{
    const size_t row_bytes = dsm_dtype_bytes(w->dtype, w->cols);
    const unsigned char *from = (const unsigned char *)w->data + (size_t)first * row_bytes;
    switch (w->dtype) {
        QUANT_TYPES(PACK_CASE)
        PACK_CASE(DSM_BF16)
        PACK_CASE(DSM_F16)
    default:
        break;
    }
}

/* Step s of row r of x as pairs, one vector to each split: rounded, or exact in three. */
INLINE void split_row(uint32_t pairs[SPLITS_MOST][STRIP][STRIP], int splits, const float *x,
                      int64_t left, int64_t i)
{
    __m512 lo = load_up_to(x, left), hi = load_up_to(x + STRIP, left - STRIP);
    for (int split = 0; split < splits; split++) {
        const bool last = split + 1 == splits;
        const __m512 a = last ? lo : to_bf16(lo), b = last ? hi : to_bf16(hi);
        _mm512_store_si512(pairs[split][i], to_pairs(a, b));
        lo = _mm512_sub_ps(lo, a);
        hi = _mm512_sub_ps(hi, b);
    }
}

/* 16 rows of x: pair, then lane; splits `apart` from each other. Lanes past the end are left as
 * they are. */
static void pack_x_strip(pair *b, int splits, int64_t apart, const dsm_linear *op, int64_t first,
                         int64_t rows)
{
    uint32_t pairs[SPLITS_MOST][STRIP][STRIP] __attribute__((aligned(64)));
    const float *row[SPLITS_MOST][STRIP];
    for (int i = 0; i < SPLITS_MOST * STRIP; i++)
        row[i / STRIP][i % STRIP] = (const float *)(const void *)pairs[i / STRIP][i % STRIP];
    for (int64_t s = 0; s < step_count(op->K); s++, b += TILE) {
        for (int64_t i = 0; i < rows; i++)
            split_row(pairs, splits, dsm_x_row(op, first + i) + s * STEP, op->K - s * STEP, i);
        for (int split = 0; split < splits; split++)
            for (int p = 0; p < STRIP; p += 4) {
                __m512 column[4];
                columns_of(column, row[split], STRIP, p, STRIP);
                for (int i = 0; i < 4; i++)
                    _mm512_store_ps(b + split * apart + (p + i) * STRIP, column[i]);
            }
    }
}

/* ---- products ------------------------------------------------------------------------------- */

/* What is multiplied at once: two strips of w and, of each split, two of x. */
typedef struct operands {
    int64_t steps; /* of k */
    const pair *w, *x;
    int64_t stride; /* between the strips of either */
    int splits;
    int64_t apart; /* splits of x */
} operands;

/* C (32, 32) (=|+=) strips of w times strips of x, the small products first. */
INLINE void multiply(int m, int n, const operands *o, float *c, bool accumulate)
{
    if (accumulate)
        load_c(m, n, c, WIDE);
    else
        clear_c();
    for (int split = o->splits - 1; split >= 0; split--) {
        const pair *a = o->w, *a2 = a + o->stride;
        const pair *b = o->x + split * o->apart, *b2 = b + o->stride;
        SUM_STEPS(o->steps, (void)0, (void)0);
    }
    store_c(m, n, c, WIDE);
}

static void multiply_block(int64_t w_rows, int64_t x_rows, const operands *o, float *c,
                           bool accumulate)
{
    if (w_rows > STRIP && x_rows > STRIP)
        multiply(2, 2, o, c, accumulate);
    else if (w_rows > STRIP)
        multiply(2, 1, o, c, accumulate);
    else if (x_rows > STRIP)
        multiply(1, 2, o, c, accumulate);
    else
        multiply(1, 1, o, c, accumulate);
}

/* y[r][n] (=|+=) c[n][r] for up to 32 × 32. */
static void store_transposed(const dsm_linear *op, const float *c, int64_t first, int64_t rows,
                             int64_t n, int64_t columns)
{
    const float *row[WIDE];
    for (int i = 0; i < WIDE; i++)
        row[i] = c + i * WIDE;
    for (int64_t at = 0; at < columns; at += STRIP) {
        const vec_mask kept = vec_first(columns - at);
        for (int64_t r = 0; r < rows; r += 4) {
            __m512 column[4];
            columns_of(column, row + at, STRIP, r, WIDE);
            for (int64_t i = 0; i < 4 && r + i < rows; i++) {
                float *y = op->y + (first + r + i) * op->y_rs + n + at;
                if (op->accumulate) column[i] = _mm512_add_ps(column[i], vec_load_masked(y, kept));
                vec_store_masked(y, kept, column[i]);
            }
        }
    }
}

/* What an item works with, all in its worker's scratch. */
typedef struct workspace {
    pair *x, *w; /* strips: of all the item's rows of x, `apart` per split; two of w */
    int64_t apart;
    float *c; /* (blocks of 32 rows of x, 32, 32) */
} workspace;

static workspace lay_out(const stored_job *j, void *scratch)
{
    pair *at = scratch;
    workspace s = {.w = at, .x = at + 2 * j->steps * TILE};
    s.apart = dsm_chunk_count(j->block_m, STRIP) * j->steps * TILE;
    s.c = (float *)(void *)(s.x + j->splits * s.apart);
    return s;
}

static size_t workspace_bytes(const stored_job *j)
{
    const int64_t strips = 2 + j->splits * dsm_chunk_count(j->block_m, STRIP);
    return (size_t)(strips * j->steps * TILE + j->block_m * WIDE) * sizeof(pair);
}

/* 32 rows of w from n on times the item's rows of x. */
static void multiply_rows(const stored_job *j, const workspace *s, const dsm_mat *w, int64_t n,
                          dsm_range rows)
{
    const dsm_linear *op = j->op;
    const int64_t columns = op->N - n < WIDE ? op->N - n : WIDE, stride = j->steps * TILE;
    const int64_t blocks = dsm_chunk_count(rows.end - rows.begin, WIDE);
    const int64_t most = BLOCK_K / STEP;
    pack_w(s->w, w, n, columns);
    __asm__ volatile("" ::: "memory"); /* the tiles read what was written */
    for (int64_t k = 0; k < j->steps; k += most)
        for (int64_t b = 0; b < blocks; b++) {
            const operands o = {j->steps - k < most ? j->steps - k : most,
                                s->w + k * TILE,
                                s->x + 2 * b * stride + k * TILE,
                                stride,
                                j->splits,
                                s->apart};
            multiply_block(columns, rows.end - rows.begin - b * WIDE, &o, s->c + b * WIDE * WIDE,
                           k > 0);
        }
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t first = rows.begin + b * WIDE, left = rows.end - first;
        store_transposed(op, s->c + b * WIDE * WIDE, first, left < WIDE ? left : WIDE, n, columns);
    }
}

static void stored_item(void *arg, int64_t item, int worker)
{
    const stored_job *j = arg;
    const dsm_linear *op = j->op;
    const int64_t number = item / j->sets, set = item % j->sets;
    const int64_t g = dsm_group_of_block(op, j->block_m, number);
    dsm_range rows = dsm_chunk(op->begin[g + 1] - op->begin[g], j->block_m,
                               number - dsm_first_block(op, j->block_m, g));
    if (rows.begin >= rows.end) return;
    rows.begin += op->begin[g];
    rows.end += op->begin[g];
    const int64_t all = dsm_chunk_count(op->N, WIDE);
    const workspace s = lay_out(j, dsm_exec_scratch(j->x, worker));
    for (int64_t r = rows.begin; r < rows.end; r += STRIP)
        pack_x_strip(s.x + (r - rows.begin) / STRIP * j->steps * TILE, j->splits, s.apart, op, r,
                     rows.end - r < STRIP ? rows.end - r : STRIP);
    open_tiles();
    for (int64_t n = set * all / j->sets; n < (set + 1) * all / j->sets; n++)
        multiply_rows(j, &s, &op->w[g], n * WIDE, rows);
    _tile_release();
}

static void run(const dsm_exec *x, const dsm_linear *op, int splits)
{
    stored_job j = {.x = x, .op = op, .splits = splits, .steps = step_count(op->K)};
    j.block_m = MOST_X_BYTES / (j.steps * STEP * 2 * splits) / WIDE * WIDE;
    if (j.block_m < WIDE) j.block_m = WIDE;
    if (j.block_m > MOST_ROWS) j.block_m = MOST_ROWS;
    if (workspace_bytes(&j) > x->scratch_bytes) {
        dsm_linear_vnni(x, op);
        return;
    }
    const int64_t blocks = dsm_first_block(op, j.block_m, op->n_groups);
    const int64_t all = dsm_chunk_count(op->N, WIDE);
    const int64_t wanted = ITEMS * dsm_pool_threads(x->pool);
    j.sets = dsm_chunk_count(all, MOST_SET);
    while (blocks * j.sets < wanted && 2 * j.sets <= all)
        j.sets *= 2;
    dsm_pool_run(x->pool, blocks * j.sets, stored_item, &j);
}

void dsm_linear_stored_amx(const dsm_exec *x, const dsm_linear *op)
{
    run(x, op, 1);
}

void dsm_linear_bf16_amx(const dsm_exec *x, const dsm_linear *op)
{
    run(x, op, SPLITS_MOST);
}
