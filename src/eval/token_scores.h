/* SPDX-License-Identifier: MIT */
/* What a model thought of each token of a text: its probability, and how many were more likely. */
#ifndef DSMOE_EVAL_TOKEN_SCORES_H
#define DSMOE_EVAL_TOKEN_SCORES_H

#include "model/net.h"

/* Memory to score windows of at most seq_len tokens. */
typedef struct dsm_token_scorer {
    dsm_net *net;
    dsm_cache *cache;
    float *logits; /* (chunk, V) */
    int64_t chunk, vocab;
} dsm_token_scorer;

dsm_status dsm_token_scorer_open(dsm_token_scorer *s, dsm_model *m, const dsm_exec *x,
                                 int64_t seq_len, dsm_err *err);
void dsm_token_scorer_close(dsm_token_scorer *s); /* accepts a zeroed struct */

/* log p in nats, and rank: 1 for the most likely, ties to the lower id. */
typedef struct dsm_token_score {
    double logprob;
    int64_t rank;
} dsm_token_score;

/* Scores of targets (n), -1: not wanted, as tokens (n) predict them one by one. */
dsm_status dsm_token_scorer_run(dsm_token_scorer *s, const int32_t *tokens, const int32_t *targets,
                                int64_t n, dsm_token_score *scores, dsm_err *err);

#endif
