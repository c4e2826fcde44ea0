/* SPDX-License-Identifier: MIT */
/* Blocks of 32 values (q8_0, q4_0, q4_1) both ways, and decoding of the blocks of 256; their
 * encoders, which search for scales, are in quant_k.c. */
#include "core/quant.h"

#include "core/dtype.h"

#include <math.h>
#include <string.h>

static const uint16_t nan_f16 = 0x7E00;

/* The nearest integer, ties away from zero; exact for |x| < 2^22. */
static int nearest(float x)
{
    int whole = (int)x;
    float rest = x - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

/* 1 / d, or 0 for a d so small that it would not be finite. */
static float inverse(float d)
{
    float id = d != 0 ? 1 / d : 0;
    return isfinite(id) ? id : 0;
}

/* The value of largest magnitude, with its sign; NaN if one of them is not finite. */
static float largest(const float *x)
{
    float top = 0, sum = 0;
    for (int i = 0; i < DSM_Q_VALUES; i++) {
        if (fabsf(x[i]) > fabsf(top)) top = x[i];
        sum += x[i] * 0; /* 0, or NaN */
    }
    return top + sum;
}

/* ---- q8_0 -----------------------------------------------------------------------------------
 *
 *   byte   0  1 │ 2  3  …  33
 *           d   │ q0 q1 …  q31       y = d · q
 */

void dsm_q8_0_decode(float *y, const dsm_q8_0 *b)
{
    const float d = dsm_f16_to_f32(b->d);
    for (int i = 0; i < DSM_Q_VALUES; i++)
        y[i] = d * (float)b->q[i];
}

void dsm_q8_0_encode(dsm_q8_0 *b, const float *x)
{
    const float d = fabsf(largest(x)) / 127, id = inverse(d);
    memset(b, 0, sizeof *b);
    b->d = dsm_f32_to_f16(d);
    if (isnan(d)) return;
    for (int i = 0; i < DSM_Q_VALUES; i++)
        b->q[i] = (int8_t)nearest(x[i] * id);
}

/* ---- q4_0 -----------------------------------------------------------------------------------
 *
 *   byte   0  1 │ 2        3        …  17
 *           d   │ q16 q0   q17 q1   …  q31 q15     high, low nibble;   y = d · (q - 8)
 *
 * d is the value of largest magnitude over -8: that value is exact, and the range asymmetric. */

void dsm_q4_0_decode(float *y, const dsm_q4_0 *b)
{
    const float d = dsm_f16_to_f32(b->d);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)((b->q[i] & 15) - 8);
        y[16 + i] = d * (float)((b->q[i] >> 4) - 8);
    }
}

/* q for v >= 0 in units of the step: rounded, at most 15. */
static uint8_t nibble(float v)
{
    return (uint8_t)(v < 15 ? v + 0.5f : 15);
}

void dsm_q4_0_encode(dsm_q4_0 *b, const float *x)
{
    const float d = largest(x) / -8, id = inverse(d);
    memset(b, 0, sizeof *b);
    b->d = dsm_f32_to_f16(d);
    if (isnan(d)) return;
    for (int i = 0; i < 16; i++)
        b->q[i] = (uint8_t)(nibble(x[i] * id + 8) | nibble(x[16 + i] * id + 8) << 4);
}

/* ---- q4_1 -----------------------------------------------------------------------------------
 *
 *   byte   0  1 │ 2  3 │ 4        …  19
 *           d   │  m   │ q16 q0   …  q31 q15      y = d · q + m
 */

void dsm_q4_1_decode(float *y, const dsm_q4_1 *b)
{
    const float d = dsm_f16_to_f32(b->d), m = dsm_f16_to_f32(b->m);
    for (int i = 0; i < 16; i++) {
        y[i] = d * (float)(b->q[i] & 15) + m;
        y[16 + i] = d * (float)(b->q[i] >> 4) + m;
    }
}

void dsm_q4_1_encode(dsm_q4_1 *b, const float *x)
{
    float low = x[0], high = x[0];
    for (int i = 1; i < DSM_Q_VALUES; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    const float d = high / 15 - low / 15 + largest(x) * 0, id = inverse(d);
    memset(b, 0, sizeof *b);
    b->d = dsm_f32_to_f16(d);
    b->m = isnan(d) ? nan_f16 : dsm_f32_to_f16(low);
    if (isnan(d)) return;
    for (int i = 0; i < 16; i++)
        b->q[i] = (uint8_t)(nibble((x[i] - low) * id) | nibble((x[16 + i] - low) * id) << 4);
}

/* ---- q4_k -----------------------------------------------------------------------------------
 *
 *   byte   0  1 │ 2  3 │ 4 … 15          │ 16 … 47        │ 48 … 79 …      │ … 143
 *           d   │ dmin │ scales and mins │ nibbles of 64  │ of the next 64 │
 *
 * Part j is the values 32j … 32j + 31:  y = d · scale_j · q - dmin · min_j. Of each 64 values, part
 * 2k is in the low nibbles, part 2k + 1 in the high ones. */

void dsm_q4_k_decode(float *y, const dsm_q4_k *b)
{
    const float d = dsm_f16_to_f32(b->d), dmin = dsm_f16_to_f32(b->dmin);
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = b->q + j / 2 * 32;
        const float scale = d * (float)dsm_qk_scale(b->scales, j);
        const float min = dmin * (float)dsm_qk_min(b->scales, j);
        for (int i = 0; i < 32; i++)
            *y++ = scale * (float)(q[i] >> j % 2 * 4 & 15) - min;
    }
}

/* ---- q5_k -----------------------------------------------------------------------------------
 *
 * As q4_k, with the fifth bits between scales and nibbles: byte i of `high` holds, in bit j, that
 * of value i of part j. */

void dsm_q5_k_decode(float *y, const dsm_q5_k *b)
{
    const float d = dsm_f16_to_f32(b->d), dmin = dsm_f16_to_f32(b->dmin);
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = b->q + j / 2 * 32;
        const float scale = d * (float)dsm_qk_scale(b->scales, j);
        const float min = dmin * (float)dsm_qk_min(b->scales, j);
        for (int i = 0; i < 32; i++)
            *y++ = scale * (float)((q[i] >> j % 2 * 4 & 15) | (b->high[i] >> j & 1) << 4) - min;
    }
}

/* ---- q6_k -----------------------------------------------------------------------------------
 *
 *   byte   0 … 63   64 … 127 │ 128 … 159  160 … 191 │ 192 … 207 │ 208 209
 *          low of half 0, 1  │ high of half 0, 1    │ scales    │ d
 *
 * Of 128 values, with i in 0 … 31:
 *
 *   value    i          32 + i         64 + i       96 + i
 *   bits 3…0 low[i] 3…0 low[32+i] 3…0  low[i] 7…4   low[32+i] 7…4
 *   bits 5 4 high[i] 1 0      3 2            5 4          7 6
 *
 * y = d · scale · (q - 32); 16 values share a scale. */

void dsm_q6_k_decode(float *y, const dsm_q6_k *b)
{
    const float d = dsm_f16_to_f32(b->d);
    for (int v = 0; v < DSM_QK_VALUES; v++) {
        const int half = v / 128, part = v % 128 / 32, i = v % 32;
        const int low = b->low[half * 64 + part % 2 * 32 + i] >> part / 2 * 4 & 15;
        const int high = b->high[half * 32 + i] >> 2 * part & 3;
        y[v] = d * (float)b->scales[v / 16] * (float)((low | high << 4) - 32);
    }
}
