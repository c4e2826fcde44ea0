/* SPDX-License-Identifier: MIT */
#include "report/markup.h"
#include "report/tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Which run a line is of. */
typedef struct subject {
    const dsm_outcome *o;
    const char *run;
    int64_t seed;
} subject;

static void number_field(dsm_buf *out, double v)
{
    dsm_buf_str(out, ",");
    if (isfinite(v)) dsm_buf_fmt(out, "%.9g", v);
}

/* A line without a value is no line. */
static void line(dsm_buf *out, const subject *s, const char *metric, double x, double value,
                 double paper)
{
    if (!isfinite(value)) return;
    dsm_csv_field(out, s->o->name);
    dsm_buf_str(out, ",");
    dsm_csv_field(out, s->run);
    dsm_buf_fmt(out, ",%lld,", (long long)s->seed);
    dsm_csv_field(out, metric);
    number_field(out, x);
    number_field(out, value);
    number_field(out, paper);
    dsm_buf_str(out, "\n");
}

static void curve(dsm_buf *out, const subject *s, const char *metric, const dsm_curve *c)
{
    for (size_t i = 0; i < c->n; i++)
        line(out, s, metric, c->x[i], c->y[i], NAN);
}

static void loads(dsm_buf *out, const subject *s, const dsm_load_map *m)
{
    const double scale =
        m->columns > 1 ? (double)(m->last_step - m->first_step) / (double)(m->columns - 1) : 0;
    for (int64_t l = 0; l < m->n_layers; l++)
        for (int64_t e = 0; e < m->E; e++)
            for (int64_t c = 0; c < m->columns; c++) {
                char metric[64];
                snprintf(metric, sizeof metric, "load.%lld.%lld", (long long)m->layer[l],
                         (long long)e);
                line(out, s, metric, round((double)m->first_step + (double)c * scale),
                     m->share[(l * m->E + e) * m->columns + c], NAN);
            }
}

static void seed_lines(dsm_buf *out, const subject *s, const dsm_run_outcome *r,
                       const dsm_seed_outcome *seed, unsigned parts)
{
    if (parts & DSM_CSV_SUMMARY)
        for (int f = 0; f < DSM_N_FIGURES; f++)
            line(out, s, dsm_figures[f].key, NAN, seed->figure[f],
                 f == (int)s->o->metric ? r->paper : (double)NAN);
    if (parts & DSM_CSV_CURVES) {
        curve(out, s, "train_loss", &seed->record.train);
        curve(out, s, "valid_loss", &seed->record.valid);
        curve(out, s, "batch_max_vio", &seed->record.max_vio);
    }
    if (parts & DSM_CSV_LOADS) loads(out, s, &seed->record.loads);
}

/* Sizes belong to a run, whatever its seed. */
static void size_lines(dsm_buf *out, const dsm_outcome *o, const dsm_run_outcome *r)
{
    const subject s = {o, r->name, r->n > 0 ? r->seeds[0].seed : 0};
    line(out, &s, "params", NAN, r->params, NAN);
    line(out, &s, "active_params", NAN, r->active_params, NAN);
    line(out, &s, "active_params_inner", NAN, r->active_inner, NAN);
    line(out, &s, "tokens_per_active_param", NAN, r->tokens_per_active_param, NAN);
}

static void sweep_lines(dsm_buf *out, const dsm_outcome *o, const dsm_sweep *w)
{
    for (int i = 0; i < w->n; i++)
        for (int k = 0; k < w->points[i].n; k++) {
            const subject s = {o, w->run, w->points[i].seed[k]};
            line(out, &s, w->kind, w->points[i].x, w->points[i].loss[k], w->points[i].paper);
        }
}

void dsm_csv_write(dsm_buf *out, const dsm_outcome *all, int n, unsigned parts)
{
    dsm_buf_str(out, "experiment,run,seed,metric,x,value,paper\n");
    for (const dsm_outcome *o = all; o < all + n; o++) {
        for (int i = 0; i < o->n_runs; i++) {
            const dsm_run_outcome *r = &o->runs[i];
            if (parts & DSM_CSV_SUMMARY) size_lines(out, o, r);
            for (int k = 0; k < r->n; k++) {
                const subject s = {o, r->name, r->seeds[k].seed};
                seed_lines(out, &s, r, &r->seeds[k], parts);
            }
        }
        for (int i = 0; i < o->n_sweeps && parts & DSM_CSV_SUMMARY; i++)
            sweep_lines(out, o, &o->sweeps[i]);
    }
}
