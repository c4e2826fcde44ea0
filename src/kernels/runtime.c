/* SPDX-License-Identifier: MIT */
/* The process-wide CPU mask behind --cpu-mask and DSM_CPU_MASK. */
#include "dsmoe/dsmoe.h"

#include "kernels/kernels.h"

static unsigned cpu_mask = ~0u;

unsigned dsm_runtime_cpu_flags(void)
{
    return dsm_cpu_flags() & cpu_mask;
}

dsm_status dsm_runtime_set_cpu_mask(const char *text, dsm_err *err)
{
    return dsm_cpu_mask_parse(&cpu_mask, text, err);
}
