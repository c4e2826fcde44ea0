/* SPDX-License-Identifier: MIT */
/* Panels of quantised weights (tiled/many.h), over the vector names of vec_<isa>.h.
 *
 * Sixteen bytes of LANES rows are turned into four vectors, lane i of which are four bytes of row
 * i; whatever is packed inside the bytes (nibbles, high bits, scales) is then taken apart for all
 * rows at once. No block is decoded by itself. */
#ifndef DSMOE_KERNELS_X86_MANY_PARTS_H
#define DSMOE_KERNELS_X86_MANY_PARTS_H

#include "core/quant.h"
#include "kernels/tiled/many.h"
#include "kernels/x86/parts.h"

#include <string.h>

#define MANY_INLINE static inline __attribute__((always_inline))

enum {
    PARTS = 8,                   /* of a block of 256 */
    STEPS = 8,                   /* of four values in a part */
    ACROSS = LANES == 16 ? 3 : 2 /* vectors of rows in a panel */
};

typedef struct panel_part {
    ivec q[STEPS][ACROSS];         /* four bytes a lane */
    float scale[2][ACROSS][LANES]; /* of each half; alike but in q6_k */
    float offset[ACROSS][LANES];   /* q4_1, q4_k, q5_k */
} panel_part;

/* 16 bytes from p on of LANES rows: out[i] has bytes 4i … 4i + 3 of every row. */
MANY_INLINE void turn(ivec out[4], const uint8_t *p, size_t row_bytes)
{
    vec z[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m128 q[LANES / 4];
#pragma GCC unroll 4
        for (int l = 0; l < LANES / 4; l++)
            q[l] = _mm_loadu_ps((const void *)(p + (size_t)(4 * l + i) * row_bytes));
        z[i] = vec_from_quads(q);
    }
    const vec a = vec_unpack_lo(z[0], z[1]), b = vec_unpack_hi(z[0], z[1]);
    const vec c = vec_unpack_lo(z[2], z[3]), d = vec_unpack_hi(z[2], z[3]);
    out[0] = ivec_of(vec_unpack_lo2(a, c));
    out[1] = ivec_of(vec_unpack_hi2(a, c));
    out[2] = ivec_of(vec_unpack_lo2(b, d));
    out[3] = ivec_of(vec_unpack_hi2(b, d));
}

/* 32 bytes. */
MANY_INLINE void turn_two(ivec out[8], const uint8_t *p, size_t row_bytes)
{
    turn(out, p, row_bytes);
    turn(out + 4, p + 16, row_bytes);
}

/* The f16 at p of LANES rows. */
MANY_INLINE vec halves_of(const uint8_t *p, size_t row_bytes)
{
    uint16_t h[LANES];
    for (int i = 0; i < LANES; i++)
        memcpy(&h[i], p + (size_t)i * row_bytes, sizeof *h);
    return vec_load_f16(h);
}

MANY_INLINE ivec low_bits(ivec v, int mask)
{
    return ivec_and(v, ivec_set1_8((char)mask));
}

/* ---- blocks of 32 --------------------------------------------------------------------------- */

MANY_INLINE void put_scales(panel_part *to, int v, vec scale)
{
    vec_store(to->scale[0][v], scale);
    vec_store(to->scale[1][v], scale);
}

MANY_INLINE void pack_q8_0(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    ivec q[8];
    turn_two(q, p + offsetof(dsm_q8_0, q), row_bytes);
#pragma GCC unroll 8
    for (int s = 0; s < STEPS; s++)
        to->q[s][v] = Q8_0_OFFSET ? ivec_xor(q[s], ivec_set1_8((char)Q8_0_OFFSET)) : q[s];
    put_scales(to, v, halves_of(p, row_bytes));
}

MANY_INLINE void pack_nibbles(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    ivec q[4];
    turn(q, p, row_bytes);
#pragma GCC unroll 4
    for (int s = 0; s < 4; s++) {
        to->q[s][v] = low_bits(q[s], 15);
        to->q[s + 4][v] = low_bits(ivec_srl(q[s], 4), 15);
    }
}

MANY_INLINE void pack_q4_0(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    pack_nibbles(to, v, p + offsetof(dsm_q4_0, q), row_bytes);
    put_scales(to, v, halves_of(p, row_bytes));
}

MANY_INLINE void pack_q4_1(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    pack_nibbles(to, v, p + offsetof(dsm_q4_1, q), row_bytes);
    put_scales(to, v, halves_of(p, row_bytes));
    vec_store(to->offset[v], halves_of(p + offsetof(dsm_q4_1, m), row_bytes));
}

/* ---- blocks of 256: eight parts ------------------------------------------------------------- */

/* d, dmin and the twelve bytes of 6-bit scales and mins of LANES rows (core/quant.h). */
MANY_INLINE void pack_k_header(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    ivec h[4];
    turn(h, p, row_bytes);
    const vec d = vec_from_halves(h[0]), dmin = vec_from_halves(ivec_srl(h[0], 16));
    const vec less = vec_sub(vec_zero(), dmin);
    const ivec top_scale = low_bits(ivec_srl(h[1], 2), 0x30);
    const ivec top_min = low_bits(ivec_srl(h[2], 2), 0x30);
    const ivec scale[2] = {low_bits(h[1], 63), ivec_or(low_bits(h[3], 15), top_scale)};
    const ivec min[2] = {low_bits(h[2], 63), ivec_or(low_bits(ivec_srl(h[3], 4), 15), top_min)};
#pragma GCC unroll 8
    for (int j = 0; j < PARTS; j++) {
        const ivec s = ivec_srl(scale[j / 4], 8 * (j % 4)), m = ivec_srl(min[j / 4], 8 * (j % 4));
        const ivec byte = ivec_set1_32(255);
        put_scales(to + j, v, vec_mul(d, vec_from_ints(ivec_and(s, byte))));
        vec_store(to[j].offset[v], vec_mul(less, vec_from_ints(ivec_and(m, byte))));
    }
}

/* Bit j of every byte, as bit 4. */
MANY_INLINE ivec fifth_bit(ivec high, int j)
{
    return low_bits(j < 4 ? ivec_sll(high, 4 - j) : ivec_srl(high, j - 4), 16);
}

/* Parts j and j + 1 out of nibbles, and of fifth bits if there are. */
MANY_INLINE void pack_k_parts(panel_part *to, int v, int j, const uint8_t *nibbles,
                              const ivec *high, size_t row_bytes)
{
    ivec q[8];
    turn_two(q, nibbles + 16 * j, row_bytes);
#pragma GCC unroll 8
    for (int s = 0; s < STEPS; s++) {
        ivec a = low_bits(q[s], 15), b = low_bits(ivec_srl(q[s], 4), 15);
        if (high) {
            a = ivec_or(a, fifth_bit(high[s], j));
            b = ivec_or(b, fifth_bit(high[s], j + 1));
        }
        to[j].q[s][v] = a;
        to[j + 1].q[s][v] = b;
    }
}

MANY_INLINE void pack_q4_k(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    pack_k_header(to, v, p, row_bytes);
#pragma GCC unroll 4
    for (int j = 0; j < PARTS; j += 2)
        pack_k_parts(to, v, j, p + offsetof(dsm_q4_k, q), NULL, row_bytes);
}

MANY_INLINE void pack_q5_k(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    ivec high[8];
    pack_k_header(to, v, p, row_bytes);
    turn_two(high, p + offsetof(dsm_q5_k, high), row_bytes);
#pragma GCC unroll 4
    for (int j = 0; j < PARTS; j += 2)
        pack_k_parts(to, v, j, p + offsetof(dsm_q5_k, q), high, row_bytes);
}

/* Four parts of q6_k: 64 bytes of low bits, 32 of high ones. */
MANY_INLINE void pack_six_bits(panel_part *to, int v, const uint8_t *low, const uint8_t *high,
                               size_t row_bytes)
{
    ivec a[8], b[8], h[8];
    turn_two(a, low, row_bytes);
    turn_two(b, low + 32, row_bytes);
    turn_two(h, high, row_bytes);
#pragma GCC unroll 8
    for (int s = 0; s < STEPS; s++) {
        to[0].q[s][v] = ivec_or(low_bits(a[s], 15), low_bits(ivec_sll(h[s], 4), 48));
        to[1].q[s][v] = ivec_or(low_bits(b[s], 15), low_bits(ivec_sll(h[s], 2), 48));
        to[2].q[s][v] = ivec_or(low_bits(ivec_srl(a[s], 4), 15), low_bits(h[s], 48));
        to[3].q[s][v] = ivec_or(low_bits(ivec_srl(b[s], 4), 15), low_bits(ivec_srl(h[s], 2), 48));
    }
}

MANY_INLINE void pack_q6_k(panel_part *to, int v, const uint8_t *p, size_t row_bytes)
{
    ivec scales[4];
    turn(scales, p + offsetof(dsm_q6_k, scales), row_bytes);
    const vec d = halves_of(p + offsetof(dsm_q6_k, d), row_bytes);
#pragma GCC unroll 16
    for (int j = 0; j < 2 * PARTS; j++) {
        const ivec top = ivec_sll(scales[j / 4], 24 - 8 * (j % 4));
        vec_store(to[j / 2].scale[j % 2][v], vec_mul(d, vec_from_ints(ivec_sra(top, 24))));
    }
    for (int half = 0; half < 2; half++)
        pack_six_bits(to + 4 * half, v, p + 64 * half, p + offsetof(dsm_q6_k, high) + 32 * half,
                      row_bytes);
}

/* ---- by type -------------------------------------------------------------------------------- */

/* Block b of LANES rows from w on, as the vectors v of the parts `to`. */
MANY_INLINE void pack_block(dsm_dtype t, panel_part *to, int v, const uint8_t *w, size_t row_bytes)
{
    switch (t) {
    case DSM_Q8_0:
        pack_q8_0(to, v, w, row_bytes);
        break;
    case DSM_Q4_0:
        pack_q4_0(to, v, w, row_bytes);
        break;
    case DSM_Q4_1:
        pack_q4_1(to, v, w, row_bytes);
        break;
    case DSM_Q4_K:
        pack_q4_k(to, v, w, row_bytes);
        break;
    case DSM_Q5_K:
        pack_q5_k(to, v, w, row_bytes);
        break;
    default:
        pack_q6_k(to, v, w, row_bytes);
    }
}

/* The same of fewer rows, by way of a copy. */
static void pack_some(dsm_dtype t, panel_part *to, int v, const uint8_t *w, size_t row_bytes,
                      int64_t rows)
{
    uint8_t copy[LANES][sizeof(dsm_q6_k)] = {0};
    const size_t block = block_bytes(t);
    for (int64_t i = 0; i < rows; i++)
        memcpy(copy[i], w + (size_t)i * row_bytes, block);
    pack_block(t, to, v, copy[0], sizeof copy[0]);
}

MANY_INLINE void pack_typed(dsm_dtype t, panel_part *to, const uint8_t *w, size_t row_bytes,
                            int64_t rows, int64_t first, int64_t n)
{
    const int64_t step = t < DSM_Q4_K ? 1 : PARTS;
    w += (size_t)(first / step) * block_bytes(t);
    for (int v = 0; v < ACROSS; v++, w += LANES * row_bytes, rows -= LANES)
        for (int64_t p = 0; rows > 0 && p < n; p += step) {
            const uint8_t *at = w + (size_t)(p / step) * block_bytes(t);
            if (rows >= LANES)
                pack_block(t, to + p, v, at, row_bytes);
            else
                pack_some(t, to + p, v, at, row_bytes, rows);
        }
}

#define PACK_PANEL_CASE(t)                                                                         \
    case t:                                                                                        \
        pack_typed(t, panel, w, row_bytes, rows, first, n);                                        \
        break;

static void pack_panel(void *panel, const void *w, size_t row_bytes, dsm_dtype type, int64_t rows,
                       int64_t first, int64_t n)
{
    switch (type) {
        QUANT_TYPES(PACK_PANEL_CASE)
    default:
        break;
    }
}

#endif
