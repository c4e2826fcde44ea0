/* SPDX-License-Identifier: MIT */
/* A vector of 8 floats: the names tile_body.h is written in, for AVX2 with FMA and F16C. */
#ifndef DSMOE_KERNELS_X86_VEC_AVX2_H
#define DSMOE_KERNELS_X86_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

enum { LANES = 8 };
typedef __m256 vec;
typedef __m256i vec_mask;
typedef __m256i ivec; /* 8 lanes of 32 bits, or 32 bytes */

static inline vec_mask vec_first(int64_t n) /* the lanes below n */
{
    int count = n >= LANES ? LANES : (int)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vec vec_zero(void) { return _mm256_setzero_ps(); }
static inline vec vec_set1(float x) { return _mm256_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vec vec_load_masked(const float *p, vec_mask m) { return _mm256_maskload_ps(p, m); }
static inline void vec_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
static inline void vec_store_masked(float *p, vec_mask m, vec v) { _mm256_maskstore_ps(p, m, v); }
static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); } /* a·b + c */
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }

static inline vec vec_keep(vec v, vec_mask m)
{
    return _mm256_and_ps(v, _mm256_castsi256_ps(m));
}

static inline vec vec_round(vec v)
{
    return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* v · 2ⁿ for whole n: n is clamped to where the result has long been 0 or infinite, and put into
 * exponent bits in two halves so that subnormal results come out right. */
static inline vec vec_scale2(vec v, vec n)
{
    n = _mm256_max_ps(_mm256_min_ps(n, _mm256_set1_ps(250)), _mm256_set1_ps(-250));
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    __m256i bias = _mm256_set1_epi32(127);
    __m256i lo = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i hi = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(v, _mm256_castsi256_ps(lo)), _mm256_castsi256_ps(hi));
}

static inline float vec_top(vec v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    s = _mm_max_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

static inline float vec_sum(vec v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

static inline vec vec_load_bf16(const uint16_t *p)
{
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

static inline vec vec_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

static inline vec vec_from_bytes(__m128i q) /* the first LANES signed bytes */
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q));
}

/* Lane group L (4 floats) is q[L]. */
static inline vec vec_from_quads(const __m128 q[LANES / 4])
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(q[0]), q[1], 1);
}

static inline vec vec_unpack_lo(vec a, vec b) { return _mm256_unpacklo_ps(a, b); }
static inline vec vec_unpack_hi(vec a, vec b) { return _mm256_unpackhi_ps(a, b); }

static inline vec vec_unpack_lo2(vec a, vec b) /* pairs of floats */
{
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

static inline vec vec_unpack_hi2(vec a, vec b)
{
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}

static inline ivec ivec_and(ivec a, ivec b) { return _mm256_and_si256(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return _mm256_or_si256(a, b); }
static inline ivec ivec_xor(ivec a, ivec b) { return _mm256_xor_si256(a, b); }
static inline ivec ivec_set1_8(char x) { return _mm256_set1_epi8(x); }
static inline ivec ivec_set1_32(int32_t x) { return _mm256_set1_epi32(x); }
static inline ivec ivec_add(ivec a, ivec b) { return _mm256_add_epi32(a, b); }
static inline ivec ivec_add16(ivec a, ivec b) { return _mm256_add_epi16(a, b); }
static inline ivec ivec_pairs(ivec u, ivec s) { return _mm256_maddubs_epi16(u, s); } /* see many_pairs.h */
static inline ivec ivec_join(ivec p) { return _mm256_madd_epi16(p, _mm256_set1_epi16(1)); }
static inline ivec ivec_srl(ivec v, int n) { return _mm256_srlv_epi32(v, _mm256_set1_epi32(n)); }
static inline ivec ivec_sra(ivec v, int n) { return _mm256_srav_epi32(v, _mm256_set1_epi32(n)); }
static inline ivec ivec_sll(ivec v, int n) { return _mm256_sllv_epi32(v, _mm256_set1_epi32(n)); }
static inline vec vec_abs(vec v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
static inline ivec ivec_of(vec v) { return _mm256_castps_si256(v); } /* the same bits */
static inline ivec ivec_abs8(ivec v) { return _mm256_abs_epi8(v); }
static inline ivec ivec_sign8(ivec v, ivec of) { return _mm256_sign_epi8(v, of); } /* 0 for 0 */
static inline vec vec_from_ints(ivec v) { return _mm256_cvtepi32_ps(v); }

static inline vec vec_from_halves(ivec v) /* the low 16 bits of each lane are an f16 */
{
    const __m256i words = _mm256_packus_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0xFFFF)), v);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(_mm256_permute4x64_epi64(words, 0x08)));
}

static inline __m128 vec_fold_max(vec v) /* four lanes: the largest of every fourth */
{
    return _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

static inline __m256i bytes_from_vecs(const vec v[4]) /* 32 values, to the nearest in ±127 */
{
    const __m256i lo = _mm256_packs_epi32(_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1]));
    const __m256i hi = _mm256_packs_epi32(_mm256_cvtps_epi32(v[2]), _mm256_cvtps_epi32(v[3]));
    return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(lo, hi),
                                       _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

#endif
