/* SPDX-License-Identifier: MIT */
/* How alike the experts of a layer are: cosines between their weights, and between what they answer
 * to the same tokens, whether they were picked for them or not.
 *
 * Weights are compared as they lie: two experts that compute the same with their hidden units in
 * another order look different, which is why outputs are compared as well. */
#ifndef DSMOE_EVAL_ANALYZE_OVERLAP_H
#define DSMOE_EVAL_ANALYZE_OVERLAP_H

#include "model/ctx.h"

/* cosine (E, E) of gate, up and down of two experts, of any dtype, laid end to end. */
dsm_status dsm_overlap_weights(double *cosine, const dsm_ffn_params *p, const dsm_exec *x,
                               dsm_err *err);

/* Buffers to run all experts of a layer on a few tokens. */
typedef struct dsm_overlap {
    dsm_arena memory;
    int64_t E, D;
    int32_t *begin, *rows;    /* (E+1), (E·N) */
    dsm_real *gu, *act, *out; /* (E·N, 2F), (E·N, F), (E·N, D) */
    double *norm;             /* (E·N) of a row of out */
} dsm_overlap;

dsm_status dsm_overlap_open(dsm_overlap *o, const dsm_model_config *c, dsm_err *err);
void dsm_overlap_close(dsm_overlap *o); /* accepts a zeroed struct */

/* sum (E, E) += Σ over the rows tokens (n) of x of the cosine of two experts' outputs. */
void dsm_overlap_add(dsm_overlap *o, double *sum, const dsm_ctx *c, const dsm_ffn_params *p,
                     const dsm_real *x, const int32_t *tokens, int64_t n);

/* Mean over pairs of different experts. */
double dsm_overlap_mean(const double *matrix, int64_t E);

#endif
