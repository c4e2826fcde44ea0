/* SPDX-License-Identifier: MIT */
/* What a run measured, in one SQLite file that anyone can query.
 *
 *   metrics(step, key, value)                 loss, lr, grad_norm, layer.3.max_vio, …
 *   expert_load(step, layer, expert, tokens)  of logged steps
 *   evals(step, name, metric, value)          name "valid": loss, perplexity, bits_per_byte, …
 *   samples(step, prompt, text)
 *
 * Rows of one step are written in one transaction; a kill loses at most the open one. Steps count
 * completed optimiser steps. */
#ifndef DSMOE_RUN_STORE_H
#define DSMOE_RUN_STORE_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct dsm_store dsm_store;

/* Open or create. DSM_EFORMAT when the file is not ours. */
dsm_status dsm_store_open(dsm_store **out, const char *path, dsm_err *err);
/* Open for reading alone; a run that trains meanwhile is not disturbed. DSM_ENOTFOUND when there is
 * no such file, DSM_EFORMAT when it is damaged or not ours. */
dsm_status dsm_store_open_read(dsm_store **out, const char *path, dsm_err *err);
void dsm_store_close(dsm_store *s); /* accepts NULL; an open transaction is rolled back */

dsm_status dsm_store_begin(dsm_store *s, dsm_err *err);
dsm_status dsm_store_commit(dsm_store *s, dsm_err *err);

/* A row with the same key replaces the old one. A value that is not finite is stored as NULL. */
dsm_status dsm_store_metric(dsm_store *s, int64_t step, const char *key, double value,
                            dsm_err *err);
dsm_status dsm_store_load(dsm_store *s, int64_t step, int64_t layer, int64_t expert, int64_t tokens,
                          dsm_err *err);
dsm_status dsm_store_eval(dsm_store *s, int64_t step, const char *name, const char *metric,
                          double value, dsm_err *err);
dsm_status dsm_store_sample(dsm_store *s, int64_t step, const char *prompt, const char *text,
                            dsm_err *err);

/* Forget everything after `step`: a resumed run will write it again. */
dsm_status dsm_store_truncate(dsm_store *s, int64_t step, dsm_err *err);

/* One metric of a step; *found is false when there is none. */
dsm_status dsm_store_get(dsm_store *s, int64_t step, const char *key, bool *found, double *value,
                         dsm_err *err);
/* The same of an evaluation. */
dsm_status dsm_store_get_eval(dsm_store *s, int64_t step, const char *name, const char *metric,
                              bool *found, double *value, dsm_err *err);
/* The mean of a metric over its steps after `step`; *found is false when there are none. */
dsm_status dsm_store_mean(dsm_store *s, int64_t step, const char *key, bool *found, double *value,
                          dsm_err *err);
/* The highest step with a metric, 0 when there is none. */
dsm_status dsm_store_last_step(dsm_store *s, int64_t *step, dsm_err *err);
/* Rows of a table ("metrics", "expert_load", "evals", "samples"). */
dsm_status dsm_store_count(dsm_store *s, const char *table, int64_t *rows, dsm_err *err);

/* Every row of a metric, of an evaluation's metric, of the loads and of the samples, in the order
 * of steps (loads: steps, layers, experts). Values that were not finite come as NAN; texts live as
 * long as the call. */
typedef void (*dsm_store_point_fn)(void *arg, int64_t step, double value);
typedef void (*dsm_store_load_fn)(void *arg, int64_t step, int64_t layer, int64_t expert,
                                  int64_t tokens);
typedef void (*dsm_store_sample_fn)(void *arg, int64_t step, const char *prompt, const char *text);
dsm_status dsm_store_each_metric(dsm_store *s, const char *key, dsm_store_point_fn fn, void *arg,
                                 dsm_err *err);
dsm_status dsm_store_each_eval(dsm_store *s, const char *name, const char *metric,
                               dsm_store_point_fn fn, void *arg, dsm_err *err);
dsm_status dsm_store_each_load(dsm_store *s, dsm_store_load_fn fn, void *arg, dsm_err *err);
dsm_status dsm_store_each_sample(dsm_store *s, dsm_store_sample_fn fn, void *arg, dsm_err *err);

#endif
