/* SPDX-License-Identifier: MIT */
/* AMX matrix products of floats: tiles of bf16, sums in f32.
 *
 * A float is the sum of three bf16, exactly: its 24 significant bits are 8 + 8 + 8. So the product
 * of two floats is nine products of bf16, and the three smallest of them lie below half a unit in
 * the last place: six products give what one f32 multiplication gives. AMX does sixteen bf16
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
#include <string.h>

enum {
    SPLITS = DSM_AMX_SPLITS, /* of this compilation */
    STRIP = 16,              /* lanes */
    STEP = 32,               /* values of k */
    TILE = 256               /* pairs */
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
        _mm512_store_si512(
            out, _mm512_ternarylogic_epi32(_mm512_castps_si512(b), upper, low, 0xEA));
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

#endif
