/* SPDX-License-Identifier: MIT */
/* A model's shape: its Hugging Face config.json as a plain struct, and the keys that format cannot
 * say under "dsmoe". */
#ifndef DSMOE_CONFIG_H
#define DSMOE_CONFIG_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which question each token's router answers; names are the values of "dsmoe": {"router": …}. */
typedef enum dsm_router_kind {
    DSM_ROUTER_SOFTMAX, /* "softmax": DeepSeekMoE top-k over softmax scores */
    DSM_ROUTER_SIGMOID, /* "sigmoid": sigmoid scores (Loss-Free Balancing, V3) */
    DSM_ROUTER_SWITCH,  /* "switch": top-1, optional capacity and jitter */
    DSM_ROUTER_GSHARD,  /* "gshard": top-2, optional renormalisation, capacity, random second */
    DSM_ROUTER_HASH     /* "hash": fixed table of token ids, no parameters, gate 1 */
} dsm_router_kind;

/* How the loss-free bias is used for selection. */
typedef enum dsm_bias_kind {
    DSM_BIAS_NONE,          /* "none": no correction bias */
    DSM_BIAS_ADDITIVE,      /* "sign" / "proportional": pick on score + bias */
    DSM_BIAS_MULTIPLICATIVE /* "multiplicative": pick on score * bias, bias starts at 1 */
} dsm_bias_kind;

typedef enum dsm_hash_kind { DSM_HASH_RANDOM, DSM_HASH_BALANCED } dsm_hash_kind;

/* Keys are the config.json names. A missing key takes the default noted here, which is the one of
 * the configuration files shipped with the released weights. */
typedef struct dsm_model_config {
    char model_type[32];             /* "llama" | "deepseek" | later "deepseek_v2", "deepseek_v3" */
    int64_t vocab_size;              /* V, 102400 */
    int64_t hidden_size;             /* D, 4096 */
    int64_t intermediate_size;       /* width of dense layers' FFN, 11008 */
    int64_t moe_intermediate_size;   /* F, width of one routed expert, 1407 */
    int64_t num_hidden_layers;       /* L, 30 */
    int64_t num_attention_heads;     /* H, 32 */
    int64_t num_key_value_heads;     /* Hk, = H */
    int64_t head_dim;                /* Dh, D / H */
    int64_t max_position_embeddings; /* 2048 */
    int64_t n_shared_experts;        /* 0 (null): none; stored as one MLP of n·F */
    int64_t n_routed_experts;        /* E, 0 (null): no router */
    int64_t num_experts_per_tok;     /* K, 0 (null) */
    int64_t first_k_dense_replace;   /* layers below are dense, 0 */
    int64_t moe_layer_freq;          /* layer i is MoE iff i >= first_k and i % freq == 0, 1 */
    bool norm_topk_prob;             /* false */
    double routed_scaling_factor;    /* 1.0 */
    double aux_loss_alpha; /* expert-level balance factor alpha1 the model was made with, 0.001 */
    bool seq_aux;          /* true: per sequence */
    double rms_norm_eps;   /* 1e-6 */
    double rope_theta;     /* 10000 */
    double initializer_range; /* 0.02; from-scratch recipes of the papers: 0.006 */
    bool tie_word_embeddings; /* false */
    bool attention_bias;      /* false */
    int64_t bos_token_id, eos_token_id, pad_token_id; /* -1: null */

    /* "dsmoe": { … } */
    dsm_router_kind router; /* "router", softmax */
    dsm_bias_kind bias;     /* "selection_bias": "none" | "additive" | "multiplicative" */
    bool renormalize;       /* "renormalize": GShard g1/(g1+g2), false */
    double capacity_factor; /* "capacity_factor": 0 = no capacity (none dropped) */
    double jitter;          /* "jitter": Switch epsilon, 0 = off */
    bool random_second;     /* "random_second": GShard, false */
    dsm_hash_kind hash;     /* "hash": "random" | "balanced" */
    int64_t hash_seed;      /* "hash_seed": 0 */
} dsm_model_config;

/* Every field at its default (DeepSeek dense shape of the table above with model_type "llama"). */
void dsm_model_config_defaults(dsm_model_config *c);

/* Read config.json (a file, or the folder that holds one), checking types, ranges and that the
 * shape is possible (heads divide, K <= E, …). Unknown architectures are DSM_EFORMAT naming the
 * known ones. */
dsm_status dsm_model_config_read(dsm_model_config *c, const char *path, dsm_err *err);

/* Write config.json with every key, as Hugging Face transformers and this program read it. */
dsm_status dsm_model_config_write(const dsm_model_config *c, const char *path, const char *dtype,
                                  dsm_err *err);

/* The checks of dsm_model_config_read alone; `what` names the source in messages. */
dsm_status dsm_model_config_check(const dsm_model_config *c, const char *what, dsm_err *err);

/* Is layer l (0-based) an MoE layer? */
bool dsm_model_config_is_moe(const dsm_model_config *c, int64_t l);

#ifdef __cplusplus
}
#endif
#endif
