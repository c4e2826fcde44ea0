/* SPDX-License-Identifier: MIT */
/* Text to token shards, and token shards to batches.
 *
 * A corpus is a list of inputs (text, jsonl, .gz, .zst, folders) read as a stream of documents. A
 * prepared data set is a folder of memory-mapped shards with document boundaries and byte counts. A
 * loader deals sequences out of one or several data sets in a deterministic order. */
#ifndef DSMOE_DATA_H
#define DSMOE_DATA_H

#include "dsmoe/status.h"
#include "dsmoe/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- corpus: a stream of documents ---------------------------------------------------------- */

typedef struct dsm_corpus dsm_corpus;

typedef struct dsm_corpus_options {
    const char *text_field; /* key of jsonl documents, "text" */
    bool split_blank_lines; /* plain text: a document per block between blank lines */
    bool skip_bad_lines;    /* count damaged jsonl lines and go on instead of failing */
} dsm_corpus_options;

void dsm_corpus_defaults(dsm_corpus_options *o);

/* inputs: files and folders. Folders are walked in byte order of names; hidden files and unknown
 * endings inside them are passed over. A named file of unknown ending is plain text unless it looks
 * binary. Bounded memory: one document at a time, at most 1 GiB. */
dsm_status dsm_corpus_open(dsm_corpus **out, const char *const *inputs, size_t n_inputs,
                           const dsm_corpus_options *o, dsm_err *err);
void dsm_corpus_close(dsm_corpus *c); /* accepts NULL */

/* Next document: 1 and text/n (valid UTF-8, borrowed until the next call), 0 at the end, -1 with
 * err. Its signature is dsm_document_fn, so a corpus feeds dsm_tokenizer_train directly. */
int dsm_corpus_next(void *corpus, const char **text, size_t *n, dsm_err *err);

/* Where the last document came from: "file:line" for jsonl, the path for text. Borrowed. */
const char *dsm_corpus_place(const dsm_corpus *c);

/* Compressed bytes read so far and in all inputs: the measure of a progress bar. */
void dsm_corpus_progress(const dsm_corpus *c, uint64_t *done, uint64_t *total);

typedef struct dsm_corpus_stats {
    uint64_t documents, bytes; /* handed out */
    uint64_t repaired;         /* documents with invalid UTF-8, replaced by U+FFFD */
    uint64_t empty, bad_lines; /* passed over */
} dsm_corpus_stats;
void dsm_corpus_get_stats(const dsm_corpus *c, dsm_corpus_stats *s);

/* --- prepare -------------------------------------------------------------------------------- */

typedef struct dsm_prepare_options {
    dsm_corpus_options corpus;
    const char *out_dir;   /* with valid_fraction > 0: OUT/train and OUT/valid, else OUT itself */
    double valid_fraction; /* share of documents, by hash of their text; 0: no split */
    bool append_eos;       /* end each document with EOS, true */
    bool prepend_bos;      /* begin each document with BOS, false */
    uint64_t shard_tokens; /* tokens per shard file, 64 Mi */
    int n_threads;
    /* Bytes of input read and to read, tokens so far; called every few megabytes. May be NULL. */
    void (*progress)(void *arg, double done, double total, uint64_t tokens);
    void *progress_arg;
} dsm_prepare_options;

typedef struct dsm_data_info {
    uint64_t documents, tokens, bytes; /* bytes: of the UTF-8 text the tokens came from */
    int n_shards;
    int32_t vocab_size; /* of the tokenizer */
    uint64_t tokenizer_fingerprint;
} dsm_data_info;

void dsm_prepare_defaults(dsm_prepare_options *o);

/* One pass, bounded memory. The folder appears by one rename when complete; anything that exists at
 * out_dir is DSM_EUSAGE and stays as it is. A copy of the tokenizer lies in each data set. The
 * files depend on the text and the options, not on threads. train, valid and stats may be NULL. */
dsm_status dsm_data_prepare(const dsm_tokenizer *t, const char *const *inputs, size_t n_inputs,
                            const dsm_prepare_options *o, dsm_data_info *train,
                            dsm_data_info *valid, dsm_corpus_stats *stats, dsm_err *err);

dsm_status dsm_data_get_info(dsm_data_info *info, const char *dir, dsm_err *err);

/* Read a whole data set: checksums, every token id, the document index. */
dsm_status dsm_data_check(const char *dir, dsm_err *err);

/* --- loader --------------------------------------------------------------------------------- */

/* One prepared data set and its share of the sequences. */
typedef struct dsm_source {
    const char *dir;
    double weight;
} dsm_source;

typedef struct dsm_loader dsm_loader;

/* Everything needed to go on exactly where a run stopped; plain integers for trainer.json. */
typedef struct dsm_loader_state {
    uint64_t sequences; /* dealt so far, over all sources */
    uint64_t per_source[16];
} dsm_loader_state;

enum { DSM_MAX_SOURCES = 16 };

/* Open sources whose tokens are packed, document after document, into sequences of seq_len + 1
 * tokens overlapping by one (inputs and next-token targets). shuffle: each epoch visits every
 * sequence of a source once in an order that is a pure function of (seed, source, epoch). Errors:
 * fewer than one sequence in a source (found, needed), vocabulary or fingerprint differing between
 * sources. */
dsm_status dsm_loader_open(dsm_loader **out, const dsm_source *sources, int n_sources,
                           int64_t seq_len, uint64_t seed, bool shuffle, dsm_err *err);
void dsm_loader_close(dsm_loader *l); /* accepts NULL */

/* Fill n sequences: tokens and targets (n, seq_len), and text bytes behind the targets in *bytes
 * (may be NULL; apportioned by token bytes, so that a full pass sums to the data set's bytes that
 * were predicted). Never ends: epochs follow each other. */
dsm_status dsm_loader_next(dsm_loader *l, int64_t n, int32_t *tokens, int32_t *targets,
                           uint64_t *bytes, dsm_err *err);

uint64_t dsm_loader_epoch_sequences(const dsm_loader *l); /* in one pass over all sources */
void dsm_loader_get_state(const dsm_loader *l, dsm_loader_state *s);
dsm_status dsm_loader_set_state(dsm_loader *l, const dsm_loader_state *s, dsm_err *err);
void dsm_loader_get_info(const dsm_loader *l, dsm_data_info *info); /* summed over sources */

#ifdef __cplusplus
}
#endif
#endif
