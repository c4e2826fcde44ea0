/* SPDX-License-Identifier: MIT */
/* One stage of a pre-tokenizer, as pretok_read.c makes it and pretok.c runs it. There are three
 * kinds: a split by a pattern, a space put in front, and Metaspace's replacement. */
#ifndef DSMOE_TOKENIZER_PRETOK_STAGE_H
#define DSMOE_TOKENIZER_PRETOK_STAGE_H

#include "tokenizer/regex.h"

#include <stdbool.h>

typedef enum dsm_stage_kind {
    DSM_STAGE_SPLIT,
    DSM_STAGE_PREFIX_SPACE,
    DSM_STAGE_METASPACE
} dsm_stage_kind;

/* What becomes of the matches of a split. */
typedef enum dsm_behaviour {
    DSM_ISOLATED,
    DSM_REMOVED,
    DSM_MERGED_PREVIOUS,
    DSM_MERGED_NEXT,
    DSM_CONTIGUOUS
} dsm_behaviour;

/* Before which pieces Metaspace puts its replacement. */
typedef enum dsm_prepend { DSM_PREPEND_ALWAYS, DSM_PREPEND_FIRST, DSM_PREPEND_NEVER } dsm_prepend;

typedef struct dsm_stage {
    dsm_stage_kind kind;
    dsm_behaviour behaviour; /* split */
    bool invert;
    dsm_regex *regex;
    dsm_prepend prepend; /* Metaspace */
    char replacement[5]; /* UTF-8 */
} dsm_stage;

#endif
