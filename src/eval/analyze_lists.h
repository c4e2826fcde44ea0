/* SPDX-License-Identifier: MIT */
/* The short lists of an expert's portrait, kept in order as candidates come by: the tokens it
 * prefers, and places where it had much weight. */
#ifndef DSMOE_EVAL_ANALYZE_LISTS_H
#define DSMOE_EVAL_ANALYZE_LISTS_H

#include "dsmoe/analyze.h"

/* A token of a window: tokens (n) around position at, and what follows them. */
typedef struct dsm_surroundings {
    const int32_t *tokens;
    int64_t at, n;
    int32_t after;
} dsm_surroundings;

/* Put t among the `top` tokens of falling count / total; then of falling count, rising id. */
void dsm_tokens_offer(dsm_analyze_expert *x, const dsm_analyze_token *t, int64_t top);

/* Would a place of this gate be listed? */
bool dsm_examples_want(const dsm_analyze_expert *x, double gate, int64_t top);

/* Put a wanted place among the o->top of falling gate, one for each token; of equal gates the first
 * that came stays in front. */
void dsm_examples_offer(dsm_analyze_expert *x, double gate, int domain, const dsm_surroundings *s,
                        const dsm_analyze_options *o);

#endif
