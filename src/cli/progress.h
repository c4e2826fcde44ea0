/* SPDX-License-Identifier: MIT */
/* How far a long job is, on stderr: on a terminal one line that is redrawn in place, with a bar,
 * rate and time left; elsewhere a plain line every few seconds; with --quiet nothing. */
#ifndef DSMOE_CLI_PROGRESS_H
#define DSMOE_CLI_PROGRESS_H

#include <stdbool.h>

typedef struct dsm_progress {
    const char *title, *unit; /* borrowed: "prepare", "B", "steps" */
    bool quiet, terminal;
    double start, drawn; /* seconds of dsm_clock */
    double first;        /* done at the start: a resumed run's rate counts from here */
    double done, total;  /* in units; total <= 0: not known */
} dsm_progress;

/* Start a job; `unit` is what done and total count, scaled with k, M, G when printed. */
void dsm_progress_begin(dsm_progress *p, const char *title, const char *unit, double first,
                        bool quiet);

/* Report; draws at most ten times a second (every five seconds without a terminal), so callers may
 * call it as often as they like. suffix (may be NULL) is free text after the figures. */
void dsm_progress_update(dsm_progress *p, double done, double total, const char *suffix);

/* Draw the last state once more and leave the line; a job that printed nothing prints nothing. */
void dsm_progress_end(dsm_progress *p, const char *suffix);

/* Clear the redrawn line, if there is one, before something else goes to stderr. */
void dsm_progress_hide(void);

#endif
