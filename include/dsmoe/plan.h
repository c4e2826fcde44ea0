/* SPDX-License-Identifier: MIT */
/* What a model will cost before anything is allocated: parameters, arithmetic, memory. */
#ifndef DSMOE_PLAN_H
#define DSMOE_PLAN_H

#include "dsmoe/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What backward computes again instead of keeping it from forward; results are the same bits. */
typedef enum dsm_recompute {
    DSM_RECOMPUTE_NONE,    /* nothing but normed streams */
    DSM_RECOMPUTE_EXPERTS, /* also gate and up projections of routed experts */
    DSM_RECOMPUTE_ALL,     /* everything but each layer's input and its routing */
    DSM_N_RECOMPUTE
} dsm_recompute;

extern const char *const dsm_recompute_names[DSM_N_RECOMPUTE + 1]; /* NULL-terminated */

typedef struct dsm_plan_options {
    int64_t seq_len;   /* tokens of a training sequence, and of the context when serving */
    int64_t sequences; /* of a micro-batch: computed at once */
    bool accumulates;  /* a step is more than one micro-batch */
} dsm_plan_options;

/* What training takes under one policy, in bytes. `lent` of the activations lie in the memory of
 * gradients that are not needed yet (steps of one micro-batch) and cost nothing; activations are
 * the others. */
typedef struct dsm_plan_training {
    int64_t activations, lent, scratch, total; /* total: with weights, gradients and moments */
} dsm_plan_training;

/* What serving one context takes, prefilled by at most 512 tokens, in bytes; keys and values are
 * f16, as engines keep them unless asked otherwise. */
typedef struct dsm_plan_serving {
    int64_t weights_f32, weights_bf16, kv_cache, activations;
    int64_t total_f32, total_bf16;
} dsm_plan_serving;

/* Bytes. Training is in f32. */
typedef struct dsm_plan_memory {
    struct {
        int64_t weights, gradients, moments;
        dsm_plan_training with[DSM_N_RECOMPUTE];
    } train;
    dsm_plan_serving serve;
    int64_t active_weights_f32, active_weights_bf16; /* read for each token that is decoded */
} dsm_plan_memory;

typedef struct dsm_plan {
    int64_t seq_len, sequences;
    int64_t params, active_params; /* all; those one token uses (DeepSeekMoE's way of counting) */
    int64_t params_no_embedding;   /* the same without the input embedding (DeepSeek-V2's way) */
    int64_t active_params_no_embedding;
    int64_t ffn_params, active_ffn_params; /* of FFNs and experts alone (DeepSeekMoE, table 2) */

    /* FLOPs of forward and backward over one sequence of T tokens:
     *   papers       6 T (4 d² L + n_act 8 d² L + V d) + 12 L d T², the formula that reproduces the
     *                printed figures of DeepSeekMoE: n_act = nominal active FFN width in standard
     *                FFNs (8/3 d), all layers alike, no router, no causal halving
     *   rounded      the same with n_act of widths as they are: what the papers print of the 145B
     *                and 142B models (1408 is 0.125 standard FFNs, rounded up to a multiple of 64)
     *   true_widths  6 T (active parameters without embedding) + 12 L H Dh T²
     *   causal       the same with the half of attention that a causal mask leaves: what is
     *                computed here
     * With latent attention, which the formula does not know, papers and rounded are true_widths.
     */
    double train_flops_papers, train_flops_rounded, train_flops_true_widths, train_flops_causal;
    double active_ffns, active_ffns_rounded; /* n_act */
    double non_embedding_flops; /* M of DeepSeek LLM (eq. 2), per token: papers without the head */
    dsm_plan_memory memory;
} dsm_plan;

/* Errors: an impossible config (dsm_model_config_check), or sizes below 1. */
dsm_status dsm_plan_make(dsm_plan *out, const dsm_model_config *c, const dsm_plan_options *o,
                         dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
