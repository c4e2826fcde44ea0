/* SPDX-License-Identifier: MIT */
/* How often each distinct pre-token occurs: what a tokenizer is trained from. */
#ifndef DSMOE_TOKENIZER_WORD_COUNTS_H
#define DSMOE_TOKENIZER_WORD_COUNTS_H

#include "dsmoe/status.h"
#include "dsmoe/tokenizer.h"
#include "tokenizer/scan.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dsm_word {
    uint64_t hash;
    size_t offset; /* of its bytes in the pool */
    uint32_t length;
    int64_t count;
} dsm_word;

/* An open-addressing table of words. Start zeroed. */
typedef struct dsm_word_counts {
    dsm_word *words; /* (n), in order of first occurrence until sorted */
    size_t n, cap;
    uint32_t *table; /* index + 1, 0 empty */
    size_t mask;
    char *pool;
    size_t pool_len, pool_cap;
    bool failed; /* out of memory: later additions do nothing */
} dsm_word_counts;

void dsm_word_counts_add(dsm_word_counts *c, const void *word, size_t n, uint64_t hash,
                         int64_t count);
void dsm_word_counts_free(dsm_word_counts *c);

/* Count the pre-tokens of a stream of documents on o->n_threads threads. The words come sorted by
 * hash, so their order does not depend on threads. */
dsm_status dsm_word_counts_collect(dsm_word_counts *c, const dsm_tokenizer_train_options *o,
                                   dsm_scan_fn scan, dsm_document_fn next, void *arg, dsm_err *err);

#endif
