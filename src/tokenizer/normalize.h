/* SPDX-License-Identifier: MIT */
/* The normalizer of a tokenizer.json: a chain of text rewrites before anything is cut.
 *
 * NFC, NFD, NFKC, NFKD (utf8proc), Lowercase, Prepend, Replace, Strip and Sequence of these. Bytes
 * that are not valid UTF-8 pass through untouched. */
#ifndef DSMOE_TOKENIZER_NORMALIZE_H
#define DSMOE_TOKENIZER_NORMALIZE_H

#include "core/buf.h"
#include "dsmoe/status.h"
#include "tokenizer/regex.h"

#include <jansson.h>
#include <stddef.h>

typedef struct dsm_normalizer {
    struct dsm_rewrite *steps;
    size_t n_steps; /* 0: text stays as it is */
} dsm_normalizer;

/* Read the "normalizer" value (may be JSON null). Errors: DSM_EFORMAT naming the construct. */
dsm_status dsm_normalizer_read(dsm_normalizer *z, const json_t *json, const char *what,
                               dsm_err *err);
void dsm_normalizer_free(dsm_normalizer *z); /* accepts a zeroed struct */

/* Memory of one thread; start zeroed. After dsm_normalizer_run the result is in `text`. */
typedef struct dsm_normalizer_work {
    dsm_buf text, spare;
    dsm_regex_work *regex;
} dsm_normalizer_work;
void dsm_normalizer_work_free(dsm_normalizer_work *w);

dsm_status dsm_normalizer_run(const dsm_normalizer *z, dsm_normalizer_work *w, const char *text,
                              size_t n, dsm_err *err);

#endif
