/* SPDX-License-Identifier: MIT */
/* A vector of 16 floats: the names tile_body.h is written in, for AVX-512. */
#ifndef DSMOE_KERNELS_X86_VEC_AVX512_H
#define DSMOE_KERNELS_X86_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

enum { LANES = 16 };
typedef __m512 vec;
typedef __mmask16 vec_mask;
typedef __m512i ivec; /* 16 lanes of 32 bits, or 64 bytes */

static inline vec_mask vec_first(int64_t n) /* the lanes below n */
{
    return (vec_mask)(n >= LANES ? 0xFFFFu : (1u << n) - 1u);
}

static inline vec vec_zero(void) { return _mm512_setzero_ps(); }
static inline vec vec_set1(float x) { return _mm512_set1_ps(x); }
static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vec vec_load_masked(const float *p, vec_mask m) { return _mm512_maskz_loadu_ps(m, p); }
static inline void vec_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
static inline void vec_store_masked(float *p, vec_mask m, vec v) { _mm512_mask_storeu_ps(p, m, v); }
static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); } /* a·b + c */
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
static inline float vec_top(vec v) { return _mm512_reduce_max_ps(v); }
static inline vec vec_keep(vec v, vec_mask m) { return _mm512_maskz_mov_ps(m, v); }
static inline vec vec_round(vec v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT); }
static inline vec vec_scale2(vec v, vec n) { return _mm512_scalef_ps(v, n); } /* v · 2ⁿ, n whole */
static inline float vec_sum(vec v) { return _mm512_reduce_add_ps(v); }

static inline vec vec_load_bf16(const uint16_t *p)
{
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

static inline vec vec_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

static inline vec vec_from_bytes(__m128i q) /* the first LANES signed bytes */
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
}

/* Lane group L (4 floats) is q[L]. */
static inline vec vec_from_quads(const __m128 q[LANES / 4])
{
    vec v = _mm512_castps128_ps512(q[0]);
    v = _mm512_mask_broadcast_f32x4(v, 0x00F0, q[1]);
    v = _mm512_mask_broadcast_f32x4(v, 0x0F00, q[2]);
    return _mm512_mask_broadcast_f32x4(v, 0xF000, q[3]);
}

static inline vec vec_unpack_lo(vec a, vec b) { return _mm512_unpacklo_ps(a, b); }
static inline vec vec_unpack_hi(vec a, vec b) { return _mm512_unpackhi_ps(a, b); }

static inline vec vec_unpack_lo2(vec a, vec b) /* pairs of floats */
{
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

static inline vec vec_unpack_hi2(vec a, vec b)
{
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

static inline ivec ivec_and(ivec a, ivec b) { return _mm512_and_si512(a, b); }
static inline ivec ivec_or(ivec a, ivec b) { return _mm512_or_si512(a, b); }
static inline ivec ivec_xor(ivec a, ivec b) { return _mm512_xor_si512(a, b); }
static inline ivec ivec_set1_8(char x) { return _mm512_set1_epi8(x); }
static inline ivec ivec_set1_32(int32_t x) { return _mm512_set1_epi32(x); }
static inline ivec ivec_add(ivec a, ivec b) { return _mm512_add_epi32(a, b); }
static inline ivec ivec_srl(ivec v, int n) { return _mm512_srlv_epi32(v, _mm512_set1_epi32(n)); }
static inline ivec ivec_sra(ivec v, int n) { return _mm512_srav_epi32(v, _mm512_set1_epi32(n)); }
static inline ivec ivec_sll(ivec v, int n) { return _mm512_sllv_epi32(v, _mm512_set1_epi32(n)); }
static inline vec vec_abs(vec v) { return _mm512_abs_ps(v); }
static inline ivec ivec_of(vec v) { return _mm512_castps_si512(v); } /* the same bits */
static inline vec vec_from_ints(ivec v) { return _mm512_cvtepi32_ps(v); }

static inline vec vec_from_halves(ivec v) /* the low 16 bits of each lane are an f16 */
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v));
}

static inline __m128 vec_fold_max(vec v) /* four lanes: the largest of every fourth */
{
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}

static inline __m256i bytes_from_vecs(const vec v[2]) /* 32 values, to the nearest in ±127 */
{
    const __m128i lo = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v[0]));
    return _mm256_set_m128i(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v[1])), lo);
}

#endif
