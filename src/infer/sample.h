/* SPDX-License-Identifier: MIT */
/* One token out of logits: the steps of dsm_sampling (dsmoe/engine.h) in their order. All memory is
 * taken when a sampler is opened. */
#ifndef DSMOE_INFER_SAMPLE_H
#define DSMOE_INFER_SAMPLE_H

#include "dsmoe/engine.h"

typedef struct dsm_sampler dsm_sampler;

/* n: ids 0 … n-1 may be drawn. Rows of the logits beyond them (padding of the vocabulary) never
 * are. */
dsm_status dsm_sampler_open(dsm_sampler **out, int64_t n, dsm_err *err);
size_t dsm_sampler_bytes(int64_t n);    /* that one takes */
void dsm_sampler_close(dsm_sampler *s); /* accepts NULL */

/* What the repetition penalty knows: nothing yet; id is in the sequence. */
void dsm_sampler_forget(dsm_sampler *s);
void dsm_sampler_saw(dsm_sampler *s, int32_t id);

/* Draw the token of `position` from logits (at least n). DSM_ENONFINITE if one of them is not
 * finite. */
dsm_status dsm_sampler_draw(dsm_sampler *s, const dsm_sampling *o, const float *logits,
                            uint64_t position, int32_t *id, dsm_err *err);

/* DSM_ERANGE unless every setting makes sense. */
dsm_status dsm_sampling_check(const dsm_sampling *o, dsm_err *err);

#endif
