/* SPDX-License-Identifier: MIT */
/* Quantised weights times many rows of x with AVX-VNNI: the dot instruction on CPUs that have no
 * AVX-512. */
#include "kernels/variant.h"
#include "kernels/x86/vec_avx2.h"

enum { Q8_0_OFFSET = 128 };

/* By hand: gcc 12 copies and spills the sums of the builtin, which halves its rate. */
static inline ivec dot_fours(ivec sum, ivec w, ivec x)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(w), "x"(x));
    return sum;
}

#include "kernels/x86/many_vnni.h"

extern const dsm_many dsm_many_vnni_avx2;
const dsm_many dsm_many_vnni_avx2 = MANY_TABLE;
