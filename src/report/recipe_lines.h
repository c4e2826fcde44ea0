/* SPDX-License-Identifier: MIT */
/* A resolved recipe as a list of keys with their values, to be compared with another's. It reads
 * the YAML that training writes (one key a line, groups indented), not YAML. */
#ifndef DSMOE_REPORT_RECIPE_LINES_H
#define DSMOE_REPORT_RECIPE_LINES_H

#include <stdbool.h>

enum { DSM_MAX_RECIPE_LINES = 256 };

typedef struct dsm_recipe_line {
    char key[96];    /* "optimizer.peak_lr" */
    char value[160]; /* as written, a long one cut */
} dsm_recipe_line;

typedef struct dsm_recipe_lines {
    int n;
    dsm_recipe_line line[DSM_MAX_RECIPE_LINES];
} dsm_recipe_lines;

void dsm_recipe_lines_read(dsm_recipe_lines *r, const char *text);
/* The value of a key, NULL without it. */
const char *dsm_recipe_lines_find(const dsm_recipe_lines *r, const char *key);

#endif
