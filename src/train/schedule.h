/* SPDX-License-Identifier: MIT */
/* Learning rate and batch size as functions of how far a run is.
 *
 * Steps count from 0 here: step s is the one that follows s completed ones, and its warm-up rate is
 * peak·(s+1)/warmup, so that the papers' "lr = peak·step/2000 for step <= 2000" holds for their
 * steps, which count from 1. Nothing here depends on anything but the recipe, so a resumed run has
 * the same rates. */
#ifndef DSMOE_TRAIN_SCHEDULE_H
#define DSMOE_TRAIN_SCHEDULE_H

#include "dsmoe/train.h"

typedef struct dsm_schedule {
    const dsm_recipe *recipe;    /* borrowed */
    int64_t decay[DSM_LIST_MAX]; /* step_decay: completed steps from which each decay holds */
    int n_decays;
    int64_t total_tokens; /* of the whole run, batch ramp included */
} dsm_schedule;

/* O(steps) when the batch ramps, O(1) otherwise. */
void dsm_schedule_init(dsm_schedule *s, const dsm_recipe *r);

/* Learning rate of step s, 0 <= s < steps. */
double dsm_schedule_lr(const dsm_schedule *s, int64_t step);

/* Sequences of the step that follows `tokens` trained tokens: linear from batch.ramp.from to
 * batch.sequences over batch.ramp.tokens (DeepSeek-V2, section 3.1.2; the shape is not stated
 * there), whole micro-batches. */
int64_t dsm_schedule_sequences(const dsm_recipe *r, int64_t tokens);

/* StableMoE: the first step of the second stage, balance.stable.until of the steps; at `steps` or
 * beyond there is none. */
int64_t dsm_schedule_freeze(const dsm_recipe *r);

#endif
