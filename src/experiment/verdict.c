/* SPDX-License-Identifier: MIT */
#include "experiment/verdict.h"

#include <math.h>
#include <stdio.h>

const char *const dsm_verdict_names[DSM_N_VERDICTS] = {
    [DSM_VERDICT_NOT_RUN] = "not run",
    [DSM_VERDICT_NOISE] = "within noise",
    [DSM_VERDICT_HOLDS] = "holds",
    [DSM_VERDICT_FAILS] = "does not hold at this scale",
};

/* Welford's update: exact enough for values that differ in their last digits. */
void dsm_sample_add(dsm_sample *s, double value)
{
    double before = value - s->mean;
    s->n++;
    s->mean += before / s->n;
    s->squares += before * (value - s->mean);
}

double dsm_sample_deviation(const dsm_sample *s)
{
    return s->n < 2 ? (double)NAN : sqrt(s->squares / (s->n - 1));
}

/* Squared standard error of a mean. */
static double error_of(const dsm_sample *s, dsm_spread spread)
{
    double deviation = s->n >= 2 ? dsm_sample_deviation(s) : spread.pooled;
    if (isnan(deviation)) deviation = spread.share * fabs(s->mean);
    return deviation * deviation / s->n;
}

static int put(char *out, size_t size, const dsm_sample *s)
{
    if (s->n == 0) return snprintf(out, size, "–");
    if (s->n == 1) return snprintf(out, size, "%.4f", s->mean);
    return snprintf(out, size, "%.4f ± %.4f", s->mean, dsm_sample_deviation(s));
}

static void put_figures(char *out, size_t size, const dsm_sample *a, const dsm_sample *b)
{
    char left[64], right[64];
    put(left, sizeof left, a);
    put(right, sizeof right, b);
    const char *seeds = a->n == 1 && b->n == 1 ? " (one seed)" : "";
    snprintf(out, size, "%s against %s%s", left, right, seeds);
}

dsm_verdict dsm_verdict_of(const dsm_sample *a, const dsm_sample *b, double within,
                           dsm_spread spread, char *figures, size_t size)
{
    if (figures) put_figures(figures, size, a, b);
    if (a->n == 0 || b->n == 0) return DSM_VERDICT_NOT_RUN;
    double room = b->mean + within * fabs(b->mean) - a->mean; /* above 0: as claimed */
    double noise = 2 * sqrt(error_of(a, spread) + error_of(b, spread));
    if (fabs(room) <= noise) return within > 0 && room > 0 ? DSM_VERDICT_HOLDS : DSM_VERDICT_NOISE;
    return room > 0 ? DSM_VERDICT_HOLDS : DSM_VERDICT_FAILS;
}
