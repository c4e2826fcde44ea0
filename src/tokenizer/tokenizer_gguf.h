/* SPDX-License-Identifier: MIT */
/* Tokenizers as the metadata of a GGUF file: read and written. */
#ifndef DSMOE_TOKENIZER_GGUF_H
#define DSMOE_TOKENIZER_GGUF_H

#include "core/gguf.h"
#include "dsmoe/tokenizer.h"

/* Values of tokenizer.ggml.token_type. */
typedef enum dsm_gguf_token {
    DSM_GGUF_TOKEN_NORMAL = 1,
    DSM_GGUF_TOKEN_UNKNOWN,
    DSM_GGUF_TOKEN_CONTROL,
    DSM_GGUF_TOKEN_USER,
    DSM_GGUF_TOKEN_UNUSED,
    DSM_GGUF_TOKEN_BYTE
} dsm_gguf_token;

/* Has the file a vocabulary? Some hold weights alone. */
bool dsm_gguf_has_tokenizer(const dsm_gguf *f);

/* tokenizer.ggml.model "gpt2" (byte-level BPE) or "llama" (SentencePiece: the pair with the best
 * score is merged first, the leftmost among equals; bytes for characters without a token). Others
 * are DSM_EFORMAT, as is a pre-tokenizer without a row in pretok_gguf.c. */
dsm_status dsm_tokenizer_of_gguf(dsm_tokenizer **out, const dsm_gguf *f, dsm_err *err);

/* Put a tokenizer into the metadata of a file, with `rows` tokens (those of the model's embedding;
 * ids without a token become unused ones). DSM_EFORMAT names what GGUF cannot say: a pre-tokenizer
 * that is in no row, a normalizer. */
dsm_status dsm_tokenizer_put_gguf(dsm_gguf_meta *meta, const dsm_tokenizer *t, int64_t rows,
                                  const char *what, dsm_err *err);

#endif
