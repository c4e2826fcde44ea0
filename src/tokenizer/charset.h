/* SPDX-License-Identifier: MIT */
/* A set of code points, as character classes of patterns are built from. */
#ifndef DSMOE_TOKENIZER_CHARSET_H
#define DSMOE_TOKENIZER_CHARSET_H

#include "core/buf.h"
#include "tokenizer/unicode.h"

typedef struct dsm_charset {
    unsigned char bits[DSM_CODE_POINTS / 8];
} dsm_charset;
_Static_assert(DSM_CODE_POINTS % 64 == 0, "sets are walked by words");

void dsm_charset_add(dsm_charset *s, uint32_t low, uint32_t high); /* inclusive */
void dsm_charset_invert(dsm_charset *s);
bool dsm_charset_has(const dsm_charset *s, uint32_t c);

/* Add every code point whose class (unicode.h) has one of the flag bits. */
void dsm_charset_add_flag(dsm_charset *s, unsigned class_flag, bool negated);

/* Add a general-category property ("L", "Lu"); false when there is no such property. */
bool dsm_charset_add_property(dsm_charset *s, const char *name, size_t n, bool negated);

/* Append the set as a PCRE2 class; surrogates leave the set. Large ranges stand first: PCRE2 tries
 * them in order. */
void dsm_charset_write(dsm_charset *s, dsm_buf *out);

#endif
