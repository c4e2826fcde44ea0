/* SPDX-License-Identifier: MIT */
/* A model written as a GGUF file, one tensor after another, quantised on the way. */
#ifndef DSMOE_FORMATS_GGUF_SAVE_H
#define DSMOE_FORMATS_GGUF_SAVE_H

#include "core/gguf.h"
#include "formats/save.h"

/* The type a parameter is written in when `dtype` is asked for. Vectors, routers and their biases
 * stay f32. The head (or a tied embedding) gets q6_k at least. Where rows are no multiple of 256
 * values, q4_1 stands in for q4_k and q8_0 for q5_k and q6_k; where none of 32, f16 for all. */
dsm_dtype dsm_gguf_save_dtype(const dsm_model_config *c, const dsm_param *p, dsm_dtype dtype);

/* Write metadata and tensors to a temporary file, renamed to path when it is complete; nothing is
 * left of one that failed. o->dtype (see above) is of no meaning with o->keep. Memory: some rows
 * per thread. Errors: DSM_EFORMAT for a parameter that GGUF has no name for; DSM_EINTERRUPTED;
 * those of writing. */
dsm_status dsm_gguf_save(const dsm_model *m, const char *path, const dsm_gguf_meta *meta,
                         const dsm_save_options *o, dsm_err *err);

#endif
