/* SPDX-License-Identifier: MIT */
/* Does a claim hold? Two runs, seed by seed, and how much of their difference chance explains.
 *
 * Runs of one seed see the same data in the same order, which moves all of them alike; so what is
 * looked at is the difference of two runs of one seed, d_i. Its mean counts when it is larger than
 * two standard errors,
 *
 *   2 sqrt(s² / n),   s² = (p·s_0² + Σ (d_i − d)²) / (p + n − 1),
 *
 * where s_0, the deviation of differences that were measured before, counts like p = 4 of them: it
 * is all there is for one seed, and little against many. */
#ifndef DSMOE_EXPERIMENT_VERDICT_H
#define DSMOE_EXPERIMENT_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DSM_MAX_SEEDS = 64 };

/* Values of the seeds 1 … DSM_MAX_SEEDS, some of them there. */
typedef struct dsm_sample {
    bool has[DSM_MAX_SEEDS];
    double value[DSM_MAX_SEEDS];
} dsm_sample;

void dsm_sample_set(dsm_sample *s, int64_t seed, double value);

/* Mean and standard deviation (n - 1; 0 for n < 2) of what is there. */
typedef struct dsm_moments {
    int n;
    double mean, deviation;
} dsm_moments;
dsm_moments dsm_sample_moments(const dsm_sample *s);

typedef enum dsm_verdict {
    DSM_VERDICT_NOT_RUN,
    DSM_VERDICT_NOISE,
    DSM_VERDICT_HOLDS,
    DSM_VERDICT_FAILS,
    DSM_N_VERDICTS
} dsm_verdict;
extern const char *const dsm_verdict_names[DSM_N_VERDICTS];

/* Is a < b (within = 0), or a <= b (1 + within)? share: s_0 as a share of b. figures (may be NULL):
 * "2.2430 ± 0.0040 against 2.2490 ± 0.0030, per seed -0.0060 ± 0.0005". */
dsm_verdict dsm_verdict_of(const dsm_sample *a, const dsm_sample *b, double within, double share,
                           char *figures, size_t size);

#endif
