/* SPDX-License-Identifier: MIT */
/* The byte-level alphabet of GPT-2: every byte as one printable code point.
 *
 * Bytes 33–126, 161–172 and 174–255 stand for themselves; the other 68 become U+0100 onward, in
 * order. Token texts in files are spelled with it; inside this program tokens are plain bytes. */
#ifndef DSMOE_TOKENIZER_ALPHABET_H
#define DSMOE_TOKENIZER_ALPHABET_H

#include "core/buf.h"

#include <stdbool.h>

uint32_t dsm_alphabet_code_point(unsigned char byte);
int dsm_alphabet_byte(uint32_t code_point); /* -1: not in the alphabet */

/* Append bytes spelled in the alphabet. */
void dsm_alphabet_spell(dsm_buf *out, const void *bytes, size_t n);

/* Append the bytes that a spelling stands for; false (nothing appended) if some character of it is
 * not in the alphabet. */
bool dsm_alphabet_read(dsm_buf *out, const char *spelling, size_t n);

#endif
