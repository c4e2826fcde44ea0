/* SPDX-License-Identifier: MIT */
/* The page being written, and drawings on it: curves and points over a number, rows of points with
 * names at the left, and maps of experts over time.
 *
 * A drawing is a <figure> with its title, a legend in HTML (so that it never covers data and wraps
 * on a phone) and gnuplot's SVG; without gnuplot a clear word stands in the drawing's place. */
#ifndef DSMOE_REPORT_PLOT_H
#define DSMOE_REPORT_PLOT_H

#include "core/buf.h"
#include "report/run_record.h"

typedef struct dsm_page {
    dsm_buf out;
    const char *gnuplot; /* program; NULL: none, say so */
    char why[160];       /* there is no gnuplot */
    bool has_markers;    /* the marks that all drawings share are on the page */
    int n_plots, n_failed;
} dsm_page;

/* What a series is drawn with: colour and dash are one of DSM_N_COLOURS and follow the index of the
 * run, so that a run looks the same all over the page. */
enum { DSM_N_COLOURS = 7, DSM_N_DASHES = 3 };

typedef enum dsm_mark {
    DSM_MARK_LINE,
    DSM_MARK_LINE_POINTS,
    DSM_MARK_POINTS,
    DSM_MARK_RULE
} dsm_mark;

/* Points (n). x, y: NAN leaves a point out. spread (may be NULL): half the length of the bar
 * through a point, along y, or along x in rows. DSM_MARK_RULE: a level line at y[0]. */
typedef struct dsm_series {
    const char *label; /* borrowed; NULL: not in the legend */
    int look;
    dsm_mark mark;
    size_t n;
    const double *x, *y, *spread;
} dsm_series;

enum { DSM_MAX_SERIES = 32 };

typedef struct dsm_plot {
    const char *title, *x_label, *y_label; /* labels may be NULL */
    const char *const *row_names;          /* not NULL: y is a row, 0 at the top */
    int n_rows;
    double x_low, x_high, y_low, y_high; /* NAN: as the data are */
    bool fractions;                      /* x counts sixteenths */
    bool whole_x;                        /* x counts things */
    bool y_log;                          /* every y is positive */
    int n;
    dsm_series series[DSM_MAX_SERIES];
} dsm_plot;

void dsm_plot_init(dsm_plot *p, const char *title); /* empty, every range open */
/* Append a series; those beyond DSM_MAX_SERIES are dropped. */
void dsm_plot_add(dsm_plot *p, dsm_series s);
void dsm_page_plot(dsm_page *page, const dsm_plot *p);

/* Loads as a picture per layer: steps to the right, experts upwards, colour the load. */
void dsm_page_loads(dsm_page *page, const char *title, const dsm_load_map *m);
/* The colours that stand for loads, once for all maps. */
void dsm_page_load_legend(dsm_page *page);

#endif
