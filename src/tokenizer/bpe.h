/* SPDX-License-Identifier: MIT */
/* Byte-pair merging of one word: the lowest-ranked pair first, the leftmost among equals.
 *
 * A word is an array of symbols (token ids); merging rewrites it in place. Short words are merged
 * by scanning for the least rank, long ones with a heap, so a megabyte of "aaaa…" costs n log n. */
#ifndef DSMOE_TOKENIZER_BPE_H
#define DSMOE_TOKENIZER_BPE_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One merge: the pair of ids and the id it makes. Its rank is its place in the list of merges. */
typedef struct dsm_merge {
    uint64_t pair; /* left << 32 | right */
    int32_t id;
} dsm_merge;

static inline uint64_t dsm_pair(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

/* A slot of the pair table is 22 + 22 bits of ids and 20 bits of rank. */
enum { DSM_ID_BITS = 22, DSM_RANK_BITS = 20 };

/* The merges in two forms: by rank (as the file lists them) and by pair. A pair that is listed
 * twice counts with its later rank, as in the reference. Most pairs that are asked for do not
 * merge; the filter, small enough to stay in a near cache, answers for most of them. */
typedef struct dsm_bpe {
    dsm_merge *merges; /* (n_merges), rank order */
    int32_t *made;     /* (n_merges), their ids alone */
    size_t n_merges;
    uint64_t *slots;              /* open addressing by pair; all ones: empty */
    uint64_t *filter;             /* one bit per hash: some pair has it */
    int slot_shift, filter_shift; /* hash >> shift is the slot, the bit */
} dsm_bpe;

/* Builds the pair table; takes ownership of merges (malloc'd), also on failure. Ids are below
 * 2^DSM_ID_BITS. tied: merges in a row that make the same id share the rank of the first, so the
 * leftmost of them comes first. Errors: DSM_ELIMIT (2^DSM_RANK_BITS merges or more), DSM_ENOMEM. */
dsm_status dsm_bpe_init(dsm_bpe *b, dsm_merge *merges, size_t n_merges, bool tied, dsm_err *err);
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
