/* SPDX-License-Identifier: MIT */
/* Parts of 32 quantised values as floats, over the vector names of vec_<isa>.h: what packing and
 * unpacking are made of. Written once for AVX2 and wider; bytes are 256 bits everywhere. */
#ifndef DSMOE_KERNELS_X86_PARTS_H
#define DSMOE_KERNELS_X86_PARTS_H

#include "core/dtype.h"
#include "core/quant.h"

#include <immintrin.h>
#include <string.h>

enum { PART_VALUES = 32, PART_VECTORS = PART_VALUES / LANES };

#define PART_INLINE static inline __attribute__((always_inline))

/* Values are scale[0] · q + offset for the first 16, scale[1] · q + offset for the others. */
typedef struct part {
    __m256i q; /* signed bytes */
    float scale[2], offset;
} part;

PART_INLINE float half_at(const void *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

/* 16 bytes to 32 nibbles: the low ones, then the high ones. */
PART_INLINE __m256i nibbles_of(const uint8_t *p)
{
    const __m128i both = _mm_loadu_si128((const void *)p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(both, 4), both), _mm256_set1_epi8(15));
}

/* 32 bytes' low (shift 0) or high (4) nibbles. */
PART_INLINE __m256i nibbles_at(const uint8_t *p, int shift)
{
    const __m256i both = _mm256_loadu_si256((const void *)p);
    return _mm256_and_si256(_mm256_srl_epi16(both, _mm_cvtsi32_si128(shift)), _mm256_set1_epi8(15));
}

PART_INLINE part part_q8_0(const dsm_q8_0 *b)
{
    const float d = half_at(&b->d);
    return (part){_mm256_loadu_si256((const void *)b->q), {d, d}, 0};
}

PART_INLINE part part_q4_0(const dsm_q4_0 *b)
{
    const float d = half_at(&b->d);
    return (part){_mm256_sub_epi8(nibbles_of(b->q), _mm256_set1_epi8(8)), {d, d}, 0};
}

PART_INLINE part part_q4_1(const dsm_q4_1 *b)
{
    const float d = half_at(&b->d);
    return (part){nibbles_of(b->q), {d, d}, half_at(&b->m)};
}

/* ---- blocks of 256 -------------------------------------------------------------------------- */

/* What the parts of a block are scaled by, decoded together. */
typedef struct block_scales {
    float scale[16]; /* of each 16 values */
    float offset[8]; /* of each part */
} block_scales;

/* 8 six-bit scales and 8 mins, one byte each. */
PART_INLINE __m128i six_bits(const uint8_t s[12])
{
    uint32_t a, b, c;
    memcpy(&a, s, 4);
    memcpy(&b, s + 4, 4);
    memcpy(&c, s + 8, 4);
    const uint32_t six = 0x3F3F3F3F, four = 0x0F0F0F0F, two = 0x30303030;
    return _mm_setr_epi32((int)(a & six), (int)((c & four) | (a >> 2 & two)), (int)(b & six),
                          (int)((c >> 4 & four) | (b >> 2 & two)));
}

/* q4_k and q5_k: each scale twice, for both halves of its part. */
PART_INLINE void load_k_scales(block_scales *to, const uint16_t *d, const uint8_t *scales)
{
    const __m128i all = six_bits(scales), twice = _mm_unpacklo_epi8(all, all);
    const __m256 by = _mm256_set1_ps(half_at(d)), less = _mm256_set1_ps(-half_at(d + 1));
    const __m256 lo = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(twice));
    const __m256 hi = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(twice, 8)));
    const __m256 min = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(all, 8)));
    _mm256_storeu_ps(to->scale, _mm256_mul_ps(lo, by));
    _mm256_storeu_ps(to->scale + 8, _mm256_mul_ps(hi, by));
    _mm256_storeu_ps(to->offset, _mm256_mul_ps(min, less));
}

PART_INLINE void load_q6_k_scales(block_scales *to, const dsm_q6_k *b)
{
    const __m128i all = _mm_loadu_si128((const void *)b->scales);
    const __m256 by = _mm256_set1_ps(half_at(&b->d));
    const __m256 lo = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(all));
    const __m256 hi = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(all, 8)));
    _mm256_storeu_ps(to->scale, _mm256_mul_ps(lo, by));
    _mm256_storeu_ps(to->scale + 8, _mm256_mul_ps(hi, by));
    _mm256_storeu_ps(to->offset, _mm256_setzero_ps());
}

PART_INLINE void load_scales(block_scales *to, dsm_dtype t, const void *block)
{
    const dsm_q4_k *four = block;
    const dsm_q5_k *five = block;
    if (t == DSM_Q4_K)
        load_k_scales(to, &four->d, four->scales);
    else if (t == DSM_Q5_K)
        load_k_scales(to, &five->d, five->scales);
    else
        load_q6_k_scales(to, block);
}

PART_INLINE __m256i values_q5_k(const dsm_q5_k *b, int j)
{
    const __m256i bit = _mm256_set1_epi8((char)(1 << j));
    const __m256i high = _mm256_and_si256(_mm256_loadu_si256((const void *)b->high), bit);
    const __m256i fifth = _mm256_and_si256(_mm256_cmpeq_epi8(high, bit), _mm256_set1_epi8(16));
    return _mm256_or_si256(nibbles_at(b->q + j / 2 * 32, j % 2 * 4), fifth);
}

PART_INLINE __m256i values_q6_k(const dsm_q6_k *b, int j)
{
    const int half = j / 4, quarter = j % 4;
    const __m256i low = nibbles_at(b->low + half * 64 + quarter % 2 * 32, quarter / 2 * 4);
    const __m256i high = _mm256_srl_epi16(_mm256_loadu_si256((const void *)(b->high + half * 32)),
                                          _mm_cvtsi32_si128(2 * quarter));
    const __m256i two = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(3)), 4);
    return _mm256_sub_epi8(_mm256_or_si256(low, two), _mm256_set1_epi8(32));
}

/* Part j of 8. */
PART_INLINE part part_in(dsm_dtype t, const void *block, const block_scales *s, int j)
{
    const dsm_q4_k *four = block;
    const __m256i q = t == DSM_Q4_K   ? nibbles_at(four->q + j / 2 * 32, j % 2 * 4)
                      : t == DSM_Q5_K ? values_q5_k(block, j)
                                      : values_q6_k(block, j);
    return (part){q, {s->scale[2 * j], s->scale[2 * j + 1]}, s->offset[j]};
}

/* ---- by type -------------------------------------------------------------------------------- */

PART_INLINE size_t block_bytes(dsm_dtype t)
{
    return t == DSM_Q8_0   ? sizeof(dsm_q8_0)
           : t == DSM_Q4_0 ? sizeof(dsm_q4_0)
           : t == DSM_Q4_1 ? sizeof(dsm_q4_1)
           : t == DSM_Q4_K ? sizeof(dsm_q4_k)
           : t == DSM_Q5_K ? sizeof(dsm_q5_k)
                           : sizeof(dsm_q6_k);
}

/* What is compiled once per quantised type: X(type). */
#define QUANT_TYPES(X) X(DSM_Q8_0) X(DSM_Q4_0) X(DSM_Q4_1) X(DSM_Q4_K) X(DSM_Q5_K) X(DSM_Q6_K)

/* Part g of a row of a type that the compiler knows. Parts are asked for in order: `s` keeps what
 * those of a block of 256 share. */
PART_INLINE part part_of(dsm_dtype t, const void *row, int64_t g, block_scales *s)
{
    if (t == DSM_Q8_0) return part_q8_0((const dsm_q8_0 *)row + g);
    if (t == DSM_Q4_0) return part_q4_0((const dsm_q4_0 *)row + g);
    if (t == DSM_Q4_1) return part_q4_1((const dsm_q4_1 *)row + g);
    const unsigned char *block = (const unsigned char *)row + (size_t)(g / 8) * block_bytes(t);
    if (g % 8 == 0) load_scales(s, t, block);
    return part_in(t, block, s, (int)(g % 8));
}

/* LANES signed bytes from byte `at` on as floats. */
PART_INLINE vec bytes_to_floats(__m256i q, int at)
{
    const __m128i half = at < 16 ? _mm256_castsi256_si128(q) : _mm256_extracti128_si256(q, 1);
    return vec_from_bytes(at % 16 == 0 ? half : _mm_srli_si128(half, 8));
}

/* A part's values in order. */
PART_INLINE void part_values(vec out[PART_VECTORS], const part *p)
{
#pragma GCC unroll 4
    for (int i = 0; i < PART_VECTORS; i++)
        out[i] = vec_fma(bytes_to_floats(p->q, i * LANES), vec_set1(p->scale[i * LANES / 16]),
                         vec_set1(p->offset));
}

PART_INLINE void unpack_typed(dsm_dtype t, float *y, const void *row, int64_t n)
{
    block_scales scales;
    for (int64_t g = 0; g < n / PART_VALUES; g++, y += PART_VALUES) {
        vec v[PART_VECTORS];
        const part p = part_of(t, row, g, &scales);
        part_values(v, &p);
#pragma GCC unroll 4
        for (int i = 0; i < PART_VECTORS; i++)
            vec_store(y + i * LANES, v[i]);
    }
}

#define UNPACK_CASE(t)                                                                             \
    case t:                                                                                        \
        unpack_typed(t, y, row, n);                                                                \
        break;

/* n values of a row as floats (dsm_blocks.unpack). */
static inline void unpack_parts(float *y, const void *row, dsm_dtype type, int64_t n)
{
    switch (type) {
        QUANT_TYPES(UNPACK_CASE)
    default:
        break;
    }
}

#endif
