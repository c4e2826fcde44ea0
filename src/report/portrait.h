/* SPDX-License-Identifier: MIT */
/* What an analysis says of the experts of a model (output of `dsmoe analyze --json`): per layer who
 * got how much, from which domains, and the tokens and places that experts prefer. */
#ifndef DSMOE_REPORT_PORTRAIT_H
#define DSMOE_REPORT_PORTRAIT_H

#include "dsmoe/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Texts are borrowed from the file. */
typedef struct dsm_expert_portrait {
    int64_t expert;
    double load;              /* a multiple of an even share */
    const char *domain;       /* the one it sees most beyond that domain's part; NULL: one domain */
    double domain_lift;       /* its share of the domain's picks over its share of all */
    const json_t *top_tokens; /* array of {text, lift, …}, or NULL */
    const json_t *contexts;   /* array of {before, token, after, …}, or NULL */
} dsm_expert_portrait;

typedef struct dsm_layer_portrait {
    int64_t layer, dead;
    double max_vio, routing_entropy; /* NAN where not told */
    int n;
    dsm_expert_portrait *experts; /* (n) */
} dsm_layer_portrait;

typedef struct dsm_portrait {
    json_t *file;
    char *name; /* "deepseekmoe-s1.active": the file's, without .json */
    const char *model;
    int n;
    dsm_layer_portrait *layers; /* (n) */
} dsm_portrait;

/* Is there an expert of whom tokens or places are told? */
bool dsm_portrait_speaks(const dsm_portrait *p);

/* Read a file. DSM_EFORMAT: it is not an analysis. */
dsm_status dsm_portrait_read(dsm_portrait *p, const char *path, dsm_err *err);
void dsm_portrait_free(dsm_portrait *p); /* accepts a zeroed struct */

#endif
