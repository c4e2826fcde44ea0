/* SPDX-License-Identifier: MIT */
/* A model's shape: its Hugging Face config.json as a plain struct, and the keys that format cannot
 * say under "dsmoe". */
#ifndef DSMOE_CONFIG_H
#define DSMOE_CONFIG_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
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
    DSM_ROUTER_HASH,    /* "hash": fixed table of token ids, no parameters, gate 1 */
    DSM_ROUTER_EXPERT_CHOICE, /* "expert_choice": each expert picks its tokens out of a chunk */
    DSM_ROUTER_STABLE /* "stable": top-1 learned, then frozen as a table of token embeddings */
} dsm_router_kind;

/* How the loss-free bias is used for selection. */
typedef enum dsm_bias_kind {
    DSM_BIAS_NONE,          /* "none": no correction bias */
    DSM_BIAS_ADDITIVE,      /* "sign" / "proportional": pick on score + bias */
    DSM_BIAS_MULTIPLICATIVE /* "multiplicative": pick on score * bias, bias starts at 1 */
} dsm_bias_kind;

typedef enum dsm_hash_kind { DSM_HASH_RANDOM, DSM_HASH_BALANCED } dsm_hash_kind;

/* Among which experts a token's K are picked; the names of "topk_method". */
typedef enum dsm_topk_method {
    DSM_TOPK_GREEDY,        /* "greedy": among all */
    DSM_TOPK_GROUP_LIMITED, /* "group_limited_greedy": in the topk_group groups of largest score */
    DSM_TOPK_NOAUX_TC       /* "noaux_tc": the same on score + bias, a group's two best together */
} dsm_topk_method;

/* How positions beyond the length of pre-training are rotated; the names of "rope_type". */
typedef enum dsm_rope_kind {
    DSM_ROPE_DEFAULT, /* "default": not scaled */
    DSM_ROPE_LINEAR,  /* "linear": frequencies / factor */
    DSM_ROPE_DYNAMIC, /* "dynamic": a base that grows with the length */
    DSM_ROPE_YARN,    /* "yarn": low frequencies / factor, scores sharpened */
    DSM_ROPE_LLAMA3   /* "llama3": long wavelengths / factor */
} dsm_rope_kind;

/* "rope_scaling", or transformers 5's "rope_parameters"; fields of other kinds stay at their
 * defaults. */
typedef struct dsm_rope_scaling {
    dsm_rope_kind kind;
    int64_t original_max_position_embeddings; /* yarn, llama3, dynamic; max_position_embeddings */
    double factor;                            /* 1 */
    double beta_fast, beta_slow;              /* yarn: 32, 1 */
    double mscale, mscale_all_dim;            /* yarn: 1, 0 */
    double attention_factor;                  /* yarn: of cos and sin; 0: from the mscales */
    double low_freq_factor, high_freq_factor; /* llama3: 1, 4 */
} dsm_rope_scaling;

/* Keys are the config.json names. A missing key takes the default noted here, which is the one of
 * the configuration files shipped with the released weights; deepseek_v3 has others for many sizes
 * (model/family.c). */
typedef struct dsm_model_config {
    char model_type[32];              /* "llama", "deepseek", "deepseek_v2" or "deepseek_v3" */
    int64_t vocab_size;               /* V, 102400 */
    int64_t hidden_size;              /* D, 4096 */
    int64_t intermediate_size;        /* width of dense layers' FFN, 11008 */
    int64_t moe_intermediate_size;    /* F, width of one routed expert, 1407 */
    int64_t num_hidden_layers;        /* L, 30 */
    int64_t num_attention_heads;      /* H, 32 */
    int64_t num_key_value_heads;      /* Hk, = H */
    int64_t head_dim;                 /* Dh, D / H; MLA: qk_nope_head_dim + qk_rope_head_dim */
    int64_t max_position_embeddings;  /* 2048 */
    int64_t n_shared_experts;         /* 0 (null): none; stored as one MLP of n·F */
    int64_t n_routed_experts;         /* E, 0 (null): no router */
    int64_t num_experts_per_tok;      /* K, 0 (null) */
    int64_t first_k_dense_replace;    /* layers below are dense, 0 */
    int64_t moe_layer_freq;           /* layer i is MoE iff i >= first_k and i % freq == 0, 1 */
    int64_t num_nextn_predict_layers; /* V3: MTP layers behind the last in the files read; never run
                                         nor written, 1 */

    /* Multi-head latent attention (V2, V3); all 0 elsewhere. */
    int64_t q_lora_rank;  /* latent of queries, 1536; 0 (null): q_proj straight from the stream */
    int64_t kv_lora_rank; /* latent of keys and values, 512 */
    int64_t qk_nope_head_dim; /* of a query or key head not rotated, 128 */
    int64_t qk_rope_head_dim; /* rotated, 64; of the key one slice for all heads */
    int64_t v_head_dim;       /* 128 */

    dsm_topk_method topk_method;  /* greedy */
    int64_t n_group, topk_group;  /* groups of experts, and those kept per token; 0 (null) */
    bool norm_topk_prob;          /* false */
    double routed_scaling_factor; /* 1.0 */
    double aux_loss_alpha; /* expert-level balance factor alpha1 the model was made with, 0.001 */
    bool seq_aux;          /* true: per sequence */
    double rms_norm_eps;   /* 1e-6 */
    double rope_theta;     /* 10000 */
    bool rope_interleave;  /* V3: adjacent pairs are rotated (V2: always; else halves), true */
    dsm_rope_scaling rope; /* default */
    double initializer_range; /* 0.02; from-scratch recipes of the papers: 0.006 */
    bool tie_word_embeddings; /* false */
    bool attention_bias;      /* false */
    int64_t bos_token_id, eos_token_id, pad_token_id; /* -1: null */
    /* "quantization_config" of FP8 files: a scale per block of (rows, columns); 0: none, and never
     * written */
    int64_t fp8_block_rows, fp8_block_cols;

    /* "dsmoe": { … } */
    dsm_router_kind router; /* "router", softmax */
    dsm_bias_kind bias;     /* "selection_bias": "none" | "additive" | "multiplicative" */
    bool renormalize;       /* "renormalize": GShard g1/(g1+g2), false */
    double capacity_factor; /* "capacity_factor": 0 = no capacity (none dropped) */
    double jitter;          /* "jitter": Switch epsilon, 0 = off */
    bool random_second;     /* "random_second": GShard, false */
    dsm_hash_kind hash;     /* "hash": "random" | "balanced" */
    int64_t hash_seed;      /* "hash_seed": 0 */
    int64_t chunk;          /* "chunk": Expert Choice, tokens an expert picks from; 0: a sequence */
    bool shuffle;           /* "shuffle": Expert Choice, chunks of shuffled tokens, false */
    int64_t distilled_width; /* "distilled_width": StableMoE, of the distilled router, 50 */
} dsm_model_config;

/* Every field at its default (DeepSeek dense shape of the table above with model_type "llama"). */
void dsm_model_config_defaults(dsm_model_config *c);

/* The same for one of the known model types; DSM_EFORMAT names them. `what` names the source. */
dsm_status dsm_model_config_defaults_of(dsm_model_config *c, const char *model_type,
                                        const char *what, dsm_err *err);

/* Read config.json (a file, or the folder that holds one), checking types, ranges and that the
 * shape is possible (heads divide, K <= E, …). Unknown architectures are DSM_EFORMAT naming the
 * known ones. */
dsm_status dsm_model_config_read(dsm_model_config *c, const char *path, dsm_err *err);

/* The same of text[0 … n-1], which `what` names in messages. */
dsm_status dsm_model_config_parse(dsm_model_config *c, const char *text, size_t n, const char *what,
                                  dsm_err *err);

/* Write config.json with every key, as Hugging Face transformers and this program read it. */
dsm_status dsm_model_config_write(const dsm_model_config *c, const char *path, const char *dtype,
                                  dsm_err *err);

/* The checks of dsm_model_config_read alone; `what` names the source in messages. */
dsm_status dsm_model_config_check(const dsm_model_config *c, const char *what, dsm_err *err);

/* "softmax", …: as "dsmoe": {"router": …} spells it. */
const char *dsm_model_config_router(const dsm_model_config *c);

/* Is layer l (0-based) an MoE layer? */
bool dsm_model_config_is_moe(const dsm_model_config *c, int64_t l);

/* Tokens a text may have: max_position_embeddings, and as many times more as rotary scaling of type
 * dynamic is made for. */
int64_t dsm_model_config_context(const dsm_model_config *c);

/* Sizes of attention that differ between its kinds: whether it is latent (MLA), the width of a
 * value head, of the rotated part of a head, of all query heads and of all outputs (H·Dv). */
bool dsm_model_config_is_mla(const dsm_model_config *c);
int64_t dsm_model_config_v_dim(const dsm_model_config *c);
int64_t dsm_model_config_rope_dim(const dsm_model_config *c);
int64_t dsm_model_config_q_width(const dsm_model_config *c);
int64_t dsm_model_config_o_width(const dsm_model_config *c);

#ifdef __cplusplus
}
#endif
#endif
