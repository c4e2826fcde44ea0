/* SPDX-License-Identifier: MIT */
/* Byte-level BPE tokenizers in Hugging Face tokenizer.json form: load, train, encode, decode.
 *
 * A tokenizer is immutable after loading and safe to use from any number of threads at once. */
#ifndef DSMOE_TOKENIZER_H
#define DSMOE_TOKENIZER_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dsm_tokenizer dsm_tokenizer;

/* Load DIR/tokenizer.json (with tokenizer_config.json beside it, if any), the file itself, or what
 * a GGUF file holds. */
dsm_status dsm_tokenizer_open(dsm_tokenizer **out, const char *path, dsm_err *err);
void dsm_tokenizer_close(dsm_tokenizer *t); /* accepts NULL */

/* Has path a tokenizer: a folder with tokenizer.json, or a GGUF file with a vocabulary? */
bool dsm_tokenizer_exists(const char *path);

/* Write tokenizer.json, tokenizer_config.json and special_tokens_map.json into folder dir. */
dsm_status dsm_tokenizer_save(const dsm_tokenizer *t, const char *dir, dsm_err *err);

int32_t dsm_tokenizer_size(const dsm_tokenizer *t); /* ids are 0 … size-1, added tokens included */
int32_t dsm_tokenizer_bos(const dsm_tokenizer *t);  /* -1 when there is none */
int32_t dsm_tokenizer_eos(const dsm_tokenizer *t);  /* -1 when there is none */
int32_t dsm_tokenizer_find(const dsm_tokenizer *t, const char *token); /* exact token text, or -1 */
bool dsm_tokenizer_is_special(const dsm_tokenizer *t, int32_t id);
/* The token's own text as the file spells it (byte-level alphabet), borrowed; NULL if no such id.
 */
const char *dsm_tokenizer_token(const dsm_tokenizer *t, int32_t id);
/* The preset whose pre-tokenizer this one has ("deepseek-v3", …), NULL if it has another. */
const char *dsm_tokenizer_pretokenizer(const dsm_tokenizer *t);
/* 64-bit fingerprint of vocabulary, merges and settings: shards remember which tokenizer made them.
 */
uint64_t dsm_tokenizer_fingerprint(const dsm_tokenizer *t);

/* Growing array of ids, owned by the caller; start zeroed. */
typedef struct dsm_ids {
    int32_t *data;
    size_t len, cap;
} dsm_ids;
void dsm_ids_free(dsm_ids *ids);
dsm_status dsm_ids_push(dsm_ids *ids, int32_t id, dsm_err *err);

enum {
    DSM_ENCODE_PLAIN = 0,
    DSM_ENCODE_SPECIAL = 1, /* text that spells a special token becomes that token */
    DSM_ENCODE_POST = 2     /* apply the file's post-processor (adds BOS where it says so) */
};

/* Append the ids of text[0 … n-1] (any bytes; invalid UTF-8 encodes losslessly byte by byte).
 * Allocates only to grow out. */
dsm_status dsm_tokenizer_encode(const dsm_tokenizer *t, const char *text, size_t n, unsigned flags,
                                dsm_ids *out, dsm_err *err);

/* Encode n_texts documents on n_threads threads (0: all cores), out[i] for texts[i]. Long documents
 * are cut where that changes no id, so one large text keeps all threads busy too. On failure the
 * message names the first text that failed; what other texts gave is in out. */
dsm_status dsm_tokenizer_encode_batch(const dsm_tokenizer *t, const char *const *texts,
                                      const size_t *lengths, size_t n_texts, unsigned flags,
                                      int n_threads, dsm_ids *out, dsm_err *err);

/* Bytes of one token as decoding emits them, borrowed; *n = 0 for an unknown id. */
const char *dsm_tokenizer_bytes(const dsm_tokenizer *t, int32_t id, size_t *n);

/* Append the decoded bytes of ids to a malloc'd string (*text, *n). Specials are skipped when
 * skip_special. The caller frees *text. */
dsm_status dsm_tokenizer_decode(const dsm_tokenizer *t, const int32_t *ids, size_t n_ids,
                                bool skip_special, char **text, size_t *n, dsm_err *err);

/* --- training ------------------------------------------------------------------------------- */

typedef struct dsm_tokenizer_train_options {
    int32_t vocab_size;          /* bytes, merges and special tokens together */
    int64_t min_frequency;       /* of a pair, to be merged; BpeTrainer's default is 0 */
    const char *pretokenizer;    /* "deepseek-v3" | "deepseek-llm" | "deepseek-coder" | "gpt2" */
    const char *const *specials; /* token texts, first ids in this order */
    size_t n_specials;
    const char *bos, *eos, *pad; /* which of the specials they are; NULL: none */
    int n_threads;               /* 0: all cores */
    uint64_t max_bytes;          /* stop reading the input after this much; 0: no limit */
    void (*progress)(void *arg, const char *phase, double done, double total); /* may be NULL */
    void *progress_arg;
} dsm_tokenizer_train_options;

/* 32,000 entries, "deepseek-v3"; begin, end and padding tokens as the DeepSeek tokenizers spell
 * them. */
void dsm_tokenizer_train_defaults(dsm_tokenizer_train_options *o);

/* Supplies documents: return 1 and set text/n (valid until the next call), 0 at the end, -1 on
 * failure (err filled). */
typedef int (*dsm_document_fn)(void *arg, const char **text, size_t *n, dsm_err *err);

/* Learn merges from a stream of documents, in one pass with memory bounded by the number of
 * distinct pre-tokens. The same input and settings give the same vocabulary and merges as the
 * reference BpeTrainer (Hugging Face tokenizers). */
dsm_status dsm_tokenizer_train(dsm_tokenizer **out, const dsm_tokenizer_train_options *o,
                               dsm_document_fn next, void *arg, dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
