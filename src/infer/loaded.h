/* SPDX-License-Identifier: MIT */
/* A model as everything that runs one needs it: weights in their mapping, tokenizer, kernels,
 * threads. */
#ifndef DSMOE_INFER_LOADED_H
#define DSMOE_INFER_LOADED_H

#include "core/exec.h"
#include "dsmoe/tokenizer.h"
#include "kernels/kernels.h"
#include "model/params.h"

typedef struct dsm_loaded {
    char *dir;                /* the checkpoint MODEL meant */
    dsm_model *model;         /* for inference: no flat values, unless borrowed */
    bool borrowed;            /* the model is someone else's */
    dsm_tokenizer *tokenizer; /* NULL if the folder has none */
    dsm_kernels kernels;
    dsm_exec exec;
} dsm_loaded;

/* Open MODEL and what belongs to it. Errors: those of dsm_checkpoint_open and dsm_tokenizer_open,
 * and a tokenizer with more entries than the model's vocabulary. The struct must not move
 * afterwards. */
dsm_status dsm_loaded_open(dsm_loaded *l, const char *model, int n_threads, unsigned cpu_flags,
                           dsm_err *err);
/* The same around a model that stays its owner's, with the tokenizer of folder `dir`. */
dsm_status dsm_loaded_borrow(dsm_loaded *l, dsm_model *model, const char *dir, int n_threads,
                             unsigned cpu_flags, dsm_err *err);
void dsm_loaded_close(dsm_loaded *l); /* accepts a zeroed struct */

/* DSM_ENOTFOUND, saying what to do, unless there is a tokenizer. */
dsm_status dsm_loaded_need_tokenizer(const dsm_loaded *l, dsm_err *err);

/* Does every id of this tokenizer have a row in the model? DSM_ESHAPE names both sizes; `what`
 * names the tokenizer. */
dsm_status dsm_check_vocabulary(const dsm_model_config *c, int64_t entries, const char *what,
                                dsm_err *err);

#endif
