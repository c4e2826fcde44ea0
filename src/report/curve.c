/* SPDX-License-Identifier: MIT */
#include "report/curve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool dsm_curve_add(dsm_curve *c, double x, double y)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        double *xs = realloc(c->x, cap * sizeof *xs);
        if (xs) c->x = xs;
        double *ys = xs ? realloc(c->y, cap * sizeof *ys) : NULL;
        if (!ys) return false;
        c->y = ys;
        c->cap = cap;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
    return true;
}

void dsm_curve_free(dsm_curve *c)
{
    free(c->x);
    free(c->y);
    memset(c, 0, sizeof *c);
}

double dsm_curve_last(const dsm_curve *c)
{
    for (size_t i = c->n; i > 0; i--)
        if (!isnan(c->y[i - 1])) return c->y[i - 1];
    return NAN;
}

/* The value at x of the straight line through points from … to - 1 (least squares); their mean
 * where they have but one x; NAN without a point. */
static double line_at(const dsm_curve *c, size_t from, size_t to, double x)
{
    double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (size_t i = from; i < to; i++) {
        if (isnan(c->y[i])) continue;
        double dx = c->x[i] - x;
        n++, sx += dx, sy += c->y[i], sxx += dx * dx, sxy += dx * c->y[i];
    }
    double spread = n * sxx - sx * sx;
    if (n == 0) return NAN;
    return spread > 1e-12 * n * sxx ? (sy * sxx - sx * sxy) / spread : sy / n;
}

bool dsm_curve_smooth(dsm_curve *out, const dsm_curve *c, size_t window)
{
    for (size_t i = 0; i < c->n; i++) {
        size_t from = i > window ? i - window : 0;
        size_t to = c->n - i > window ? i + window + 1 : c->n;
        double y = line_at(c, from, to, c->x[i]);
        if (!isnan(y) && !dsm_curve_add(out, c->x[i], y)) return false;
    }
    return true;
}

bool dsm_curve_mean(dsm_curve *out, const dsm_curve *const *curves, size_t n)
{
    size_t *at = calloc(n, sizeof *at);
    if (n == 0 || !at) {
        free(at);
        return n == 0;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < curves[0]->n; i++) {
        const double x = curves[0]->x[i];
        double sum = 0;
        size_t found = 0;
        for (size_t k = 0; k < n; k++) {
            const dsm_curve *c = curves[k];
            while (at[k] < c->n && c->x[at[k]] < x)
                at[k]++;
            if (at[k] == c->n || c->x[at[k]] != x) break;
            sum += c->y[at[k]];
            found++;
        }
        if (found == n) ok = dsm_curve_add(out, x, sum / (double)n);
    }
    free(at);
    return ok;
}

bool dsm_curve_thin(dsm_curve *out, const dsm_curve *c, size_t most)
{
    size_t n = c->n < most ? c->n : most;
    for (size_t i = 0; i < n; i++) {
        size_t k = n > 1 ? i * (c->n - 1) / (n - 1) : 0;
        if (!dsm_curve_add(out, c->x[k], c->y[k])) return false;
    }
    return true;
}

dsm_moments dsm_moments_of(const double *values, size_t n)
{
    dsm_moments m = {0, NAN, NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i])) sum += values[i], m.n++;
    if (m.n == 0) return m;
    m.mean = sum / (double)m.n;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i])) squares += (values[i] - m.mean) * (values[i] - m.mean);
    if (m.n > 1) m.deviation = sqrt(squares / (double)(m.n - 1));
    return m;
}
