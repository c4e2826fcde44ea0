/* SPDX-License-Identifier: MIT */
/* What one compilation of a kernel file is: its name suffix, the type of its sums, its exp.
 *
 * The files of ref/ are compiled once as the truth (DSM_VARIANT=ref) and once more per instruction
 * set (DSM_VARIANT=avx2 …, with DSM_FAST_TIER). The truth sums in double, in source order, and
 * calls libm. The fast tier sums in float, lets the compiler reorder where a loop says so, and uses
 * an exp that the compiler can vectorise. */
#ifndef DSMOE_KERNELS_VARIANT_H
#define DSMOE_KERNELS_VARIANT_H

#include "kernels/kernels.h"

#include <string.h>

/* DSM_K(rope) is dsm_rope_ref, dsm_rope_avx2, … */
#define DSM_K_PASTE(op, variant)  dsm_##op##_##variant
#define DSM_K_EXPAND(op, variant) DSM_K_PASTE(op, variant)
#define DSM_K(op)                 DSM_K_EXPAND(op, DSM_VARIANT)

#define X(op) dsm_##op##_fn DSM_K(op);
DSM_KERNEL_LIST(X)
#undef X

#ifdef DSM_FAST_TIER
typedef float dsm_acc;
#define DSM_PRAGMA(text) _Pragma(#text)
#define DSM_SIMD         DSM_PRAGMA(omp simd)                         /* iterations are independent */
#define DSM_SIMD_SUM(s)  DSM_PRAGMA(omp simd reduction(+ : s))        /* s may be reordered */
#define DSM_SIMD_MAX(s)  DSM_PRAGMA(omp simd reduction(max : s))
#else
typedef double dsm_acc;
#define DSM_SIMD
#define DSM_SIMD_SUM(s)
#define DSM_SIMD_MAX(s)
#endif

/* e^x for the loops of softmax, cross entropy, SwiGLU and attention.
 *
 * Fast tier: x = n·ln 2 + r, |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7 (truncation
 * below a tenth of an ulp), 2^n put into exponent bits in two halves so that subnormal results come
 * out right. Inputs are clamped to where the result is 0 or infinite; NaN stays NaN. Error <= 2 ulp
 * (tests/kernels/test_kernel_rows.c). */
static inline dsm_real dsm_kernel_exp(dsm_real x)
{
#ifdef DSM_FAST_TIER
    const float shift = 12582912.0f; /* 1.5·2^23: adding it rounds to an integer in the low bits */
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float t = c * 1.44269504088896341f + shift;
    float n = t - shift;
    float r = c - n * 0.693145751953125f; /* ln 2 in two parts; the first has 16 zero bits */
    r -= n * 1.42860682030941723e-6f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t i, half;
    memcpy(&i, &t, sizeof i);
    i -= 0x4B400000; /* the bits of `shift`: what is left is n */
    half = i >> 1;
    uint32_t lo = (uint32_t)(half + 127) << 23; /* unsigned: a NaN leaves arbitrary bits in i */
    uint32_t hi = (uint32_t)(i - half + 127) << 23;
    float flo, fhi;
    memcpy(&flo, &lo, sizeof flo);
    memcpy(&fhi, &hi, sizeof fhi);
    return p * flo * fhi;
#else
    return dsm_exp(x);
#endif
}

#endif
