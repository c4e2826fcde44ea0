/* SPDX-License-Identifier: MIT */
/* Does a claim hold? Two means over seeds, their difference, and how much of it seeds explain.
 *
 * The difference counts when it is larger than two standard errors of it,
 *
 *   2 sqrt(s_a²/n_a + s_b²/n_b),
 *
 * with s the standard deviation over seeds; a value of one seed takes that of the others. */
#ifndef DSMOE_EXPERIMENT_VERDICT_H
#define DSMOE_EXPERIMENT_VERDICT_H

#include <stddef.h>

/* Mean and standard deviation (n - 1) of values as they come; n = 0: neither. */
typedef struct dsm_sample {
    int n;
    double mean, squares; /* squares: sum of squared deviations from the mean */
} dsm_sample;

void dsm_sample_add(dsm_sample *s, double value);
double dsm_sample_deviation(const dsm_sample *s); /* NAN for n < 2 */

typedef enum dsm_verdict {
    DSM_VERDICT_NOT_RUN,
    DSM_VERDICT_NOISE,
    DSM_VERDICT_HOLDS,
    DSM_VERDICT_FAILS,
    DSM_N_VERDICTS
} dsm_verdict;
extern const char *const dsm_verdict_names[DSM_N_VERDICTS];

/* What stands in for the standard deviation of a value of one seed. */
typedef struct dsm_spread {
    double pooled; /* of runs that have several seeds; NAN where none has */
    double share;  /* then: of the value */
} dsm_spread;

/* Is a < b (within = 0), or a <= b (1 + within)? figures (may be NULL): "2.243 ± 0.004
 * against 2.249 ± 0.003". */
dsm_verdict dsm_verdict_of(const dsm_sample *a, const dsm_sample *b, double within,
                           dsm_spread spread, char *figures, size_t size);

#endif
