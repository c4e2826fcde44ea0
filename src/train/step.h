/* SPDX-License-Identifier: MIT */
/* One optimiser step: micro-batches forward and backward, clip, AdamW, loss-free bias.
 *
 * All memory is taken by dsm_stepper_init; nothing allocates inside a step. The trainer, `bench
 * train` and the tests run the same step. */
#ifndef DSMOE_TRAIN_STEP_H
#define DSMOE_TRAIN_STEP_H

#include "model/net.h"
#include "train/optimizer.h"

typedef struct dsm_stepper_options {
    int64_t seq_len, micro;
    int64_t sequences; /* of the largest step; at most micro: no step accumulates */
    dsm_recompute recompute;
    dsm_balance balance;
    double bias_rate; /* loss-free balancing; 0: off */
    dsm_bias_rule bias_rule;
    int64_t freeze; /* StableMoE: step from which its distilled router picks, frozen */
    dsm_adamw_settings adamw;
    uint64_t seed; /* of router noise */
} dsm_stepper_options;

typedef struct dsm_stepper {
    dsm_stepper_options options;
    const dsm_exec *x; /* borrowed */
    dsm_model *model;  /* borrowed */
    dsm_net *net;
    dsm_optimizer optimizer;
    dsm_load *loads;  /* (L) of the last step; E = 0 for a dense layer */
    dsm_arena memory; /* of the loads */
} dsm_stepper;

dsm_status dsm_stepper_init(dsm_stepper *s, dsm_model *m, const dsm_exec *x,
                            const dsm_stepper_options *o, dsm_err *err);
void dsm_stepper_free(dsm_stepper *s); /* accepts a zeroed struct */

/* What one step was. */
typedef struct dsm_step {
    double loss;      /* LM, nats per counted target of the global batch */
    double balance;   /* all balance losses, mean over the global batch */
    double distill;   /* StableMoE: loss of the distilled router, over all layers */
    double grad_norm; /* before clipping */
    int64_t targets;
    struct {
        double backprop, clip, optimizer; /* seconds; backprop: forward and backward */
    } time;
} dsm_step;

/* The network that a stepper with these options opens; also to measure it. */
dsm_net_options dsm_stepper_net(const dsm_stepper_options *o);

/* Step number `step` (from 0) with rate lr on n_seq sequences: tokens, targets (n_seq, seq_len),
 * n_seq <= sequences, each with the same number of counted targets. A loss or gradient that is not
 * finite is DSM_ENONFINITE naming layer and tensor; the parameters are then as they were before the
 * step. */
dsm_status dsm_stepper_run(dsm_stepper *s, int64_t step, double lr, const int32_t *tokens,
                           const int32_t *targets, int64_t n_seq, dsm_step *out, dsm_err *err);

#endif
