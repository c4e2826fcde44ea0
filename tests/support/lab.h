/* SPDX-License-Identifier: MIT */
/* The kernel laboratory: run one operation with the truth, with every variant this CPU has and with
 * 1, 2 and 3 threads; compare results, guard bytes and bits.
 *
 * An operation is a function of (where to run, outputs). Its outputs are declared once, with what
 * they hold before the call and a tolerance; inputs live in the context. Outputs are misaligned by
 * one element and stand between guards. */
#ifndef DSMOE_TESTS_SUPPORT_LAB_H
#define DSMOE_TESTS_SUPPORT_LAB_H

#include "kernels/kernels.h"

enum { LAB_OUTPUTS = 4 };

typedef struct lab_out {
    const char *name;
    int64_t n;
    const dsm_real *init; /* contents before the call; NULL: NaN, so that "=" must overwrite */
    double abs_tol, rel_tol;
    bool bits; /* int32 outputs and copies: equal bits, tolerances unused */
} lab_out;

typedef struct lab_case {
    const char *op;
    char shape[160]; /* printed on failure, with the seed */
    void (*run)(const dsm_exec *x, const void *ctx, dsm_real *const *out);
    const void *ctx;
    lab_out out[LAB_OUTPUTS];
    int n_out;
    bool coarse; /* tolerances already say how coarse operands are, in any compute precision */
} lab_case;

/* cmocka group set-up and tear-down: one dsm_exec per (variant, threads). */
int lab_open(void **state);
int lab_close(void **state);

/* The truth on one thread. */
const dsm_exec *lab_truth(void);

/* Run the case everywhere; fails the test with op, variant, shape and worst element. */
void lab_check(const lab_case *c);

/* n values uniform in [-amp, amp), a pure function of seed; misaligned by one element and exactly
 * sized, so that a read outside is seen by AddressSanitizer. Lives until lab_release. */
dsm_real *lab_random(int64_t n, double amp, unsigned seed);
int32_t *lab_random_int(int64_t n, int64_t below, unsigned seed);
void *lab_bytes(size_t n); /* misaligned by 4 bytes, zeroed */
void lab_release(void);

/* Error of a float sum of n products bounded by amp each: n roundings of partial sums that grow
 * like sqrt(n), six standard deviations. */
double lab_sum_tol(int64_t n, double amp);

#endif
