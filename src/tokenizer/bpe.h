/* SPDX-License-Identifier: MIT */
/* Byte-pair merging of one word: the lowest-ranked pair first, the leftmost among equals.
 *
 * A word is an array of symbols (token ids); merging rewrites it in place. Short words are merged by
 * scanning for the least rank, long ones with a heap, so a megabyte of "aaaa…" costs n log n. */
#ifndef DSMOE_TOKENIZER_BPE_H
#define DSMOE_TOKENIZER_BPE_H

#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

/* One merge: the pair of ids, how early it was learnt, and the id it makes. */
typedef struct dsm_merge {
    uint64_t pair; /* left << 32 | right; DSM_NO_PAIR marks an empty slot */
    uint32_t rank;
    int32_t id;
} dsm_merge;
#define DSM_NO_PAIR UINT64_MAX

static inline uint64_t dsm_pair(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* The merges in two forms: by rank (as the file lists them) and by pair. A pair that is listed twice
 * counts with its later rank, as in the reference. */
typedef struct dsm_bpe {
    dsm_merge *merges; /* (n_merges), rank order */
    size_t n_merges;
    dsm_merge *slots;  /* open addressing by pair */
    uint64_t mask;
} dsm_bpe;

/* Builds the pair table; takes ownership of merges (malloc'd), also on failure. */
dsm_status dsm_bpe_init(dsm_bpe *b, dsm_merge *merges, size_t n_merges, dsm_err *err);
void dsm_bpe_free(dsm_bpe *b); /* accepts a zeroed struct */

/* Memory of merging long words, kept between words; start zeroed. */
typedef struct dsm_bpe_work {
    struct dsm_bpe_node *nodes;
    struct dsm_bpe_entry *heap;
    size_t cap; /* symbols */
} dsm_bpe_work;
void dsm_bpe_work_free(dsm_bpe_work *w);

/* Merge ids[0 … n-1] in place and set *n to what is left. Errors: DSM_ENOMEM (long words only). */
dsm_status dsm_bpe_apply(const dsm_bpe *b, dsm_bpe_work *w, int32_t *ids, size_t *n, dsm_err *err);

#endif
