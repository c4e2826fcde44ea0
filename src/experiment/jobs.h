/* SPDX-License-Identifier: MIT */
/* The jobs of some experiments and the processes that do them.
 *
 * A job trains one run or makes one analysis of it; what several experiments share is one job. At
 * most `jobs` run at once, each with its share of the threads; analyses wait for their run. Results
 * of training do not depend on the number of threads, so neither do those of experiments. */
#ifndef DSMOE_EXPERIMENT_JOBS_H
#define DSMOE_EXPERIMENT_JOBS_H

#include "experiment/child.h"
#include "experiment/wanted.h"

typedef enum dsm_job_state {
    DSM_JOB_WAITING,
    DSM_JOB_RUNNING,
    DSM_JOB_DONE,
    DSM_JOB_FAILED
} dsm_job_state;

typedef struct dsm_job {
    dsm_wanted *wanted;               /* what it trains or analyses */
    const dsm_def_analysis *analysis; /* its points; NULL: it trains */
    dsm_def_analysis points;          /* all that the experiments want of this kind */
    struct dsm_job *after;            /* must be done before; NULL: nothing */
    dsm_job_state state;
    bool was_done;     /* before this process began */
    double work, done; /* FLOPs */
    dsm_child child;
    json_t *result; /* the last line of its output that was an object */
    char text[160]; /* what it said last, or what went wrong */
} dsm_job;

typedef struct dsm_jobs {
    const dsm_experiment_options *options;
    const dsm_experiment_events *events;
    dsm_wanted *wanted;                       /* (n_wanted) */
    dsm_job *jobs;                            /* (n_jobs), training before analyses */
    int n_wanted, n_jobs, n_at_once, threads; /* threads: of one job */
    int64_t seeds; /* 1 … seeds: those asked for and those done before */
} dsm_jobs;

/* Find out what definitions (n) need and what is there. Runs that cannot be used are DSM_EUSAGE,
 * naming them all, unless options->restart. */
dsm_status dsm_jobs_make(dsm_jobs *s, const dsm_definition *definitions, int n,
                         const dsm_experiment_options *o, const dsm_experiment_events *events,
                         dsm_err *err);
void dsm_jobs_free(dsm_jobs *s); /* kills what runs; accepts a zeroed struct */

/* Do them all. Jobs that fail are left DSM_JOB_FAILED; DSM_EINTERRUPTED when asked to stop. */
dsm_status dsm_jobs_run(dsm_jobs *s, dsm_err *err);

/* The run of a definition with a seed; NULL: neither asked for nor done. */
const dsm_wanted *dsm_jobs_find(const dsm_jobs *s, const dsm_def_run *run, int64_t seed);
/* How its training stands. */
const dsm_job *dsm_jobs_training(const dsm_jobs *s, const dsm_wanted *w);

#endif
