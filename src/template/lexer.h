/* SPDX-License-Identifier: MIT */
/* Template text to tokens, with Jinja's rules for whitespace: `trim_blocks` and `lstrip_blocks` are
 * on, as transformers sets them, `-` and `+` in a tag say otherwise. */
#ifndef DSMOE_TEMPLATE_LEXER_H
#define DSMOE_TEMPLATE_LEXER_H

#include "dsmoe/status.h"
#include "template/pool.h"

#include <stdint.h>

typedef enum dsm_token_kind {
    DSM_TOK_TEXT,         /* outside of tags */
    DSM_TOK_OUTPUT_BEGIN, /* {{ */
    DSM_TOK_OUTPUT_END,   /* }} */
    DSM_TOK_TAG_BEGIN,    /* {% */
    DSM_TOK_TAG_END,      /* %} */
    DSM_TOK_NAME,
    DSM_TOK_STRING,
    DSM_TOK_INT,
    DSM_TOK_FLOAT,
    DSM_TOK_OPERATOR,
    DSM_TOK_END /* of the template */
} dsm_token_kind;

typedef struct dsm_token {
    dsm_token_kind kind;
    int line;
    const char *text; /* TEXT, NAME, STRING (escapes resolved), OPERATOR; not NUL-terminated */
    size_t n;
    int64_t integer;
    double real;
} dsm_token;

typedef struct dsm_tokens {
    dsm_token *items; /* the last is END */
    size_t n, cap;
} dsm_tokens;

/* source: valid UTF-8 with "\n" alone as line end; tokens point into it and into the pool. `name`
 * is what messages call the template. The caller frees items. */
dsm_status dsm_template_lex(dsm_tokens *out, dsm_pool *pool, const char *source, size_t n,
                            const char *name, dsm_err *err);

#endif
