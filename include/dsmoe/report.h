/* SPDX-License-Identifier: MIT */
/* Reports: what training runs and experiments found, as one self-contained HTML page (plots by
 * gnuplot as SVG, light and dark, no network), as CSV and as Markdown. */
#ifndef DSMOE_REPORT_H
#define DSMOE_REPORT_H

#include "dsmoe/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dsm_report_options {
    const char *html;     /* file to write, or NULL */
    const char *csv;      /* a file name ending in .csv, else a folder for summary.csv, curves.csv
                             and loads.csv; or NULL */
    const char *markdown; /* file to write, or NULL */
    const char *gnuplot;  /* program; NULL: gnuplot, found on PATH */
} dsm_report_options;

typedef struct dsm_report_summary {
    int experiments, runs; /* runs: of all experiments, and plain ones */
    int broken;            /* things that could not be read; the page names them */
    int plots, missing;    /* plots made, and not made */
} dsm_report_summary;

/* Report on paths (n, at least 1): run directories, experiment roots (ROOT/results/NAME.json), or
 * such a JSON file. What cannot be read is named on the page and logged as a warning; when nothing
 * can, the first reason is the error. Without gnuplot the page has tables and says so.
 *
 * Errors: DSM_ENOTFOUND, DSM_EFORMAT: nothing to report on; DSM_EIO: a file cannot be written.
 * summary may be NULL. Not to be called twice at once. */
dsm_status dsm_report_make(const char *const *paths, int n, const dsm_report_options *o,
                           dsm_report_summary *summary, dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
