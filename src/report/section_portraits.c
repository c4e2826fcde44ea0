/* SPDX-License-Identifier: MIT */
/* What the experts of analysed models see most: per layer the experts with the clearest taste
 * first, each with the tokens it prefers and a place where it had much weight. */
#include "report/sections.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_EXPERTS = 12, MOST_TOKENS = 8 };

/* How clear the taste of an expert is: the mean lift of the tokens it prefers. */
static double taste(const dsm_expert_portrait *e)
{
    double sum = 0;
    size_t n = json_array_size(e->top_tokens);
    for (size_t i = 0; i < n; i++)
        sum += json_number_value(json_object_get(json_array_get(e->top_tokens, i), "lift"));
    return n > 0 ? sum / (double)n : 0;
}

static int by_taste(const void *a, const void *b)
{
    const dsm_expert_portrait *x = a, *y = b;
    double difference = taste(y) - taste(x);
    return difference > 0   ? 1
           : difference < 0 ? -1
                            : (x->expert > y->expert) - (x->expert < y->expert);
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

/* Spaces and line ends are part of a token: they are shown. */
static const char *visible(char c)
{
    return c == ' '    ? "\xe2\x90\xa3"
           : c == '\n' ? "\xe2\x8f\x8e"
           : c == '\t' ? "\xe2\x87\xa5"
                       : NULL;
}

static void token(dsm_buf *out, const char *text)
{
    dsm_buf shown = {0};
    for (; *text; text++)
        if (visible(*text))
            dsm_buf_str(&shown, visible(*text));
        else
            dsm_buf_add(&shown, text, 1);
    dsm_html_element(out, "span", NULL, shown.data);
    if (shown.failed) out->failed = true;
    dsm_buf_free(&shown);
}

static void tokens(dsm_buf *out, const dsm_expert_portrait *e)
{
    dsm_buf_str(out, "<td class=\"tokens\">");
    for (size_t i = 0; i < json_array_size(e->top_tokens) && i < MOST_TOKENS; i++)
        token(out, text_of(json_array_get(e->top_tokens, i), "text"));
    dsm_buf_str(out, "</td>");
}

static void place(dsm_buf *out, const dsm_expert_portrait *e)
{
    const json_t *c = json_array_get(e->contexts, 0);
    dsm_buf_str(out, "<td class=\"place\">");
    dsm_html_text(out, text_of(c, "before"));
    dsm_html_element(out, "mark", NULL, text_of(c, "token"));
    dsm_html_text(out, text_of(c, "after"));
    dsm_buf_str(out, "</td>");
}

static void expert_row(dsm_buf *out, const dsm_expert_portrait *e, bool domains)
{
    dsm_buf_fmt(out, "<tr><th>%lld</th><td class=\"n\">%s</td>", (long long)e->expert,
                dsm_show_fixed(e->load, 2).text);
    if (domains) {
        dsm_buf_str(out, "<td>");
        dsm_html_text(out, e->domain);
        if (e->domain) dsm_buf_fmt(out, " \xc3\x97%s", dsm_show_fixed(e->domain_lift, 1).text);
        dsm_buf_str(out, "</td>");
    }
    tokens(out, e);
    place(out, e);
    dsm_buf_str(out, "</tr>\n");
}

static void layer_head(dsm_buf *out, const dsm_layer_portrait *l)
{
    dsm_buf_fmt(out, "<p class=\"soft\">Layer %lld: MaxVio %s, routing entropy %s nats, %lld dead",
                (long long)l->layer, dsm_show_fixed(l->max_vio, 2).text,
                dsm_show_fixed(l->routing_entropy, 2).text, (long long)l->dead);
    if (l->n > MOST_EXPERTS)
        dsm_buf_fmt(out, "; the %d of %d experts with the clearest taste", MOST_EXPERTS, l->n);
    dsm_buf_str(out, "</p>\n");
}

static void layer(dsm_buf *out, const dsm_layer_portrait *l)
{
    dsm_expert_portrait *sorted = malloc((size_t)(l->n + 1) * sizeof *sorted);
    if (!sorted) {
        out->failed = true;
        return;
    }
    bool domains = false;
    for (int i = 0; i < l->n; i++) {
        sorted[i] = l->experts[i];
        domains |= sorted[i].domain != NULL;
    }
    qsort(sorted, (size_t)l->n, sizeof *sorted, by_taste);
    layer_head(out, l);
    dsm_table_begin(out, "Experts", "experts");
    dsm_buf_fmt(out,
                "<thead><tr><th>expert</th><th class=\"n\">load</th>%s<th>tokens it prefers</th>"
                "<th>a place where it had much weight</th></tr></thead>\n<tbody>\n",
                domains ? "<th>domain</th>" : "");
    for (int i = 0; i < l->n && i < MOST_EXPERTS; i++)
        expert_row(out, &sorted[i], domains);
    dsm_buf_str(out, "</tbody>");
    dsm_table_end(out);
    free(sorted);
}

void dsm_section_portraits(dsm_page *page, const dsm_portrait *all, int n)
{
    dsm_buf *out = &page->out;
    bool begun = false;
    for (int i = 0; i < n; i++) {
        if (!dsm_portrait_speaks(&all[i])) continue;
        if (!begun)
            dsm_buf_str(out,
                        "<section id=\"experts\">\n<h2>What experts see most</h2>\n"
                        "<p>Tokens that an expert is given more often than others are, and a "
                        "place where the router was sure of it. Load 1 is an even share.</p>\n");
        dsm_buf_str(out, begun ? "<details><summary>" : "<details open><summary>");
        begun = true;
        dsm_html_text(out, all[i].name);
        dsm_buf_str(out, "</summary>\n");
        for (int l = 0; l < all[i].n; l++)
            layer(out, &all[i].layers[l]);
        dsm_buf_str(out, "</details>\n");
    }
    if (begun) dsm_buf_str(out, "</section>\n");
}
