/* SPDX-License-Identifier: MIT */
#include "support/derivative.h"

#include "core/rng.h"
#include "support/support.h"

#include <math.h>
#include <stdlib.h>

#define STEP 1e-4

static double norm_of(const dsm_real *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static double *direction(const dsm_real *grad, int64_t n)
{
    dsm_rng rng = {1, DSM_STREAM_TEST, 0};
    double *u = malloc(sizeof *u * (size_t)n), length = norm_of(grad, n), sum = 0, noise = 0;
    assert_non_null(u);
    for (int64_t i = 0; i < n; i++) {
        u[i] = dsm_rng_normal(&rng, (uint64_t)i);
        noise += u[i] * u[i];
    }
    for (int64_t i = 0; i < n; i++) {
        u[i] = u[i] / sqrt(noise) + (length > 0 ? (double)grad[i] / length : 0);
        sum += u[i] * u[i];
    }
    for (int64_t i = 0; i < n; i++)
        u[i] /= sqrt(sum);
    return u;
}

static double at(derivative_fn *f, void *arg, dsm_real *x, const dsm_real *kept, const double *u,
                 int64_t n, double h)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (dsm_real)((double)kept[i] + h * u[i]);
    return f(arg);
}

void derivative_check(const char *what, dsm_real *x, int64_t n, const dsm_real *grad,
                      derivative_fn *f, void *arg, double tolerance)
{
    dsm_real *kept = malloc(sizeof *kept * (size_t)n);
    double *u = direction(grad, n), analytic = 0;
    assert_non_null(kept);
    for (int64_t i = 0; i < n; i++) {
        kept[i] = x[i];
        analytic += (double)grad[i] * u[i];
    }
    double near = at(f, arg, x, kept, u, n, STEP) - at(f, arg, x, kept, u, n, -STEP);
    double far = at(f, arg, x, kept, u, n, 2 * STEP) - at(f, arg, x, kept, u, n, -2 * STEP);
    double value = at(f, arg, x, kept, u, n, 0), numeric = (8 * near - far) / (12 * STEP);
    free(kept);
    free(u);
    double scale = fmax(fabs(analytic), 0.01 * fabs(value));
    if (!(fabs(numeric - analytic) <= tolerance * scale))
        fail_msg("%s: derivative %.12g, by differences %.12g, relative error %.2g, allowed %.2g",
                 what, analytic, numeric, fabs(numeric - analytic) / scale, tolerance);
}
