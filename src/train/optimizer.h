/* SPDX-License-Identifier: MIT */
/* AdamW over a model's flat arrays, and the global gradient norm. */
#ifndef DSMOE_TRAIN_OPTIMIZER_H
#define DSMOE_TRAIN_OPTIMIZER_H

#include "dsmoe/train.h"
#include "model/params.h"

/* Elements that are treated alike: neighbouring rows of the parameter table are one span. */
typedef struct dsm_span {
    int64_t first, n;
    bool decay, distilled;
} dsm_span;

typedef struct dsm_optimizer {
    dsm_model *model; /* borrowed; has values and gradients */
    dsm_real *m, *v;  /* (n_elements) first and second moments, laid out as the values */
    dsm_span *spans;
    int64_t n_spans;
    bool frozen; /* what is `distilled` stays as it is */
    dsm_arena memory;
} dsm_optimizer;

/* Moments of zero. */
dsm_status dsm_optimizer_init(dsm_optimizer *o, dsm_model *m, dsm_err *err);
void dsm_optimizer_free(dsm_optimizer *o); /* accepts a zeroed struct */

/* Global norm of the gradients; *finite is false when any of them is not. */
double dsm_gradient_norm(const dsm_exec *x, const dsm_model *m, bool *finite);

/* The factor min(1, clip / norm) that clipping puts on a gradient of this norm; clip 0: 1. */
double dsm_clip_factor(double norm, double clip);

/* Update number `step` (from 1) of the values with rate lr from scale · gradients. */
void dsm_optimizer_step(const dsm_optimizer *o, const dsm_exec *x, const dsm_adamw_settings *s,
                        double lr, int64_t step, double scale);

void dsm_gradients_clear(const dsm_exec *x, dsm_model *m);

/* The first parameter, in table order, whose gradient is not finite; NULL: all are. */
const char *dsm_gradient_nonfinite(const dsm_exec *x, const dsm_model *m);

#endif
