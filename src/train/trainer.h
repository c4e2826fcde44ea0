/* SPDX-License-Identifier: MIT */
/* The trainer's parts, shared by setup.c (opens them), record.c (tells what happened) and trainer.c
 * (the loop). The public face is dsmoe/train.h. */
#ifndef DSMOE_TRAIN_TRAINER_H
#define DSMOE_TRAIN_TRAINER_H

#include "dsmoe/data.h"
#include "dsmoe/train.h"
#include "run/rundir.h"
#include "run/store.h"
#include "train/schedule.h"
#include "train/state.h"
#include "train/step.h"

struct dsm_trainer {
    dsm_recipe recipe;
    dsm_schedule schedule;
    dsm_kernels kernels;
    dsm_exec x;
    dsm_model *model;
    dsm_stepper stepper;
    dsm_loader *train, *valid; /* valid NULL: no held-out data */
    dsm_rundir dir;
    dsm_store *store;
    dsm_train_state state;     /* where training stands */
    int64_t first_step;        /* completed when this process began */
    int64_t saved_step;        /* of the newest checkpoint, -1: none */
    int32_t *tokens, *targets; /* (batch.sequences, seq_len) */
    dsm_train_info info;
    dsm_train_eval last_eval; /* tokens = 0: none yet */
    double busy;              /* seconds in steps since the last logged one, and their tokens */
    int64_t busy_tokens;
};

/* --- record.c --------------------------------------------------------------------------------- */

/* Figures of the step just done, from the stepper's loads. */
void dsm_trainer_describe(const dsm_trainer *t, const dsm_step *step, double lr,
                          dsm_train_step *out);

/* Store a logged step: totals, each layer's balance, each expert's load. */
dsm_status dsm_trainer_record(dsm_trainer *t, const dsm_train_step *s, dsm_err *err);

/* Evaluate on the held-out data and store the result in t->last_eval and the run store. */
dsm_status dsm_trainer_evaluate(dsm_trainer *t, dsm_err *err);

/* Continue every prompt of the recipe; nothing without ev->generate. A prompt that fails is
 * recorded with the reason, and training goes on. */
dsm_status dsm_trainer_sample(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err);

/* --- setup.c ---------------------------------------------------------------------------------- */

/* Folder whose tokenizer made the training data. */
const char *dsm_trainer_tokenizer_dir(const dsm_trainer *t);

#endif
