/* SPDX-License-Identifier: MIT */
/* A loaded model that continues text.
 *
 * An engine is a model, its tokenizer and the threads it runs on. A session is one sequence: its
 * key and value cache, and the logits after its last token. One thread at a time may use an engine
 * and its sessions; sessions of one engine take turns. */
#ifndef DSMOE_ENGINE_H
#define DSMOE_ENGINE_H

#include "dsmoe/config.h"
#include "dsmoe/status.h"
#include "dsmoe/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dsm_engine dsm_engine;
typedef struct dsm_session dsm_session;

typedef struct dsm_engine_options {
    int n_threads;          /* 0: all cores */
    unsigned cpu_flags;     /* instruction sets kernels may use: dsm_runtime_cpu_flags() */
    int64_t chunk;          /* tokens of a prompt that go through the model together, 512 */
    const char *cache_type; /* of keys and values: "f32", "f16" or "q8_0" */
} dsm_engine_options;

void dsm_engine_defaults(dsm_engine_options *o);

/* model: a run directory, a checkpoint or a Hugging Face folder. Errors: whatever is missing or
 * damaged in it, no tokenizer, a tokenizer with more entries than the model's vocabulary. */
dsm_status dsm_engine_open(dsm_engine **out, const char *model, const dsm_engine_options *o,
                           dsm_err *err);

/* The same on a model that someone else owns, in training say, with the tokenizer in folder
 * tokenizer_dir. The model must outlive the engine, and its values must not change while a session
 * is open. Errors: those about the tokenizer. */
struct dsm_model;
dsm_status dsm_engine_borrow(dsm_engine **out, struct dsm_model *model, const char *tokenizer_dir,
                             const dsm_engine_options *o, dsm_err *err);
void dsm_engine_close(dsm_engine *e); /* accepts NULL; sessions must be closed before */

/* Borrowed until the engine is closed. */
const dsm_model_config *dsm_engine_config(const dsm_engine *e);
const dsm_tokenizer *dsm_engine_tokenizer(const dsm_engine *e);

/* What running a session of `context` tokens (0: all the model can) takes, in bytes, before
 * anything of it is taken. Weights are mapped: the system reads them in as they are used and may
 * drop them. */
typedef struct dsm_engine_bill {
    int64_t context;
    uint64_t weights;
    uint64_t buffers; /* activations of a chunk, logits, candidates */
    uint64_t cache;   /* keys and values */
} dsm_engine_bill;
void dsm_engine_bill_of(const dsm_engine *e, int64_t context, dsm_engine_bill *bill);

/* Append the ids a prompt is: special tokens in it recognised, BOS in front where the tokenizer
 * says so; an empty text becomes BOS, or the end-of-text token that stands between documents. */
dsm_status dsm_engine_encode(const dsm_engine *e, const char *text, size_t n, dsm_ids *ids,
                             dsm_err *err);

/* Append the ids that ask for what stands between prefix and suffix, with the tokens the model's
 * own tokenizer has for that. DSM_ENOTFOUND when it has none. */
dsm_status dsm_engine_encode_middle(const dsm_engine *e, const char *prefix, const char *suffix,
                                    dsm_ids *ids, dsm_err *err);

/* --- sessions --------------------------------------------------------------------------------- */

/* A sequence of at most `context` tokens (0: all the model can; more is DSM_ERANGE). */
dsm_status dsm_session_open(dsm_session **out, dsm_engine *e, int64_t context, dsm_err *err);
void dsm_session_close(dsm_session *s); /* accepts NULL */

int64_t dsm_session_length(const dsm_session *s); /* tokens fed */
int64_t dsm_session_context(const dsm_session *s);

/* Called between the chunks of what is being fed, with tokens fed so far of all; false ends it with
 * DSM_EINTERRUPTED, and what was fed stays. NULL: not called. */
void dsm_session_watch(dsm_session *s, bool (*go_on)(void *arg, int64_t fed, int64_t all),
                       void *arg);

/* Append n >= 1 tokens. DSM_ELIMIT when they do not fit: nothing is fed then. */
dsm_status dsm_session_feed(dsm_session *s, const int32_t *ids, int64_t n, dsm_err *err);

/* Make the session hold exactly these n >= 1 tokens: what it begins with of them is kept, the rest
 * is fed, the last in any case. *fed (may be NULL): how many were. DSM_ELIMIT as above. */
dsm_status dsm_session_set(dsm_session *s, const int32_t *ids, int64_t n, int64_t *fed,
                           dsm_err *err);

/* Forget the tokens from `length` on, so that another continuation can be fed. */
void dsm_session_truncate(dsm_session *s, int64_t length);

/* The (V) logits after the last token fed; borrowed until the next feed. */
const float *dsm_session_logits(const dsm_session *s);

/* The K experts that the last token fed went to in a layer, best first, and their gates; 0 for a
 * layer without experts. Borrowed until the engine's next feed. */
int64_t dsm_session_routing(const dsm_session *s, int64_t layer, const int32_t **pick,
                            const float **gate);

/* --- sampling --------------------------------------------------------------------------------- */

/* How a token is drawn, in the order the steps are applied; every step keeps at least one token. */
typedef struct dsm_sampling {
    double repeat_penalty; /* tokens already in the sequence: logit / p if positive, · p if
                              negative; 1: off */
    double temperature; /* logits are divided by it; 0: the most likely token, lower id on ties */
    int64_t top_k;      /* the k most likely; 0: all */
    double top_p;       /* the fewest, most likely first, with this much probability; 1: all */
    double min_p;       /* those at least min_p as likely as the most likely; 0: all */
    uint64_t seed;      /* the draw is a function of (seed, position in the sequence) */
} dsm_sampling;

/* No penalty, temperature 0.8, top_k 0, top_p 0.95, min_p 0, seed 0. */
void dsm_sampling_defaults(dsm_sampling *s);

/* --- generation ------------------------------------------------------------------------------- */

typedef enum dsm_finish {
    DSM_FINISH_EOS,      /* the model ended the text */
    DSM_FINISH_STOP,     /* a stop string came up */
    DSM_FINISH_LENGTH,   /* max_tokens, or the context is full */
    DSM_FINISH_CANCELLED /* emit or token returned false */
} dsm_finish;

typedef struct dsm_generate_options {
    dsm_sampling sampling;
    int64_t max_tokens;       /* 0: until the context is full */
    const char *const *stops; /* text ends before the first of these; none of it is emitted */
    int n_stops;
    const int32_t *stop_ids; /* tokens that end the text like an end-of-text token */
    int n_stop_ids;
    bool ignore_eos; /* go on after all of these tokens */
    /* Told each drawn token before its text comes, while dsm_session_routing and
     * dsm_session_logits still tell how it was made. False ends the generation. May be NULL. */
    bool (*token)(void *arg, int32_t id);
    /* Receives the text as it comes: always whole UTF-8 characters (bytes that are none become
     * U+FFFD), never a part of a stop string. False ends the generation. May be NULL. */
    bool (*emit)(void *arg, const char *text, size_t n);
    void *emit_arg; /* of both */
} dsm_generate_options;

/* Defaults of sampling, 256 tokens. */
void dsm_generate_defaults(dsm_generate_options *o);

typedef struct dsm_generated {
    char *text; /* everything emitted; NUL-terminated */
    size_t text_len;
    int32_t *tokens; /* drawn tokens, without the end-of-text token that ended them */
    int64_t n_tokens;
    dsm_finish finish;
    const char *stop; /* the stop string that ended it (borrowed from the options), or NULL */
    double seconds;
} dsm_generated;

/* Continue a session that has been fed at least one token. The drawn tokens become part of it,
 * except the last: its logits are not known yet. */
dsm_status dsm_session_generate(dsm_session *s, const dsm_generate_options *o, dsm_generated *out,
                                dsm_err *err);
void dsm_generated_free(dsm_generated *g); /* accepts a zeroed struct */

#ifdef __cplusplus
}
#endif
#endif
