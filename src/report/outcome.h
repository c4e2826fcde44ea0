/* SPDX-License-Identifier: MIT */
/* What a report is about: an experiment's runs over seeds, its analyses and claims, or plain runs
 * side by side, which are an experiment without claims. */
#ifndef DSMOE_REPORT_OUTCOME_H
#define DSMOE_REPORT_OUTCOME_H

#include "dsmoe/status.h"
#include "report/run_record.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Figures of a finished run; the table says how each is called and shown. */
typedef enum dsm_figure {
    DSM_FIGURE_LOSS,
    DSM_FIGURE_PERPLEXITY,
    DSM_FIGURE_BITS,
    DSM_FIGURE_MAX_VIO,
    DSM_FIGURE_TRAIN_MAX_VIO,
    DSM_FIGURE_SECONDS,
    DSM_FIGURE_CPU_SECONDS,
    DSM_N_FIGURES
} dsm_figure;

typedef struct dsm_figure_info {
    const char *key, *title; /* in JSON and CSV; over a column */
    int decimals;            /* -1: a duration */
} dsm_figure_info;
extern const dsm_figure_info dsm_figures[DSM_N_FIGURES];

/* Texts are borrowed from the file, or from the record. */
typedef struct dsm_seed_outcome {
    int64_t seed;
    const char *state, *error; /* "done", "failed", "missing"; error may be NULL */
    double figure[DSM_N_FIGURES];
    char *dir;             /* of the run, found from here */
    dsm_run_record record; /* dir NULL: could not be read, and problem says why */
    char problem[256];
} dsm_seed_outcome;

typedef struct dsm_run_outcome {
    const char *name, *label;
    double paper;                               /* of the experiment's metric; NAN: none */
    double params, active_params, active_inner; /* inner: without embedding and head */
    double tokens_per_active_param;             /* of the inner ones */
    int n;
    dsm_seed_outcome *seeds; /* (n) */
} dsm_run_outcome;

/* One measure of an analysis: x is what was disabled or activated. */
typedef struct dsm_sweep_point {
    double x, paper;
    int n;
    int64_t *seed; /* (n) */
    double *loss;  /* (n) */
} dsm_sweep_point;

typedef struct dsm_sweep {
    const char *run, *label, *kind;
    int n;
    dsm_sweep_point *points; /* (n), as the file has them */
} dsm_sweep;

typedef struct dsm_claim {
    const char *text, *verdict, *figures;
} dsm_claim;

typedef struct dsm_outcome {
    json_t *file;      /* NULL: plain runs */
    char *path, *root; /* the results file; the folder its runs lie in */
    const char *name, *title, *question, *source, *size, *machine, *version, *commit, *created;
    const char *metric_name;
    dsm_figure metric;
    int n_runs, n_sweeps, n_claims;
    dsm_run_outcome *runs;
    dsm_sweep *sweeps;
    dsm_claim *claims;
} dsm_outcome;

/* Read ROOT/results/NAME.json and the run directories it names. A run directory that cannot be read
 * leaves a problem in its place; a file that is not what it should be is an error. */
dsm_status dsm_outcome_read(dsm_outcome *o, const char *path, dsm_err *err);

/* Run directories (n, at least 1) side by side. One that cannot be read leaves a problem. */
dsm_status dsm_outcome_of_runs(dsm_outcome *o, const char *const *dirs, int n, dsm_err *err);
void dsm_outcome_free(dsm_outcome *o); /* accepts a zeroed struct */

/* Over the seeds of a run that are done. */
dsm_moments dsm_run_figure(const dsm_run_outcome *r, dsm_figure f);
dsm_moments dsm_point_loss(const dsm_sweep_point *p);
/* Does any run have this figure? */
bool dsm_outcome_has(const dsm_outcome *o, dsm_figure f);
/* Seconds of a figure over all runs and seeds; NAN: told by none. */
double dsm_outcome_total(const dsm_outcome *o, dsm_figure f);
/* The first seed of a run whose directory could be read, NULL without one. */
const dsm_seed_outcome *dsm_run_first(const dsm_run_outcome *r);

#endif
