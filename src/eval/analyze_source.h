/* SPDX-License-Identifier: MIT */
/* The sources of an analysis as windows of one length, in order: prepared data as training packs
 * it, text packed the same way. Every predicted token of a source stands in one window; the end of
 * a text is padded with rows whose target is -1. */
#ifndef DSMOE_EVAL_ANALYZE_SOURCE_H
#define DSMOE_EVAL_ANALYZE_SOURCE_H

#include "dsmoe/analyze.h"
#include "dsmoe/data.h"
#include "infer/loaded.h"

typedef struct dsm_passage {
    int domain;
    dsm_loader *loader;      /* prepared data; NULL: text */
    dsm_ids ids;             /* of the text, with the token in front */
    int64_t windows, tokens; /* that are looked at; tokens that they predict */
} dsm_passage;

typedef struct dsm_passages {
    dsm_passage items[DSM_ANALYZE_SOURCES];
    const char *domains[DSM_ANALYZE_SOURCES]; /* names, borrowed */
    int n, n_domains;
    int64_t seq_len;
    int64_t windows, tokens;        /* of all */
    const dsm_tokenizer *tokenizer; /* of the model; NULL: it has none */
} dsm_passages;

/* Errors: data or text that does not fit the model, a text without tokens. */
dsm_status dsm_passages_open(dsm_passages *p, const dsm_loaded *l, const char *model,
                             const dsm_analyze_source *sources, int n, const dsm_analyze_options *o,
                             dsm_err *err);
void dsm_passages_close(dsm_passages *p); /* accepts a zeroed struct */

/* Windows first … first+n-1 of passage i: tokens, targets (n, seq_len), bytes behind the targets.
 */
dsm_status dsm_passages_read(const dsm_passages *p, int i, int64_t first, int64_t n,
                             int32_t *tokens, int32_t *targets, uint64_t *bytes, dsm_err *err);

#endif
