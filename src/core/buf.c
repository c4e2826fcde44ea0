/* SPDX-License-Identifier: MIT */
#include "core/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dsm_buf_reserve(dsm_buf *b, size_t more)
{
    if (b->failed || (b->cap > b->len && b->cap - b->len > more)) return;
    size_t cap = b->cap ? b->cap : 64;
    while (cap - b->len <= more) {
        if (cap > SIZE_MAX / 2) {
            b->failed = true;
            return;
        }
        cap *= 2;
    }
    char *p = realloc(b->data, cap);
    if (!p) {
        b->failed = true;
        return;
    }
    b->data = p;
    b->cap = cap;
}

void dsm_buf_add(dsm_buf *b, const void *bytes, size_t n)
{
    dsm_buf_reserve(b, n);
    if (b->failed) return;
    if (n) memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void dsm_buf_str(dsm_buf *b, const char *s)
{
    dsm_buf_add(b, s, strlen(s));
}

static void add_formatted(dsm_buf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n >= 0) dsm_buf_reserve(b, (size_t)n);
    if (n >= 0 && !b->failed) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void dsm_buf_fmt(dsm_buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add_formatted(b, fmt, args);
    va_end(args);
}

char *dsm_format(const char *fmt, ...)
{
    dsm_buf b = {0};
    va_list args;
    va_start(args, fmt);
    add_formatted(&b, fmt, args);
    va_end(args);
    if (b.failed) dsm_buf_free(&b);
    return b.data;
}

void dsm_buf_clear(dsm_buf *b)
{
    b->len = 0;
    if (b->data) b->data[0] = '\0';
}

void dsm_buf_free(dsm_buf *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

dsm_status dsm_buf_check(const dsm_buf *b, const char *what, dsm_err *err)
{
    if (b->failed) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    return DSM_OK;
}

/* Length a lead byte announces, 0 if it cannot lead; the allowed range of the second byte rules out
 * overlong forms, surrogates and code points beyond U+10FFFF (Unicode 15, table 3-7). */
static int lead_length(unsigned char c, unsigned char *lo, unsigned char *hi)
{
    *lo = 0x80;
    *hi = 0xBF;
    if (c < 0x80) return 1;
    if (c < 0xC2) return 0;
    if (c < 0xE0) return 2;
    if (c < 0xF0) {
        if (c == 0xE0) *lo = 0xA0;
        if (c == 0xED) *hi = 0x9F;
        return 3;
    }
    if (c > 0xF4) return 0;
    if (c == 0xF0) *lo = 0x90;
    if (c == 0xF4) *hi = 0x8F;
    return 4;
}

/* How many bytes at s form a valid start of a code point of `*want` bytes; 0 if s[0] cannot lead.
 */
static int matched(const unsigned char *s, size_t n, int *want)
{
    unsigned char lo, hi;
    *want = lead_length(s[0], &lo, &hi);
    if (*want == 0) return 0;
    int got = 1;
    while (got < *want && (size_t)got < n && s[got] >= lo && s[got] <= hi) {
        lo = 0x80;
        hi = 0xBF;
        got++;
    }
    return got;
}

int dsm_utf8_decode(const char *text, size_t n, uint32_t *code_point)
{
    const unsigned char *s = (const unsigned char *)text;
    int want, got = matched(s, n, &want);
    if (want == 0 || got < want) return 0;
    static const unsigned char lead_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t c = s[0] & lead_mask[want];
    for (int i = 1; i < want; i++)
        c = c << 6 | (s[i] & 0x3Fu);
    *code_point = c;
    return want;
}

int dsm_utf8_encode(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (int i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* Length of the run of ASCII at s, in steps of eight bytes. */
static size_t ascii_words(const char *s, size_t n)
{
    size_t i = 0;
    for (uint64_t word; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, s + i, sizeof word);
        if (word & 0x8080808080808080u) break;
    }
    return i;
}

size_t dsm_utf8_valid_prefix(const char *s, size_t n)
{
    size_t i = 0;
    uint32_t c;
    while (i < n) {
        i += ascii_words(s + i, n - i);
        if (i == n) break;
        int len = dsm_utf8_decode(s + i, n - i, &c);
        if (len == 0) break;
        i += (size_t)len;
    }
    return i;
}

size_t dsm_utf8_incomplete_tail(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        int want, got = matched((const unsigned char *)s + n - back, back, &want);
        if (want > (int)back && got == (int)back) return back;
    }
    return 0;
}

void dsm_utf8_repair(dsm_buf *out, const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t good = dsm_utf8_valid_prefix(s + i, n - i);
        dsm_buf_add(out, s + i, good);
        i += good;
        if (i >= n) break;
        int want, got = matched((const unsigned char *)s + i, n - i, &want);
        dsm_buf_add(out, "\xEF\xBF\xBD", 3);
        i += got > 0 ? (size_t)got : 1;
    }
}
