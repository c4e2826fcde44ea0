/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_MODEL_ROPE_H
#define DSMOE_MODEL_ROPE_H

#include "core/real.h"
#include "dsmoe/config.h"

#include <stdint.h>

/* Rotary positions (RoFormer, arXiv 2104.09864), scaled as the config says, for a text of `length`
 * tokens (dynamic scaling looks at it): table[(p - begin, j)] = cos, sin of p · frequency_j, times
 * YaRN's factor of both; begin <= p < end, j < Dr/2 for rotated parts of Dr. Angles in double. */
void dsm_rope_fill(dsm_real *table, int64_t begin, int64_t end, const dsm_model_config *c,
                   int64_t length);

/* How often pair j turns, not scaled, in the original length; how many times slower scaling of type
 * llama3 makes it turn. */
double dsm_rope_turns(const dsm_model_config *c, int64_t j);
double dsm_rope_slowdown(const dsm_model_config *c, int64_t j);

/* What YaRN multiplies the scores of latent attention by, besides 1/√Dk; 1 without it. */
double dsm_rope_score_factor(const dsm_model_config *c);

#endif
