/* SPDX-License-Identifier: MIT */
/* Quantised weights times a few rounded rows of x (tiled/blocks.h) with AVX2: a part of 32 values
 * at a time. Products of unsigned with signed bytes are added in pairs to 16 bits, which nothing
 * here overflows: signed weights go in as magnitudes, their signs on x (128 · 127 · 2 < 2^15). */
#include "core/quant.h"
#include "kernels/tiled/tiled.h"
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/parts.h"

#define INLINE static inline __attribute__((always_inline))

enum { AHEAD = 4096 }; /* bytes of w asked for before they are needed */

/* Σ q · x of fours of a part, in 8 lanes; q signed. */
INLINE __m256i dot_fours(__m256i q, __m256i x)
{
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* The lanes' weights: four lanes are 16 values. */
INLINE vec lane_scales(const part *p)
{
    return _mm256_set_m128(_mm_set1_ps(p->scale[1]), _mm_set1_ps(p->scale[0]));
}

/* sum += scale d_x Σ q_w q_x + offset Σ x, the last in lane 0. */
INLINE vec add_part(vec sum, const part *w, vec scale, vec offset, const dsm_x8 *x, int64_t g)
{
    const __m256i q = _mm256_load_si256((const void *)(x->q + g * PART_VALUES));
    const vec d = _mm256_mul_ps(scale, _mm256_load_ps(x->d + g * 8));
    sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_fours(w->q, q)), d, sum);
    return _mm256_fmadd_ps(offset, _mm256_castps128_ps256(_mm_load_ss(x->sum + g)), sum);
}

INLINE void dot_row(dsm_dtype t, int m, int64_t K, const dsm_x8 *x, const unsigned char *w,
                    float *y, int64_t y_rs, bool accumulate)
{
    const size_t step =
        dsm_dtype_bytes(t, dsm_dtype_block(t)) * PART_VALUES / (size_t)dsm_dtype_block(t);
    vec sum[DSM_BLOCKS_MAX_ROWS];
    block_scales scales;
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
        sum[i] = vec_zero();
    for (int64_t g = 0; g < K / PART_VALUES; g++) {
        const part p = part_of(t, w, g, &scales);
        const vec scale = lane_scales(&p), offset = vec_set1(p.offset);
        _mm_prefetch((const char *)w + (size_t)g * step + AHEAD, _MM_HINT_T0);
#pragma GCC unroll 8
        for (int i = 0; i < m; i++)
            sum[i] = add_part(sum[i], &p, scale, offset, &x[i], g);
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; i++)
        y[i * y_rs] = vec_sum(sum[i]) + (accumulate ? y[i * y_rs] : 0);
}

#define DOT_CASE(t)                                                                                \
    case t:                                                                                        \
        for (int64_t j = 0; j < n; j++)                                                            \
            dot_row(t, rows, K, x, (const unsigned char *)w + (size_t)j * row_bytes, y + j, y_rs,  \
                    accumulate);                                                                   \
        break;
#define DOT_FN(m)                                                                                  \
    static void dot_##m(int64_t K, const dsm_x8 *x, const void *w, dsm_dtype type, int64_t n,      \
                        float *y, int64_t y_rs, bool accumulate)                                   \
    {                                                                                              \
        enum { rows = m };                                                                         \
        const size_t row_bytes = dsm_dtype_bytes(type, K);                                         \
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

extern const dsm_many dsm_many_avx2, dsm_many_vnni_avx2;
extern const dsm_blocks dsm_blocks_avx2, dsm_blocks_avxvnni;
#define DOTS                                                                                       \
    {                                                                                              \
        dot_1, dot_2, dot_3, dot_4, dot_5, dot_6, dot_7, dot_8                                     \
    }
const dsm_blocks dsm_blocks_avx2 = {.dot = DOTS, .unpack = unpack_parts, .many = &dsm_many_avx2};
const dsm_blocks dsm_blocks_avxvnni = {
    .dot = DOTS, .unpack = unpack_parts, .many = &dsm_many_vnni_avx2};

dsm_linear_fn dsm_linear_avxvnni;
void dsm_linear_avxvnni(const dsm_exec *x, const dsm_linear *op)
{
    dsm_linear_blocks_avx2(x, op, &dsm_blocks_avxvnni);
}
