/* SPDX-License-Identifier: MIT */
#include "report/page.h"

#include "dsmoe/dsmoe.h"
#include "report/report_files.h"
#include "report/sections.h"

#include <time.h>

static void put_head(dsm_page *page, const char *title)
{
    dsm_buf *out = &page->out;
    dsm_buf_str(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                     "<meta name=\"generator\" content=\"dsmoe\">\n");
    dsm_html_element(out, "title", NULL, title);
    dsm_buf_str(out, "\n<style>\n");
    for (size_t i = 0; i < dsm_n_report_files; i++)
        dsm_buf_add(out, dsm_report_files[i].data, dsm_report_files[i].size);
    dsm_buf_str(out, "</style>\n</head>\n<body>\n");
}

static void put_navigation(dsm_page *page, const dsm_sources *r)
{
    dsm_buf *out = &page->out;
    if (r->n < 2) return;
    dsm_buf_str(out, "<nav aria-label=\"Experiments\"><ul>");
    for (int i = 0; i < r->n; i++) {
        dsm_buf_fmt(out, "<li><a href=\"#e%d\">", i);
        dsm_html_text(out, r->outcomes[i].name);
        dsm_buf_str(out, "</a></li>");
    }
    dsm_buf_str(out, "<li><a href=\"#loads\">loads of experts</a></li>");
    if (r->n_portraits > 0) dsm_buf_str(out, "<li><a href=\"#experts\">what experts see</a></li>");
    dsm_buf_str(out, "</ul></nav>\n");
}

/* Size, machine and date, of the first experiment: all of a root share them. */
static void put_origin(dsm_page *page, const dsm_sources *r)
{
    if (r->n == 0) return;
    const dsm_outcome *o = &r->outcomes[0];
    const char *const facts[] = {o->size, o->machine, o->created};
    const char *const names[] = {"size ", "", ""};
    const char *before = "";
    dsm_buf_str(&page->out, "<p class=\"soft\">");
    for (int i = 0; i < 3; i++) {
        if (!facts[i]) continue;
        dsm_buf_fmt(&page->out, "%s%s", before, names[i]);
        dsm_html_text(&page->out, facts[i]);
        before = " \xc2\xb7 ";
    }
    dsm_buf_str(&page->out, "</p>\n");
}

static void put_broken(dsm_page *page, const dsm_sources *r)
{
    if (r->n_broken == 0) return;
    dsm_buf_str(&page->out, "<p>Not on this page, because it could not be read:</p>\n"
                            "<ul class=\"problems\">\n");
    dsm_buf_add(&page->out, r->broken.data, r->broken.len);
    dsm_buf_str(&page->out, "</ul>\n");
}

static void put_experiment(dsm_page *page, const dsm_outcome *o, int number)
{
    dsm_buf *out = &page->out;
    dsm_buf_fmt(out, "<section id=\"e%d\">\n", number);
    if (o->file) dsm_html_element(out, "p", "kicker", o->name);
    dsm_html_element(out, "h2", NULL, o->title);
    if (o->question) dsm_html_element(out, "p", "question", o->question);
    if (o->source) dsm_html_element(out, "p", "source", o->source);
    dsm_section_claims(page, o);
    dsm_section_runs(page, o);
    dsm_section_comparison(page, o);
    dsm_section_figures(page, o);
    dsm_section_curves(page, o);
    if (!o->file) dsm_section_samples(page, o);
    dsm_section_settings(page, o);
    dsm_buf_str(out, "</section>\n");
}

static void put_foot(dsm_page *page)
{
    char date[40] = "";
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
    dsm_buf_fmt(&page->out,
                "<footer>Written by dsmoe %s (commit %s), %s.</footer>\n</body>\n</html>\n",
                dsm_version(), dsm_commit(), date);
}

void dsm_page_write(dsm_page *page, const dsm_sources *r)
{
    const char *title =
        r->n_experiments > 0 ? "The papers\xe2\x80\x99 experiments, run here" : "Training report";
    put_head(page, title);
    dsm_buf_str(&page->out, "<header>\n<p class=\"kicker\">dsmoe report</p>\n");
    dsm_html_element(&page->out, "h1", NULL, title);
    put_origin(page, r);
    put_navigation(page, r);
    dsm_buf_str(&page->out, "</header>\n<main>\n");
    put_broken(page, r);
    dsm_section_verdicts(page, r->outcomes, r->n);
    for (int i = 0; i < r->n; i++)
        put_experiment(page, &r->outcomes[i], i);
    dsm_section_loads(page, r->outcomes, r->n);
    dsm_section_portraits(page, r->portraits, r->n_portraits);
    dsm_buf_str(&page->out, "</main>\n");
    put_foot(page);
}
