/* SPDX-License-Identifier: MIT */
/* The table of an experiment's runs, with the paper's figure beside ours, and the same as points.
 */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- tables ----------------------------------------------------------------------------------- */

void dsm_table_begin(dsm_buf *out, const char *title, const char *class_name)
{
    dsm_buf_fmt(out, "<div class=\"scroll%s%s\" role=\"region\" tabindex=\"0\" aria-label=\"",
                class_name ? " " : "", class_name ? class_name : "");
    dsm_html_text(out, title);
    dsm_buf_str(out, "\"><table>\n");
}

void dsm_table_end(dsm_buf *out)
{
    dsm_buf_str(out, "</table></div>\n");
}

dsm_shown dsm_show_figure(dsm_figure f, double value)
{
    int decimals = dsm_figures[f].decimals;
    return decimals < 0 ? dsm_show_duration(value) : dsm_show_fixed(value, decimals);
}

dsm_shown dsm_show_moments(dsm_figure f, const dsm_moments *m)
{
    int decimals = dsm_figures[f].decimals;
    if (decimals < 0) return dsm_show_duration(m->mean);
    return dsm_show_spread(m->mean, m->deviation, decimals);
}

/* --- which columns ---------------------------------------------------------------------------- */

/* What of the optional columns any run can fill. */
typedef struct columns {
    bool sizes, regime, paper;
    bool figure[DSM_N_FIGURES]; /* beside the metric */
    double best_paper, best_ours;
} columns;

static void keep_least(double *least, double value)
{
    if (!isnan(value) && (isnan(*least) || value < *least)) *least = value;
}

/* A table has room for the figures that papers print; the curves and the CSV have the others. Runs
 * share processors with each other: the time of theirs says more than the clock. */
static bool is_shown(const dsm_outcome *o, dsm_figure f)
{
    if (f == DSM_FIGURE_SECONDS) return !dsm_outcome_has(o, DSM_FIGURE_CPU_SECONDS);
    return f != DSM_FIGURE_TRAIN_MAX_VIO;
}

static columns find_columns(const dsm_outcome *o)
{
    columns c = {.best_paper = NAN, .best_ours = NAN};
    for (int i = 0; i < o->n_runs; i++) {
        const dsm_run_outcome *r = &o->runs[i];
        c.sizes |= !isnan(r->params);
        c.regime |= !isnan(r->tokens_per_active_param);
        c.paper |= !isnan(r->paper);
        keep_least(&c.best_paper, r->paper);
        keep_least(&c.best_ours, dsm_run_figure(r, o->metric).mean);
    }
    for (int f = 0; f < DSM_N_FIGURES; f++)
        c.figure[f] =
            f != (int)o->metric && is_shown(o, (dsm_figure)f) && dsm_outcome_has(o, (dsm_figure)f);
    return c;
}

static void head_row(dsm_buf *out, const dsm_outcome *o, const columns *c)
{
    dsm_buf_str(out, "<thead><tr><th>run</th>");
    if (c->paper) dsm_buf_fmt(out, "<th class=\"n\">paper</th>");
    dsm_buf_fmt(out, "<th class=\"n\">%s</th><th class=\"n\">seeds</th>",
                dsm_figures[o->metric].title);
    if (c->regime) dsm_buf_str(out, "<th class=\"n\">tokens per active parameter</th>");
    if (c->sizes)
        dsm_buf_str(
            out,
            "<th class=\"n\">active (no embedding, no head)</th><th class=\"n\">parameters</th>");
    for (int f = 0; f < DSM_N_FIGURES; f++)
        if (c->figure[f]) dsm_buf_fmt(out, "<th class=\"n\">%s</th>", dsm_figures[f].title);
    dsm_buf_str(out, "</tr></thead>\n");
}

static void number_cell(dsm_buf *out, dsm_shown text, bool strong)
{
    dsm_buf_fmt(out,
                strong ? "<td class=\"n\"><strong>%s</strong></td>" : "<td class=\"n\">%s</td>",
                text.text);
}

static void run_row(dsm_buf *out, const dsm_outcome *o, const columns *c, const dsm_run_outcome *r)
{
    dsm_moments ours = dsm_run_figure(r, o->metric);
    dsm_buf_str(out, "<tr>");
    dsm_html_element(out, "th", NULL, r->label);
    if (c->paper) number_cell(out, dsm_show_figure(o->metric, r->paper), r->paper <= c->best_paper);
    number_cell(out, dsm_show_moments(o->metric, &ours), ours.mean <= c->best_ours);
    dsm_buf_fmt(out, "<td class=\"n\">%zu</td>", ours.n);
    if (c->regime) number_cell(out, dsm_show_count(r->tokens_per_active_param), false);
    if (c->sizes) {
        number_cell(out, dsm_show_count(r->active_inner), false);
        number_cell(out, dsm_show_count(r->params), false);
    }
    for (int f = 0; f < DSM_N_FIGURES; f++) {
        dsm_moments m = dsm_run_figure(r, (dsm_figure)f);
        if (c->figure[f]) number_cell(out, dsm_show_figure((dsm_figure)f, m.mean), false);
    }
    dsm_buf_str(out, "</tr>\n");
}

/* --- who is missing --------------------------------------------------------------------------- */

static void problem_line(dsm_buf *out, const dsm_run_outcome *r, const dsm_seed_outcome *s)
{
    dsm_buf_str(out, "<li>");
    dsm_html_text(out, r->label);
    if (r->n > 1 || s->seed > 0) dsm_buf_fmt(out, ", seed %lld", (long long)s->seed);
    if (strcmp(s->state, "done") != 0) {
        dsm_buf_str(out, ": ");
        dsm_html_text(out, s->state);
    }
    const char *const words[] = {s->error, s->problem};
    for (int i = 0; i < 2; i++)
        if (words[i] && *words[i]) {
            dsm_buf_str(out, ": ");
            dsm_html_text(out, words[i]);
        }
    dsm_buf_str(out, "</li>\n");
}

static bool has_problem(const dsm_seed_outcome *s)
{
    return strcmp(s->state, "done") != 0 || *s->problem;
}

static void problems(dsm_buf *out, const dsm_outcome *o)
{
    int n = 0;
    for (int i = 0; i < o->n_runs; i++)
        for (int k = 0; k < o->runs[i].n; k++) {
            if (!has_problem(&o->runs[i].seeds[k])) continue;
            if (n++ == 0) dsm_buf_str(out, "<ul class=\"problems\">\n");
            problem_line(out, &o->runs[i], &o->runs[i].seeds[k]);
        }
    if (n > 0) dsm_buf_str(out, "</ul>\n");
}

void dsm_section_runs(dsm_page *page, const dsm_outcome *o)
{
    dsm_buf *out = &page->out;
    columns c = find_columns(o);
    problems(out, o);
    if (o->n_runs == 0) return;
    dsm_table_begin(out, "Runs", NULL);
    head_row(out, o, &c);
    dsm_buf_str(out, "<tbody>\n");
    for (int i = 0; i < o->n_runs; i++)
        run_row(out, o, &c, &o->runs[i]);
    dsm_buf_str(out, "</tbody>");
    dsm_table_end(out);
    dsm_buf_str(
        out, "<p class=\"note\">Means over seeds (\xc2\xb1 standard deviation), on the validation "
             "data after the last step; the lowest is set in bold.</p>\n");
}

/* --- as points -------------------------------------------------------------------------------- */

/* Columns of the two drawings: one row per run. */
typedef struct points {
    double *paper, *mean, *spread, *row;
    const char **names;
} points;

static void free_points(points *p)
{
    free(p->paper);
    free(p->mean);
    free(p->spread);
    free(p->row);
    free(p->names);
}

static bool make_points(points *p, const dsm_outcome *o)
{
    size_t n = (size_t)o->n_runs;
    p->paper = calloc(n, sizeof *p->paper);
    p->mean = calloc(n, sizeof *p->mean);
    p->spread = calloc(n, sizeof *p->spread);
    p->row = calloc(n, sizeof *p->row);
    p->names = calloc(n, sizeof *p->names);
    if (!p->paper || !p->mean || !p->spread || !p->row || !p->names) return false;
    for (size_t i = 0; i < n; i++) {
        dsm_moments m = dsm_run_figure(&o->runs[i], o->metric);
        p->paper[i] = o->runs[i].paper;
        p->mean[i] = m.mean;
        p->spread[i] = m.deviation;
        p->row[i] = (double)i;
        p->names[i] = o->runs[i].label;
    }
    return true;
}

static void draw_points(dsm_page *page, const dsm_outcome *o, const points *p, bool ours)
{
    dsm_plot plot;
    const double *x = ours ? p->mean : p->paper;
    dsm_plot_init(&plot, ours ? "Here: mean and deviation over seeds" : "In the paper");
    plot.row_names = p->names;
    plot.n_rows = o->n_runs;
    plot.x_label = dsm_figures[o->metric].title;
    for (int i = 0; i < o->n_runs; i++)
        dsm_plot_add(&plot, (dsm_series){.look = i % DSM_N_COLOURS,
                                         .mark = DSM_MARK_POINTS,
                                         .n = 1,
                                         .x = x + i,
                                         .y = p->row + i,
                                         .spread = ours ? p->spread + i : NULL});
    dsm_page_plot(page, &plot);
}

void dsm_section_comparison(dsm_page *page, const dsm_outcome *o)
{
    points p = {0};
    if (o->n_runs > 1 && make_points(&p, o)) {
        dsm_buf_str(&page->out, "<div class=\"pair\">\n");
        draw_points(page, o, &p, true);
        draw_points(page, o, &p, false);
        dsm_buf_str(&page->out, "</div>\n");
    }
    free_points(&p);
}
