/* SPDX-License-Identifier: MIT */
/* Claims and what became of them: one table over everything, and a list in each experiment. */
#include "report/sections.h"

#include <string.h>

/* Verdicts differ by sign and word, not by colour alone. The last row is for unknown ones. */
static const dsm_verdict_look looks[] = {
    {"holds", "holds", "\xe2\x9c\x93"},
    {"does not hold at this scale", "fails", "\xe2\x9c\x97"},
    {"within noise", "noise", "\xe2\x89\x88"},
    {"not run", "open", "\xe2\x97\x8b"},
    {"", "open", "?"},
};
enum { N_LOOKS = sizeof looks / sizeof *looks };

const dsm_verdict_look *dsm_verdict_look_of(const char *verdict)
{
    int i = 0;
    while (i < N_LOOKS - 1 && strcmp(looks[i].verdict, verdict) != 0)
        i++;
    return &looks[i];
}

static void badge(dsm_buf *out, const char *verdict)
{
    const dsm_verdict_look *look = dsm_verdict_look_of(verdict);
    dsm_buf_fmt(out, "<span class=\"badge %s\"><b aria-hidden=\"true\">%s</b> ", look->class_name,
                look->sign);
    dsm_html_text(out, verdict);
    dsm_buf_str(out, "</span>");
}

/* --- the table over everything ---------------------------------------------------------------- */

static void tally(dsm_buf *out, const dsm_outcome *all, int n)
{
    int counts[N_LOOKS] = {0}, total = 0;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < all[i].n_claims; c++, total++)
            counts[dsm_verdict_look_of(all[i].claims[c].verdict) - looks]++;
    dsm_buf_fmt(out, "<p class=\"tally\"><span><b>%d</b> claims</span>", total);
    for (int i = 0; i < N_LOOKS - 1; i++)
        if (counts[i])
            dsm_buf_fmt(out, "<span class=\"%s\"><b>%d</b> %s %s</span>", looks[i].class_name,
                        counts[i], looks[i].sign, looks[i].verdict);
    dsm_buf_str(out, "</p>\n");
}

static void claim_row(dsm_buf *out, const dsm_outcome *o, int experiment, const dsm_claim *c)
{
    dsm_buf_fmt(out, "<tr><td><a href=\"#e%d\">", experiment);
    dsm_html_text(out, o->name);
    dsm_buf_str(out, "</a></td><td>");
    badge(out, c->verdict);
    dsm_buf_str(out, "</td>");
    dsm_html_element(out, "td", "wide", c->text);
    dsm_html_element(out, "td", "figures", c->figures);
    dsm_buf_str(out, "</tr>\n");
}

void dsm_section_verdicts(dsm_page *page, const dsm_outcome *all, int n)
{
    dsm_buf *out = &page->out;
    int total = 0;
    for (int i = 0; i < n; i++)
        total += all[i].n_claims;
    if (total == 0) return;
    dsm_buf_str(out, "<section id=\"verdicts\">\n<h2>What holds</h2>\n");
    tally(out, all, n);
    dsm_table_begin(out, "Verdicts", "stack");
    dsm_buf_str(out, "<thead><tr><th>experiment</th><th>verdict</th><th>the papers' claim</th>"
                     "<th>found here</th></tr></thead>\n<tbody>\n");
    for (int i = 0; i < n; i++)
        for (int c = 0; c < all[i].n_claims; c++)
            claim_row(out, &all[i], i, &all[i].claims[c]);
    dsm_buf_str(out, "</tbody>");
    dsm_table_end(out);
    dsm_buf_str(out, "</section>\n");
}

/* --- in an experiment ------------------------------------------------------------------------- */

void dsm_section_claims(dsm_page *page, const dsm_outcome *o)
{
    dsm_buf *out = &page->out;
    if (o->n_claims == 0) return;
    dsm_buf_str(out, "<ul class=\"claims\">\n");
    for (int i = 0; i < o->n_claims; i++) {
        const dsm_claim *c = &o->claims[i];
        dsm_buf_str(out, "<li>");
        badge(out, c->verdict);
        dsm_html_element(out, "p", NULL, c->text);
        if (c->figures) dsm_html_element(out, "p", "figures", c->figures);
        dsm_buf_str(out, "</li>\n");
    }
    dsm_buf_str(out, "</ul>\n");
}
