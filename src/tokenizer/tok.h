/* SPDX-License-Identifier: MIT */
/* The inside of a dsm_tokenizer, shared by the files of this folder.
 *
 * Built once (from a file or by training), immutable afterwards. What encoding needs to write to is
 * a workspace; idle ones wait in a list, so a thread takes one, uses it and puts it back. */
#ifndef DSMOE_TOKENIZER_TOK_H
#define DSMOE_TOKENIZER_TOK_H

#include "dsmoe/tokenizer.h"
#include "tokenizer/added.h"
#include "tokenizer/bpe.h"
#include "tokenizer/chars.h"
#include "tokenizer/normalize.h"
#include "tokenizer/pretok.h"
#include "tokenizer/vocab.h"

#include <jansson.h>
#include <pthread.h>

enum { DSM_TEMPLATE_MAX = 16 };
enum { DSM_TOKEN_ADDED = 1, DSM_TOKEN_SPECIAL = 2, DSM_TOKEN_MODEL = 4 };
/* Added tokens matched on raw text, and those matched on normalised text. */
enum { DSM_ADDED_RAW, DSM_ADDED_NORMALIZED, DSM_ADDED_SETS };

struct dsm_workspace;

struct dsm_tokenizer {
    json_t *root;       /* tokenizer.json without vocab, merges and added_tokens */
    json_t *config;     /* tokenizer_config.json, NULL if there is none */
    json_t *added_json; /* the added_tokens array */

    dsm_vocab vocab;     /* model tokens and added tokens */
    unsigned char *kind; /* (size) DSM_TOKEN_* */
    dsm_bpe bpe;
    dsm_chars chars;
    dsm_normalizer normalizer;
    dsm_pretok pretok;
    const char *preset; /* name of the preset that pretok is, or NULL */
    dsm_added_set added[DSM_ADDED_SETS];

    bool ignore_merges, byte_fallback, fuse_unk;
    int32_t unk;          /* -1: none */
    int32_t byte_id[256]; /* symbol of a byte (byte level), or its <0xXX> token; -1: none */

    int32_t prefix[DSM_TEMPLATE_MAX], suffix[DSM_TEMPLATE_MAX]; /* post-processor */
    int n_prefix, n_suffix;
    int32_t bos, eos;
    bool add_bos, add_eos;

    dsm_buf bytes;       /* what each token decodes to, at byte_offset[id] … [id + 1] */
    size_t *byte_offset; /* (size + 1) */
    bool join_spaces;    /* no decoder: tokens are joined by a space */
    int strip_start;     /* this many spaces go from the start of decoded text */
    bool cuttable;       /* long texts may be cut with dsm_scan_safe_cut */
    uint64_t fingerprint;

    pthread_mutex_t lock; /* of idle */
    struct dsm_workspace *idle;
};

/* --- tokenizer_json.c: the parts a tokenizer is read from ------------------------------------- */

/* Parts of a tokenizer that is being built. root is a tokenizer.json whose model has no vocab and
 * no merges; they come as vocab and merges. Everything is taken over, also on failure. */
typedef struct dsm_tokenizer_parts {
    json_t *root, *added, *config;
    dsm_vocab vocab;   /* model tokens, file spelling */
    dsm_merge *merges; /* malloc'd */
    size_t n_merges;
    bool tied; /* merges in a row that make one token share a rank (bpe.h) */
} dsm_tokenizer_parts;

/* A tokenizer of the text of a tokenizer.json, and of what its tokenizer_config.json holds (config,
 * an object that is taken over, also on failure; NULL: there is none). `what` names it in messages.
 */
dsm_status dsm_tokenizer_parse(dsm_tokenizer **out, const char *text, size_t n, json_t *config,
                               const char *what, dsm_err *err);
dsm_status dsm_tokenizer_config_parse(json_t **out, const char *text, size_t n, const char *what,
                                      dsm_err *err);

void dsm_tokenizer_parts_free(dsm_tokenizer_parts *p);
dsm_status dsm_tokenizer_build(dsm_tokenizer **out, dsm_tokenizer_parts *parts, const char *what,
                               dsm_err *err);

/* --- decoder.c --------------------------------------------------------------------------- */

/* Fill bytes, byte_offset, join_spaces and strip_start from the "decoder" value. */
dsm_status dsm_tokenizer_read_decoder(dsm_tokenizer *t, const char *what, dsm_err *err);

/* --- workspace.c ------------------------------------------------------------------------- */

/* A pre-token and its ids, one cache line. Longer ones are not kept. */
enum { DSM_CACHED_BYTES = 31, DSM_CACHED_IDS = 7, DSM_CACHE_SLOTS = 1 << 15 };
typedef struct dsm_cached_word {
    unsigned char n_bytes; /* 0: empty */
    unsigned char bytes[DSM_CACHED_BYTES];
    int32_t ids[DSM_CACHED_IDS];
    int32_t n_ids;
} dsm_cached_word;
_Static_assert(sizeof(dsm_cached_word) == 64, "one cache line");

typedef struct dsm_workspace {
    struct dsm_workspace *next;
    dsm_cached_word *cache; /* (DSM_CACHE_SLOTS), direct mapped, cache line by cache line */
    void *memory;           /* that it lies in */
    dsm_bpe_work bpe;
    dsm_pretok_work pretok;
    dsm_normalizer_work normalizer;
} dsm_workspace;

dsm_workspace *dsm_workspace_take(dsm_tokenizer *t); /* NULL: out of memory */
void dsm_workspace_put(dsm_tokenizer *t, dsm_workspace *w);
void dsm_workspace_free_all(dsm_tokenizer *t);

/* --- encode.c --------------------------------------------------------------------------------- */

/* Append what DSM_ENCODE_POST puts before and behind a text. */
dsm_status dsm_encode_begin(const dsm_tokenizer *t, dsm_ids *out, dsm_err *err);
dsm_status dsm_encode_end(const dsm_tokenizer *t, dsm_ids *out, dsm_err *err);

/* Room for n more ids. */
dsm_status dsm_ids_reserve(dsm_ids *ids, size_t n, dsm_err *err);

#endif
