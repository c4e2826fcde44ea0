/* SPDX-License-Identifier: MIT */
/* The command line that does a job: `dsmoe train` of its recipe, or `dsmoe analyze` of its run. */
#ifndef DSMOE_EXPERIMENT_COMMAND_H
#define DSMOE_EXPERIMENT_COMMAND_H

#include "experiment/jobs.h"

enum { DSM_MAX_ARGS = 64, DSM_MAX_DOMAINS = 16 };

/* Texts are borrowed from the job, or made here; not to be copied. */
typedef struct dsm_command {
    const char *argv[DSM_MAX_ARGS]; /* NULL at the end */
    int n;
    char *made[DSM_MAX_DOMAINS + 4];
    int n_made;
    char threads[16];
} dsm_command;

dsm_status dsm_command_make(dsm_command *c, const dsm_jobs *s, const dsm_job *j, dsm_err *err);
void dsm_command_free(dsm_command *c); /* accepts a zeroed struct */

#endif
