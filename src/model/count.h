/* SPDX-License-Identifier: MIT */
/* How many parameters a model has, how many a token uses, and what training on a token costs. */
#ifndef DSMOE_MODEL_COUNT_H
#define DSMOE_MODEL_COUNT_H

#include "model/params.h"

typedef struct dsm_counts {
    int64_t params; /* trained values */
    int64_t active; /* those one token uses: K of E routed experts (DeepSeekMoE counts so), one row
                       of a distilled router's embedding */
    int64_t matmul; /* active without the embedding look-up, with the head: 2 FLOPs each, forward */
    int64_t ffn, active_ffn; /* of FFNs and experts alone, without routers */
} dsm_counts;

/* From the parameter table: a model made of no memory will do. */
dsm_counts dsm_model_count(const dsm_model *m);

/* Bytes of weights, as they are stored, that one decoded token reads: all but embeddings (unless
 * they are the head too) and the experts it does not pick. */
int64_t dsm_model_active_bytes(const dsm_model *m);

/* FLOPs of forward and backward per token of a sequence of T: 6 per `matmul` parameter, and causal
 * attention 3·L·T·H·(Dk + Dv) (scores and values over T/2 keys on average, once forward and twice
 * backward). */
double dsm_model_train_flops(const dsm_model *m, int64_t T);

#endif
