/* SPDX-License-Identifier: MIT */
#include "experiment/verdict.h"

#include <math.h>
#include <stdio.h>

static const double prior_seeds = 4;

const char *const dsm_verdict_names[DSM_N_VERDICTS] = {
    [DSM_VERDICT_NOT_RUN] = "not run",
    [DSM_VERDICT_NOISE] = "within noise",
    [DSM_VERDICT_HOLDS] = "holds",
    [DSM_VERDICT_FAILS] = "does not hold at this scale",
};

void dsm_sample_set(dsm_sample *s, int64_t seed, double value)
{
    if (seed < 1 || seed > DSM_MAX_SEEDS) return;
    s->has[seed - 1] = true;
    s->value[seed - 1] = value;
}

/* Welford's update: exact enough for values that differ in their last digits. */
dsm_moments dsm_sample_moments(const dsm_sample *s)
{
    dsm_moments m = {0};
    double squares = 0;
    for (int i = 0; i < DSM_MAX_SEEDS; i++) {
        if (!s->has[i]) continue;
        double before = s->value[i] - m.mean;
        m.n++;
        m.mean += before / m.n;
        squares += before * (s->value[i] - m.mean);
    }
    m.deviation = m.n < 2 ? 0 : sqrt(squares / (m.n - 1));
    return m;
}

/* a - b (1 + within) of the seeds that both have. */
static dsm_moments difference(const dsm_sample *a, const dsm_sample *b, double within)
{
    dsm_sample d = {0};
    for (int i = 0; i < DSM_MAX_SEEDS; i++)
        if (a->has[i] && b->has[i])
            dsm_sample_set(&d, i + 1, a->value[i] - b->value[i] - within * fabs(b->value[i]));
    return dsm_sample_moments(&d);
}

static void put(char *out, size_t size, const dsm_sample *s)
{
    dsm_moments m = dsm_sample_moments(s);
    if (m.n == 0)
        snprintf(out, size, "–");
    else if (m.n == 1)
        snprintf(out, size, "%.4f", m.mean);
    else
        snprintf(out, size, "%.4f ± %.4f", m.mean, m.deviation);
}

static void put_figures(char *out, size_t size, const dsm_sample *a, const dsm_sample *b)
{
    char left[64], right[64], apart[64] = "";
    dsm_moments d = difference(a, b, 0);
    if (dsm_sample_moments(a).n + dsm_sample_moments(b).n == 0) {
        snprintf(out, size, "–");
        return;
    }
    put(left, sizeof left, a);
    put(right, sizeof right, b);
    if (d.n == 1) snprintf(apart, sizeof apart, " (one seed: %+.4f)", d.mean);
    if (d.n > 1) snprintf(apart, sizeof apart, ", per seed %+.4f ± %.4f", d.mean, d.deviation);
    snprintf(out, size, "%s against %s%s", left, right, apart);
}

dsm_verdict dsm_verdict_of(const dsm_sample *a, const dsm_sample *b, double within, double share,
                           char *figures, size_t size)
{
    if (figures) put_figures(figures, size, a, b);
    dsm_moments d = difference(a, b, within);
    if (d.n == 0) return DSM_VERDICT_NOT_RUN;
    double before = share * fabs(dsm_sample_moments(b).mean);
    double squares = prior_seeds * before * before + (d.n - 1) * d.deviation * d.deviation;
    double noise = 2 * sqrt(squares / (prior_seeds + d.n - 1) / d.n);
    if (fabs(d.mean) <= noise)
        return within > 0 && d.mean < 0 ? DSM_VERDICT_HOLDS : DSM_VERDICT_NOISE;
    return d.mean < 0 ? DSM_VERDICT_HOLDS : DSM_VERDICT_FAILS;
}
