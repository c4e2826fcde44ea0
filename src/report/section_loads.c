/* SPDX-License-Identifier: MIT */
/* Which experts got how much, over training: one picture per run and layer. */
#include "report/sections.h"

#include <stdio.h>
#include <string.h>

/* Was the run directory shown before place (i, k)? Experiments share runs. */
static bool shown_before(const dsm_outcome *all, int i, int k, const char *dir)
{
    for (int a = 0; a <= i; a++)
        for (int b = 0; b < (a < i ? all[a].n_runs : k); b++) {
            const dsm_seed_outcome *s = dsm_run_first(&all[a].runs[b]);
            if (s && strcmp(s->record.dir, dir) == 0) return true;
        }
    return false;
}

static const dsm_seed_outcome *to_show(const dsm_outcome *all, int i, int k)
{
    const dsm_seed_outcome *s = dsm_run_first(&all[i].runs[k]);
    if (!s || s->record.loads.n_layers == 0) return NULL;
    return shown_before(all, i, k, s->record.dir) ? NULL : s;
}

static void show(dsm_page *page, const dsm_run_outcome *r, const dsm_seed_outcome *s)
{
    char title[160];
    if (s->seed > 0)
        snprintf(title, sizeof title, "%.120s, seed %lld", r->label, (long long)s->seed);
    else
        snprintf(title, sizeof title, "%.150s", r->label);
    dsm_page_loads(page, title, &s->record.loads);
}

void dsm_section_loads(dsm_page *page, const dsm_outcome *all, int n)
{
    bool begun = false;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < all[i].n_runs; k++) {
            const dsm_seed_outcome *s = to_show(all, i, k);
            if (!s) continue;
            if (!begun) {
                dsm_buf_str(
                    &page->out,
                    "<section id=\"loads\">\n<h2>Loads of experts over training</h2>\n"
                    "<p>Each row of a picture is a routed expert, each column a stretch of "
                    "training; the colour is the expert\xe2\x80\x99s share of the tokens.</p>\n");
                dsm_page_load_legend(page);
                dsm_buf_str(&page->out, "<div class=\"maps\">\n");
            }
            begun = true;
            show(page, &all[i].runs[k], s);
        }
    if (begun) dsm_buf_str(&page->out, "</div>\n</section>\n");
}
