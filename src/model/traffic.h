/* SPDX-License-Identifier: MIT */
/* What a device sends in a step: volumes of a layout (dsmoe/layout.h has the formulas). */
#ifndef DSMOE_MODEL_TRAFFIC_H
#define DSMOE_MODEL_TRAFFIC_H

#include "dsmoe/layout.h"

/* Fill traffic of p, whose other fields are known; n_moe: of its layers. */
void dsm_traffic_fill(dsm_stage_plan *p, const dsm_model_config *c, const dsm_layout_options *o,
                      int64_t n_moe);

/* May a token use experts of some of the groups only? */
bool dsm_is_device_limited(const dsm_model_config *c);

/* Bytes per parameter and activation of a way to train. */
typedef struct dsm_train_bytes {
    int64_t weight, gradient, optimizer, activation;
} dsm_train_bytes;
dsm_train_bytes dsm_train_bytes_of(dsm_train_dtype dtype);

#endif
