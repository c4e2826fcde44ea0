/* SPDX-License-Identifier: MIT */
/* Starting the merging of a word from whole characters instead of bytes, where that is provably
 * equal.
 *
 * Byte-level merging first puts the bytes of "我" together, over and over. Let a straddler be a
 * token that is not whole characters but reaches over a boundary between two; mark the byte pairs
 * (last of a character, first of the next) at which some straddler has such a boundary. A character
 * whose two boundaries in a word are unmarked can only be touched by tokens within it until it is
 * complete, so it may start as the token its bytes merge to. The order of the merges that follow is
 * the same if every merge ranks behind the merges that made its halves; a vocabulary where one does
 * not gets no shortcut. */
#ifndef DSMOE_TOKENIZER_CHARS_H
#define DSMOE_TOKENIZER_CHARS_H

#include "dsmoe/status.h"
#include "tokenizer/bpe.h"
#include "tokenizer/vocab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dsm_chars {
    int32_t *id; /* (0x10000) token of a character of two or three bytes, -1; NULL: no shortcut */
    uint64_t *marked; /* (256 · 256 bits) pairs of bytes at which a straddler has a boundary */
} dsm_chars;

/* Set up for a byte-level vocabulary (spelled in the alphabet). Errors: DSM_ENOMEM. */
dsm_status dsm_chars_init(dsm_chars *c, const dsm_vocab *vocab, const dsm_bpe *bpe,
                          const int32_t byte_id[256], dsm_err *err);
void dsm_chars_free(dsm_chars *c); /* accepts a zeroed struct */

/* The first symbols of a word: whole characters where possible, else bytes, at most n. Returns
 * their number, or 0 when the word must start from bytes. */
size_t dsm_chars_start(const dsm_chars *c, const int32_t byte_id[256], const unsigned char *s,
                       size_t n, int32_t *ids);

#endif
