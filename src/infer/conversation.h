/* SPDX-License-Identifier: MIT */
/* Inside a conversation: it is kept as the JSON that templates see. */
#ifndef DSMOE_INFER_CONVERSATION_H
#define DSMOE_INFER_CONVERSATION_H

#include "dsmoe/chat.h"

#include <jansson.h>

struct dsm_conversation {
    json_t *messages; /* array of objects with a role */
    json_t *tools;    /* array, or NULL */
};

#endif
