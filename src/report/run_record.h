/* SPDX-License-Identifier: MIT */
/* What a run directory remembers of its training, read whole for a report: curves, the loads of
 * experts over time, samples and the recipe. Nothing is locked or changed. */
#ifndef DSMOE_REPORT_RUN_RECORD_H
#define DSMOE_REPORT_RUN_RECORD_H

#include "dsmoe/status.h"
#include "report/curve.h"

#include <stdint.h>

enum { DSM_LOAD_COLUMNS = 48 };

/* Loads of experts over training as multiples of an even share: 1 is what each would get if all got
 * the same. Steps that were logged are gathered in at most DSM_LOAD_COLUMNS columns. */
typedef struct dsm_load_map {
    int64_t n_layers, E, columns, first_step, last_step;
    int64_t *layer; /* (n_layers) */
    double *share;  /* (n_layers, E, columns); NAN: a layer of fewer experts */
} dsm_load_map;

typedef struct dsm_run_sample {
    int64_t step;
    char *prompt, *text;
} dsm_run_sample;

enum { DSM_MAX_SAMPLES = 8 }; /* the last ones are kept */

typedef struct dsm_run_record {
    char *dir, *recipe; /* recipe: its text, NULL without */
    dsm_curve train, valid, max_vio;
    double perplexity, bits_per_byte, valid_max_vio; /* of the last evaluation; NAN without */
    double steps, tokens, seconds; /* seconds: computing steps, without evaluations */
    dsm_load_map loads;            /* n_layers 0: none */
    int n_samples;
    dsm_run_sample samples[DSM_MAX_SAMPLES];
} dsm_run_record;

/* Read RUN/runs.db and RUN/recipe.yaml. DSM_ENOTFOUND: no run there; DSM_EFORMAT: damaged. */
dsm_status dsm_run_record_read(dsm_run_record *r, const char *dir, dsm_err *err);
void dsm_run_record_free(dsm_run_record *r); /* accepts a zeroed struct */

#endif
