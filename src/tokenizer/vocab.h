/* SPDX-License-Identifier: MIT */
/* Token texts by id and ids by text: strings in one pool, one open-addressing table.
 *
 * Ids may have holes. Nothing is ever removed; pointers handed out stay valid until the vocabulary
 * is freed only once it is no longer added to. */
#ifndef DSMOE_TOKENIZER_VOCAB_H
#define DSMOE_TOKENIZER_VOCAB_H

#include "core/buf.h"
#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

enum { DSM_MAX_TOKEN_ID = (1 << 22) - 1 }; /* bounds what a damaged file can make us allocate */

typedef struct dsm_vocab {
    dsm_buf pool;   /* NUL-terminated texts */
    size_t *offset; /* of id's text in the pool; SIZE_MAX: no such id */
    uint32_t *length;
    int32_t size, cap; /* ids are below size */
    int32_t *table;    /* id + 1, 0 empty */
    size_t mask, used; /* table size - 1; entries */
} dsm_vocab;

/* Errors: DSM_ERANGE (id outside 0 … DSM_MAX_TOKEN_ID), DSM_EFORMAT (id or text already there),
 * DSM_ENOMEM. `what` names the source in messages. */
dsm_status dsm_vocab_add(dsm_vocab *v, int64_t id, const char *text, size_t n, const char *what,
                         dsm_err *err);
int32_t dsm_vocab_find(const dsm_vocab *v, const char *text, size_t n); /* -1: none */
const char *dsm_vocab_text(const dsm_vocab *v, int32_t id,
                           size_t *n); /* NULL: none; n may be NULL */
void dsm_vocab_free(dsm_vocab *v);

#endif
