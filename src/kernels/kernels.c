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

const char *const dsm_compute_names[] = {"f32", "bf16", NULL};

dsm_status dsm_kernels_set_compute(dsm_kernels *k, unsigned flags, dsm_compute compute,
                                   dsm_err *err)
{
    if (compute == DSM_COMPUTE_F32 || dsm_kernels_native_bf16(k, flags)) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE,
                    "compute: found %s, this CPU (or its mask) has no AMX for it; expected f32",
                    dsm_compute_names[compute]);
}
