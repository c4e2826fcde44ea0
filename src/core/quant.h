/* SPDX-License-Identifier: MIT */
/* Quantised blocks, bit for bit as ggml defines them (GGUF; docs/formats.md): 32 or 256 values that
 * share scales. Each type decodes exactly and encodes to the nearest it can.
 *
 * A block with a value that is not finite gets a NaN scale: all of it decodes to NaN, nothing is
 * hidden. A block of zeros decodes to zeros. Structs are read and written little endian, and at any
 * even address. */
#ifndef DSMOE_CORE_QUANT_H
#define DSMOE_CORE_QUANT_H

#include <stdint.h>

enum {
    DSM_Q_VALUES = 32,  /* of a q8_0, q4_0 or q4_1 block */
    DSM_QK_VALUES = 256 /* of a q4_k, q5_k or q6_k block: 8 or 16 parts with scales of their own */
};

typedef struct dsm_q8_0 {
    uint16_t d; /* f16 */
    int8_t q[32];
} dsm_q8_0;

typedef struct dsm_q4_0 {
    uint16_t d;
    uint8_t q[16];
} dsm_q4_0;

typedef struct dsm_q4_1 {
    uint16_t d, m;
    uint8_t q[16];
} dsm_q4_1;

typedef struct dsm_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12]; /* 8 × (6-bit scale, 6-bit min) */
    uint8_t q[128];
} dsm_q4_k;

typedef struct dsm_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t high[32]; /* fifth bits */
    uint8_t q[128];
} dsm_q5_k;

typedef struct dsm_q6_k {
    uint8_t low[128];
    uint8_t high[64];
    int8_t scales[16];
    uint16_t d;
} dsm_q6_k;

_Static_assert(sizeof(dsm_q8_0) == 34, "q8_0 block");
_Static_assert(sizeof(dsm_q4_0) == 18, "q4_0 block");
_Static_assert(sizeof(dsm_q4_1) == 20, "q4_1 block");
_Static_assert(sizeof(dsm_q4_k) == 144, "q4_k block");
_Static_assert(sizeof(dsm_q5_k) == 176, "q5_k block");
_Static_assert(sizeof(dsm_q6_k) == 210, "q6_k block");

/* One block each way; y and x hold its 32 or 256 values. */
void dsm_q8_0_decode(float *y, const dsm_q8_0 *b);
void dsm_q4_0_decode(float *y, const dsm_q4_0 *b);
void dsm_q4_1_decode(float *y, const dsm_q4_1 *b);
void dsm_q4_k_decode(float *y, const dsm_q4_k *b);
void dsm_q5_k_decode(float *y, const dsm_q5_k *b);
void dsm_q6_k_decode(float *y, const dsm_q6_k *b);

void dsm_q8_0_encode(dsm_q8_0 *b, const float *x);
void dsm_q4_0_encode(dsm_q4_0 *b, const float *x);
void dsm_q4_1_encode(dsm_q4_1 *b, const float *x);
void dsm_q4_k_encode(dsm_q4_k *b, const float *x);
void dsm_q5_k_encode(dsm_q5_k *b, const float *x);
void dsm_q6_k_encode(dsm_q6_k *b, const float *x);

/* The 6-bit scale and min of part j of 8, out of 12 bytes:
 *
 *   byte        0 … 3              4 … 7              8 … 11
 *   bits 7 6    s4 … s7 (5 4)      m4 … m7 (5 4)      m4 … m7 (3 … 0) in bits 7 … 4
 *   bits 5 … 0  s0 … s3            m0 … m3            s4 … s7 (3 … 0) in bits 3 … 0  */
static inline int dsm_qk_scale(const uint8_t s[12], int j)
{
    return j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
}

static inline int dsm_qk_min(const uint8_t s[12], int j)
{
    return j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
}

#endif
