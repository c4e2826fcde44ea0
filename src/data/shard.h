/* SPDX-License-Identifier: MIT */
/* One shard: the tokens of many documents in one memory-mapped file, with where each document
 * begins and how many bytes of text it was. Byte picture in docs/formats.md, "Token shards". */
#ifndef DSMOE_DATA_SHARD_H
#define DSMOE_DATA_SHARD_H

#include "core/fs.h"
#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dsm_shard_document {
    uint64_t first;      /* its first token in the shard; it ends where the next begins */
    uint64_t text_bytes; /* of UTF-8 text */
} dsm_shard_document;

/* What the tokens mean, the same in every shard of a data set. */
typedef struct dsm_shard_vocab {
    uint64_t fingerprint;    /* of the tokenizer */
    uint32_t size;           /* V, 1 … 2^31-1: ids are below it */
    const uint16_t *n_bytes; /* (V) text bytes of each token; 0 for BOS, EOS and other specials */
} dsm_shard_vocab;

/* --- writing: begin, add documents, commit (or abandon) ------------------------------------- */

typedef struct dsm_shard_writer {
    dsm_file_writer file;
    dsm_shard_vocab vocab; /* borrowed */
    uint32_t width, crc;
    uint64_t tokens, text_bytes, token_bytes;
    dsm_shard_document *documents;
    size_t n_documents, cap_documents;
    void *packed; /* ids on their way to the file */
} dsm_shard_writer;

dsm_status dsm_shard_begin(dsm_shard_writer *w, const char *path, const dsm_shard_vocab *vocab,
                           dsm_err *err);

/* ids must lie below the vocabulary's size (asserts). */
dsm_status dsm_shard_add(dsm_shard_writer *w, const int32_t *ids, size_t n, uint64_t text_bytes,
                         dsm_err *err);
dsm_status dsm_shard_commit(dsm_shard_writer *w, dsm_err *err);
void dsm_shard_abandon(dsm_shard_writer *w); /* accepts a zeroed struct */

/* --- reading -------------------------------------------------------------------------------- */

typedef struct dsm_shard {
    dsm_map map;                /* zeroed when the bytes are borrowed */
    const unsigned char *bytes; /* (size) of the file */
    size_t size;
    char *path;
    uint32_t width;        /* bytes of one token: 2 or 4 */
    dsm_shard_vocab vocab; /* n_bytes points into the mapping */
    uint64_t tokens, n_documents, text_bytes;
    uint64_t token_bytes;                /* Σ n_bytes over the tokens */
    const unsigned char *token;          /* (tokens) of width bytes */
    const dsm_shard_document *documents; /* (n_documents) */
} dsm_shard;

/* Map a shard; its header is checked, and its sizes against the file, so that no later read leaves
 * the mapping. Contents are checked where they are used (dsm_shard_copy) or all at once
 * (dsm_shard_check). */
dsm_status dsm_shard_open(dsm_shard *s, const char *path, dsm_err *err);
/* The same checks on memory, whose bytes are borrowed and begin at a multiple of 8; `what` names it
 * in messages. */
dsm_status dsm_shard_open_memory(dsm_shard *s, const void *bytes, size_t n, const char *what,
                                 dsm_err *err);
void dsm_shard_close(dsm_shard *s); /* accepts a zeroed struct */

/* ids[0 … n-1] = tokens first … first+n-1, which must exist (asserts). DSM_EFORMAT for an id that
 * the vocabulary does not have. */
dsm_status dsm_shard_copy(const dsm_shard *s, uint64_t first, size_t n, int32_t *ids, dsm_err *err);

/* Read everything: checksum, every id, the document index. */
dsm_status dsm_shard_check(const dsm_shard *s, dsm_err *err);

#endif
