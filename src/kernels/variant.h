/* SPDX-License-Identifier: MIT */
/* What one compilation of a kernel file is: its name suffix and the type of its sums.
 *
 * The files of ref/ are compiled once as the truth (DSM_VARIANT=ref) and once more per instruction
 * set (DSM_VARIANT=avx2 …, with DSM_FAST_TIER). The truth sums in double, in source order; the fast
 * tier sums in float and lets the compiler reorder where a loop says so. */
#ifndef DSMOE_KERNELS_VARIANT_H
#define DSMOE_KERNELS_VARIANT_H

#include "kernels/kernels.h"

#include <string.h>

/* DSM_K(rope) is dsm_rope_ref, dsm_rope_avx2, … */
#define DSM_K_PASTE(op, variant)  dsm_##op##_##variant
#define DSM_K_EXPAND(op, variant) DSM_K_PASTE(op, variant)
#define DSM_K(op)                 DSM_K_EXPAND(op, DSM_VARIANT)

#define X(op)                     dsm_##op##_fn DSM_K(op);
DSM_KERNEL_LIST(X)
#undef X

#ifdef DSM_FAST_TIER
typedef float dsm_acc;
#define DSM_PRAGMA(text) _Pragma(#text)
#define DSM_SIMD         DSM_PRAGMA(omp simd)                  /* iterations are independent */
#define DSM_SIMD_SUM(s)  DSM_PRAGMA(omp simd reduction(+ : s)) /* s may be reordered */
#define DSM_SIMD_MAX(s)  DSM_PRAGMA(omp simd reduction(max : s))
#else
typedef double dsm_acc;
#define DSM_SIMD
#define DSM_SIMD_SUM(s)
#define DSM_SIMD_MAX(s)
#endif

#endif
