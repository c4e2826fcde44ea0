/* SPDX-License-Identifier: MIT */
#include "core/nearest.h"

#include <string.h>

enum { LONGEST = 64 };

/* Levenshtein distance, one row of the table at a time. */
static size_t edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
            size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = substitute < other ? substitute : other;
        }
    }
    return row[nb];
}

const char *dsm_nearest(const char *name, const void *table, size_t n, size_t stride)
{
    size_t len = strlen(name), best = len / 3 + 2;
    const char *nearest = NULL;
    if (len == 0 || len > LONGEST) return NULL;
    for (size_t i = 0; i < n; i++) {
        const char *candidate;
        memcpy(&candidate, (const char *)table + i * stride, sizeof candidate);
        if (!candidate || strlen(candidate) > LONGEST) continue;
        size_t d = edit_distance(name, len, candidate, strlen(candidate));
        if (d < best) {
            best = d;
            nearest = candidate;
        }
    }
    return nearest;
}
