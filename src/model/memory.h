/* SPDX-License-Identifier: MIT */
/* Where activations live: what a layer keeps, what layers share, and the loan from the gradients.
 *
 * A tensor that forward makes for backward is either kept (each layer its own, from its forward to
 * its backward) or lies in memory that all layers share, and is computed again just before backward
 * uses it. Which is which is the policy below: one entry per kept tensor. Everything else is
 * scratch. Normed streams, for example, are never kept: they cost one pass. */
#ifndef DSMOE_MODEL_MEMORY_H
#define DSMOE_MODEL_MEMORY_H

#include "dsmoe/plan.h"
#include "model/balance.h"
#include "model/params.h"

typedef struct dsm_keep {
    bool stream;    /* the layer's input, and its routing */
    bool attention; /* queries, keys, values, attention's output and the stream after it */
    bool ffn;       /* gate and up of the dense FFN or of the shared experts */
    bool experts;   /* gate and up of the routed experts */
} dsm_keep;

/* Nothing is kept when not training. */
dsm_keep dsm_keep_of(bool training, dsm_recompute recompute);

/* The shape that activations are carved for. */
typedef struct dsm_shape {
    const dsm_model_config *config;
    const dsm_balance *balance;
    int64_t n_seq, R; /* sequences and rows of a micro-batch */
    int64_t K;        /* picks per token, at most; 0 when nothing is routed */
    bool training;
    dsm_keep keep;
} dsm_shape;

/* Arenas of one layer. */
typedef struct dsm_homes {
    dsm_arena *stay; /* tables, picks and gates: may be looked at after the step */
    dsm_arena *kept; /* what is kept: holds nothing between backward and the next forward */
} dsm_homes;

/* The memory of gradients as an arena for what layers keep, for a net whose micro-batches are whole
 * steps (dsm_net_options.whole_step); `carve` false: to measure, which needs no gradients.
 *
 * Why this is sound: what layer l keeps is written by its forward and read for the last time by its
 * own backward. Gradients of layer j < l are written from the backward of layer j on, which begins
 * when that of l has ended; the embedding's after all layers, unless it is the head as well, whose
 * gradients come first of all. So layer l may use everything in front of its own gradients, and the
 * net clears gradients (which is when they begin to live) layer by layer instead of all at once. */
dsm_arena dsm_loan_open(const dsm_model *m, bool carve);

/* Does layer l, with `bytes` to keep, fit in front of its own gradients? Layers ask in ascending
 * order: the lowest has the least room. */
bool dsm_loan_fits(const dsm_arena *loan, const dsm_model *m, int64_t l, size_t bytes);

/* Carve n elements. */
static inline dsm_real *dsm_take_reals(dsm_arena *a, int64_t n)
{
    return dsm_arena_take(a, sizeof(dsm_real) * (size_t)n);
}

static inline int32_t *dsm_take_ints(dsm_arena *a, int64_t n)
{
    return dsm_arena_take(a, sizeof(int32_t) * (size_t)n);
}

#endif
