/* SPDX-License-Identifier: MIT */
/* An analysis for people and for programs. */
#ifndef DSMOE_CLI_ANALYZE_PRINT_H
#define DSMOE_CLI_ANALYZE_PRINT_H

#include "core/buf.h"
#include "dsmoe/analyze.h"

#include <jansson.h>

typedef struct dsm_analyze_view {
    const char *model;
    const dsm_analyze_source *sources; /* (n_sources) */
    int n_sources;
    bool experts;   /* portraits were asked for */
    int64_t layer;  /* whose experts are listed; -1: the last */
    int64_t expert; /* that is told in full; -1: all of the layer, a line each */
} dsm_analyze_view;

/* Tables on stdout. */
void dsm_analyze_print(const dsm_analysis *a, const dsm_analyze_view *v);

/* One object with all of it. */
json_t *dsm_analyze_json(const dsm_analysis *a, const dsm_analyze_view *v);

/* Append what ids decode to; "<7>" for an id nobody can read. */
void dsm_analyze_text(dsm_buf *out, const dsm_analysis *a, const int32_t *ids, int n);

#endif
