/* SPDX-License-Identifier: MIT */
/* Rounding a row of x to int8 (blocks.h). */
#include "kernels/tiled/tiled.h"

#include <math.h>

enum { FOUR = 4, PART = 32, WHOLE = 256 };

static int64_t padded(int64_t K)
{
    return (K + WHOLE - 1) / WHOLE * WHOLE;
}

static dsm_x8 lay_out(unsigned char *at, int64_t n)
{
    dsm_x8 x = {.q = (int8_t *)at};
    x.start = (void *)(at + n);
    x.d = (void *)(at + n + n / FOUR * (int64_t)sizeof *x.start);
    x.sum = x.d + n / FOUR;
    return x;
}

size_t DSM_K(x8_bytes)(int64_t K)
{
    const size_t n = (size_t)padded(K);
    return n + n / FOUR * (sizeof(int32_t) + sizeof(float)) + n / PART * sizeof(float);
}

static int32_t above(dsm_dtype t)
{
    return t == DSM_Q8_0 ? 128 : t == DSM_Q4_0 ? 8 : t == DSM_Q6_K ? 32 : 0;
}

/* The largest magnitude of n values; NaN if one of them is not finite. */
static inline float magnitude_of(const float *x, int64_t n)
{
    float top = 0, poison = 0;
    DSM_SIMD_MAX(top)
    for (int64_t i = 0; i < n; i++)
        top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
    DSM_SIMD_SUM(poison)
    for (int64_t i = 0; i < n; i++)
        poison += x[i] * 0;
    return top + poison;
}

static float magnitude(const float *x, int64_t n) /* with a loop for the usual length */
{
    return n == PART ? magnitude_of(x, PART) : magnitude_of(x, n);
}

/* q = round(x / d), ties to even; n values. */
static inline void round_values(int8_t *q, const float *x, int64_t n, float per_step)
{
    const float magic = 0x1.8p23f; /* adding it leaves an integer in the lowest bits */
    DSM_SIMD
    for (int64_t i = 0; i < n; i++) {
        union {
            float f;
            int32_t i;
        } v = {x[i] * per_step + magic};
        q[i] = (int8_t)v.i;
    }
}

/* n values of a part, zeros behind. */
static void round_part(int8_t *q, const float *x, int64_t n, float per_step)
{
    if (n == PART) {
        round_values(q, x, PART, per_step);
        return;
    }
    round_values(q, x, n, per_step);
    memset(q + n, 0, (size_t)(PART - n));
}

static void fill_part(const dsm_x8 *to, int64_t at, const float *x, int64_t n, float d,
                      int32_t offset)
{
    const float per_step = d > 0 ? 1 / d : 0;
    int8_t *q = to->q + at;
    int32_t sum = 0;
    round_part(q, x, n, isfinite(per_step) ? per_step : 0);
    for (int i = 0; i < PART / FOUR; i++) {
        const int32_t four = q[FOUR * i] + q[FOUR * i + 1] + q[FOUR * i + 2] + q[FOUR * i + 3];
        to->start[at / FOUR + i] = -offset * four;
        to->d[at / FOUR + i] = d;
        sum += four;
    }
    to->sum[at / PART] = d * (float)sum;
}

dsm_x8 DSM_K(x8_make)(void *memory, const float *x, int64_t K, dsm_dtype t)
{
    const int64_t n = padded(K), step = dsm_dtype_block(t) == WHOLE ? WHOLE : PART;
    const dsm_x8 to = lay_out(memory, n);
    for (int64_t at = 0; at < n; at += step) {
        const int64_t left = K - at < step ? (K > at ? K - at : 0) : step;
        const float d = magnitude(x + at, left) / 127;
        for (int64_t p = 0; p < step; p += PART) {
            const int64_t part = left - p < PART ? (left > p ? left - p : 0) : PART;
            fill_part(&to, at + p, x + at + p, part, d, above(t));
        }
    }
    return to;
}
