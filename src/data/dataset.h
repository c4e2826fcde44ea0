/* SPDX-License-Identifier: MIT */
/* A prepared data set: a folder of shards, data.json that lists them, and a tokenizer. */
#ifndef DSMOE_DATA_DATASET_H
#define DSMOE_DATA_DATASET_H

#include "data/shard.h"
#include "dsmoe/data.h"

/* --- writing: begin, add documents, finish or abandon --------------------------------------- */

typedef struct dsm_dataset_writer {
    char *dir;
    dsm_shard_vocab vocab; /* borrowed */
    uint64_t shard_tokens;
    dsm_shard_writer shard;
    bool shard_open;
    dsm_data_info info;    /* of everything added so far */
    struct json_t *shards; /* rows of data.json */
} dsm_dataset_writer;

/* dir must exist and be empty; making it appear whole is the caller's business. */
dsm_status dsm_dataset_begin(dsm_dataset_writer *w, const char *dir, const dsm_shard_vocab *vocab,
                             uint64_t shard_tokens, dsm_err *err);
dsm_status dsm_dataset_add(dsm_dataset_writer *w, const int32_t *ids, size_t n, uint64_t text_bytes,
                           dsm_err *err);
/* Close the last shard, write data.json, fill info (may be NULL). */
dsm_status dsm_dataset_finish(dsm_dataset_writer *w, dsm_data_info *info, dsm_err *err);
void dsm_dataset_abandon(dsm_dataset_writer *w); /* accepts a zeroed struct */

/* --- reading -------------------------------------------------------------------------------- */

typedef struct dsm_dataset {
    char *dir;
    dsm_data_info info;
    uint64_t token_bytes;    /* Σ text bytes of the tokens; equals info.bytes for byte-level BPE */
    dsm_shard *shards;       /* (info.n_shards) */
    uint64_t *first;         /* (info.n_shards + 1) first token of each shard in the whole */
    const uint16_t *n_bytes; /* (V) text bytes of each token */
} dsm_dataset;

/* Open data.json and every shard, and check that they fit each other. */
dsm_status dsm_dataset_open(dsm_dataset *d, const char *dir, dsm_err *err);
void dsm_dataset_close(dsm_dataset *d); /* accepts a zeroed struct */

/* ids = tokens first … first+n-1 of all shards in order, which must exist (asserts). */
dsm_status dsm_dataset_copy(const dsm_dataset *d, uint64_t first, size_t n, int32_t *ids,
                            dsm_err *err);

#endif
