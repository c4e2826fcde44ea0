/* SPDX-License-Identifier: MIT */
/* Which slots AVX2 and AVX-512 take. Later lines win, so the order is from plain to best. */
#include "kernels/init.h"

#define X(op) dsm_##op##_fn dsm_##op##_avx2, dsm_##op##_avx512;
DSM_KERNEL_LIST(X)
#undef X

static void kernels_avx2(dsm_kernels *k)
{
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_avx2, "avx2");
    DSM_KERNEL_LIST(X)
#undef X
}

static void kernels_avx512(dsm_kernels *k)
{
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_avx512, "avx512");
    DSM_KERNEL_LIST(X)
#undef X
}

void dsm_kernels_x86(dsm_kernels *k, unsigned flags)
{
    if (flags & DSM_CPU_AVX2) kernels_avx2(k);
    if (flags & DSM_CPU_AVX512) kernels_avx512(k);
}
