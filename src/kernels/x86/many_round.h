/* SPDX-License-Identifier: MIT */
/* Rows of x rounded to int8, four together (tiled/many.h), over the vector names of vec_<isa>.h;
 * bytes are 256 bits everywhere.
 *
 * A step is the largest magnitude of 32 values (256 for the types in blocks of 256) / 127. A value
 * that is not finite makes the step NaN or infinite and so every product with it NaN. */
#ifndef DSMOE_KERNELS_X86_MANY_ROUND_H
#define DSMOE_KERNELS_X86_MANY_ROUND_H

#include "kernels/tiled/many.h"
#include "kernels/x86/parts.h"

/* Values 4s … 4s + 3 of row i, in every lane. */
PART_INLINE ivec x_four(const dsm_x8_quad *x, int s, int i)
{
    int32_t four;
    memcpy(&four, x->q[s][i], sizeof four);
    return ivec_set1_32(four);
}

/* Rows become columns: 4 × 4. */
PART_INLINE void turn_quad(__m128 v[DSM_QUAD])
{
    _MM_TRANSPOSE4_PS(v[0], v[1], v[2], v[3]);
}

/* The largest magnitude of `values` of each row. Not finite: infinite or NaN. */
PART_INLINE __m128 magnitudes(const float *const *x, int64_t at, int values)
{
    __m128 top[DSM_QUAD];
#pragma GCC unroll 4
    for (int i = 0; i < DSM_QUAD; i++) {
        vec most = vec_zero(), poison = vec_zero();
        for (int k = 0; k < values; k += LANES) {
            const vec v = vec_load(x[i] + at + k);
            most = vec_max(vec_abs(v), most);
            poison = vec_fma(v, vec_zero(), poison);
        }
        top[i] = vec_fold_max(vec_add(most, vec_abs(poison)));
    }
    turn_quad(top);
    return _mm_max_ps(_mm_max_ps(top[0], top[1]), _mm_max_ps(top[2], top[3]));
}

/* 1 / d where that is a number. */
PART_INLINE __m128 inverse_of(__m128 d)
{
    const __m128 inverse = _mm_div_ps(_mm_set1_ps(1), d);
    const __m128 finite = _mm_cmplt_ps(inverse, _mm_set1_ps(__builtin_inff()));
    return _mm_and_ps(inverse, _mm_and_ps(finite, _mm_cmpgt_ps(d, _mm_setzero_ps())));
}

/* Σ of the first and of the second 16 bytes of four rows. */
PART_INLINE void half_sums(__m128i sum[2], const __m256i q[DSM_QUAD])
{
    __m256i four[DSM_QUAD];
#pragma GCC unroll 4
    for (int i = 0; i < DSM_QUAD; i++)
        four[i] = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q[i]),
                                    _mm256_set1_epi16(1));
    const __m256i both =
        _mm256_hadd_epi32(_mm256_hadd_epi32(four[0], four[1]), _mm256_hadd_epi32(four[2], four[3]));
    sum[0] = _mm256_castsi256_si128(both);
    sum[1] = _mm256_extracti128_si256(both, 1);
}

PART_INLINE void store_bytes(dsm_x8_quad *to, const __m256i q[DSM_QUAD])
{
    const __m256i a = _mm256_unpacklo_epi32(q[0], q[1]), b = _mm256_unpackhi_epi32(q[0], q[1]);
    const __m256i c = _mm256_unpacklo_epi32(q[2], q[3]), d = _mm256_unpackhi_epi32(q[2], q[3]);
    const __m256i step[4] = {_mm256_unpacklo_epi64(a, c), _mm256_unpackhi_epi64(a, c),
                             _mm256_unpacklo_epi64(b, d), _mm256_unpackhi_epi64(b, d)};
#pragma GCC unroll 4
    for (int s = 0; s < 4; s++) { /* steps s and s + 4 */
        _mm_storeu_si128((void *)to->q[s], _mm256_castsi256_si128(step[s]));
        _mm_storeu_si128((void *)to->q[s + 4], _mm256_extracti128_si256(step[s], 1));
    }
}

/* One part. offset: what weights are above their meaning; halves: each has a scale of its own. */
PART_INLINE void round_part(dsm_x8_quad *to, const float *const *x, int64_t at, __m128 d,
                            const float per_step[DSM_QUAD], int offset, bool halves)
{
    __m256i q[DSM_QUAD];
    __m128i sum[2];
#pragma GCC unroll 4
    for (int i = 0; i < DSM_QUAD; i++) {
        vec v[PART_VECTORS];
#pragma GCC unroll 4
        for (int k = 0; k < PART_VECTORS; k++)
            v[k] = vec_mul(vec_load(x[i] + at + k * LANES), vec_set1(per_step[i]));
        q[i] = bytes_from_vecs(v);
    }
    store_bytes(to, q);
    half_sums(sum, q);
    const __m128i all = _mm_add_epi32(sum[0], sum[1]), less = _mm_set1_epi32(-offset);
    _mm_storeu_si128((void *)to->start[0], _mm_mullo_epi32(halves ? sum[0] : all, less));
    _mm_storeu_si128((void *)to->start[1], _mm_mullo_epi32(sum[1], less));
    _mm_storeu_ps(to->d, d);
    _mm_storeu_ps(to->sum, _mm_cvtepi32_ps(all));
}

PART_INLINE int offset_of(dsm_dtype t)
{
    return t == DSM_Q8_0 ? Q8_0_OFFSET : t == DSM_Q4_0 ? 8 : t == DSM_Q6_K ? 32 : 0;
}

PART_INLINE void round_typed(dsm_dtype t, dsm_x8_quad *to, const float *const *x, int64_t K)
{
    const int values = t < DSM_Q4_K ? DSM_Q_VALUES : DSM_QK_VALUES;
    float per_step[DSM_QUAD];
    for (int64_t at = 0; at < K; at += values) {
        const __m128 d = _mm_div_ps(magnitudes(x, at, values), _mm_set1_ps(127));
        _mm_storeu_ps(per_step, inverse_of(d));
        for (int p = 0; p < values; p += PART_VALUES, to++)
            round_part(to, x, at + p, d, per_step, offset_of(t), t == DSM_Q6_K);
    }
}

#define ROUND_CASE(t)                                                                              \
    case t:                                                                                        \
        round_typed(t, to, row, K);                                                                \
        break;

/* Rows that are missing repeat the first: nobody reads their products. */
static void round_rows(dsm_x8_quad *to, const float *const *x, int64_t rows, int64_t K,
                       dsm_dtype type)
{
    const float *row[DSM_QUAD];
    for (int i = 0; i < DSM_QUAD; i++)
        row[i] = x[i < rows ? i : 0];
    switch (type) {
        QUANT_TYPES(ROUND_CASE)
    default:
        break;
    }
}

#endif
