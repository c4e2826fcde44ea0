/* SPDX-License-Identifier: MIT */
/* Counting what experts are picked for, while the model runs.
 *
 * Sums grow in the result itself, batch by batch, and dsm_look_finish turns them into means and
 * shares. What each expert sees is counted in a table (distinct tokens, E) per layer, with rows for
 * the tokens that occur only. */
#ifndef DSMOE_EVAL_ANALYZE_ROUTING_H
#define DSMOE_EVAL_ANALYZE_ROUTING_H

#include "dsmoe/analyze.h"
#include "eval/analyze_overlap.h"

/* Distinct tokens in the order they were first seen. */
typedef struct dsm_vocabulary_seen {
    int32_t *row;   /* (V) -1: not seen */
    int32_t *id;    /* (cap) */
    int64_t *total; /* (cap) how often */
    int64_t n, cap;
} dsm_vocabulary_seen;

/* Windows that go through the model together: n_seq·T tokens of one domain. */
typedef struct dsm_look_batch {
    const int32_t *tokens, *targets; /* target -1: padding, not looked at */
    int64_t n_seq, T;
    int domain;
} dsm_look_batch;

typedef struct dsm_look {
    dsm_analysis *result;
    const dsm_analyze_options *options;
    const dsm_model *model;
    int64_t *at;     /* (L) which entry of result->layers; -1: no experts */
    uint32_t **seen; /* (n_layers) of (cap, E); with options->experts */
    dsm_vocabulary_seen vocabulary;
    dsm_overlap overlap;
    dsm_look_batch batch;
    int32_t *row;     /* (R) of the batch's tokens in the vocabulary; -1: padding */
    int32_t *samples; /* (R) rows of the batch on which outputs are compared */
    int64_t n_samples;
    int64_t all, begun; /* tokens to come in all, and in batches so far */
} dsm_look;

/* result is carved already; batches have at most R tokens, all of them `all`. */
dsm_status dsm_look_open(dsm_look *k, dsm_analysis *result, const dsm_analyze_options *o,
                         const dsm_model *m, int64_t R, int64_t all, dsm_err *err);
void dsm_look_close(dsm_look *k); /* accepts a zeroed struct */

/* Before a batch runs; and the observer's function (net.h), arg is the dsm_look. */
dsm_status dsm_look_begin(dsm_look *k, const dsm_look_batch *b, dsm_err *err);
void dsm_look_layer(void *arg, const struct dsm_ctx *c, const dsm_moe_params *p, const dsm_route *r,
                    const dsm_real *x);

/* After the last batch. */
void dsm_look_finish(dsm_look *k);

#endif
