/* SPDX-License-Identifier: MIT */
/* What must survive a kill beside the model itself: trainer.json and optimizer.safetensors.
 *
 * Random numbers are functions of (seed, stream, step, index), so the step is the position of every
 * random stream; the schedule is a function of the step and the tokens; loss-free biases are rows
 * of the model (e_score_correction_bias, always F32). */
#ifndef DSMOE_TRAIN_STATE_H
#define DSMOE_TRAIN_STATE_H

#include "dsmoe/data.h"
#include "train/optimizer.h"

typedef struct dsm_train_state {
    int64_t step;   /* completed */
    int64_t tokens; /* trained on */
    int64_t seed;
    double lr; /* of the last step, for readers: it is not read back */
    dsm_loader_state data;
    uint64_t data_tokens;           /* of the training data, all sources */
    uint64_t tokenizer_fingerprint; /* of the training data's tokenizer */
} dsm_train_state;

/* Write both files into folder dir, each synced. exact: the values go into optimizer.safetensors as
 * well, because model.safetensors rounds them. */
dsm_status dsm_state_save(const dsm_train_state *s, const dsm_optimizer *o, bool exact,
                          const char *dir, dsm_err *err);

/* Read them back, moments into o and values (if the file has them) into its model. DSM_ESHAPE when
 * the file is of another model. */
dsm_status dsm_state_load(dsm_train_state *s, dsm_optimizer *o, const char *dir, dsm_err *err);

#endif
