/* SPDX-License-Identifier: MIT */
/* `plan --device-memory`: what fits into the memory of one device, and with how much of a bill. */
#ifndef DSMOE_CLI_PLAN_FIT_H
#define DSMOE_CLI_PLAN_FIT_H

#include "dsmoe/plan.h"

#include <jansson.h>

typedef struct dsm_fit {
    int64_t device;  /* bytes */
    int64_t seq_len; /* of a context */
    dsm_plan_serving serve;
    int64_t train[DSM_N_RECOMPUTE]; /* in all */
    const char *train_dtype;
} dsm_fit;

/* "40GB", "64 GiB", "512M": a number and a decimal (k M G T) or binary (Ki Mi Gi Ti) prefix. */
dsm_status dsm_fit_parse(int64_t *bytes, const char *text, dsm_err *err);

json_t *dsm_fit_json(const dsm_fit *f);
void dsm_fit_print(const dsm_fit *f);

#endif
