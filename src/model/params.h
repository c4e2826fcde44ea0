/* SPDX-License-Identifier: MIT */
/* The parameters of a model: one table row per tensor of the file, and typed views on them.
 *
 * A row (dsm_param) knows its Hugging Face name, shape, initialisation and decay. A trained model's
 * values lie in one flat array in row order, gradients and moments in arrays of the same layout, so
 * that the optimiser, the clip and a checkpoint are loops over rows. A model opened for inference
 * has no flat array: each row points into a file mapping, in the file's own dtype. Sublayers see
 * only dsm_mat views (kernels.h), so they do not know the difference.
 *
 * Some rows are state that no gradient trains: the selection bias (dsm_real, F32 in files) and the
 * hash table (I32). Their offset is -1, their mat points at memory the model owns, whatever the
 * flags: a loader copies into it and never repoints it, a writer stores it in its own dtype. */
#ifndef DSMOE_MODEL_PARAMS_H
#define DSMOE_MODEL_PARAMS_H

#include "core/arena.h"
#include "dsmoe/config.h"
#include "kernels/kernels.h"

typedef enum dsm_init { DSM_INIT_NORMAL, DSM_INIT_ONE, DSM_INIT_ZERO } dsm_init;

typedef struct dsm_param {
    char *name;         /* "model.layers.3.mlp.experts.7.gate_proj.weight" */
    int ndim;           /* 1 or 2 */
    int64_t rows, cols; /* (rows, cols), a vector is (1, cols) */
    int64_t offset;     /* elements from the start of the flat arrays; -1: state, see above */
    dsm_init init;
    bool decay;     /* weight decay: matrices yes, norms no */
    bool distilled; /* of StableMoE's distilled router: trained in its first stage alone */
    dsm_mat mat;    /* where the values are now */
} dsm_param;

/* Views of one linear map: w (N, K), its gradient (NULL when not training). exact: f32 products
 * whatever the compute precision. */
typedef struct dsm_weight {
    dsm_mat w;
    dsm_real *dw;
    bool exact;
} dsm_weight;

typedef struct dsm_vector {
    const dsm_real *w; /* (n) always dsm_real: converted when bound if the file has another dtype */
    dsm_real *dw;
    int64_t n;
} dsm_vector;

/* SwiGLU FFN: gate, up (F, D), down (D, F). A dense FFN, a shared expert (F = n_shared·width), or
 * with n_groups > 1 the routed experts of a layer: arrays of n_groups views. */
typedef struct dsm_ffn_params {
    int n_groups;
    int64_t D, F;
    dsm_mat *gate, *up, *down;        /* (n_groups) */
    dsm_real **dgate, **dup, **ddown; /* (n_groups), entries NULL when not training */
    dsm_mat *gate_up;                 /* (n_groups) of (2F, D): both as one, if `merged` */
    bool merged;                      /* in every group up follows gate without a gap */
} dsm_ffn_params;

/* Biases: n = 0 without attention_bias. */
typedef struct dsm_gqa_params {
    dsm_weight q, k, v;
    dsm_weight qkv; /* q, k, v as one; rows = 0: they do not lie together */
    dsm_vector bq, bk, bv;
} dsm_gqa_params;

typedef struct dsm_mla_params {
    dsm_weight q;                 /* (H·Dk, q_lora): q_b_proj; without q_lora (H·Dk, D): q_proj */
    dsm_weight q_a;               /* (q_lora, D); rows = 0: no q_lora */
    dsm_weight kv_a;              /* (kv_lora + Dr, D) */
    dsm_weight a;                 /* q_a and kv_a as one; rows = 0: they do not lie together */
    dsm_weight kv_b;              /* (H·(Dn + Dv), kv_lora), per head keys, then values */
    dsm_vector q_a_norm, kv_norm; /* (q_lora), (kv_lora) */
    dsm_vector bq_a, bkv_a;
    dsm_mat *key_up, *value_up; /* (H) of (Dn, kv_lora), (Dv, kv_lora): the parts of kv_b */
    dsm_mat *key_down;          /* (H) of (kv_lora, Dn): key_up transposed; no data: see absorb.c */
} dsm_mla_params;

typedef struct dsm_attn_params {
    dsm_weight o;
    dsm_vector bo;
    union { /* by attention kind */
        dsm_gqa_params gqa;
        dsm_mla_params mla;
    };
} dsm_attn_params;

/* StableMoE's second router (distill.h); rows = 0 for other kinds. */
typedef struct dsm_distilled_params {
    dsm_weight embed;    /* (V, W) */
    dsm_weight centroid; /* (E, W) */
} dsm_distilled_params;

typedef struct dsm_moe_params {
    dsm_weight router; /* (E, D); rows = 0 for hash and dense */
    dsm_distilled_params distilled;
    dsm_real *bias;         /* (E) selection bias, or NULL; not trained by gradient */
    int32_t *hash;          /* (V) expert of each token id, or NULL */
    dsm_ffn_params shared;  /* n_groups = 0: none */
    dsm_ffn_params experts; /* n_groups = E */
} dsm_moe_params;

typedef struct dsm_layer_params {
    bool is_moe;
    int64_t begin; /* where the layer's rows begin in the flat arrays */
    dsm_vector attn_norm, ffn_norm;
    dsm_attn_params attn;
    dsm_ffn_params ffn; /* dense layers */
    dsm_moe_params moe; /* MoE layers */
} dsm_layer_params;

typedef struct dsm_model {
    dsm_model_config config;
    dsm_param *params; /* (n_params) in file-table order */
    int64_t n_params;
    int64_t n_elements;     /* of the flat arrays; rows start at multiples of 16 */
    dsm_weight embed, head; /* (V, D); tied: the same memory */
    dsm_vector norm;
    dsm_layer_params *layers; /* (L) */
    dsm_real *values, *grads; /* flat arrays, NULL when absent; zero between rows */
    dsm_real *vectors;        /* norms and biases as dsm_real when values == NULL */
    dsm_arena memory, flat;   /* owners: tables and views; values and gradients */
    dsm_arena absorbed;       /* owner of key_down */
    void *mapping;            /* owner of the files' mapping when values == NULL */
    void (*mapping_close)(void *mapping);
} dsm_model;

enum {
    DSM_MODEL_VALUES = 1, /* allocate the flat values (zero) */
    DSM_MODEL_GRADS = 2,  /* and the flat gradients (zero); needs DSM_MODEL_VALUES */
    DSM_MODEL_LATER = 4   /* of loaders: what would have to be copied stays in the file, and nothing
                             is bound: for those who read each parameter once */
};

/* Build table and views for a config, which is checked first. Without DSM_MODEL_VALUES every
 * mat.data but those of state rows is NULL until the loader points it at a mapping and calls
 * dsm_model_bind. State rows are as dsm_model_reset_state leaves them. */
dsm_status dsm_model_create(dsm_model **out, const dsm_model_config *c, unsigned flags,
                            dsm_err *err);
void dsm_model_free(dsm_model *m); /* accepts NULL */

/* Refresh the typed views from params[].mat (after a loader set them). DSM_ESHAPE names a row that
 * has no data. */
dsm_status dsm_model_bind(dsm_model *m, dsm_err *err);

/* Fill key_down of layers whose kv_b is quantised (absorb.c); dsm_model_bind does. */
dsm_status dsm_model_absorb(dsm_model *m, dsm_err *err);

/* Random initialisation of the flat values: N(0, initializer_range) per element i of a parameter as
 * a function of (seed, parameter name, i), norms 1, biases 0. State rows are reset. */
void dsm_model_init_random(dsm_model *m, const dsm_exec *x, uint64_t seed);

/* The same values of one parameter that is not state, out (rows · cols), without a model that holds
 * them; std is initializer_range. */
void dsm_param_init_random(dsm_real *out, const dsm_param *p, const dsm_exec *x, double std,
                           uint64_t seed);

/* State rows at their start: selection bias 1 if multiplicative, else 0; hash tables without
 * counts. */
void dsm_model_reset_state(dsm_model *m);

/* Hash tables (Roller et al. 2021), for other routers nothing. Reset: random is a function of
 * (hash_seed, layer, id); balanced takes turns, as for equal frequencies. Balance: a "balanced"
 * table from the frequencies of token ids, counts (V): tokens by falling frequency, each to the
 * emptiest expert, ties to the lower id. A run fills it once, from its training data; checkpoints
 * keep it. */
void dsm_model_hash_reset(dsm_model *m);
dsm_status dsm_model_hash_balance(dsm_model *m, const uint64_t *counts, dsm_err *err);

/* Where layer l begins in the flat arrays: its rows, then those of layer l + 1, lie together. l =
 * L: where the layers end. */
int64_t dsm_model_layer_begin(const dsm_model *m, int64_t l);

/* Elements that a row of n elements takes in the flat arrays. */
int64_t dsm_model_row_elements(int64_t n);

dsm_param *dsm_model_find(const dsm_model *m, const char *name); /* NULL if there is none */

#endif
