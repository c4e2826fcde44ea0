/* SPDX-License-Identifier: MIT */
/* Experiments: sets of training runs and analyses that ask the papers' questions, run as processes
 * of this program, resumable at any point.
 *
 * Definitions are YAML files (docs/experiments.md); each run is a run directory like any other, and
 * what several experiments share is trained once. */
#ifndef DSMOE_EXPERIMENT_H
#define DSMOE_EXPERIMENT_H

#include "dsmoe/status.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dsm_experiment_options {
    const char *program; /* this program, to start runs with */
    const char *configs; /* folder with experiments/ and mini/ */
    const char *data;    /* prepared data: DATA/train and DATA/valid */
    const char *root;    /* where runs and results go */
    const char *size;    /* mini/SIZE.yaml and mini/SIZE/: smoke, hour, night */
    int64_t seeds;       /* runs with seed 1 … seeds */
    int64_t jobs;        /* runs at once; 0: one per core */
    int threads;         /* over all jobs; 0: all cores */
    bool restart;        /* set runs that cannot be used aside, train them anew */
    bool dry_run;        /* only find out what is to do */
} dsm_experiment_options;

/* How far everything is. */
typedef struct dsm_experiment_progress {
    double done, total; /* share of the arithmetic, in FLOPs */
    int jobs_done, jobs_failed, jobs;
    const char *text; /* "gshard-s1 step 1200/5600 loss 2.513": of the job heard last */
} dsm_experiment_progress;

typedef struct dsm_experiment_job {
    const char *name, *kind; /* "gshard-s1"; "train" or an analysis */
    bool ok;
    double seconds;   /* of this attempt */
    double loss;      /* validation; NAN: none */
    const char *text; /* what went wrong, or NULL */
} dsm_experiment_job;

/* Callbacks, each may be NULL. */
typedef struct dsm_experiment_events {
    void *arg;
    void (*planned)(void *arg, const char *name, const char *kind, const char *state);
    void (*progress)(void *arg, const dsm_experiment_progress *p);
    void (*finished)(void *arg, const dsm_experiment_job *job);
    const volatile sig_atomic_t *stop; /* not 0: stop the jobs, which save, and return */
} dsm_experiment_events;

/* Train and analyse whatever experiments `names` lack, then write ROOT/results/NAME.json of each.
 * A job that fails is told and does not stop the others; the result is then DSM_EIO. DSM_EBUSY:
 * another process runs experiments in ROOT. DSM_EINTERRUPTED: stopped, run again to go on. */
dsm_status dsm_experiment_run(const char *const *names, int n, const dsm_experiment_options *o,
                              const dsm_experiment_events *events, dsm_err *err);

/* Tell each experiment of a configs folder. */
typedef struct dsm_experiment_info {
    const char *name, *title, *source;
    int runs, analyses, claims;
} dsm_experiment_info;
dsm_status dsm_experiment_list(const char *configs,
                               void (*tell)(void *arg, const dsm_experiment_info *i), void *arg,
                               dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
