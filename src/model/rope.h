/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_MODEL_ROPE_H
#define DSMOE_MODEL_ROPE_H

#include "core/real.h"

#include <stdint.h>

/* Rotary positions (RoFormer, arXiv 2104.09864): table[(p, j)] = cos, sin of p · theta^(-2j / Dh),
 * for p < positions, j < Dh/2. Angles in double. */
void dsm_rope_fill(dsm_real *table, int64_t positions, int64_t Dh, double theta);

#endif
