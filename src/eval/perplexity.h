/* SPDX-License-Identifier: MIT */
/* How well a model predicts text: loss, perplexity, bits per byte. Training and `eval` share it. */
#ifndef DSMOE_EVAL_PERPLEXITY_H
#define DSMOE_EVAL_PERPLEXITY_H

#include "dsmoe/data.h"
#include "model/net.h"

/* Sums over everything scored; start zeroed. */
typedef struct dsm_perplexity {
    double nll;      /* Σ -log p of the counted targets, nats */
    uint64_t tokens; /* counted targets */
    uint64_t bytes;  /* of the text behind them; 0: not known */
} dsm_perplexity;

/* Add one batch: tokens, targets (n_seq, seq_len of the net), n_seq <= its max_sequences, target -1
 * = not counted; `bytes` behind the targets. loads: (L) entries to add routing to, or NULL. */
dsm_status dsm_perplexity_add(dsm_perplexity *p, dsm_net *n, const int32_t *tokens,
                              const int32_t *targets, int64_t n_seq, uint64_t bytes,
                              dsm_load *loads, dsm_err *err);

/* Add the first n_sequences of a loader, from its start, at most one epoch, `micro` at a time. */
typedef struct dsm_perplexity_data {
    dsm_loader *loader;
    int64_t seq_len, micro, n_sequences;
    void (*progress)(void *arg, double done, double total); /* sequences; may be NULL */
    void *progress_arg;
} dsm_perplexity_data;
dsm_status dsm_perplexity_run(dsm_perplexity *p, dsm_net *n, const dsm_perplexity_data *d,
                              dsm_load *loads, dsm_err *err);

double dsm_perplexity_loss(const dsm_perplexity *p);          /* nats per token */
double dsm_perplexity_value(const dsm_perplexity *p);         /* exp(loss) */
double dsm_perplexity_bits_per_byte(const dsm_perplexity *p); /* NaN when bytes are not known */

#endif
