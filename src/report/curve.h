/* SPDX-License-Identifier: MIT */
/* A figure over steps: (x, y) pairs with ascending x, and what a plot needs done with them. */
#ifndef DSMOE_REPORT_CURVE_H
#define DSMOE_REPORT_CURVE_H

#include <stdbool.h>
#include <stddef.h>

/* Points (n), owned by the struct; start from a zeroed one. */
typedef struct dsm_curve {
    size_t n, cap;
    double *x, *y;
} dsm_curve;

/* False when memory is exhausted; the curve stays as it was. */
bool dsm_curve_add(dsm_curve *c, double x, double y);
void dsm_curve_free(dsm_curve *c); /* accepts a zeroed struct */

double dsm_curve_last(const dsm_curve *c); /* the last y that is a number; NAN without one */

/* Each y becomes the value of the straight line through those within `window` points of it, so that
 * a slope stays a slope to the very ends. Points that are no number do not count. */
bool dsm_curve_smooth(dsm_curve *out, const dsm_curve *c, size_t window);

/* The mean of n curves at those x that all of them have. */
bool dsm_curve_mean(dsm_curve *out, const dsm_curve *const *curves, size_t n);

/* At most `most` points of c, evenly chosen, first and last among them. */
bool dsm_curve_thin(dsm_curve *out, const dsm_curve *c, size_t most);

/* Mean and standard deviation (n - 1) of those values that are numbers. */
typedef struct dsm_moments {
    size_t n;
    double mean, deviation; /* NAN for n < 1, n < 2 */
} dsm_moments;
dsm_moments dsm_moments_of(const double *values, size_t n);

#endif
