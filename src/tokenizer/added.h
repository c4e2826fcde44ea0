/* SPDX-License-Identifier: MIT */
/* Added tokens: texts that become one id wherever they stand, before anything else looks.
 *
 * A set is matched leftmost-longest over raw or over normalised text (two sets). The search jumps
 * with memchr over bytes that begin no token, and walks the sorted contents as an implicit trie. */
#ifndef DSMOE_TOKENIZER_ADDED_H
#define DSMOE_TOKENIZER_ADDED_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dsm_added_token {
    const char *content; /* owned by the set */
    size_t n;
    int32_t id;
    bool single_word, lstrip, rstrip, special;
} dsm_added_token;

enum { DSM_ADDED_FIRST_BYTES = 4 };

typedef struct dsm_added_set {
    dsm_added_token *tokens; /* sorted by content once dsm_added_finish ran */
    size_t n, cap;
    bool first[256]; /* bytes that begin a token */
    unsigned char firsts[DSM_ADDED_FIRST_BYTES];
    int n_firsts; /* DSM_ADDED_FIRST_BYTES + 1: too many for memchr */
} dsm_added_set;

/* Copies t and its content, n >= 1 bytes. */
dsm_status dsm_added_add(dsm_added_set *s, const dsm_added_token *t, dsm_err *err);
void dsm_added_finish(dsm_added_set *s); /* after the last add */
void dsm_added_free(dsm_added_set *s);

/* A walk over one text; begin with {set, text, n, specials}. */
typedef struct dsm_added_walk {
    const dsm_added_set *set;
    const char *text;
    size_t n;
    bool specials; /* whether special tokens count */
    size_t at;     /* searched up to here */
    size_t floor;  /* end of the last token */
    size_t
        ahead[DSM_ADDED_FIRST_BYTES]; /* one past where each first byte stands next; 0: not known */
} dsm_added_walk;

/* The next token and the text [*begin, *end) it takes, lstrip and rstrip included; NULL at the end.
 */
const dsm_added_token *dsm_added_next(dsm_added_walk *w, size_t *begin, size_t *end);

#endif
