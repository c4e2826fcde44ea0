/* SPDX-License-Identifier: MIT */
/* What the runs of an experiment were told: the settings in which they differ, and each whole. */
#include "report/recipe_lines.h"
#include "report/sections.h"

#include <stdlib.h>
#include <string.h>

/* Recipes of the runs that have one, by their first seed. */
typedef struct recipes {
    int n;
    const dsm_run_outcome **run; /* (n) */
    const char **text;           /* (n) */
    dsm_recipe_lines *lines;     /* (n) */
} recipes;

static void free_recipes(recipes *r)
{
    free(r->run);
    free(r->text);
    free(r->lines);
}

static bool collect(recipes *r, const dsm_outcome *o)
{
    size_t n = (size_t)o->n_runs + 1;
    *r = (recipes){0, calloc(n, sizeof *r->run), calloc(n, sizeof *r->text),
                   calloc(n, sizeof *r->lines)};
    if (!r->run || !r->text || !r->lines) return false;
    for (int i = 0; i < o->n_runs; i++) {
        const dsm_seed_outcome *s = dsm_run_first(&o->runs[i]);
        if (!s || !s->record.recipe) continue;
        r->run[r->n] = &o->runs[i];
        r->text[r->n] = s->record.recipe;
        dsm_recipe_lines_read(&r->lines[r->n++], s->record.recipe);
    }
    return true;
}

/* --- differences ------------------------------------------------------------------------------ */

/* Do the recipes disagree on a key? */
static bool differs(const recipes *r, const char *key)
{
    const char *first = dsm_recipe_lines_find(&r->lines[0], key);
    for (int i = 1; i < r->n; i++) {
        const char *other = dsm_recipe_lines_find(&r->lines[i], key);
        if (!first != !other || (first && strcmp(first, other) != 0)) return true;
    }
    return false;
}

/* The run's folder is always another; an experiment copies the model's shape beside each recipe. */
static bool is_place(const dsm_outcome *o, const char *key)
{
    return strcmp(key, "run") == 0 || (o->file && strcmp(key, "model") == 0);
}

static bool seen_before(const recipes *r, int recipe, const char *key)
{
    for (int i = 0; i < recipe; i++)
        if (dsm_recipe_lines_find(&r->lines[i], key)) return true;
    return false;
}

static void differences_head(dsm_buf *out, const recipes *r)
{
    dsm_table_begin(out, "Settings that differ", NULL);
    dsm_buf_str(out, "<thead><tr><th>setting</th>");
    for (int i = 0; i < r->n; i++)
        dsm_html_element(out, "th", NULL, r->run[i]->label);
    dsm_buf_str(out, "</tr></thead>\n<tbody>\n");
}

static void differences_row(dsm_buf *out, const recipes *r, const char *key)
{
    dsm_buf_str(out, "<tr>");
    dsm_html_element(out, "th", NULL, key);
    for (int i = 0; i < r->n; i++)
        dsm_html_element(out, "td", NULL, dsm_recipe_lines_find(&r->lines[i], key));
    dsm_buf_str(out, "</tr>\n");
}

static void differences(dsm_buf *out, const recipes *r, const dsm_outcome *o)
{
    bool begun = false;
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < r->lines[i].n; k++) {
            const char *key = r->lines[i].line[k].key;
            if (is_place(o, key) || !differs(r, key) || seen_before(r, i, key)) continue;
            if (!begun) differences_head(out, r);
            begun = true;
            differences_row(out, r, key);
        }
    if (!begun) return;
    dsm_buf_str(out, "</tbody>");
    dsm_table_end(out);
}

/* --- the section ------------------------------------------------------------------------------ */

void dsm_section_recipes(dsm_page *page, const dsm_outcome *o)
{
    dsm_buf *out = &page->out;
    recipes r;
    if (!collect(&r, o)) out->failed = true;
    if (!out->failed && r.n > 1) differences(out, &r, o);
    for (int i = 0; i < r.n && !out->failed; i++) {
        dsm_buf_str(out, "<details><summary>recipe of ");
        dsm_html_text(out, r.run[i]->label);
        dsm_buf_str(out, "</summary>");
        dsm_html_pre(out, r.text[i]);
        dsm_buf_str(out, "</details>\n");
    }
    free_recipes(&r);
}
