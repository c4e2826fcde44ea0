/* SPDX-License-Identifier: MIT */
/* What an experiment compares: a YAML file of configs/experiments.
 *
 *   title, source   for people
 *   runs            [{name, label, model, set: {recipe key: value}, paper}]
 *   analyses        [{run, kind: mask_top | drop_shared | active, at: [x…], paper: [y…]}]
 *                   or {run, kind: experts}: what each expert sees, for the report
 *   claims          [{text, less: [a, b]} or {text, at_most: [a, b], within: share}], with metric
 *
 * Runs are named once over all experiments: what two of them share is trained once. A claim's a and
 * b are the name of a run, or "RUN@KIND=X" for a point of an analysis; `less` says that a is below
 * b, `at_most` that a is not above b by more than `within` of it. */
#ifndef DSMOE_EXPERIMENT_DEFINITION_H
#define DSMOE_EXPERIMENT_DEFINITION_H

#include "dsmoe/status.h"

#include <jansson.h>
#include <stdbool.h>

typedef enum dsm_analysis_kind {
    DSM_ANALYSIS_MASK_TOP,    /* x: share of the best routed experts disabled */
    DSM_ANALYSIS_DROP_SHARED, /* x: 0 as trained, 1 without the shared experts */
    DSM_ANALYSIS_ACTIVE,      /* x: routed experts active */
    DSM_ANALYSIS_EXPERTS,     /* no points: portraits of the experts, by domain */
    DSM_N_ANALYSES
} dsm_analysis_kind;
extern const char *const dsm_analysis_names[DSM_N_ANALYSES + 1]; /* NULL-terminated */

enum { DSM_MAX_RUNS = 32, DSM_MAX_POINTS = 16, DSM_MAX_CLAIMS = 32, DSM_MAX_PARALLEL_ANALYSES = 8 };

typedef struct dsm_def_run {
    const char *name, *label, *model; /* model: NAME of configs/mini/SIZE/NAME.json */
    const json_t *set;                /* recipe keys over the size's recipe, or NULL */
    double paper;                     /* the paper's figure; NAN: none */
} dsm_def_run;

typedef struct dsm_def_analysis {
    int run; /* index in runs */
    dsm_analysis_kind kind;
    int n;
    double at[DSM_MAX_POINTS], paper[DSM_MAX_POINTS];
} dsm_def_analysis;

typedef struct dsm_operand {
    int run;
    bool of_analysis;
    dsm_analysis_kind kind; /* with x, if of_analysis */
    double x;
} dsm_operand;

typedef struct dsm_def_claim {
    const char *text, *metric;
    dsm_operand a, b;
    double within; /* 0: a < b; else a <= b (1 + within) */
} dsm_def_claim;

/* Texts are borrowed from `file`. */
typedef struct dsm_definition {
    json_t *file;
    const char *name, *title, *source, *metric;
    int n_runs, n_analyses, n_claims;
    dsm_def_run runs[DSM_MAX_RUNS];
    dsm_def_analysis analyses[DSM_MAX_PARALLEL_ANALYSES];
    dsm_def_claim claims[DSM_MAX_CLAIMS];
} dsm_definition;

/* CONFIGS/experiments/NAME.yaml; DSM_EUSAGE names the nearest experiment there is. */
dsm_status dsm_definition_read(dsm_definition *d, const char *configs, const char *name,
                               dsm_err *err);
void dsm_definition_free(dsm_definition *d); /* accepts a zeroed struct */

/* The names of all experiments of a configs folder, sorted, malloc'd one by one: *names (n). */
dsm_status dsm_definition_list(char ***names, int *n, const char *configs, dsm_err *err);
void dsm_definition_list_free(char **names, int n);

#endif
