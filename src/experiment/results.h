/* SPDX-License-Identifier: MIT */
/* What an experiment found: the numbers of its runs and analyses over seeds, and a verdict on each
 * claim, as ROOT/results/NAME.json (fields: docs/experiments.md). */
#ifndef DSMOE_EXPERIMENT_RESULTS_H
#define DSMOE_EXPERIMENT_RESULTS_H

#include "experiment/jobs.h"

/* Collect what is there and write the file; runs that are missing are named as such. */
dsm_status dsm_results_write(const dsm_definition *d, const dsm_jobs *s, dsm_err *err);

#endif
