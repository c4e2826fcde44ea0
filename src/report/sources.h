/* SPDX-License-Identifier: MIT */
/* What a report is made of: experiments, plain runs and analyses, found from paths and read whole.
 */
#ifndef DSMOE_REPORT_SOURCES_H
#define DSMOE_REPORT_SOURCES_H

#include "core/buf.h"
#include "dsmoe/status.h"
#include "report/outcome.h"
#include "report/portrait.h"

typedef struct dsm_sources {
    dsm_outcome *outcomes; /* (n) experiments, then plain runs if there are any */
    int n, n_experiments;
    const char **runs; /* (n_runs) plain run directories, borrowed from the paths */
    int n_runs;
    dsm_portrait *portraits; /* (n_portraits) */
    int n_portraits;
    dsm_buf broken; /* a list item in HTML for each thing that cannot be read */
    int n_broken;
    dsm_err first; /* what was wrong with the first of them */
} dsm_sources;

/* Read paths (n, at least 1) as dsmoe/report.h says. What cannot be read is noted and logged; when
 * nothing can, the first reason is the error. */
dsm_status dsm_sources_read(dsm_sources *r, const char *const *paths, int n, dsm_err *err);
void dsm_sources_free(dsm_sources *r); /* accepts a zeroed struct */

/* Is it a name with this ending, ".csv", and something before it? */
bool dsm_name_ends_in(const char *name, const char *ending);

#endif
