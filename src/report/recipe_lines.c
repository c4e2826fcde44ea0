/* SPDX-License-Identifier: MIT */
#include "report/recipe_lines.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 4, INDENT = 2 };

/* The groups that the line at hand stands in: names[0] … names[depth - 1]. */
typedef struct groups {
    char names[MAX_DEPTH][32];
} groups;

static void add_line(dsm_recipe_lines *r, const groups *g, int depth, const char *key,
                     const char *value)
{
    if (r->n == DSM_MAX_RECIPE_LINES) return;
    dsm_recipe_line *l = &r->line[r->n++];
    size_t n = 0;
    for (int i = 0; i < depth && n < sizeof l->key; i++)
        n += (size_t)snprintf(l->key + n, sizeof l->key - n, "%s.", g->names[i]);
    if (n < sizeof l->key) snprintf(l->key + n, sizeof l->key - n, "%s", key);
    snprintf(l->value, sizeof l->value, "%.159s", value);
}

/* One line without its end: a comment, a group or a key with its value. */
static void take_line(dsm_recipe_lines *r, groups *g, const char *text, size_t n)
{
    char line[512], *key, *colon;
    snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), text);
    size_t indent = strspn(line, " ");
    int depth = (int)indent / INDENT;
    key = line + indent;
    colon = strchr(key, ':');
    if (*key == '#' || !colon || depth >= MAX_DEPTH) return;
    *colon = '\0';
    const char *value = colon + 1 + strspn(colon + 1, " ");
    if (*value)
        add_line(r, g, depth, key, value);
    else
        snprintf(g->names[depth], sizeof g->names[depth], "%.31s", key);
}

void dsm_recipe_lines_read(dsm_recipe_lines *r, const char *text)
{
    groups g = {0};
    r->n = 0;
    while (text && *text) {
        size_t n = strcspn(text, "\n");
        take_line(r, &g, text, n);
        text += n + (text[n] == '\n');
    }
}

const char *dsm_recipe_lines_find(const dsm_recipe_lines *r, const char *key)
{
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->line[i].key, key) == 0) return r->line[i].value;
    return NULL;
}
