/* SPDX-License-Identifier: MIT */
/* Numbers that a benchmark is asked for: all at least 1. */
#ifndef DSMOE_BENCH_RANGES_H
#define DSMOE_BENCH_RANGES_H

#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dsm_bench_range {
    const char *name; /* of the flag, without dashes */
    int64_t value, high;
} dsm_bench_range;

/* DSM_EUSAGE names the first that is not 1 to high. */
static inline dsm_status dsm_bench_check_ranges(const dsm_bench_range *r, size_t n, dsm_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (r[i].value < 1 || r[i].value > r[i].high)
            return dsm_fail(err, DSM_EUSAGE, "--%s: found %lld, expected 1 to %lld", r[i].name,
                            (long long)r[i].value, (long long)r[i].high);
    return DSM_OK;
}

#endif
