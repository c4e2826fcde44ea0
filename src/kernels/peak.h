/* SPDX-License-Identifier: MIT */
/* What the arithmetic units do at best: loops of independent multiply-adds in registers. They are
 * the ceilings that benchmarks quote their shares of. */
#ifndef DSMOE_KERNELS_PEAK_H
#define DSMOE_KERNELS_PEAK_H

#include <stdint.h>

typedef struct dsm_peak {
    const char *name;        /* "FP32 FMA", the first of every list; "FP16 FMA", … */
    unsigned flags;          /* CPU flags it needs */
    double ops;              /* of one iteration; a multiply-add is two */
    float (*run)(int64_t n); /* n iterations; the result only keeps the compiler from skipping them.
                                NULL: this compiler cannot make them */
} dsm_peak;

enum { DSM_MAX_PEAKS = 5 };

/* The loops that a CPU with these flags can run, FP32 first; returns how many. */
int dsm_peaks(const dsm_peak *out[DSM_MAX_PEAKS], unsigned flags);

#endif
