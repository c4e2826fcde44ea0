/* SPDX-License-Identifier: MIT */
/* Drawings as gnuplot scripts; see plot.h. Data stand in the script itself. Sizes are chosen so
 * that letters are readable when the drawing is scaled to a phone's width. */
#include "report/plot.h"

#include "core/log.h"
#include "report/gnuplot.h"
#include "report/markup.h"
#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_S 60.0

enum { WIDTH = 420, HEIGHT = 270, ROW_HEIGHT = 24, ROWS_FRAME = 62, MAX_NAME = 31 };
enum { LETTER_WIDTH = 7, NUMBER_WIDTH = 55 }; /* of labels, generously */
enum { MAP_HEIGHT = 112, MAP_FRAME = 50 };
enum { GRID_COLOUR = 0, FIRST_COLOUR = 1 };

static const char *const dashes[DSM_N_DASHES] = {"solid", "(10,5)", "(3,3)"};
static const char *const css_dashes[DSM_N_DASHES] = {"", "8,4", "2.5,2.5"};

static int colour_of(int look)
{
    return FIRST_COLOUR + look % DSM_N_COLOURS;
}

static int dash_of(int look)
{
    return look / DSM_N_COLOURS % DSM_N_DASHES;
}

/* --- on the page ------------------------------------------------------------------------------ */

static void say_missing(dsm_page *page, const char *why)
{
    dsm_buf_str(&page->out, "<p class=\"missing\">No plot here: ");
    dsm_html_text(&page->out, why);
    dsm_buf_str(&page->out, ".</p>\n");
}

static void put_drawing(dsm_page *page, const dsm_buf *raw, const char *label)
{
    dsm_buf shared = {0}, drawing = {0};
    dsm_err err = {0};
    if (dsm_svg_dress(&drawing, raw, label, &shared, &err) != DSM_OK) {
        page->n_failed++;
        dsm_log_write(DSM_LOG_WARN, "%s: %s", label, err.msg);
        say_missing(page, err.msg);
    } else {
        page->n_plots++;
        if (!page->has_markers) {
            dsm_buf_str(&page->out, "<svg class=\"shared\" aria-hidden=\"true\">");
            dsm_buf_add(&page->out, shared.data, shared.len);
            dsm_buf_str(&page->out, "</svg>\n");
            page->has_markers = true;
        }
        dsm_buf_add(&page->out, drawing.data, drawing.len);
    }
    dsm_buf_free(&shared);
    dsm_buf_free(&drawing);
}

/* Without the program no other drawing is tried. */
static void note_missing(dsm_page *page, const dsm_err *err)
{
    page->gnuplot = NULL;
    snprintf(page->why, sizeof page->why, "gnuplot was not found when this page was made");
    dsm_log_write(DSM_LOG_WARN, "%s; the page has tables and no plots (install gnuplot)", err->msg);
}

static void draw(dsm_page *page, const dsm_buf *script, const char *label)
{
    dsm_buf raw = {0};
    dsm_err err = {0};
    dsm_status status = page->gnuplot
                            ? dsm_gnuplot_run(&raw, page->gnuplot, script, TIMEOUT_S, &err)
                            : DSM_ENOTFOUND;
    if (status == DSM_ENOTFOUND) {
        if (page->gnuplot) note_missing(page, &err);
        say_missing(page, page->why);
        page->n_failed++;
    } else if (status != DSM_OK) {
        dsm_log_write(DSM_LOG_WARN, "%s: %s", label, err.msg);
        say_missing(page, err.msg);
        page->n_failed++;
    } else {
        put_drawing(page, &raw, label);
    }
    dsm_buf_free(&raw);
}

static void legend_sign(dsm_buf *out, const dsm_series *s)
{
    dsm_buf_str(out, "<svg class=\"sign\" viewBox=\"0 0 24 10\" aria-hidden=\"true\">");
    if (s->mark == DSM_MARK_LINE || s->mark == DSM_MARK_LINE_POINTS || s->mark == DSM_MARK_RULE)
        dsm_buf_fmt(out,
                    "<path d=\"M1,5h22\" stroke=\"var(--c%d)\" stroke-width=\"2\" "
                    "stroke-dasharray=\"%s\"/>",
                    colour_of(s->look),
                    s->mark == DSM_MARK_RULE ? "5,3" : css_dashes[dash_of(s->look)]);
    if (s->mark == DSM_MARK_POINTS || s->mark == DSM_MARK_LINE_POINTS)
        dsm_buf_fmt(out, "<circle cx=\"12\" cy=\"5\" r=\"3.6\" fill=\"var(--c%d)\"/>",
                    colour_of(s->look));
    dsm_buf_str(out, "</svg>");
}

static void legend(dsm_buf *out, const dsm_plot *p)
{
    int named = 0;
    for (int i = 0; i < p->n; i++)
        named += p->series[i].label != NULL;
    if (named == 0) return;
    dsm_buf_str(out, "<ul class=\"legend\">");
    for (int i = 0; i < p->n; i++) {
        if (!p->series[i].label) continue;
        dsm_buf_str(out, "<li>");
        legend_sign(out, &p->series[i]);
        dsm_html_text(out, p->series[i].label);
        dsm_buf_str(out, "</li>");
    }
    dsm_buf_str(out, "</ul>\n");
}

/* --- the script ------------------------------------------------------------------------------- */

static void begin_script(dsm_buf *s, int height)
{
    dsm_buf_fmt(s,
                "set encoding utf8\n"
                "set terminal svg size %d,%d dynamic font 'sans,12' noenhanced\n"
                "set border 3 lw 0.8\nset tics nomirror scale 0.5\nset key off\n"
                "set grid ytics lt 1 lw 0.6 lc rgb '" DSM_SVG_COLOUR "' dt solid\n"
                "set lmargin 7.5\nset rmargin 2.5\nset tmargin 0.8\n",
                WIDTH, height, GRID_COLOUR);
}

static void set_range(dsm_buf *s, char axis, double low, double high)
{
    dsm_buf_fmt(s, "set %crange [", axis);
    if (!isnan(low)) dsm_buf_fmt(s, "%.10g", low);
    dsm_buf_str(s, ":");
    if (!isnan(high)) dsm_buf_fmt(s, "%.10g", high);
    dsm_buf_str(s, "]\n");
}

static void set_label(dsm_buf *s, const char *what, const char *text)
{
    if (!text) return;
    dsm_buf_fmt(s, "set %s ", what);
    dsm_gnuplot_string(s, text);
    dsm_buf_str(s, "\n");
}

/* A name that leaves room for the data: the end of a long one is cut at a whole letter. */
static void row_name(dsm_buf *s, const char *name)
{
    char cut[MAX_NAME + 8];
    snprintf(cut, sizeof cut, "%s", name);
    if (strlen(name) > MAX_NAME) {
        size_t n = MAX_NAME - 1;
        while (n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80)
            n--;
        snprintf(cut + n, sizeof cut - n, "\xe2\x80\xa6");
    }
    dsm_gnuplot_string(s, cut);
}

/* The least and the largest x with its bar. */
static void range_of(const dsm_plot *p, double *low, double *high)
{
    *low = INFINITY, *high = -INFINITY;
    for (int i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->series[i].n; k++) {
            const dsm_series *d = &p->series[i];
            if (d->mark == DSM_MARK_RULE || !isfinite(d->x[k]) || !isfinite(d->y[k])) continue;
            bool along_x = p->row_names && d->spread && isfinite(d->spread[k]);
            double spread = along_x ? d->spread[k] : 0;
            *low = fmin(*low, d->x[k] - spread);
            *high = fmax(*high, d->x[k] + spread);
        }
}

/* 1, 2 or 5 times a power of ten, at least x. */
static double round_step(double x)
{
    double power = pow(10, floor(log10(x))), digit = x / power;
    return power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
}

/* Letters of the longest name, as it is shown. */
static int longest_name(const dsm_plot *p)
{
    int longest = 0;
    for (int i = 0; i < p->n_rows; i++) {
        int letters = 0;
        for (const char *c = p->row_names[i]; *c; c++)
            letters += ((unsigned char)*c & 0xC0) != 0x80;
        if (letters > longest) longest = letters;
    }
    return longest < MAX_NAME ? longest : MAX_NAME;
}

/* Names take room at the left, so there are fewer numbers below than gnuplot would set. */
static void set_row_range(dsm_buf *s, const dsm_plot *p)
{
    double low, high;
    range_of(p, &low, &high);
    double room = high > low ? 0.06 * (high - low) : 0.01 * fabs(high) + 1e-9;
    int margin = longest_name(p) * LETTER_WIDTH + 16;
    int numbers = (WIDTH - margin) / NUMBER_WIDTH;
    set_range(s, 'x', low - room, high + room);
    dsm_buf_fmt(s, "set lmargin at screen %.4f\nset xtics %.10g\n", (double)margin / WIDTH,
                round_step((high - low + 2 * room) / numbers));
}

/* Counts have marks at whole numbers alone, unless there are too many. */
static void set_whole_range(dsm_buf *s, const dsm_plot *p)
{
    double low, high;
    range_of(p, &low, &high);
    set_range(s, 'x', low - 0.3, high + 0.3);
    dsm_buf_fmt(s, "set xtics %.10g\n", fmax(1, round_step((high - low + 1) / 8)));
}

static void set_rows(dsm_buf *s, const dsm_plot *p)
{
    set_row_range(s, p);
    dsm_buf_fmt(s, "set yrange [%d.5:-0.5]\nset border 1\nset ytics scale 0 (", p->n_rows - 1);
    for (int i = 0; i < p->n_rows; i++) {
        if (i > 0) dsm_buf_str(s, ", ");
        row_name(s, p->row_names[i]);
        dsm_buf_fmt(s, " %d", i);
    }
    dsm_buf_str(s, ")\n");
}

static void set_axes(dsm_buf *s, const dsm_plot *p)
{
    set_label(s, "xlabel", p->x_label);
    set_label(s, "ylabel", p->y_label);
    if (p->row_names) {
        set_rows(s, p);
        return;
    }
    set_range(s, 'x', p->x_low, p->x_high);
    set_range(s, 'y', p->y_low, p->y_high);
    if (p->y_log) dsm_buf_str(s, "set logscale y\nset format y '%g'\n");
    if (p->whole_x) set_whole_range(s, p);
    if (p->fractions)
        dsm_buf_str(s,
                    "set xtics ('0' 0, '1/16' 1./16, '2/16' 2./16, '3/16' 3./16, '4/16' 4./16)\n");
}

static void data_block(dsm_buf *s, int name, const dsm_series *d)
{
    dsm_buf_fmt(s, "$d%d << EOD\n", name);
    for (size_t i = 0; i < d->n; i++) {
        if (!isfinite(d->x[i]) || !isfinite(d->y[i])) continue;
        double spread = d->spread && isfinite(d->spread[i]) ? d->spread[i] : 0;
        dsm_buf_fmt(s, "%.8g %.8g %.8g\n", d->x[i], d->y[i], spread);
    }
    dsm_buf_str(s, "EOD\n");
}

static bool has_points(const dsm_series *d)
{
    for (size_t i = 0; i < d->n; i++)
        if (isfinite(d->x[i]) && isfinite(d->y[i])) return true;
    return false;
}

/* One series may be several plots: its bars, its line, its points. */
static void plot_series(dsm_buf *s, int name, const dsm_plot *p, const dsm_series *d)
{
    const char *bars = p->row_names ? "xerrorbars" : "yerrorbars";
    int colour = colour_of(d->look);
    if (d->mark == DSM_MARK_RULE) {
        dsm_buf_fmt(s, ", %.10g with lines lw 1.6 dt (6,4) lc rgb '" DSM_SVG_COLOUR "'", d->y[0],
                    colour);
        return;
    }
    if (d->spread)
        dsm_buf_fmt(s, ", $d%d using 1:2:3 with %s pt 7 ps 0 lw 1.3 lc rgb '" DSM_SVG_COLOUR "'",
                    name, bars, colour);
    if (d->mark != DSM_MARK_POINTS)
        dsm_buf_fmt(s, ", $d%d with lines lw 1.8 dt %s lc rgb '" DSM_SVG_COLOUR "'", name,
                    dashes[dash_of(d->look)], colour);
    if (d->mark != DSM_MARK_LINE)
        dsm_buf_fmt(s, ", $d%d with points pt 7 ps 0.75 lc rgb '" DSM_SVG_COLOUR "'", name, colour);
}

/* Series without a point are left out: gnuplot takes an empty block for a mistake. */
static void write_script(dsm_buf *s, const dsm_plot *p)
{
    dsm_buf commands = {0};
    begin_script(s, p->row_names ? ROWS_FRAME + ROW_HEIGHT * p->n_rows : HEIGHT);
    dsm_buf_str(s, "set errorbars 0\n");
    set_axes(s, p);
    for (int i = 0; i < p->n; i++) {
        if (!has_points(&p->series[i])) continue;
        data_block(s, i, &p->series[i]);
        plot_series(&commands, i, p, &p->series[i]);
    }
    dsm_buf_str(s, "plot ");
    dsm_buf_add(s, commands.data + 1, commands.len - 1); /* without the first comma */
    dsm_buf_str(s, "\n");
    if (commands.failed) s->failed = true;
    dsm_buf_free(&commands);
}

/* --- plots ------------------------------------------------------------------------------------ */

void dsm_plot_init(dsm_plot *p, const char *title)
{
    memset(p, 0, sizeof *p);
    p->title = title;
    p->x_low = p->x_high = p->y_low = p->y_high = NAN;
}

void dsm_plot_add(dsm_plot *p, dsm_series s)
{
    if (p->n < DSM_MAX_SERIES && s.n > 0 && has_points(&s)) p->series[p->n++] = s;
}

void dsm_page_plot(dsm_page *page, const dsm_plot *p)
{
    if (p->n == 0) return;
    dsm_buf script = {0};
    dsm_buf_str(&page->out, "<figure>\n");
    dsm_html_element(&page->out, "figcaption", NULL, p->title);
    legend(&page->out, p);
    write_script(&script, p);
    draw(page, &script, p->title);
    dsm_buf_str(&page->out, "</figure>\n");
    dsm_buf_free(&script);
}

/* --- maps of loads ---------------------------------------------------------------------------- */

/* Cividis: readable in grey and with every kind of colour vision; an even share is its middle. The
 * legend's stops are the same. */
#define PALETTE     "defined (0 '#00224e', 1 '#414d6b', 2 '#7d7c78', 3 '#bcaf6f', 4 '#fee838')"
#define CSS_PALETTE "#00224e,#414d6b,#7d7c78,#bcaf6f,#fee838"

/* Loads as powers of two: a quarter of an even share and less to four times and more. */
static double map_value(double share)
{
    double v = share > 0 ? log2(share) : -2;
    return v < -2 ? -2 : v > 2 ? 2 : v;
}

static void map_block(dsm_buf *s, const dsm_load_map *m, int64_t layer)
{
    dsm_buf_fmt(s, "$l%lld << EOD\n", (long long)layer);
    for (int64_t e = 0; e < m->E; e++) {
        for (int64_t c = 0; c < m->columns; c++) {
            double share = m->share[(layer * m->E + e) * m->columns + c];
            if (isnan(share))
                dsm_buf_str(s, "NaN ");
            else
                dsm_buf_fmt(s, "%.3g ", map_value(share));
        }
        dsm_buf_str(s, "\n");
    }
    dsm_buf_str(s, "EOD\n");
}

/* Pixels from the top; gnuplot's margins count from the bottom. */
static void map_panel(dsm_buf *s, const dsm_load_map *m, int64_t l, int height)
{
    const double top = (double)(height - 6 - l * MAP_HEIGHT) / height;
    const double bottom = (double)(height - (l + 1) * MAP_HEIGHT + 8) / height;
    const double scale =
        m->columns > 1 ? (double)(m->last_step - m->first_step) / (double)(m->columns - 1) : 1;
    bool last = l == m->n_layers - 1;
    dsm_buf_fmt(s, "set tmargin at screen %.5f\nset bmargin at screen %.5f\n", top, bottom);
    dsm_buf_fmt(s, "set ylabel 'layer %lld'\nset yrange [-0.5:%lld.5]\nset ytics (0, %lld)\n",
                (long long)m->layer[l], (long long)m->E - 1, (long long)m->E - 1);
    dsm_buf_fmt(s, "%s\n",
                last ? "set format x '%.0f'\nset xlabel 'step'" : "set format x ''\nunset xlabel");
    dsm_buf_fmt(s, "set xrange [%.8g:%.8g]\n", (double)m->first_step - scale / 2,
                (double)m->first_step + ((double)m->columns - 0.5) * scale);
    dsm_buf_fmt(s, "plot $l%lld matrix using (%.8g+$1*%.8g):2:3 with image\n", (long long)l,
                (double)m->first_step, scale);
}

void dsm_page_loads(dsm_page *page, const char *title, const dsm_load_map *m)
{
    if (m->n_layers == 0) return;
    dsm_buf script = {0};
    int height = MAP_FRAME + MAP_HEIGHT * (int)m->n_layers;
    begin_script(&script, height);
    dsm_buf_str(&script, "unset grid\nset palette maxcolors 64 " PALETTE "\nset cbrange [-2:2]\n"
                         "unset colorbox\nset tics out\n");
    for (int64_t l = 0; l < m->n_layers; l++)
        map_block(&script, m, l);
    dsm_buf_str(&script, "set multiplot\n");
    for (int64_t l = 0; l < m->n_layers; l++)
        map_panel(&script, m, l, height);
    dsm_buf_str(&script, "unset multiplot\n");
    dsm_buf_str(&page->out, "<figure class=\"map\">\n");
    dsm_html_element(&page->out, "figcaption", NULL, title);
    draw(page, &script, title);
    dsm_buf_str(&page->out, "</figure>\n");
    dsm_buf_free(&script);
}

void dsm_page_load_legend(dsm_page *page)
{
    dsm_buf_str(&page->out,
                "<p class=\"scale\"><span>\xc2\xbc and less</span><i style=\"background:"
                "linear-gradient(90deg," CSS_PALETTE ")\"></i><span>4 times an even share and "
                "more; grey is even</span></p>\n");
}
