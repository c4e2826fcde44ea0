/* SPDX-License-Identifier: MIT */
/* AMX matrix products of floats: tiles of bf16, sums in f32.
 *
 * A float is the sum of three bf16, exactly: its 24 significant bits are 8 + 8 + 8. So the product
 * of two floats is nine products of bf16, and the three smallest of them lie below half a unit in
 * the last place: six products give what one f32 multiplication gives. AMX does thirteen bf16
 * products in the time of one AVX-512 f32 product, so SPLITS = 3 is an f32 matrix product at twice
 * the speed of the f32 units. SPLITS = 1 rounds the operands to bf16: compute precision bf16.
 * (Henry, Tang & Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations", ARITH 2019.)
 *
 * One instruction adds to 16 × 16 floats the products of 16 rows of A and 16 columns of B over
 * STEP = 32 values of k. Both operands are packed as strips: 16 lanes (rows of A, columns of B) by
 * `steps` steps, per step and split one tile of 16 × 16 pairs. Pair p of a step holds the values
 * k = p and k = p + 16, low half first: any order of k serves as long as A and B agree, and this
 * one needs no shuffles. A's tile is [lane][pair], B's is [pair][lane].
 *
 * Lanes past the end hold anything: they reach only sums that nobody reads. Values of k past the
 * end are zero. */
#ifndef DSMOE_KERNELS_X86_AMX_H
#define DSMOE_KERNELS_X86_AMX_H

#include "kernels/x86/vec_avx512.h"

#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

enum {
    SPLITS = DSM_AMX_SPLITS, /* of this compilation */
    STRIP = 16,              /* lanes */
    STEP = 32,               /* values of k */
    TILE = 256,              /* pairs */
    TOGETHER = 4 * STRIP     /* columns packed side by side, to read whole lines of a row */
};

typedef uint32_t pair; /* two bf16 */

static inline int64_t strip_count(int64_t lanes)
{
    return (lanes + STRIP - 1) / STRIP;
}

static inline int64_t step_count(int64_t k)
{
    return (k + STEP - 1) / STEP;
}

/* Pairs of a strip of k values. */
static inline int64_t strip_pairs(int64_t k)
{
    return step_count(k) * SPLITS * TILE;
}

/* ---- f32 to pairs --------------------------------------------------------------------------- */

/* The values rounded to bf16, as floats (ties away from zero). */
static inline __m512 to_bf16(__m512 v)
{
    __m512i bits = _mm512_add_epi32(_mm512_castps_si512(v), _mm512_set1_epi32(0x8000));
    return _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32((int)0xFFFF0000)));
}

/* Split i of lo and hi, largest first, side by side, to out + i·TILE. The rest of two roundings has
 * 8 bits left: it needs none. */
static inline void store_splits(pair *out, __m512 lo, __m512 hi)
{
    const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000);
#pragma GCC unroll 3
    for (int i = 0; i < SPLITS; i++, out += TILE) {
        bool last = i == 2;
        __m512 a = last ? lo : to_bf16(lo), b = last ? hi : to_bf16(hi);
        __m512i low = _mm512_srli_epi32(_mm512_castps_si512(a), 16);
        /* (b & upper) | low */
        _mm512_store_si512(out,
                           _mm512_ternarylogic_epi32(_mm512_castps_si512(b), upper, low, 0xEA));
        lo = _mm512_sub_ps(lo, a);
        hi = _mm512_sub_ps(hi, b);
    }
}

/* Up to 16 floats; the rest reads as zero. */
static inline __m512 load_up_to(const float *p, int64_t n)
{
    return n >= LANES ? vec_load(p) : n > 0 ? vec_load_masked(p, vec_first(n)) : vec_zero();
}

/* 16 rows × 4 columns to 4 vectors of 16 rows. */
static inline void transpose_quad(__m512 out[4], const __m128 quad[16])
{
    __m512 z[4];
    for (int i = 0; i < 4; i++) {
        const __m128 q[4] = {quad[i], quad[4 + i], quad[8 + i], quad[12 + i]};
        z[i] = vec_from_quads(q);
    }
    __m512 a = vec_unpack_lo(z[0], z[1]), b = vec_unpack_hi(z[0], z[1]);
    __m512 c = vec_unpack_lo(z[2], z[3]), d = vec_unpack_hi(z[2], z[3]);
    out[0] = vec_unpack_lo2(a, c);
    out[1] = vec_unpack_hi2(a, c);
    out[2] = vec_unpack_lo2(b, d);
    out[3] = vec_unpack_hi2(b, d);
}

/* ---- packing strips ------------------------------------------------------------------------- */

/* Lanes are rows, k runs along them: A by rows. */
static inline void pack_by_rows(pair *strip, const float *const *row, int64_t rows, int64_t k)
{
    for (int64_t s = 0; s < step_count(k); s++, strip += SPLITS * TILE) {
        const int64_t at = s * STEP, left = k - at;
        for (int64_t i = 0; i < rows; i++) {
            const float *p = row[i] + at;
            if (left >= STEP)
                store_splits(strip + i * STRIP, vec_load(p), vec_load(p + STRIP));
            else
                store_splits(strip + i * STRIP, load_up_to(p, left),
                             load_up_to(p + STRIP, left - STRIP));
        }
    }
}

/* One step of the strips of `columns` <= 64 columns from c on; rows past k read as zero. */
INLINE void pair_rows(pair *strips, int64_t stride, const float *const *row, int64_t k, int64_t c,
                      int64_t columns)
{
    for (int64_t p = 0; p < STRIP; p++)
#pragma GCC unroll 4
        for (int64_t i = 0; i < columns; i += STRIP)
            store_splits(strips + i / STRIP * stride + p * STRIP,
                         p < k ? load_up_to(row[p] + c + i, columns - i) : vec_zero(),
                         STRIP + p < k ? load_up_to(row[STRIP + p] + c + i, columns - i)
                                       : vec_zero());
}

/* Lanes are columns, k runs down the rows: two rows 16 apart to each row of pairs. A few strips at
 * a time: whole cache lines of a row are read, and what is written stays close. */
static inline void pack_pairs(pair *strips, int64_t stride, const float *const *row, int64_t k,
                              int64_t columns)
{
    for (; k > 0; k -= STEP, row += STEP, strips += SPLITS * TILE)
        for (int64_t c = 0; c < columns; c += TOGETHER) {
            pair *out = strips + c / STRIP * stride;
            if (k >= STEP && columns - c >= TOGETHER)
                pair_rows(out, stride, row, STEP, c, TOGETHER);
            else
                pair_rows(out, stride, row, k, c, columns - c < TOGETHER ? columns - c : TOGETHER);
        }
}

static inline __m128 quad_up_to(const float *p, int64_t n)
{
    return n >= 4   ? _mm_loadu_ps(p)
           : n <= 0 ? _mm_setzero_ps()
                    : _mm_maskz_loadu_ps((__mmask8)((1u << n) - 1u), p);
}

/* Columns `at` … at + 3 of 16 rows as 4 vectors; rows and columns past the end read as zero. */
INLINE void columns_of(__m512 out[4], const float *const *row, int64_t rows, int64_t at,
                       int64_t columns)
{
    __m128 quad[STRIP];
#pragma GCC unroll 16
    for (int i = 0; i < STRIP; i++)
        quad[i] = i < rows ? quad_up_to(row[i] + at, columns - at) : _mm_setzero_ps();
    transpose_quad(out, quad);
}

/* Lanes are rows (up to 16), k runs along them, transposed: B from w by rows. */
INLINE void transpose_steps(pair *strip, const float *const *row, int64_t rows, int64_t from,
                            int64_t to, int64_t k)
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

static inline void pack_transposed(pair *strip, const float *const *row, int64_t rows, int64_t k)
{
    const int64_t whole = rows >= STRIP ? k / STEP : 0;
    transpose_steps(strip, row, STRIP, 0, whole, INT64_MAX);
    transpose_steps(strip, row, rows, whole, step_count(k), k);
}

/* Lanes are columns, k runs down the rows, transposed: A from dy by rows. */
INLINE void transpose_columns(pair *strips, int64_t stride, const float *const *row, int64_t k,
                              int64_t from, int64_t to, int64_t columns)
{
    for (int64_t c = from; c < to; c += 4) {
        __m512 lo[4], hi[4];
        columns_of(lo, row, k, c, columns);
        columns_of(hi, row + STRIP, k - STRIP, c, columns);
        for (int i = 0; i < 4; i++)
            store_splits(strips + (c + i) / STRIP * stride + (c + i) % STRIP * STRIP, lo[i], hi[i]);
    }
}

static inline void pack_columns(pair *strips, int64_t stride, const float *const *row, int64_t k,
                                int64_t columns)
{
    for (int64_t s = 0; s < step_count(k); s++, row += STEP, strips += SPLITS * TILE) {
        const int64_t left = k - s * STEP, whole = left >= STEP ? columns / 4 * 4 : 0;
        transpose_columns(strips, stride, row, STEP, 0, whole, INT64_MAX);
        transpose_columns(strips, stride, row, left, whole, columns, columns);
    }
}

/* ---- 32 × 32 of C --------------------------------------------------------------------------- */

/* Tiles 0-3: C, two by two; 4, 5: A; 6, 7: B. All are 16 rows of 64 bytes. */
static inline void open_tiles(void)
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

/* Products of the tiles at hand; the next split of A, of B or of both is loaded as soon as its
 * tiles are free. */
#define LOAD(tile, at)    _tile_loadd(tile, at, 64)
#define MULTIPLY(c, x, y) _tile_dpbf16ps(c, x, y)
#define MULTIPLY_THEN_A(i)                                                                         \
    do {                                                                                           \
        MULTIPLY(0, 4, 6);                                                                         \
        if (n > 1) MULTIPLY(1, 4, 7);                                                              \
        LOAD(4, a + (i)*TILE);                                                                     \
        if (m > 1) MULTIPLY(2, 5, 6);                                                              \
        if (m > 1 && n > 1) MULTIPLY(3, 5, 7);                                                     \
        if (m > 1) LOAD(5, a2 + (i)*TILE);                                                         \
    } while (0)
#define MULTIPLY_THEN_B(i)                                                                         \
    do {                                                                                           \
        MULTIPLY(0, 4, 6);                                                                         \
        if (m > 1) MULTIPLY(2, 5, 6);                                                              \
        LOAD(6, b + (i)*TILE);                                                                     \
        if (n > 1) MULTIPLY(1, 4, 7);                                                              \
        if (m > 1 && n > 1) MULTIPLY(3, 5, 7);                                                     \
        if (n > 1) LOAD(7, b2 + (i)*TILE);                                                         \
    } while (0)
#define MULTIPLY_THEN_BOTH(i, j)                                                                   \
    do {                                                                                           \
        MULTIPLY(0, 4, 6);                                                                         \
        if (n > 1) MULTIPLY(1, 4, 7);                                                              \
        LOAD(4, a + (i)*TILE);                                                                     \
        if (m > 1) MULTIPLY(2, 5, 6);                                                              \
        LOAD(6, b + (j)*TILE);                                                                     \
        if (m > 1 && n > 1) MULTIPLY(3, 5, 7);                                                     \
        if (m > 1) LOAD(5, a2 + (i)*TILE);                                                         \
        if (n > 1) LOAD(7, b2 + (j)*TILE);                                                         \
    } while (0)

/* Rows of C that the next block will write: asked for a few at a time while this one is summed. */
INLINE void prefetch_rows(const float *c, int64_t c_rs, int64_t from, int64_t to)
{
    for (int64_t i = from; i < to && i < 2 * STRIP; i++) {
        _mm_prefetch((const char *)(c + i * c_rs), _MM_HINT_ET0);
        _mm_prefetch((const char *)(c + i * c_rs + STRIP), _MM_HINT_ET0);
    }
}

/* C += A · B over the steps of m strips of A (a, a2) and n of B (b, b2), all `const pair *` of the
 * caller; the small products first. STEP_WORK runs once per step, GROUP_WORK after each group of
 * products: what the tiles leave the core free for. */
#define SUM_STEPS(steps, STEP_WORK, GROUP_WORK)                                                    \
    do {                                                                                           \
        LOAD(4, a + (SPLITS - 1) * TILE);                                                          \
        LOAD(6, b);                                                                                \
        if (m > 1) LOAD(5, a2 + (SPLITS - 1) * TILE);                                              \
        if (n > 1) LOAD(7, b2);                                                                    \
        for (int64_t s = 0; s < (steps); s++) {                                                    \
            STEP_WORK;                                                                             \
            if (SPLITS == 3) {                                                                     \
                MULTIPLY_THEN_A(1);                                                                \
                GROUP_WORK;                                                                        \
                MULTIPLY_THEN_B(1);                                                                \
                GROUP_WORK;                                                                        \
                MULTIPLY_THEN_A(0);                                                                \
                GROUP_WORK;                                                                        \
                MULTIPLY_THEN_B(2);                                                                \
                GROUP_WORK;                                                                        \
                MULTIPLY_THEN_B(0);                                                                \
                GROUP_WORK;                                                                        \
            }                                                                                      \
            const int64_t step = s + 1 < (steps) ? SPLITS * TILE : 0;                              \
            a += step;                                                                             \
            a2 += step;                                                                            \
            b += step;                                                                             \
            b2 += step;                                                                            \
            MULTIPLY_THEN_BOTH(SPLITS - 1, 0);                                                     \
            GROUP_WORK;                                                                            \
        }                                                                                          \
    } while (0)

INLINE void sum_steps(int m, int n, int64_t steps, const pair *a, const pair *b, const float *next,
                      int64_t next_rs)
{
    const pair *a2 = a + steps * SPLITS * TILE, *b2 = b + steps * SPLITS * TILE;
    const int64_t ahead = (2 * STRIP + steps - 1) / steps;
    SUM_STEPS(steps, prefetch_rows(next, next_rs, s * ahead, (s + 1) * ahead), (void)0);
}

INLINE void clear_c(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

INLINE void load_c(int m, int n, const float *c, int64_t c_rs)
{
    _tile_loadd(0, c, c_rs * 4);
    if (n > 1) _tile_loadd(1, c + STRIP, c_rs * 4);
    if (m > 1) _tile_loadd(2, c + STRIP * c_rs, c_rs * 4);
    if (m > 1 && n > 1) _tile_loadd(3, c + STRIP * c_rs + STRIP, c_rs * 4);
}

INLINE void store_c(int m, int n, float *c, int64_t c_rs)
{
    _tile_stored(0, c, c_rs * 4);
    if (n > 1) _tile_stored(1, c + STRIP, c_rs * 4);
    if (m > 1) _tile_stored(2, c + STRIP * c_rs, c_rs * 4);
    if (m > 1 && n > 1) _tile_stored(3, c + STRIP * c_rs + STRIP, c_rs * 4);
}

/* rows × columns <= 32 × 32 floats from one place to another. */
static inline void copy_part(float *to, int64_t to_rs, const float *from, int64_t from_rs,
                             int64_t rows, int64_t columns)
{
    const vec_mask left = vec_first(columns),
                   right = vec_first(columns > STRIP ? columns - STRIP : 0);
    for (int64_t i = 0; i < rows; i++, to += to_rs, from += from_rs) {
        vec_store_masked(to, left, vec_load_masked(from, left));
        vec_store_masked(to + STRIP, right, vec_load_masked(from + STRIP, right));
    }
}

/* A block that C has only a part of is summed beside it, in the same order. */
INLINE void block_of(int m, int n, int64_t steps, const pair *a, const pair *b, float *c,
                     int64_t c_rs, int64_t rows, int64_t columns, bool accumulate,
                     const float *next)
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
    sum_steps(m, n, steps, a, b, next, c_rs);
    store_c(m, n, at, at_rs);
    if (!whole) copy_part(c, c_rs, part, 2 * STRIP, rows, columns);
}

/* C (rows, columns <= 32) (=|+=) the strips a · b, neighbours `steps` apart. next: where
 * the next block's rows lie, or c. */
static inline void block(int64_t steps, const pair *a, const pair *b, float *c, int64_t c_rs,
                         int64_t rows, int64_t columns, bool accumulate, const float *next)
{
    if (rows > STRIP && columns > STRIP)
        block_of(2, 2, steps, a, b, c, c_rs, rows, columns, accumulate, next);
    else if (rows > STRIP)
        block_of(2, 1, steps, a, b, c, c_rs, rows, columns, accumulate, next);
    else if (columns > STRIP)
        block_of(1, 2, steps, a, b, c, c_rs, rows, columns, accumulate, next);
    else
        block_of(1, 1, steps, a, b, c, c_rs, rows, columns, accumulate, next);
}

#endif
