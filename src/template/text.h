/* SPDX-License-Identifier: MIT */
/* Python's functions on text, over valid UTF-8: whitespace, characters, case, and how numbers and
 * strings print. Case mapping is character by character (utf8proc); the few characters that become
 * two (ß) stay as they are. */
#ifndef DSMOE_TEMPLATE_TEXT_H
#define DSMOE_TEMPLATE_TEXT_H

#include "core/buf.h"

/* The character at s[0 … n-1], n >= 1, and its length in bytes. */
uint32_t dsm_text_char(const char *s, size_t n, size_t *length);

bool dsm_text_is_space(uint32_t c); /* str.isspace, and \s of patterns */
size_t dsm_text_length(const char *s, size_t n);

/* Where character `index` begins, n when there are no more. */
size_t dsm_text_offset(const char *s, size_t n, int64_t index);

/* Bytes of whitespace at the start and at the end. */
size_t dsm_text_space_left(const char *s, size_t n);
size_t dsm_text_space_right(const char *s, size_t n);

/* The first occurrence of part in s at or behind byte `from`, -1 if there is none. An empty part is
 * found at once. */
ptrdiff_t dsm_text_find(const char *s, size_t n, size_t from, const char *part, size_t n_part);

typedef enum dsm_text_case { DSM_TEXT_LOWER, DSM_TEXT_UPPER } dsm_text_case;
uint32_t dsm_text_map(uint32_t c, dsm_text_case to);
void dsm_text_add_char(dsm_buf *out, uint32_t c);

void dsm_text_real(dsm_buf *out, double x);                  /* repr(float) */
void dsm_text_escape(dsm_buf *out, const char *s, size_t n); /* for HTML */
void dsm_text_repr(dsm_buf *out, const char *s, size_t n);   /* repr(str) */
/* json.dumps of a string; ascii: everything else as \u escapes. */
void dsm_text_json(dsm_buf *out, const char *s, size_t n, bool ascii);

#endif
