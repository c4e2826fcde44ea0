/* SPDX-License-Identifier: MIT */
#include "report/markup.h"
#include "report/sections.h"
#include "report/tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void cell(dsm_buf *out, const char *text)
{
    dsm_buf_str(out, " ");
    dsm_markdown_text(out, text ? text : "");
    dsm_buf_str(out, " |");
}

static void shown_cell(dsm_buf *out, dsm_shown text)
{
    dsm_buf_fmt(out, " %s |", text.text);
}

/* --- verdicts --------------------------------------------------------------------------------- */

static void claims(dsm_buf *out, const dsm_outcome *o)
{
    if (o->n_claims == 0) return;
    dsm_buf_str(out, "| verdict | the papers' claim | found here |\n| --- | --- | --- |\n");
    for (int i = 0; i < o->n_claims; i++) {
        dsm_buf_str(out, "|");
        cell(out, o->claims[i].verdict);
        cell(out, o->claims[i].text);
        cell(out, o->claims[i].figures);
        dsm_buf_str(out, "\n");
    }
    dsm_buf_str(out, "\n");
}

/* --- runs ------------------------------------------------------------------------------------- */

static void run_head(dsm_buf *out, const dsm_outcome *o)
{
    int columns = 3;
    dsm_buf_fmt(out, "| run | paper | %s | seeds |", dsm_figures[o->metric].title);
    for (int f = 0; f < DSM_N_FIGURES; f++)
        if (f != (int)o->metric && dsm_outcome_has(o, (dsm_figure)f)) {
            dsm_buf_fmt(out, " %s |", dsm_figures[f].title);
            columns++;
        }
    dsm_buf_str(
        out,
        " parameters | active (no embedding, no head) | tokens per active parameter |\n| --- |");
    for (int i = 0; i < columns + 3; i++)
        dsm_buf_str(out, " ---: |");
    dsm_buf_str(out, "\n");
}

static void run_line(dsm_buf *out, const dsm_outcome *o, const dsm_run_outcome *r)
{
    dsm_moments ours = dsm_run_figure(r, o->metric);
    dsm_buf_str(out, "|");
    cell(out, r->label);
    shown_cell(out, dsm_show_figure(o->metric, r->paper));
    shown_cell(out, dsm_show_moments(o->metric, &ours));
    dsm_buf_fmt(out, " %zu |", ours.n);
    for (int f = 0; f < DSM_N_FIGURES; f++) {
        if (f == (int)o->metric || !dsm_outcome_has(o, (dsm_figure)f)) continue;
        dsm_moments m = dsm_run_figure(r, (dsm_figure)f);
        shown_cell(out, dsm_show_moments((dsm_figure)f, &m));
    }
    shown_cell(out, dsm_show_count(r->params));
    shown_cell(out, dsm_show_count(r->active_inner));
    shown_cell(out, dsm_show_count(r->tokens_per_active_param));
    dsm_buf_str(out, "\n");
}

/* --- analyses --------------------------------------------------------------------------------- */

static void sweeps(dsm_buf *out, const dsm_outcome *o)
{
    if (o->n_sweeps == 0) return;
    dsm_buf_str(out, "| analysis | run | x | paper | loss | seeds |\n"
                     "| --- | --- | ---: | ---: | ---: | ---: |\n");
    for (int i = 0; i < o->n_sweeps; i++)
        for (int k = 0; k < o->sweeps[i].n; k++) {
            const dsm_sweep_point *p = &o->sweeps[i].points[k];
            dsm_moments m = dsm_point_loss(p);
            dsm_buf_str(out, "|");
            cell(out, o->sweeps[i].kind);
            cell(out, o->sweeps[i].label);
            dsm_buf_fmt(out, " %g |", p->x);
            shown_cell(out, dsm_show_fixed(p->paper, 3));
            shown_cell(out, dsm_show_moments(DSM_FIGURE_LOSS, &m));
            dsm_buf_fmt(out, " %zu |\n", m.n);
        }
    dsm_buf_str(out, "\n");
}

/* --- the whole -------------------------------------------------------------------------------- */

static void origin(dsm_buf *out, const dsm_outcome *o)
{
    const struct {
        const char *name, *value;
    } facts[] = {{"size", o->size},
                 {"machine", o->machine},
                 {"version", o->version},
                 {"commit", o->commit},
                 {"made", o->created}};
    const char *before = "";
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        if (!facts[i].value) continue;
        dsm_buf_fmt(out, "%s%s ", before, facts[i].name);
        dsm_markdown_text(out, facts[i].value);
        before = ", ";
    }
    double seconds = dsm_outcome_total(o, DSM_FIGURE_SECONDS);
    if (!isnan(seconds)) dsm_buf_fmt(out, "%s%s in all", before, dsm_show_duration(seconds).text);
    dsm_buf_str(out, "\n\n");
}

static void experiment(dsm_buf *out, const dsm_outcome *o)
{
    dsm_buf_str(out, "## ");
    dsm_markdown_text(out, o->name);
    if (strcmp(o->title, o->name) != 0) {
        dsm_buf_str(out, ": ");
        dsm_markdown_text(out, o->title);
    }
    dsm_buf_str(out, "\n\n");
    if (o->source) {
        dsm_markdown_text(out, o->source);
        dsm_buf_str(out, "\n\n");
    }
    claims(out, o);
    run_head(out, o);
    for (int i = 0; i < o->n_runs; i++)
        run_line(out, o, &o->runs[i]);
    dsm_buf_str(out, "\n");
    sweeps(out, o);
    origin(out, o);
}

void dsm_markdown_write(dsm_buf *out, const dsm_outcome *all, int n)
{
    for (int i = 0; i < n; i++)
        experiment(out, &all[i]);
}
