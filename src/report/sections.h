/* SPDX-License-Identifier: MIT */
/* The parts of the page, in the order in which they stand on it. Each appends what it has to say
 * and nothing if it has nothing; headings are theirs. */
#ifndef DSMOE_REPORT_SECTIONS_H
#define DSMOE_REPORT_SECTIONS_H

#include "report/markup.h"
#include "report/outcome.h"
#include "report/plot.h"
#include "report/portrait.h"

/* --- over all experiments (n) ----------------------------------------------------------------- */

/* What holds and what does not, claim by claim, with links to the experiments (ids e0, e1 …). */
void dsm_section_verdicts(dsm_page *page, const dsm_outcome *all, int n);
/* Heat maps of every run with experts, each run directory once. */
void dsm_section_loads(dsm_page *page, const dsm_outcome *all, int n);
/* What the experts of each analysed model see most. */
void dsm_section_portraits(dsm_page *page, const dsm_portrait *all, int n);

/* --- of one experiment ------------------------------------------------------------------------ */

void dsm_section_claims(dsm_page *page, const dsm_outcome *o);
/* The paper's figure beside ours, and who is missing. */
void dsm_section_runs(dsm_page *page, const dsm_outcome *o);
void dsm_section_comparison(dsm_page *page, const dsm_outcome *o);
/* Training, validation and balance over steps. */
void dsm_section_curves(dsm_page *page, const dsm_outcome *o);
/* The analyses as the paper's figures 4 and 5 draw them, and its figures 3 and 6. */
void dsm_section_figures(dsm_page *page, const dsm_outcome *o);
void dsm_section_samples(dsm_page *page, const dsm_outcome *o);
/* How it was made: settings, machine, time, how to make it again. */
void dsm_section_settings(dsm_page *page, const dsm_outcome *o);
/* A part of it: the settings in which the runs differ, and each recipe folded away. */
void dsm_section_recipes(dsm_page *page, const dsm_outcome *o);

/* --- shared by them --------------------------------------------------------------------------- */

/* A table that scrolls inside its box: begin, rows, end. title: for screen readers; class_name: of
 * the box beside its own, or NULL ("stack": rows become blocks on a phone). */
void dsm_table_begin(dsm_buf *out, const char *title, const char *class_name);
void dsm_table_end(dsm_buf *out);

/* A figure as its table says: "2.243", "12 min". */
dsm_shown dsm_show_figure(dsm_figure f, double value);
/* "2.243 ± 0.004", or the mean alone for one seed. */
dsm_shown dsm_show_moments(dsm_figure f, const dsm_moments *m);

/* How a verdict is shown: its CSS class and sign. */
typedef struct dsm_verdict_look {
    const char *verdict, *class_name, *sign;
} dsm_verdict_look;
const dsm_verdict_look *dsm_verdict_look_of(const char *verdict); /* never NULL */

#endif
