/* SPDX-License-Identifier: MIT */
/* The micro-kernels of tiled/tile.h, written once over the vector names of vec_<isa>.h.
 *
 * Included by gemm_<isa>.c after TILE_ROWS and TILE_VECTORS are set. Bodies are inlined with
 * constant row and vector counts, so that the accumulators stay in registers:
 *   AVX-512  8 × 48: 24 accumulators, 3 of B, 1 broadcast; 11 loads for 24 FMA
 *   AVX2     6 × 16: 12 accumulators, 2 of B, 1 broadcast;  8 loads for 12 FMA
 * so the two FMA ports and not the load ports are the limit. Fewer vectors serve the columns left
 * over: a matrix 176 wide is 48+48+48+32 and wastes nothing. */
#ifndef DSMOE_KERNELS_X86_TILE_BODY_H
#define DSMOE_KERNELS_X86_TILE_BODY_H

#include "kernels/tiled/tiled.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { PACK_ROWS = 8, DOT_AHEAD = 2048 /* bytes of w asked for before they are needed */ };

/* ---- tiles ---------------------------------------------------------------------------------- */

INLINE void tile_store(vec sum, float *c, int64_t n, bool accumulate)
{
    if (n >= LANES) {
        vec_store(c, accumulate ? vec_add(vec_load(c), sum) : sum);
    } else if (n > 0) {
        vec_mask m = vec_first(n);
        vec_store_masked(c, m, accumulate ? vec_add(vec_load_masked(c, m), sum) : sum);
    }
}

INLINE void tile_body(int rows, int vectors, bool by_panel, int64_t k, const float *const *a,
                      const float *b, float *c, int64_t c_rs, int64_t n, bool accumulate)
{
    vec sum[TILE_ROWS][TILE_VECTORS];
    const float *row[TILE_ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        row[i] = by_panel ? a[0] + i : a[i];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++) {
            sum[i][j] = vec_zero();
            __builtin_prefetch(c + i * c_rs + j * LANES); /* needed only when the sums are done */
        }
    }
    for (int64_t p = 0; p < k; p++) {
        vec bv[TILE_VECTORS];
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++)
            bv[j] = vec_load(b + j * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            vec av = vec_set1(by_panel ? row[0][p * TILE_ROWS + i] : row[i][p]);
#pragma GCC unroll 8
            for (int j = 0; j < vectors; j++)
                sum[i][j] = vec_fma(av, bv[j], sum[i][j]);
        }
        b += vectors * LANES;
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++)
            tile_store(sum[i][j], c + i * c_rs + j * LANES, n - j * LANES, accumulate);
}

/* One function per (source of A, vectors, rows). */
#define TILE_FN(name, by_panel, vectors, rows)                                                     \
    static void name##_##vectors##_##rows(int64_t k, const float *const *a, const float *b,        \
                                          float *c, int64_t c_rs, int64_t n, bool accumulate)      \
    {                                                                                              \
        tile_body(rows, vectors, by_panel, k, a, b, c, c_rs, n, accumulate);                       \
    }

/* ---- few rows: dot products straight from the stored weights -------------------------------- */

INLINE vec load_as(const void *p, dsm_dtype t)
{
    if (t == DSM_F32) return vec_load(p);
    return t == DSM_BF16 ? vec_load_bf16(p) : vec_load_f16(p);
}

/* The first n < LANES elements, zeros behind. */
INLINE vec load_tail(const void *p, dsm_dtype t, int64_t n)
{
    if (t == DSM_F32) return vec_load_masked(p, vec_first(n));
    uint16_t wide[LANES] = {0};
    memcpy(wide, p, (size_t)n * sizeof *wide);
    return load_as(wide, t);
}

INLINE size_t size_of(dsm_dtype t)
{
    return t == DSM_F32 ? 4 : 2;
}

/* m rows x against `rows` rows w, `apart` rows from each other: rows·m independent sums hide the
 * latency of the FMA. */
INLINE void dot_block(int rows, int m, int64_t K, const float *const *x, const unsigned char *w,
                      dsm_dtype t, int64_t w_rs, int64_t apart, float *y, int64_t y_rs,
                      bool accumulate)
{
    const size_t row_bytes = (size_t)(apart * w_rs) * size_of(t);
    vec sum[4][DSM_DOT_MAX_ROWS];
#pragma GCC unroll 8
    for (int j = 0; j < rows; j++)
#pragma GCC unroll 8
        for (int i = 0; i < m; i++)
            sum[j][i] = vec_zero();
    int64_t k = 0;
    for (; k + LANES <= K; k += LANES) {
#pragma GCC unroll 8
        for (int j = 0; j < rows; j++) {
            const unsigned char *at = w + (size_t)j * row_bytes + (size_t)k * size_of(t);
            vec wv = load_as(at, t);
            _mm_prefetch((const char *)at + DOT_AHEAD, _MM_HINT_T0);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++)
                sum[j][i] = vec_fma(wv, vec_load(x[i] + k), sum[j][i]);
        }
    }
    if (k < K) {
        vec_mask tail = vec_first(K - k);
#pragma GCC unroll 8
        for (int j = 0; j < rows; j++) {
            vec wv = load_tail(w + (size_t)j * row_bytes + (size_t)k * size_of(t), t, K - k);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++)
                sum[j][i] = vec_fma(wv, vec_load_masked(x[i] + k, tail), sum[j][i]);
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < rows; j++)
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) {
            float s = vec_sum(sum[j][i]);
            float *at = y + i * y_rs + j * apart;
            *at = accumulate ? *at + s : s;
        }
}

/* n rows w. Memory gives more to several streams that lie far apart than to one. */
INLINE void dot_typed(int rows, int m, int64_t K, const float *const *x, const unsigned char *w,
                      dsm_dtype t, int64_t w_rs, int64_t n, float *y, int64_t y_rs, bool accumulate)
{
    const size_t row_bytes = (size_t)w_rs * size_of(t);
    const int64_t run = n / rows;
    for (int64_t j = 0; j < run; j++)
        dot_block(rows, m, K, x, w + (size_t)j * row_bytes, t, w_rs, run, y + j, y_rs, accumulate);
    for (int64_t j = rows * run; j < n; j++)
        dot_block(1, m, K, x, w + (size_t)j * row_bytes, t, w_rs, 1, y + j, y_rs, accumulate);
}

#define DOT_FN(rows, m)                                                                            \
    static void dot_##m(int64_t K, const float *const *x, const void *w, dsm_dtype t,              \
                        int64_t w_rs, int64_t n, float *y, int64_t y_rs, bool accumulate)          \
    {                                                                                              \
        if (t == DSM_F32)                                                                          \
            dot_typed(rows, m, K, x, w, DSM_F32, w_rs, n, y, y_rs, accumulate);                    \
        else if (t == DSM_BF16)                                                                    \
            dot_typed(rows, m, K, x, w, DSM_BF16, w_rs, n, y, y_rs, accumulate);                   \
        else                                                                                       \
            dot_typed(rows, m, K, x, w, DSM_F16, w_rs, n, y, y_rs, accumulate);                    \
    }

/* ---- packing -------------------------------------------------------------------------------- */

/* Four consecutive elements as floats; only the first n of them are read. */
INLINE __m128 load_quad(const unsigned char *p, dsm_dtype t, int64_t n)
{
    if (n >= 4 && t == DSM_F32) return _mm_loadu_ps((const void *)p);
    if (n >= 4 && t == DSM_F16) return _mm_cvtph_ps(_mm_loadl_epi64((const void *)p));
    if (n >= 4)
        return _mm_castsi128_ps(
            _mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const void *)p)), 16));
    unsigned char four[16] = {0};
    memcpy(four, p, (size_t)n * size_of(t));
    return load_quad(four, t, 4);
}

/* LANES rows × 4 columns to 4 vectors: quads of rows 4L+i meet in lane group L, then 4 × 4
 * transposes run inside the lane groups. Rows from `n` on read as zero. */
INLINE void pack_quad(float *panel, int64_t width, const unsigned char *src, dsm_dtype t,
                      size_t row, int64_t n, int64_t K)
{
    vec z[4];
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        __m128 q[LANES / 4];
#pragma GCC unroll 8
        for (int L = 0; L < LANES / 4; L++)
            q[L] =
                4 * L + i < n ? load_quad(src + (size_t)(4 * L + i) * row, t, K) : _mm_setzero_ps();
        z[i] = vec_from_quads(q);
    }
    vec a = vec_unpack_lo(z[0], z[1]), b = vec_unpack_hi(z[0], z[1]);
    vec c = vec_unpack_lo(z[2], z[3]), d = vec_unpack_hi(z[2], z[3]);
    vec_store(panel, vec_unpack_lo2(a, c));
    if (K > 1) vec_store(panel + width, vec_unpack_hi2(a, c));
    if (K > 2) vec_store(panel + 2 * width, vec_unpack_lo2(b, d));
    if (K > 3) vec_store(panel + 3 * width, vec_unpack_hi2(b, d));
}

INLINE void pack_transposed_as(float *panel, int64_t width, const unsigned char *src, dsm_dtype t,
                               size_t row, int64_t n, int64_t K)
{
    int64_t k = 0;
    if (n >= LANES) /* the common case, without tests inside */
        for (; k + 4 <= K; k += 4)
            pack_quad(panel + k * width, width, src + (size_t)k * size_of(t), t, row, LANES, 4);
    for (; k < K; k += 4)
        pack_quad(panel + k * width, width, src + (size_t)k * size_of(t), t, row, n,
                  K - k < 4 ? K - k : 4);
}

static void pack_transposed(float *panel, int64_t width, const void *src, dsm_dtype t, int64_t rs,
                            int64_t n, int64_t K)
{
    size_t row = (size_t)rs * size_of(t);
    for (int64_t j = 0; j < width; j += LANES) {
        const unsigned char *from = (const unsigned char *)src + (size_t)j * row;
        if (t == DSM_F32)
            pack_transposed_as(panel + j, width, from, DSM_F32, row, n - j, K);
        else if (t == DSM_BF16)
            pack_transposed_as(panel + j, width, from, DSM_BF16, row, n - j, K);
        else
            pack_transposed_as(panel + j, width, from, DSM_F16, row, n - j, K);
    }
}

INLINE void pack_rows_as(int vectors, float *panel, const unsigned char *src, dsm_dtype t,
                         size_t row, const int32_t *map, int64_t n, int64_t K)
{
    const int64_t whole = n / LANES;
    for (int64_t k = 0; k < K; k++, panel += vectors * LANES) {
        const unsigned char *p = src + (size_t)(map ? map[k] : k) * row;
#pragma GCC unroll 8
        for (int j = 0; j < vectors; j++, p += LANES * size_of(t))
            vec_store(panel + j * LANES,
                      j < whole ? load_as(p, t) : load_tail(p, t, n - j * LANES));
    }
}

INLINE void pack_rows_of(dsm_dtype t, float *panel, int64_t width, const unsigned char *src,
                         int64_t rs, const int32_t *map, int64_t n, int64_t K)
{
    const size_t row = (size_t)rs * size_of(t);
    if (n == 3 * LANES)
        pack_rows_as(3, panel, src, t, row, map, 3 * LANES, K);
    else if (n == 2 * LANES)
        pack_rows_as(2, panel, src, t, row, map, 2 * LANES, K);
    else
        pack_rows_as((int)(width / LANES), panel, src, t, row, map, n, K);
}

static void pack_rows(float *panel, int64_t width, const void *src, dsm_dtype t, int64_t rs,
                      const int32_t *map, int64_t n, int64_t K)
{
    if (t == DSM_F32)
        pack_rows_of(DSM_F32, panel, width, src, rs, map, n, K);
    else if (t == DSM_BF16)
        pack_rows_of(DSM_BF16, panel, width, src, rs, map, n, K);
    else
        pack_rows_of(DSM_F16, panel, width, src, rs, map, n, K);
}

/* Rows k … k + rows - 1 of src, each through the map if there is one. */
INLINE void pack_column_rows(int rows, float *a, const float *src, int64_t rs, const int32_t *map,
                             int64_t k, int64_t n, int64_t step)
{
    const float *row[PACK_ROWS];
    int64_t c = 0;
    for (int r = 0; r < rows; r++)
        row[r] = src + (map ? map[k + r] : k + r) * rs;
    for (; c + TILE_ROWS <= n; c += TILE_ROWS, a += step)
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
            memcpy(a + r * TILE_ROWS, row[r] + c, TILE_ROWS * sizeof *a);
    for (int r = 0; r < rows; r++)
        for (int64_t i = 0; i < n - c; i++)
            a[r * TILE_ROWS + i] = row[r][c + i];
}

/* A few rows at a time: the hardware sees rows coming and fetches ahead, and whole cache lines of
 * the panel are written at once. */
static void pack_columns(float *a, const float *src, int64_t rs, const int32_t *map, int64_t n,
                         int64_t K)
{
    const int64_t step = K * TILE_ROWS;
    int64_t k = 0;
    for (; k + PACK_ROWS <= K; k += PACK_ROWS)
        pack_column_rows(PACK_ROWS, a + k * TILE_ROWS, src, rs, map, k, n, step);
    for (; k < K; k++)
        pack_column_rows(1, a + k * TILE_ROWS, src, rs, map, k, n, step);
}

#endif
