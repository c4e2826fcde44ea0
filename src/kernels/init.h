/* SPDX-License-Identifier: MIT */
/* How the architecture folders (x86/, later arm/) put their variants into the table. */
#ifndef DSMOE_KERNELS_INIT_H
#define DSMOE_KERNELS_INIT_H

#include "kernels/kernels.h"
#include "kernels/peak.h"

/* Put fn into slot op of table k and note its variant's name. */
#define DSM_KERNEL_SET(k, op, fn, name) ((k)->op = (fn), (k)->variant[DSM_SLOT_##op] = (name))

#if defined(__x86_64__) && !defined(DSM_REAL_DOUBLE) && !defined(DSM_NO_X86)
void dsm_kernels_x86(dsm_kernels *k, unsigned flags);      /* AVX2, AVX-512, AMX, as flags allow */
bool dsm_kernels_x86_bf16(dsm_kernels *k, unsigned flags); /* false: flags do not allow */
int dsm_peaks_x86(const dsm_peak *out[DSM_MAX_PEAKS], unsigned flags);
#define dsm_kernels_native      dsm_kernels_x86
#define dsm_kernels_native_bf16 dsm_kernels_x86_bf16
#define dsm_peaks_native        dsm_peaks_x86
#else
static inline void dsm_kernels_native(dsm_kernels *k, unsigned flags)
{
    (void)k, (void)flags;
}
static inline bool dsm_kernels_native_bf16(dsm_kernels *k, unsigned flags)
{
    (void)k, (void)flags;
    return false;
}
static inline int dsm_peaks_native(const dsm_peak **out, unsigned flags)
{
    (void)out, (void)flags;
    return 0;
}
#endif

#endif
