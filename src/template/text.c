/* SPDX-License-Identifier: MIT */
#include "template/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

uint32_t dsm_text_char(const char *s, size_t n, size_t *length)
{
    uint32_t c = 0xFFFD;
    int len = dsm_utf8_decode(s, n, &c);
    *length = len > 0 ? (size_t)len : 1;
    return c;
}

bool dsm_text_is_space(uint32_t c)
{
    if (c <= 0x20) return (c >= 9 && c <= 13) || (c >= 28 && c <= 32);
    static const uint16_t others[] = {0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (c == others[i]) return true;
    return c >= 0x2000 && c <= 0x200A;
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

size_t dsm_text_length(const char *s, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += !continues(s[i]);
    return count;
}

size_t dsm_text_offset(const char *s, size_t n, int64_t index)
{
    size_t at = 0;
    for (; at < n; at++)
        if (!continues(s[at]) && index-- == 0) break;
    return at;
}

size_t dsm_text_space_left(const char *s, size_t n)
{
    size_t at = 0, length;
    while (at < n && dsm_text_is_space(dsm_text_char(s + at, n - at, &length)))
        at += length;
    return at;
}

size_t dsm_text_space_right(const char *s, size_t n)
{
    size_t end = n, length;
    while (end > 0) {
        size_t at = end - 1;
        while (at > 0 && continues(s[at]))
            at--;
        if (!dsm_text_is_space(dsm_text_char(s + at, end - at, &length))) break;
        end = at;
    }
    return n - end;
}

ptrdiff_t dsm_text_find(const char *s, size_t n, size_t from, const char *part, size_t n_part)
{
    for (size_t at = from; n_part <= n && at <= n - n_part; at++) {
        if (n_part == 0) return (ptrdiff_t)at;
        const char *hit = memchr(s + at, part[0], n - n_part - at + 1);
        if (!hit) break;
        at = (size_t)(hit - s);
        if (memcmp(hit, part, n_part) == 0) return (ptrdiff_t)at;
    }
    return -1;
}

uint32_t dsm_text_map(uint32_t c, dsm_text_case to)
{
    utf8proc_int32_t point = (utf8proc_int32_t)c;
    return (uint32_t)(to == DSM_TEXT_UPPER ? utf8proc_toupper(point) : utf8proc_tolower(point));
}

void dsm_text_add_char(dsm_buf *out, uint32_t c)
{
    char bytes[4];
    dsm_buf_add(out, bytes, (size_t)dsm_utf8_encode(c, bytes));
}

/* The fewest digits that read back as x, as Python lays them out: "1.0", "0.0001", "1e-05",
 * "1e+16". */
void dsm_text_real(dsm_buf *out, double x)
{
    if (!isfinite(x)) {
        dsm_buf_str(out, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    int digits = 1;
    do
        snprintf(text, sizeof text, "%.*e", digits - 1, x);
    while (strtod(text, NULL) != x && ++digits <= 17);
    int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        char *e = strchr(text, 'e');
        dsm_buf_add(out, text, (size_t)(e - text));
        dsm_buf_fmt(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    int decimals = digits - 1 - exponent;
    dsm_buf_fmt(out, "%.*f", decimals > 1 ? decimals : 1, x);
}

static bool is_printable(uint32_t c)
{
    if (c == ' ') return true;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

static void repr_char(dsm_buf *out, uint32_t c, char quote)
{
    static const char named[] = "\nn\rr\tt\\\\";
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if (c == (unsigned char)named[i]) {
            dsm_buf_fmt(out, "\\%c", named[i + 1]);
            return;
        }
    if (c == (unsigned char)quote)
        dsm_buf_fmt(out, "\\%c", quote);
    else if (is_printable(c))
        dsm_text_add_char(out, c);
    else if (c < 0x100)
        dsm_buf_fmt(out, "\\x%02x", (unsigned)c);
    else
        dsm_buf_fmt(out, c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
}

void dsm_text_repr(dsm_buf *out, const char *s, size_t n)
{
    bool single = n && memchr(s, '\'', n), twofold = n && memchr(s, '"', n);
    char quote = single && !twofold ? '"' : '\'';
    dsm_buf_add(out, &quote, 1);
    for (size_t at = 0, length; at < n; at += length)
        repr_char(out, dsm_text_char(s + at, n - at, &length), quote);
    dsm_buf_add(out, &quote, 1);
}

void dsm_text_escape(dsm_buf *out, const char *s, size_t n)
{
    static const struct {
        char c;
        const char *entity;
    } entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
    for (size_t i = 0; i < n; i++) {
        const char *entity = NULL;
        for (size_t e = 0; e < sizeof entities / sizeof *entities; e++)
            if (s[i] == entities[e].c) entity = entities[e].entity;
        if (entity)
            dsm_buf_str(out, entity);
        else
            dsm_buf_add(out, s + i, 1);
    }
}

static void json_escape(dsm_buf *out, uint32_t c)
{
    if (c >= 0x10000) {
        c -= 0x10000;
        dsm_buf_fmt(out, "\\u%04x", 0xD800 + (unsigned)(c >> 10));
        c = 0xDC00 + (c & 0x3FF);
    }
    dsm_buf_fmt(out, "\\u%04x", (unsigned)c);
}

void dsm_text_json(dsm_buf *out, const char *s, size_t n, bool ascii)
{
    static const char named[] = "\"\"\\\\\nn\rr\tt\ff\bb";
    dsm_buf_str(out, "\"");
    for (size_t at = 0, length; at < n; at += length) {
        uint32_t c = dsm_text_char(s + at, n - at, &length);
        const char *name = NULL;
        for (size_t i = 0; i + 1 < sizeof named && !name; i += 2)
            if (c == (unsigned char)named[i]) name = &named[i + 1];
        if (name)
            dsm_buf_fmt(out, "\\%c", *name);
        else if (c < 0x20 || (ascii && c >= 0x7F))
            json_escape(out, c);
        else
            dsm_buf_add(out, s + at, length);
    }
    dsm_buf_str(out, "\"");
}
