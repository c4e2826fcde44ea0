/* SPDX-License-Identifier: MIT */
/* Directional derivatives: a gradient against differences of the function itself. */
#ifndef DSMOE_TESTS_DERIVATIVE_H
#define DSMOE_TESTS_DERIVATIVE_H

#include "core/real.h"

#include <stdint.h>

typedef double derivative_fn(void *arg);

/* Compare <grad, u> with the derivative of f along a unit direction u over x (n), which f reads. u
 * is half the gradient's own direction and half random (of seed), so that the derivative is not
 * small by chance.
 *
 * The stencil (8 f(h) - 8 f(-h) - f(2h) + f(-2h)) / 12 h errs by h⁴/30 f⁽⁵⁾ and by rounding of
 * about eps·|f| / h: with h = 1e-4 that is near 1e-12 of a function of size one, so `tolerance`
 * (relative to the derivative, or to 1 % of |f| where that is larger) of 1e-8 leaves room. x is
 * restored. Fails the test naming `what`. */
void derivative_check(const char *what, dsm_real *x, int64_t n, const dsm_real *grad,
                      derivative_fn *f, void *arg, double tolerance);

#endif
