/* SPDX-License-Identifier: MIT */
/* Tensors as files hold them to tensors as the parameter table wants them.
 *
 * Most are the same. Not so: all experts of a layer in two tensors, as transformers 5 keeps them in
 * memory (mlp.experts.gate_up_proj [E, 2m, H] and mlp.experts.down_proj [E, H, m]), of which each
 * parameter is a part; FP8 weights, which are values times a scale per block (….weight_scale_inv);
 * and the layers for multi-token prediction that DeepSeek-V3 stores behind the last one, which
 * nothing here reads. Nothing is copied: this only says where values are. */
#ifndef DSMOE_FORMATS_ADAPT_H
#define DSMOE_FORMATS_ADAPT_H

#include "formats/weights.h"
#include "model/params.h"

typedef struct dsm_source {
    dsm_st_tensor tensor;       /* shape and data as the table wants them */
    const dsm_st_tensor *scale; /* FP8: (⌈rows/R⌉, ⌈cols/C⌉) for blocks of (R, C); else NULL */
} dsm_source;

/* Where parameter p of a model has its values: by its own name, or inside a tensor of all experts
 * (of exactly n_routed_experts). False: nowhere. */
bool dsm_source_find(dsm_source *s, const dsm_weights *w, const dsm_model_config *c,
                     const dsm_param *p);

/* Does an FP8 source have the scales it needs? True for other types. */
bool dsm_source_is_scaled(const dsm_source *s, const dsm_model_config *c);

/* Rows [first, first + n) of an FP8 source as numbers: out (n, cols). */
void dsm_source_dequantise(const dsm_source *s, const dsm_model_config *c, dsm_real *out,
                           int64_t first, int64_t n);

/* What a tensor that is no parameter by name is doing in the file. */
typedef enum dsm_extra {
    DSM_EXTRA_UNKNOWN,
    DSM_EXTRA_PART,   /* experts or scales that parameters are made of */
    DSM_EXTRA_LEGACY, /* nobody needs it: old rotary tables, the head of a tied model */
    DSM_EXTRA_MTP     /* multi-token prediction */
} dsm_extra;

dsm_extra dsm_extra_of(const dsm_weights *w, const dsm_model_config *c, const dsm_st_tensor *t);

#endif
