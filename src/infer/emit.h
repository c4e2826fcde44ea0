/* SPDX-License-Identifier: MIT */
/* Bytes of drawn tokens to text that may be shown: whole UTF-8 characters, and nothing that could
 * still become part of a stop string. */
#ifndef DSMOE_INFER_EMIT_H
#define DSMOE_INFER_EMIT_H

#include "core/buf.h"

typedef struct dsm_emitter {
    const char *const *stops; /* (n_stops) borrowed */
    int n_stops;
    bool (*emit)(void *arg, const char *text, size_t n); /* may be NULL */
    void *arg;
    dsm_buf held;     /* bytes not shown yet */
    dsm_buf text;     /* everything shown */
    const char *stop; /* the stop string that was found */
    bool cancelled;   /* emit returned false */
} dsm_emitter;

/* Add a token's bytes. After stop or cancelled are set, nothing more is shown. */
void dsm_emitter_add(dsm_emitter *e, const char *bytes, size_t n);

/* The text is over: show what was held back. */
void dsm_emitter_end(dsm_emitter *e);

void dsm_emitter_free(dsm_emitter *e); /* accepts a zeroed struct */

#endif
