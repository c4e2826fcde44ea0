/* SPDX-License-Identifier: MIT */
/* How well a model predicts text, and how its experts share the work while it does. */
#ifndef DSMOE_EVAL_H
#define DSMOE_EVAL_H

#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A token of a text and what the model thought of it. */
typedef struct dsm_eval_token {
    int file;         /* which of the files */
    int64_t position; /* in the file's tokens, from 0 */
    int32_t id;
    const char *bytes; /* (n) what it decodes to, borrowed during the call */
    size_t n;
    double logprob; /* nats, of the whole vocabulary */
    int64_t rank;   /* 1: the most likely */
} dsm_eval_token;

typedef struct dsm_eval_options {
    int n_threads;      /* 0: all cores */
    unsigned cpu_flags; /* dsm_runtime_cpu_flags() */
    int64_t seq_len;    /* tokens of a window; 0: the model's context, at most 2048 */
    int64_t sequences;  /* prepared data: how many, from its start; 0: all */
    int64_t stride;     /* text: distance of windows, 1 … seq_len; 0: seq_len */
    void (*progress)(void *arg, double done, double total); /* in sequences; may be NULL */
    void *progress_arg;
    /* Text: told every token, in order; may be NULL. Windows then go through the model one at a
     * time and unpadded, so sums may differ in their last digits. */
    void (*token)(void *arg, const dsm_eval_token *t);
    void *token_arg;
} dsm_eval_options;

/* Load of one MoE layer over everything that was scored. */
typedef struct dsm_eval_load {
    int64_t layer, n_experts;
    int64_t *count; /* (n_experts) tokens that chose each expert */
    int64_t picks;  /* their sum */
    int64_t dead;   /* experts nobody chose */
    double max_vio; /* (largest count - mean) / mean */
    double entropy; /* mean of the router's entropy per token, nats */
} dsm_eval_load;

typedef struct dsm_eval_result {
    double loss;             /* nats per token */
    double perplexity;       /* exp(loss) */
    double bits_per_byte;    /* -Σ log2 p / bytes of text */
    uint64_t tokens;         /* predicted */
    uint64_t bytes;          /* of the text behind them */
    int64_t seq_len;         /* of the windows used */
    double seconds;          /* of the forward passes */
    int64_t n_loads;         /* MoE layers, 0 for a dense model and for text */
    dsm_eval_load *loads;    /* (n_loads) */
    double max_vio, entropy; /* means over those layers */
    int64_t dead;            /* sum over those layers */
} dsm_eval_result;

/* Score a prepared data set, packed into sequences as training packs it. Errors: data made by
 * another tokenizer than the model's, with more entries than the model's vocabulary, or with less
 * than a sequence. */
dsm_status dsm_eval_data(dsm_eval_result *r, const char *model, const char *data_dir,
                         const dsm_eval_options *o, dsm_err *err);

/* Score text files, each a document of its own: BOS (or the end-of-text token) in front, every
 * token of the file predicted once. With stride = seq_len windows are disjoint, and a window's
 * first token sees one token before it; with a smaller stride a window scores the tokens the one
 * before did not reach, so that each sees at least seq_len - stride tokens. No expert load: windows
 * are padded. */
dsm_status dsm_eval_text(dsm_eval_result *r, const char *model, const char *const *files,
                         int n_files, const dsm_eval_options *o, dsm_err *err);

void dsm_eval_result_free(dsm_eval_result *r); /* accepts a zeroed struct */

#ifdef __cplusplus
}
#endif
#endif
