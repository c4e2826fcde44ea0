/* SPDX-License-Identifier: MIT */
/* A model written as a GGUF file, one tensor after another, quantised on the way. */
#ifndef DSMOE_FORMATS_GGUF_SAVE_H
#define DSMOE_FORMATS_GGUF_SAVE_H

#include "core/exec.h"
#include "core/gguf.h"
#include "model/params.h"

/* The values of a parameter, valid until the next call: where they come from is the caller's. */
typedef dsm_status (*dsm_values_fn)(void *arg, dsm_mat *values, const dsm_param *p, dsm_err *err);

typedef struct dsm_gguf_save_options {
    const dsm_exec *exec;      /* who converts */
    const dsm_gguf_meta *meta; /* everything but the tensors */
    bool keep;            /* each tensor in the type its values have, as far as GGUF knows it */
    dsm_dtype dtype;      /* otherwise this one; see dsm_gguf_save_dtype */
    dsm_values_fn values; /* NULL: where the model's parameters point */
    void *values_arg;
    /* Called now and then with bytes written and in all; false stops. May be NULL. */
    bool (*progress)(void *arg, double done, double total);
    void *progress_arg;
} dsm_gguf_save_options;

/* The type a parameter is written in when `dtype` is asked for. Vectors, routers and their biases
 * stay f32. The head (or a tied embedding) gets q6_k at least. Where rows are no multiple of 256
 * values, q4_1 stands in for q4_k and q8_0 for q5_k and q6_k; where none of 32, f16 for all. */
dsm_dtype dsm_gguf_save_dtype(const dsm_model_config *c, const dsm_param *p, dsm_dtype dtype);

/* Write to a temporary file, renamed to path when it is complete; nothing is left of one that
 * failed. Memory: some rows per thread. Errors: DSM_EFORMAT for a parameter that GGUF has no name
 * for; DSM_EINTERRUPTED; those of writing. */
dsm_status dsm_gguf_save(const dsm_model *m, const char *path, const dsm_gguf_save_options *o,
                         dsm_err *err);

#endif
