/* SPDX-License-Identifier: MIT */
/* Quantised weights times a few rounded rows of x (tiled/blocks.h) with AVX-512 VNNI.
 *
 * One instruction multiplies 64 unsigned bytes of w with 64 signed ones of x and adds them in
 * fours. Signed weights are read as unsigned, 128 (32, 8) too large; the sums start at what takes
 * that back.
 *
 * Blocks of 32 go in pairs: 16 lanes of sums, eight of each block, times a vector of their scales.
 * Blocks of 256 stay in integers: sums in lanes fit 16 bits, and a second instruction multiplies
 * them with the parts' integer scales; one conversion per block.
 *
 * What limits a decoder is reading w. One row after another leaves a third of the memory's
 * bandwidth unused, for the hardware looks ahead per page: several rows far apart are read side by
 * side. */
#include "core/quant.h"
#include "kernels/tiled/tiled.h"
#include "kernels/x86/vec_avx512.h"

#include "kernels/x86/parts.h"

#define INLINE static inline __attribute__((always_inline))

dsm_linear_fn dsm_linear_vnni;

enum {
    PAIR = 64,
    STREAMS = 4, /* rows of w read side by side, far from each other */
    AHEAD = 2048 /* bytes of w asked for before they are needed */
};

/* f16 d[0] in the lower, d[1] in the upper eight lanes. */
INLINE __m512 two_halves(const void *d0, const void *d1)
{
    uint16_t a, b;
    memcpy(&a, d0, sizeof a);
    memcpy(&b, d1, sizeof b);
    const __m256i words = _mm256_mask_set1_epi16(_mm256_set1_epi16((short)a), 0xFF00, (short)b);
    return _mm512_cvtph_ps(words);
}

INLINE __m512i two_quarters(const void *a, const void *b)
{
    const __m512i v = _mm512_broadcast_i32x4(_mm_loadu_si128(a));
    return _mm512_mask_broadcast_i32x4(v, 0xFF00, _mm_loadu_si128(b));
}

/* Nibbles of two blocks: low and high of the first, low and high of the second. */
INLINE __m512i nibbles_of_two(const void *a, const void *b)
{
    const __m512i shift = _mm512_set_epi64(4, 4, 0, 0, 4, 4, 0, 0);
    return _mm512_and_si512(_mm512_srlv_epi64(two_quarters(a, b), shift), _mm512_set1_epi8(15));
}

/* ---- blocks of 32, in pairs ----------------------------------------------------------------- */

typedef struct pair {
    __m512i q; /* unsigned bytes */
    __m512 d, m;
} pair;

INLINE pair load_pair(dsm_dtype t, const unsigned char *p)
{
    if (t == DSM_Q8_0) {
        const dsm_q8_0 *b = (const void *)p;
        const __m512i q =
            _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const void *)b[0].q)),
                               _mm256_loadu_si256((const void *)b[1].q), 1);
        return (pair){_mm512_xor_si512(q, _mm512_set1_epi8(-128)), two_halves(&b[0].d, &b[1].d),
                      _mm512_setzero_ps()};
    }
    if (t == DSM_Q4_0) {
        const dsm_q4_0 *b = (const void *)p;
        return (pair){nibbles_of_two(b[0].q, b[1].q), two_halves(&b[0].d, &b[1].d),
                      _mm512_setzero_ps()};
    }
    const dsm_q4_1 *b = (const void *)p;
    return (pair){nibbles_of_two(b[0].q, b[1].q), two_halves(&b[0].d, &b[1].d),
                  two_halves(&b[0].m, &b[1].m)};
}

/* sum += d_w d_x Σ q_w q_x + m Σ x; Σ x of a part counts in the first of its eight lanes. */
INLINE __m512 add_pair(dsm_dtype t, __m512 sum, const pair *w, const dsm_x8 *x, int64_t k)
{
    const __m512i dot =
        _mm512_dpbusd_epi32(_mm512_load_si512(x->start + k / 4), w->q, _mm512_load_si512(x->q + k));
    const __m512 scale = _mm512_mul_ps(w->d, _mm512_load_ps(x->d + k / 4));
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sum);
    if (t != DSM_Q4_1) return sum;
    const __m512 ones = _mm512_maskz_expandloadu_ps(0x0101, x->sum + k / 32);
    return _mm512_fmadd_ps(w->m, ones, sum);
}

INLINE void dot_pairs(dsm_dtype t, int rows, int m, int64_t K, const dsm_x8 *x,
                      const unsigned char *w, size_t stride,
                      __m512 sum[STREAMS][DSM_BLOCKS_MAX_ROWS])
{
    const size_t pair_bytes = 2 * block_bytes(t);
    int64_t k = 0;
    for (; k + PAIR <= K; k += PAIR, w += pair_bytes)
#pragma GCC unroll 4
        for (int j = 0; j < rows; j++) {
            const unsigned char *at = w + (size_t)j * stride;
            _mm_prefetch((const char *)at + AHEAD, _MM_HINT_T0);
            const pair p = load_pair(t, at);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++)
                sum[j][i] = add_pair(t, sum[j][i], &p, &x[i], k);
        }
    if (k == K) return;
#pragma GCC unroll 4
    for (int j = 0; j < rows; j++) { /* a single block: beside one of zeros */
        unsigned char both[2 * sizeof(dsm_q8_0)] = {0};
        memcpy(both, w + (size_t)j * stride, pair_bytes / 2);
        const pair p = load_pair(t, both);
#pragma GCC unroll 8
        for (int i = 0; i < m; i++)
            sum[j][i] = add_pair(t, sum[j][i], &p, &x[i], k);
    }
}

/* ---- blocks of 256 -------------------------------------------------------------------------- */

/* The parts' scales of a block as 16-bit numbers in lanes of 32, as dot_whole multiplies them. */
typedef struct whole {
    __m512i q[4]; /* unsigned bytes */
    __m512i scale[4];
    __m256 min; /* of each of 8 parts */
    float d;
} whole;

INLINE void load_k_header(whole *w, const uint16_t *d, const uint8_t *scales)
{
    const __m128i all = six_bits(scales);
    const __m512i bytes = _mm512_broadcast_i32x4(all);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* byte 2i to eight lanes, 2i + 1 to the others, zeros above */
        const int z = ~0xFF;
        const __m128i lo = _mm_set1_epi32(z | 2 * i), hi = _mm_set1_epi32(z | (2 * i + 1));
        const __m512i pick =
            _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_broadcastsi128_si256(lo)),
                               _mm256_broadcastsi128_si256(hi), 1);
        w->scale[i] = _mm512_shuffle_epi8(bytes, pick);
    }
    w->d = half_at(d);
    w->min = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(all, all))),
                           _mm256_set1_ps(-half_at(d + 1)));
}

/* 32 bytes' low nibbles, then their high ones. */
INLINE __m512i nibbles_of_one(const uint8_t *p)
{
    const __m512i shift = _mm512_set_epi64(4, 4, 4, 4, 0, 0, 0, 0);
    const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)p));
    return _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(15));
}

INLINE whole load_q4_k(const dsm_q4_k *b)
{
    whole w;
    load_k_header(&w, &b->d, b->scales);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        w.q[i] = nibbles_of_one(b->q + 32 * i);
    return w;
}

INLINE whole load_q5_k(const dsm_q5_k *b)
{
    whole w;
    const __m512i high = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)b->high));
    load_k_header(&w, &b->d, b->scales);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const __m512i bit = _mm512_inserti64x4(_mm512_set1_epi8((char)(1 << 2 * i)),
                                               _mm256_set1_epi8((char)(2 << 2 * i)), 1);
        const __m512i q = nibbles_of_one(b->q + 32 * i);
        w.q[i] = _mm512_mask_add_epi8(q, _mm512_test_epi8_mask(high, bit), q, _mm512_set1_epi8(16));
    }
    return w;
}

INLINE whole load_q6_k(const dsm_q6_k *b)
{
    whole w;
    const __m512i scales = _mm512_and_si512(
        _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)b->scales)), _mm512_set1_epi32(0xFFFF));
    const __m512i quarter = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) { /* parts 0 and 1, 2 and 3 of a half */
        const __m512i low = _mm512_loadu_si512(b->low + i / 2 * 64);
        const __m512i four = i % 2 ? _mm512_srli_epi16(low, 4) : low;
        const __m512i high =
            _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)(b->high + i / 2 * 32)));
        const __m512i shift = i % 2 ? _mm512_set_epi64(2, 2, 2, 2, 0, 0, 0, 0)
                                    : _mm512_set_epi64(62, 62, 62, 62, 60, 60, 60, 60);
        const __m512i two = _mm512_rorv_epi64(high, shift); /* bits 4 and 5 of each byte */
        /* (four & 15) | (two & 48) */
        w.q[i] = _mm512_or_si512(_mm512_and_si512(four, _mm512_set1_epi8(15)),
                                 _mm512_and_si512(two, _mm512_set1_epi8(48)));
        w.scale[i] =
            _mm512_permutexvar_epi32(_mm512_add_epi32(quarter, _mm512_set1_epi32(4 * i)), scales);
    }
    w.d = half_at(&b->d);
    w.min = _mm256_setzero_ps();
    return w;
}

INLINE __m512 add_whole(dsm_dtype t, __m512 sum, const whole *w, const dsm_x8 *x, int64_t k)
{
    __m512i total = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const int64_t at = k + PAIR * i;
        const __m512i start =
            t == DSM_Q6_K ? _mm512_load_si512(x->start + at / 4) : _mm512_setzero_si512();
        const __m512i dot = _mm512_dpbusd_epi32(start, w->q[i], _mm512_load_si512(x->q + at));
        total = _mm512_dpwssd_epi32(total, dot, w->scale[i]);
    }
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), _mm512_set1_ps(w->d * x->d[k / 4]), sum);
    if (t == DSM_Q6_K) return sum;
    const __m256 mins = _mm256_mul_ps(w->min, _mm256_load_ps(x->sum + k / 32));
    return _mm512_add_ps(sum, _mm512_zextps256_ps512(mins));
}

INLINE void dot_wholes(dsm_dtype t, int rows, int m, int64_t K, const dsm_x8 *x,
                       const unsigned char *w, size_t stride,
                       __m512 sum[STREAMS][DSM_BLOCKS_MAX_ROWS])
{
    for (int64_t k = 0; k < K; k += DSM_QK_VALUES, w += block_bytes(t))
#pragma GCC unroll 4
        for (int j = 0; j < rows; j++) {
            const unsigned char *at = w + (size_t)j * stride;
            for (size_t line = 0; line < block_bytes(t); line += 64)
                _mm_prefetch((const char *)at + AHEAD + line, _MM_HINT_T0);
            const whole b = t == DSM_Q4_K   ? load_q4_k((const void *)at)
                            : t == DSM_Q5_K ? load_q5_k((const void *)at)
                                            : load_q6_k((const void *)at);
#pragma GCC unroll 8
            for (int i = 0; i < m; i++)
                sum[j][i] = add_whole(t, sum[j][i], &b, &x[i], k);
        }
}

/* ---- rows of w ------------------------------------------------------------------------------ */

INLINE bool is_whole(dsm_dtype t)
{
    return t == DSM_Q4_K || t == DSM_Q5_K || t == DSM_Q6_K;
}

/* `rows` rows of w, `apart` rows from each other. */
INLINE void dot_rows(dsm_dtype t, int rows, int m, int64_t K, const dsm_x8 *x,
                     const unsigned char *w, int64_t apart, float *y, int64_t y_rs, bool accumulate)
{
    const size_t stride = (size_t)apart * dsm_dtype_bytes(t, K);
    __m512 sum[STREAMS][DSM_BLOCKS_MAX_ROWS];
#pragma GCC unroll 4
    for (int j = 0; j < rows; j++)
#pragma GCC unroll 8
        for (int i = 0; i < m; i++)
            sum[j][i] = _mm512_setzero_ps();
    if (is_whole(t))
        dot_wholes(t, rows, m, K, x, w, stride, sum);
    else
        dot_pairs(t, rows, m, K, x, w, stride, sum);
#pragma GCC unroll 4
    for (int j = 0; j < rows; j++)
#pragma GCC unroll 8
        for (int i = 0; i < m; i++) {
            float *at = y + i * y_rs + j * apart;
            *at = vec_sum(sum[j][i]) + (accumulate ? *at : 0);
        }
}

INLINE void dot_typed(dsm_dtype t, int m, int64_t K, const dsm_x8 *x, const unsigned char *w,
                      int64_t n, float *y, int64_t y_rs, bool accumulate)
{
    const int rows = m <= 2 ? STREAMS : m <= 4 ? 2 : 1;
    const size_t row_bytes = dsm_dtype_bytes(t, K);
    const int64_t run = n / rows;
    int64_t j = 0;
    for (; j < run; j++)
        dot_rows(t, rows, m, K, x, w + (size_t)j * row_bytes, run, y + j, y_rs, accumulate);
    for (j = rows * run; j < n; j++)
        dot_rows(t, 1, m, K, x, w + (size_t)j * row_bytes, 1, y + j, y_rs, accumulate);
}

#define DOT_CASE(t)                                                                                \
    case t:                                                                                        \
        dot_typed(t, rows, K, x, w, n, y, y_rs, accumulate);                                       \
        break;
#define DOT_FN(m)                                                                                  \
    static void dot_##m(int64_t K, const dsm_x8 *x, const void *w, dsm_dtype type, int64_t n,      \
                        float *y, int64_t y_rs, bool accumulate)                                   \
    {                                                                                              \
        enum { rows = m };                                                                         \
        switch (type) {                                                                            \
            QUANT_TYPES(DOT_CASE)                                                                  \
        default:                                                                                   \
            break;                                                                                 \
        }                                                                                          \
    }
DOT_FN(1)
DOT_FN(2)
DOT_FN(3)
DOT_FN(4)
DOT_FN(5)
DOT_FN(6)
DOT_FN(7)
DOT_FN(8)

extern const dsm_many dsm_many_vnni_avx512;
extern const dsm_blocks dsm_blocks_vnni;
const dsm_blocks dsm_blocks_vnni = {
    .dot = {dot_1, dot_2, dot_3, dot_4, dot_5, dot_6, dot_7, dot_8},
    .unpack = unpack_parts,
    .many = &dsm_many_vnni_avx512,
};

void dsm_linear_vnni(const dsm_exec *x, const dsm_linear *op)
{
    dsm_linear_blocks_avx512(x, op, &dsm_blocks_vnni);
}
