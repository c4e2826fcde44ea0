/* SPDX-License-Identifier: MIT */
/* Quantised weights times many rows of x with AVX2. */
#include "kernels/variant.h"
#include "kernels/x86/vec_avx2.h"

#include "kernels/x86/many_pairs.h"

extern const dsm_many dsm_many_avx2;
const dsm_many dsm_many_avx2 = MANY_TABLE;
