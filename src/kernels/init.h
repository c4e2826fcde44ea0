/* SPDX-License-Identifier: MIT */
/* How the architecture folders (x86/, later arm/) put their variants into the table. */
#ifndef DSMOE_KERNELS_INIT_H
#define DSMOE_KERNELS_INIT_H

#include "kernels/kernels.h"

/* Put fn into slot op of table k and note its variant's name. */
#define DSM_KERNEL_SET(k, op, fn, name) ((k)->op = (fn), (k)->variant[DSM_SLOT_##op] = (name))

#if defined(__x86_64__) && !defined(DSM_REAL_DOUBLE)
void dsm_kernels_x86(dsm_kernels *k, unsigned flags); /* AVX2, then AVX-512, as flags allow */
#define dsm_kernels_native dsm_kernels_x86
#else
static inline void dsm_kernels_native(dsm_kernels *k, unsigned flags)
{
    (void)k, (void)flags;
}
#endif

#endif
