/* SPDX-License-Identifier: MIT */
#include "cli/progress.h"

#include "cli/print.h"
#include "core/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CELLS = 16, DEFAULT_COLUMNS = 80 };
static const double terminal_period = 0.1, plain_period = 5.0;

static bool line_shown; /* a redrawn line stands on the terminal */

void dsm_progress_hide(void)
{
    if (line_shown) fputs("\r\033[K", stderr);
    line_shown = false;
}

/* "1.23 MB" for one-letter units; "4000 steps", "0.71 steps" for words. */
static void put_amount(char *out, size_t n, double x, const char *unit)
{
    if (unit[1] == '\0') {
        const char *count = dsm_print_count(x);
        snprintf(out, n, "%s%s%s", count, strchr(count, ' ') ? "" : " ", unit);
    } else {
        snprintf(out, n, x >= 1000 || x == floor(x) ? "%.0f %s" : "%.3g %s", x, unit);
    }
}

/* "12 s", "3:05" or "1:02:03". */
static void put_time(char *out, size_t n, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s < 60)
        snprintf(out, n, "%ld s", s);
    else if (s < 3600)
        snprintf(out, n, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(out, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static void put_bar(char *out, double share)
{
    int full = (int)(share * BAR_CELLS);
    out[0] = '[';
    for (int i = 0; i < BAR_CELLS; i++)
        out[1 + i] = i < full ? '#' : i == full ? '>' : ' ';
    memcpy(out + 1 + BAR_CELLS, "] ", 3);
}

static int columns(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) return w.ws_col;
    return DEFAULT_COLUMNS;
}

/* "1.2 MB / 3 MB  300 kB/s  0:06 left" */
static void put_figures(const dsm_progress *p, char *out, size_t n, double now)
{
    double elapsed = now - p->start, rate = elapsed > 0 ? (p->done - p->first) / elapsed : 0;
    bool known = p->total > 0, ends = known && p->done < p->total && rate > 0;
    char done[48], total[48] = "", per_second[48], left[32];
    put_amount(done, sizeof done, p->done, p->unit);
    put_amount(per_second, sizeof per_second, rate, p->unit);
    if (known) put_amount(total, sizeof total, p->total, p->unit);
    if (known && p->unit[1]) snprintf(done, sizeof done, "%.0f", p->done); /* "7 / 9 steps" */
    put_time(left, sizeof left, ends ? (p->total - p->done) / rate : elapsed);
    snprintf(out, n, "%s%s%s  %s/s  %s%s", done, known ? " / " : "", total, per_second,
             ends ? "" : "in ", left);
    if (ends) strncat(out, " left", n - strlen(out) - 1);
}

/* "title [###>   ]  42%  FIGURES  suffix" */
static void compose(const dsm_progress *p, char *line, size_t n, double now, bool with_bar,
                    const char *suffix)
{
    char bar[BAR_CELLS + 4] = "", share[8] = "", figures[224];
    if (p->total > 0) {
        double part = p->done < p->total ? p->done / p->total : 1;
        if (with_bar) put_bar(bar, part);
        snprintf(share, sizeof share, "%3d%%  ", (int)(part * 100));
    }
    put_figures(p, figures, sizeof figures, now);
    snprintf(line, n, "%s %s%s%s%s%s", p->title, bar, share, figures, suffix && *suffix ? "  " : "",
             suffix ? suffix : "");
}

static void draw(dsm_progress *p, double now, const char *suffix)
{
    char line[512];
    compose(p, line, sizeof line, now, p->terminal, suffix);
    if (p->terminal) {
        int width = columns() - 1;
        if ((int)strlen(line) > width) compose(p, line, sizeof line, now, false, suffix);
        fprintf(stderr, "\r\033[K%.*s", width, line);
        fflush(stderr);
        line_shown = true;
    } else {
        fprintf(stderr, "%s\n", line);
    }
    p->drawn = now;
}

void dsm_progress_begin(dsm_progress *p, const char *title, const char *unit, double first,
                        bool quiet)
{
    memset(p, 0, sizeof *p);
    p->title = title;
    p->unit = unit;
    p->first = p->done = first;
    p->quiet = quiet;
    p->terminal = isatty(STDERR_FILENO) == 1;
    p->start = p->drawn = dsm_clock();
}

void dsm_progress_update(dsm_progress *p, double done, double total, const char *suffix)
{
    p->done = done;
    p->total = total;
    if (p->quiet) return;
    double now = dsm_clock();
    if (now - p->drawn >= (p->terminal ? terminal_period : plain_period)) draw(p, now, suffix);
}

void dsm_progress_end(dsm_progress *p, const char *suffix)
{
    if (p->quiet || p->drawn == p->start) return; /* too short to have shown anything */
    draw(p, dsm_clock(), suffix);
    if (p->terminal) fputc('\n', stderr);
    line_shown = false;
}
