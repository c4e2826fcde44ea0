/* SPDX-License-Identifier: MIT */
/* What analyses measured, drawn as the paper draws it: ours at the left, the paper's at the right,
 * each on its own scale, because the losses of small models are others. Figures 3 and 6 of the
 * paper are accuracies on benchmarks; they stand beside our losses as what was claimed.
 *
 * Source: DeepSeekMoE (arXiv 2401.06066), figures 3 to 6, read from their vector drawings. */
#include "report/sections.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- kinds of analyses ------------------------------------------------------------------------ */

typedef struct sweep_kind {
    const char *kind, *title, *ours, *paper, *x_label;
    bool fractions, choice; /* choice: x is 0 or 1, drawn as rows */
} sweep_kind;

static const sweep_kind kinds[] = {
    {"mask_top", "Disabling the top routed experts", "Here: loss without each token's top experts",
     "Figure 4 of the paper", "share of routed experts disabled", true, false},
    {"active", "Fewer active experts", "Here: loss with fewer routed experts active",
     "Figure 5 of the paper", "routed experts active", false, false},
    {"drop_shared", "Without the shared experts", "Here: loss", "In the paper (section 4.5)",
     "loss", false, true},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const char *const choice_names[] = {"as trained", "shared dropped"};

enum { MAX_LINES = 8, MAX_POINTS = 64 };

/* The sweeps of one kind as numbers in columns. */
typedef struct lines {
    const sweep_kind *kind;
    int n;
    const dsm_sweep *sweep[MAX_LINES];
    size_t points[MAX_LINES];
    double x[MAX_LINES][MAX_POINTS], paper[MAX_LINES][MAX_POINTS], mean[MAX_LINES][MAX_POINTS],
        spread[MAX_LINES][MAX_POINTS];
} lines;

static void add_line(lines *l, const dsm_sweep *s)
{
    int i = l->n++;
    l->sweep[i] = s;
    for (int k = 0; k < s->n && k < MAX_POINTS; k++) {
        dsm_moments m = dsm_point_loss(&s->points[k]);
        l->x[i][k] = s->points[k].x;
        l->paper[i][k] = s->points[k].paper;
        l->mean[i][k] = m.mean;
        l->spread[i][k] = m.deviation;
        l->points[i]++;
    }
}

static void collect(lines *l, const dsm_outcome *o, const sweep_kind *kind)
{
    memset(l, 0, sizeof *l);
    l->kind = kind;
    for (int i = 0; i < o->n_sweeps && l->n < MAX_LINES; i++)
        if (strcmp(o->sweeps[i].kind, kind->kind) == 0) add_line(l, &o->sweeps[i]);
}

/* --- as a table ------------------------------------------------------------------------------- */

static void sweep_table_head(dsm_buf *out, const lines *l)
{
    dsm_buf_str(out, "<thead><tr><th rowspan=\"2\">");
    dsm_html_text(out, l->kind->choice ? "model" : l->kind->x_label);
    dsm_buf_str(out, "</th>");
    for (int i = 0; i < l->n; i++) {
        dsm_buf_str(out, "<th colspan=\"2\" class=\"n\">");
        dsm_html_text(out, l->sweep[i]->label);
        dsm_buf_str(out, "</th>");
    }
    dsm_buf_str(out, "</tr><tr>");
    for (int i = 0; i < l->n; i++)
        dsm_buf_str(out, "<th class=\"n\">paper</th><th class=\"n\">here</th>");
    dsm_buf_str(out, "</tr></thead>\n");
}

static void x_cell(dsm_buf *out, const sweep_kind *kind, double x)
{
    char text[32];
    if (kind->choice)
        snprintf(text, sizeof text, "%s", choice_names[x > 0.5]);
    else if (kind->fractions && x > 0 && fabs(x * 16 - round(x * 16)) < 1e-6)
        snprintf(text, sizeof text, "%.0f/16", x * 16);
    else
        snprintf(text, sizeof text, "%g", x);
    dsm_html_element(out, "th", NULL, text);
}

/* The point of line i at x; -1: none. */
static int point_at(const lines *l, int i, double x)
{
    for (size_t k = 0; k < l->points[i]; k++)
        if (l->x[i][k] == x) return (int)k;
    return -1;
}

static void point_cells(dsm_buf *out, const lines *l, int i, double x)
{
    int k = point_at(l, i, x);
    double paper = k < 0 ? (double)NAN : l->paper[i][k];
    dsm_shown ours =
        k < 0 ? dsm_show_fixed(NAN, 3) : dsm_show_spread(l->mean[i][k], l->spread[i][k], 3);
    dsm_buf_fmt(out, "<td class=\"n\">%s</td><td class=\"n\">%s</td>",
                dsm_show_fixed(paper, 3).text, ours.text);
}

/* Was x shown in a row of an earlier line? */
static bool seen_before(const lines *l, int line, double x)
{
    for (int i = 0; i < line; i++)
        if (point_at(l, i, x) >= 0) return true;
    return false;
}

static void sweep_table(dsm_buf *out, const lines *l)
{
    dsm_table_begin(out, l->kind->title, NULL);
    sweep_table_head(out, l);
    dsm_buf_str(out, "<tbody>\n");
    for (int i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->points[i]; k++) {
            if (seen_before(l, i, l->x[i][k])) continue;
            dsm_buf_str(out, "<tr>");
            x_cell(out, l->kind, l->x[i][k]);
            for (int j = 0; j < l->n; j++)
                point_cells(out, l, j, l->x[i][k]);
            dsm_buf_str(out, "</tr>\n");
        }
    dsm_buf_str(out, "</tbody>");
    dsm_table_end(out);
}

/* --- as drawings ------------------------------------------------------------------------------ */

static void add_lines(dsm_plot *plot, const lines *l, bool ours)
{
    const bool rows = l->kind->choice;
    for (int i = 0; i < l->n; i++) {
        const double *y = ours ? l->mean[i] : l->paper[i];
        dsm_plot_add(plot, (dsm_series){.label = l->sweep[i]->label,
                                        .look = i,
                                        .mark = rows ? DSM_MARK_POINTS : DSM_MARK_LINE_POINTS,
                                        .n = l->points[i],
                                        .x = rows ? y : l->x[i],
                                        .y = rows ? l->x[i] : y,
                                        .spread = ours ? l->spread[i] : NULL});
    }
}

static bool was_analysed(const lines *l, const dsm_run_outcome *r)
{
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->sweep[i]->run, r->name) == 0) return true;
    return false;
}

/* Runs that were trained to compare with, as level lines. */
static void add_levels(dsm_plot *plot, const lines *l, const dsm_outcome *o, bool ours,
                       double level[DSM_MAX_SERIES])
{
    int look = l->n;
    for (int i = 0; i < o->n_runs && look < DSM_MAX_SERIES; i++) {
        const dsm_run_outcome *r = &o->runs[i];
        if (was_analysed(l, r)) continue;
        level[look] = ours ? dsm_run_figure(r, DSM_FIGURE_LOSS).mean : r->paper;
        dsm_plot_add(plot, (dsm_series){.label = r->label,
                                        .look = look,
                                        .mark = DSM_MARK_RULE,
                                        .n = 1,
                                        .x = &level[look],
                                        .y = &level[look]});
        look++;
    }
}

static void draw_sweep(dsm_page *page, const lines *l, const dsm_outcome *o, bool ours)
{
    dsm_plot plot;
    double level[DSM_MAX_SERIES];
    dsm_plot_init(&plot, ours ? l->kind->ours : l->kind->paper);
    plot.x_label = l->kind->x_label;
    plot.fractions = l->kind->fractions;
    if (l->kind->choice) {
        plot.row_names = choice_names;
        plot.n_rows = 2;
    } else if (!l->kind->fractions) {
        plot.whole_x = true;
    }
    add_lines(&plot, l, ours);
    if (!l->kind->choice && plot.n > 0) add_levels(&plot, l, o, ours, level);
    dsm_page_plot(page, &plot);
}

static void show_sweeps(dsm_page *page, const dsm_outcome *o, const sweep_kind *kind)
{
    lines l;
    collect(&l, o, kind);
    if (l.n == 0) return;
    dsm_html_element(&page->out, "h3", NULL, kind->title);
    dsm_buf_str(&page->out, "<div class=\"pair\">\n");
    draw_sweep(page, &l, o, true);
    draw_sweep(page, &l, o, false);
    dsm_buf_str(&page->out, "</div>\n");
    sweep_table(&page->out, &l);
}

/* --- figures of benchmarks -------------------------------------------------------------------- */

enum { N_TASKS = 6, MAX_MODELS = 4 };
static const char *const tasks[N_TASKS] = {"HellaSwag",  "PIQA",     "ARC-easy",
                                           "ARC-chall.", "TriviaQA", "NaturalQ."};

typedef struct benchmark_figure {
    const char *experiment, *title;
    int n;
    const char *models[MAX_MODELS];
    double accuracy[MAX_MODELS][N_TASKS]; /* percent */
} benchmark_figure;

static const benchmark_figure benchmark_figures[] = {
    {"ablation",
     "Figure 3 of the paper: accuracy, %",
     4,
     {"0 shared + 2 of 16", "1 + 1 of 15", "1 + 3 of 31", "1 + 7 of 63"},
     {{50.5, 70.6, 43.9, 31.6, 10.2, 3.2},
      {52.4, 70.7, 48.0, 31.3, 14.1, 4.5},
      {53.7, 70.4, 49.3, 31.5, 15.5, 5.0},
      {54.8, 72.3, 49.4, 34.3, 16.6, 5.7}}},
    {"half",
     "Figure 6 of the paper: accuracy, %",
     2,
     {"GShard 0 + 2 of 16", "DeepSeekMoE 1 + 3 of 63"},
     {{50.5, 70.6, 43.9, 31.6, 10.2, 3.2}, {51.9, 71.4, 48.0, 32.9, 15.9, 5.2}}},
};

static void draw_benchmarks(dsm_page *page, const benchmark_figure *f)
{
    double row[N_TASKS];
    dsm_plot plot;
    dsm_plot_init(&plot, f->title);
    plot.row_names = tasks;
    plot.n_rows = N_TASKS;
    for (int i = 0; i < N_TASKS; i++)
        row[i] = i;
    for (int i = 0; i < f->n; i++)
        dsm_plot_add(&plot, (dsm_series){.label = f->models[i],
                                         .look = i,
                                         .mark = DSM_MARK_POINTS,
                                         .n = N_TASKS,
                                         .x = f->accuracy[i],
                                         .y = row});
    dsm_buf_str(&page->out, "<div class=\"pair\">\n");
    dsm_page_plot(page, &plot);
    dsm_buf_str(&page->out,
                "<p class=\"note\">The paper draws accuracies on benchmarks, which models "
                "of this size cannot answer; what is compared here is the validation "
                "loss above.</p></div>\n");
}

void dsm_section_figures(dsm_page *page, const dsm_outcome *o)
{
    for (int i = 0; i < N_KINDS; i++)
        show_sweeps(page, o, &kinds[i]);
    for (size_t i = 0; i < sizeof benchmark_figures / sizeof *benchmark_figures; i++)
        if (strcmp(o->name, benchmark_figures[i].experiment) == 0)
            draw_benchmarks(page, &benchmark_figures[i]);
}
