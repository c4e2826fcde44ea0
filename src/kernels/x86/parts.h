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

/* q4_k and q5_k: j-th of 8 parts, without the fifth bits. */
PART_INLINE part part_k(const uint16_t *d, const uint8_t *scales, const uint8_t *q, int j)
{
    const float scale = half_at(d) * (float)dsm_qk_scale(scales, j);
    return (part){nibbles_at(q + j / 2 * 32, j % 2 * 4),
                  {scale, scale},
                  -half_at(d + 1) * (float)dsm_qk_min(scales, j)};
}

PART_INLINE part part_q5_k(const dsm_q5_k *b, int j)
{
    part p = part_k(&b->d, b->scales, b->q, j);
    const __m256i bit = _mm256_set1_epi8((char)(1 << j));
    const __m256i high = _mm256_and_si256(_mm256_loadu_si256((const void *)b->high), bit);
    p.q =
        _mm256_or_si256(p.q, _mm256_and_si256(_mm256_cmpeq_epi8(high, bit), _mm256_set1_epi8(16)));
    return p;
}

PART_INLINE part part_q6_k(const dsm_q6_k *b, int j)
{
    const int half = j / 4, quarter = j % 4;
    const float d = half_at(&b->d);
    const __m256i low = nibbles_at(b->low + half * 64 + quarter % 2 * 32, quarter / 2 * 4);
    const __m256i high = _mm256_srl_epi16(_mm256_loadu_si256((const void *)(b->high + half * 32)),
                                          _mm_cvtsi32_si128(2 * quarter));
    const __m256i two = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(3)), 4);
    return (part){_mm256_sub_epi8(_mm256_or_si256(low, two), _mm256_set1_epi8(32)),
                  {d * (float)b->scales[2 * j], d * (float)b->scales[2 * j + 1]},
                  0};
}

/* What is compiled once per quantised type: X(type). */
#define QUANT_TYPES(X) X(DSM_Q8_0) X(DSM_Q4_0) X(DSM_Q4_1) X(DSM_Q4_K) X(DSM_Q5_K) X(DSM_Q6_K)

/* Part g of a row of a type that the compiler knows. */
PART_INLINE part part_of(dsm_dtype t, const void *row, int64_t g)
{
    const int j = (int)(g % 8);
    switch (t) {
    case DSM_Q8_0:
        return part_q8_0((const dsm_q8_0 *)row + g);
    case DSM_Q4_0:
        return part_q4_0((const dsm_q4_0 *)row + g);
    case DSM_Q4_1:
        return part_q4_1((const dsm_q4_1 *)row + g);
    case DSM_Q4_K: {
        const dsm_q4_k *b = (const dsm_q4_k *)row + g / 8;
        return part_k(&b->d, b->scales, b->q, j);
    }
    case DSM_Q5_K:
        return part_q5_k((const dsm_q5_k *)row + g / 8, j);
    default:
        return part_q6_k((const dsm_q6_k *)row + g / 8, j);
    }
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
    for (int64_t g = 0; g < n / PART_VALUES; g++, y += PART_VALUES) {
        vec v[PART_VECTORS];
        const part p = part_of(t, row, g);
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
