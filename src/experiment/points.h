/* SPDX-License-Identifier: MIT */
/* The points of an analysis: those that definitions ask for, and those that its file has.
 *
 * The file, ROOT/analyses/RUN-sSEED.KIND.json, is the output of `dsmoe analyze --json`:
 * {"points": [{"kind", "x", "loss"} …]}, or of DSM_ANALYSIS_EXPERTS {"layers": …}. */
#ifndef DSMOE_EXPERIMENT_POINTS_H
#define DSMOE_EXPERIMENT_POINTS_H

#include "experiment/definition.h"

/* The loss at x; NAN: not there, or not finite. file may be NULL. */
double dsm_points_loss(const json_t *file, dsm_analysis_kind kind, double x);

/* Has the file all that is asked for? */
bool dsm_points_complete(const json_t *file, const dsm_def_analysis *a);

/* Add to a's points those of another experiment that wants the same analysis of run id;
 * DSM_ELIMIT when there is no room. */
dsm_status dsm_points_add(dsm_def_analysis *a, const dsm_def_analysis *more, const char *id,
                          dsm_err *err);
/* ... and those that a file has, as far as there is room; file may be NULL. */
void dsm_points_add_known(dsm_def_analysis *a, const json_t *file);

#endif
