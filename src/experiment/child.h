/* SPDX-License-Identifier: MIT */
/* A process of this program that does one job: started, heard line by line, stopped, waited for.
 *
 * Its standard output comes through a pipe, its standard error is appended to a log file. When this
 * process dies, however it dies, the child is asked to stop (SIGTERM), which makes training save.
 */
#ifndef DSMOE_EXPERIMENT_CHILD_H
#define DSMOE_EXPERIMENT_CHILD_H

#include "core/buf.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct dsm_child {
    pid_t pid;    /* 0: none */
    int out;      /* its standard output, not blocking; -1: closed */
    dsm_buf line; /* what has come of a line that has not ended */
    double started;
    bool ok;        /* after it ended: exit status 0 */
    double seconds; /* wall clock */
    double cpu_s;   /* user and system */
    char how[64];   /* "exit 1", "killed by signal 9" */
} dsm_child;

/* Start argv (argv[0] a path, NULL at the end). */
dsm_status dsm_child_start(dsm_child *c, char *const argv[], const char *log, dsm_err *err);

/* Take what it has written: each whole line goes to fn without its end. *ended: it closed its
 * output; then dsm_child_wait. */
dsm_status dsm_child_read(dsm_child *c, void (*fn)(void *arg, const char *line), void *arg,
                          bool *ended, dsm_err *err);

/* Wait for its end and fill ok, seconds, cpu_s, how. */
dsm_status dsm_child_wait(dsm_child *c, dsm_err *err);

void dsm_child_stop(const dsm_child *c); /* SIGTERM */
void dsm_child_close(dsm_child *c);      /* kill it if it runs; accepts a zeroed struct */

#endif
