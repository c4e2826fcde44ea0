/* SPDX-License-Identifier: MIT */
/* What `eval` and `analyze` ask before they begin: how long a window is, whether data fits the
 * model, what a text begins after. */
#ifndef DSMOE_EVAL_WINDOWS_H
#define DSMOE_EVAL_WINDOWS_H

#include "dsmoe/data.h"
#include "infer/loaded.h"

enum {
    DSM_WINDOW_MOST = 2048, /* tokens of a window nobody asked for */
    DSM_BATCH_TOKENS = 4096 /* that go through the model together */
};

/* Tokens of a window: those asked for, which the model must have been made for; 0: its context, at
 * most DSM_WINDOW_MOST. */
dsm_status dsm_window_length(int64_t *seq_len, const dsm_loaded *l, const char *model,
                             int64_t asked, dsm_err *err);

/* How many of n windows go through the model together: DSM_BATCH_TOKENS, or the chunk that the
 * experts of Expert Choice choose from, as far as there is text. */
int64_t dsm_window_batch(const dsm_model_config *c, int64_t seq_len, int64_t n);

/* Was a prepared data set made with the model's tokenizer, and does each id have a row? */
dsm_status dsm_window_check_data(dsm_data_info *info, const dsm_loaded *l, const char *dir,
                                 dsm_err *err);

/* The token in front of a text: BOS, else the end of the text before. */
dsm_status dsm_window_first_token(int32_t *id, const dsm_loaded *l, dsm_err *err);

#endif
