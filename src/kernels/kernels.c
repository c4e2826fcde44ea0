/* SPDX-License-Identifier: MIT */
/* The table starts at the truth; each instruction set then overwrites the slots it does better. */
#include "kernels/kernels.h"

#include "kernels/init.h"

#include <string.h>

const char *const dsm_kernel_slots[DSM_N_SLOTS + 1] = {
#define X(op) #op,
    DSM_KERNEL_LIST(X)
#undef X
};

#define X(op) dsm_##op##_fn dsm_##op##_ref;
DSM_KERNEL_LIST(X)
#undef X

static void kernels_ref(dsm_kernels *k)
{
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_ref, "ref");
    DSM_KERNEL_LIST(X)
#undef X
}

void dsm_kernels_init(dsm_kernels *k, unsigned flags)
{
    memset(k, 0, sizeof *k);
    kernels_ref(k);
    dsm_kernels_native(k, flags);
}
