/* SPDX-License-Identifier: MIT */
/* Token dropping by device (DeepSeek-V2, arXiv 2405.04434, section 2.2.4): in training a device
 * that got more than its share of rows leaves those of lowest affinity out. */
#ifndef DSMOE_MODEL_DROP_H
#define DSMOE_MODEL_DROP_H

#include "model/router.h"

typedef struct dsm_drop {
    double factor; /* a device's budget over the mean load of all devices; 0: nothing is dropped */
    double spared; /* share of sequences of which nothing is dropped */
    int64_t devices; /* D contiguous groups of E/D experts */
} dsm_drop;

/* Mark picks as not taken, gate 0, until each device has at most factor · T·K/D rows taken, T the
 * tokens of r: the picks of lowest score first, among equals the last; never those of spared
 * sequences, which are chosen by (seed, step, position). Picks that are not taken already need no
 * room. The other gates stay as they are. Returns how many were dropped. */
int64_t dsm_drop_apply(const dsm_exec *x, const dsm_drop *d, const dsm_route *r);

#endif
