/* SPDX-License-Identifier: MIT */
/* Figures over steps, one line per run: the mean of its seeds where all of them were measured. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A line of more points than this is thinned; smoothing takes this share of its points. */
enum { MOST_POINTS = 160, SMOOTH_SHARE = 40 };
/* The first steps fall from far above: a range that shows them shows nothing else. */
#define SKIPPED_SHARE 0.1

typedef const dsm_curve *(*curve_of)(const dsm_run_record *r);

static const dsm_curve *train_of(const dsm_run_record *r)
{
    return &r->train;
}

static const dsm_curve *valid_of(const dsm_run_record *r)
{
    return &r->valid;
}

static const dsm_curve *max_vio_of(const dsm_run_record *r)
{
    return &r->max_vio;
}

/* What the drawings of an experiment have in common. */
typedef struct curves {
    const dsm_outcome *o;
    dsm_curve *line; /* (n_runs) */
} curves;

static void free_curves(curves *c)
{
    for (int i = 0; c->line && i < c->o->n_runs; i++)
        dsm_curve_free(&c->line[i]);
    free(c->line);
}

/* The mean over the seeds of a run that have the curve. */
static bool mean_of_seeds(dsm_curve *out, const dsm_run_outcome *r, curve_of get)
{
    const dsm_curve *found[64];
    size_t n = 0;
    for (int i = 0; i < r->n && n < sizeof found / sizeof *found; i++)
        if (r->seeds[i].record.dir && get(&r->seeds[i].record)->n > 0)
            found[n++] = get(&r->seeds[i].record);
    return dsm_curve_mean(out, found, n);
}

static bool prepare_line(dsm_curve *line, const dsm_run_outcome *r, curve_of get, bool smooth)
{
    dsm_curve mean = {0}, even = {0};
    bool ok = mean_of_seeds(&mean, r, get) &&
              dsm_curve_smooth(&even, &mean, smooth ? mean.n / SMOOTH_SHARE : 0) &&
              dsm_curve_thin(line, &even, MOST_POINTS);
    dsm_curve_free(&mean);
    dsm_curve_free(&even);
    return ok;
}

static bool prepare(curves *c, const dsm_outcome *o, curve_of get, bool smooth)
{
    *c = (curves){o, calloc((size_t)o->n_runs + 1, sizeof *c->line)};
    bool ok = c->line != NULL;
    for (int i = 0; ok && i < o->n_runs; i++)
        ok = prepare_line(&c->line[i], &o->runs[i], get, smooth);
    return ok;
}

/* Does any line have enough to be one? */
static bool worth_drawing(const curves *c)
{
    for (int i = 0; i < c->o->n_runs; i++)
        if (c->line[i].n > 1) return true;
    return false;
}

/* A little above the highest value after the first steps. */
static double ceiling_of(const curves *c)
{
    double last = 0, high = NAN, low = NAN;
    for (int i = 0; i < c->o->n_runs; i++)
        if (c->line[i].n > 0) last = fmax(last, c->line[i].x[c->line[i].n - 1]);
    for (int i = 0; i < c->o->n_runs; i++)
        for (size_t k = 0; k < c->line[i].n; k++) {
            if (c->line[i].x[k] < SKIPPED_SHARE * last) continue;
            high = fmax(high, c->line[i].y[k]);
            low = fmin(low, c->line[i].y[k]);
        }
    return high > low ? high + 0.04 * (high - low) : (double)NAN;
}

static void draw(dsm_page *page, const curves *c, dsm_plot *plot, dsm_mark mark)
{
    plot->x_label = "step";
    for (int i = 0; i < c->o->n_runs; i++)
        dsm_plot_add(plot, (dsm_series){.label = c->o->runs[i].label,
                                        .look = i,
                                        .mark = mark,
                                        .n = c->line[i].n,
                                        .x = c->line[i].x,
                                        .y = c->line[i].y});
    dsm_page_plot(page, plot);
}

/* --- the drawings ----------------------------------------------------------------------------- */

static void draw_losses(dsm_page *page, const dsm_outcome *o, curve_of get, const char *title,
                        bool smooth)
{
    curves c;
    dsm_plot plot;
    dsm_plot_init(&plot, title);
    if (prepare(&c, o, get, smooth) && worth_drawing(&c)) {
        plot.y_high = ceiling_of(&c);
        plot.x_low = 0;
        draw(page, &c, &plot, smooth ? DSM_MARK_LINE : DSM_MARK_LINE_POINTS);
    }
    free_curves(&c);
}

/* The run that ends lowest, -1 without one. */
static int best_of(const curves *c)
{
    int best = -1;
    for (int i = 0; i < c->o->n_runs; i++)
        if (c->line[i].n > 1 &&
            (best < 0 || dsm_curve_last(&c->line[i]) < dsm_curve_last(&c->line[best])))
            best = i;
    return best;
}

/* y becomes the distance from the best run's at the same step; NAN where that has none. */
static void subtract(dsm_curve *line, const dsm_curve *best)
{
    for (size_t i = 0, k = 0; i < line->n; i++) {
        while (k < best->n && best->x[k] < line->x[i])
            k++;
        line->y[i] =
            k < best->n && best->x[k] == line->x[i] ? line->y[i] - best->y[k] : (double)NAN;
    }
}

/* Losses differ by little of what they are: their differences show who leads when. */
static void draw_gaps(dsm_page *page, const dsm_outcome *o)
{
    curves c;
    dsm_plot plot;
    dsm_plot_init(&plot, "Validation loss above that of the run that ends best");
    int best = prepare(&c, o, valid_of, false) && o->n_runs > 1 ? best_of(&c) : -1;
    if (best >= 0) {
        for (int i = 0; i < o->n_runs; i++)
            if (i != best) subtract(&c.line[i], &c.line[best]);
        subtract(&c.line[best], &c.line[best]);
        plot.y_high = ceiling_of(&c);
        plot.x_low = 0;
        draw(page, &c, &plot, DSM_MARK_LINE_POINTS);
    }
    free_curves(&c);
}

/* Runs without experts have nothing to balance: they are left out. */
static void draw_max_vio(dsm_page *page, const dsm_outcome *o)
{
    curves c;
    dsm_plot plot;
    dsm_plot_init(&plot, "MaxVio of training batches, smoothed (log scale)");
    plot.y_log = true;
    if (prepare(&c, o, max_vio_of, true)) {
        for (int i = 0; i < o->n_runs; i++)
            for (size_t k = 0; k < c.line[i].n; k++)
                if (!(c.line[i].y[k] > 0)) c.line[i].y[k] = NAN;
        if (worth_drawing(&c)) draw(page, &c, &plot, DSM_MARK_LINE);
    }
    free_curves(&c);
}

/* Where the question is what a trained model does, its training is folded away. */
void dsm_section_curves(dsm_page *page, const dsm_outcome *o)
{
    const bool folded = o->n_sweeps > 0;
    if (o->n_runs == 0) return;
    dsm_buf_str(&page->out, folded ? "<details><summary>Over training</summary>\n"
                                   : "<h3>Over training</h3>\n");
    dsm_buf_str(&page->out, "<div class=\"pair\">\n");
    draw_losses(page, o, train_of, "Training loss, smoothed", true);
    draw_losses(page, o, valid_of, "Validation loss", false);
    draw_gaps(page, o);
    draw_max_vio(page, o);
    dsm_buf_str(&page->out, folded ? "</div>\n</details>\n" : "</div>\n");
}
