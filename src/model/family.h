/* SPDX-License-Identifier: MIT */
/* The model types of the family: one row each, which is all that tells them apart outside of their
 * sizes. */
#ifndef DSMOE_MODEL_FAMILY_H
#define DSMOE_MODEL_FAMILY_H

#include "dsmoe/config.h"

/* As bits, so that a table can say which families something belongs to. */
enum {
    DSM_FAMILY_LLAMA = 1 << 0,
    DSM_FAMILY_V1 = 1 << 1, /* deepseek */
    DSM_FAMILY_V2 = 1 << 2,
    DSM_FAMILY_V3 = 1 << 3,
    DSM_FAMILY_MOE = DSM_FAMILY_V1 | DSM_FAMILY_V2 | DSM_FAMILY_V3,
    DSM_FAMILY_MLA = DSM_FAMILY_V2 | DSM_FAMILY_V3,
    DSM_FAMILY_ALL = DSM_FAMILY_LLAMA | DSM_FAMILY_MOE
};

typedef struct dsm_family {
    const char *model_type, *architecture; /* of config.json */
    unsigned bit;
    unsigned topk_methods;                 /* that it knows: bits 1 << dsm_topk_method */
    void (*defaults)(dsm_model_config *c); /* from llama's to its own; NULL: the same */
} dsm_family;

const dsm_family *dsm_family_of(const char *model_type); /* NULL: not known */

/* The known types, "llama, deepseek, …": what messages expect. */
const char *dsm_family_names(void);

#endif
