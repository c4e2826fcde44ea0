/* SPDX-License-Identifier: MIT */
/* The pre-tokenizers that GGUF files name in tokenizer.ggml.pre, as the JSON of tokenizer.json. */
#ifndef DSMOE_TOKENIZER_PRETOK_GGUF_H
#define DSMOE_TOKENIZER_PRETOK_GGUF_H

#include "tokenizer/pretok.h"

typedef struct dsm_gguf_pre {
    const char *name;
    json_t *(*build)(void); /* the pre_tokenizer value (new reference), NULL: out of memory */
    bool ignore_merges;     /* a word that is a token is not merged */
    bool add_bos;           /* unless the file says otherwise */
    bool nfc;               /* text is normalised first */
} dsm_gguf_pre;

/* The row of a name; NULL: none has it. */
const dsm_gguf_pre *dsm_gguf_pre_find(const char *name);

/* The first row that splits like p; NULL: none does. */
const dsm_gguf_pre *dsm_gguf_pre_like(const dsm_pretok *p);

#endif
