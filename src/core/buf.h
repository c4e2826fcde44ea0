/* SPDX-License-Identifier: MIT */
/* A growing byte string, and the UTF-8 helpers that everything reading text shares. */
#ifndef DSMOE_CORE_BUF_H
#define DSMOE_CORE_BUF_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes owned by the struct; `data` is NUL-terminated one past `len` once anything was added.
 * Start from a zeroed struct. On exhausted memory `failed` is set and later calls do nothing, so a
 * writer checks once at its end with dsm_buf_check. */
typedef struct dsm_buf {
    char *data;
    size_t len, cap;
    bool failed;
} dsm_buf;

void dsm_buf_add(dsm_buf *b, const void *bytes, size_t n);
void dsm_buf_str(dsm_buf *b, const char *s);
void dsm_buf_fmt(dsm_buf *b, const char *fmt, ...) DSM_PRINTF(2, 3);
void dsm_buf_reserve(dsm_buf *b, size_t more); /* room for `more` bytes without another growth */
void dsm_buf_clear(dsm_buf *b);                /* len = 0, memory kept */
void dsm_buf_free(dsm_buf *b);
dsm_status dsm_buf_check(const dsm_buf *b, const char *what, dsm_err *err);

/* printf into a malloc'd string; NULL when out of memory. */
char *dsm_format(const char *fmt, ...) DSM_PRINTF(1, 2);

/* Decode the code point at s[0 … n-1], n >= 1. Returns its length in bytes 1…4, or 0 when the bytes
 * are not valid UTF-8 (overlong, surrogate, beyond U+10FFFF, cut off). */
int dsm_utf8_decode(const char *s, size_t n, uint32_t *code_point);

/* Append a code point as UTF-8 to out[4]; returns its length. */
int dsm_utf8_encode(uint32_t code_point, char out[4]);

/* Length of the longest prefix of s that is valid UTF-8. */
size_t dsm_utf8_valid_prefix(const char *s, size_t n);

/* How many bytes at the end of s begin a code point that is not complete yet (0…3): a stream must
 * hold them back. Bytes that can never become valid are not held. */
size_t dsm_utf8_incomplete_tail(const char *s, size_t n);

/* Append s with every invalid byte sequence replaced by U+FFFD, one per maximal invalid subpart. */
void dsm_utf8_repair(dsm_buf *out, const char *s, size_t n);

#endif
