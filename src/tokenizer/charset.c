/* SPDX-License-Identifier: MIT */
#include "tokenizer/charset.h"

#include <stdlib.h>
#include <string.h>

void dsm_charset_add(dsm_charset *s, uint32_t low, uint32_t high)
{
    uint32_t c = low;
    for (; c <= high && c & 7; c++)
        s->bits[c >> 3] |= (unsigned char)(1u << (c & 7));
    if (high >= 7 && c <= high - 7) {
        uint32_t bytes = (high + 1 - c) >> 3;
        memset(s->bits + (c >> 3), 0xFF, bytes);
        c += bytes << 3;
    }
    for (; c <= high; c++)
        s->bits[c >> 3] |= (unsigned char)(1u << (c & 7));
}

void dsm_charset_invert(dsm_charset *s)
{
    for (size_t i = 0; i < sizeof s->bits; i++)
        s->bits[i] = (unsigned char)~s->bits[i];
}

bool dsm_charset_has(const dsm_charset *s, uint32_t c)
{
    return s->bits[c >> 3] >> (c & 7) & 1;
}

/* The code points of run i of the class table: [*low, *high]. */
static unsigned run(size_t i, uint32_t *low, uint32_t *high)
{
    *low = dsm_unicode_runs[i] >> DSM_CLASS_BITS;
    *high = i + 1 < dsm_unicode_n_runs ? (dsm_unicode_runs[i + 1] >> DSM_CLASS_BITS) - 1
                                       : DSM_CODE_POINTS - 1;
    return dsm_unicode_runs[i] & DSM_CLASS_MASK;
}

void dsm_charset_add_flag(dsm_charset *s, unsigned class_flag, bool negated)
{
    for (size_t i = 0; i < dsm_unicode_n_runs; i++) {
        uint32_t low, high;
        unsigned class_bits = run(i, &low, &high);
        if (((class_bits & class_flag) != 0) != negated) dsm_charset_add(s, low, high);
    }
}

bool dsm_charset_add_property(dsm_charset *s, const char *name, size_t n, bool negated)
{
    int in[DSM_GC_COUNT];
    for (int gc = 0; gc < DSM_GC_COUNT; gc++)
        if ((in[gc] = dsm_gc_in_property((dsm_gc)gc, name, n)) < 0) return false;
    for (size_t i = 0; i < dsm_unicode_n_runs; i++) {
        uint32_t low, high;
        unsigned gc = run(i, &low, &high) & DSM_CLASS_CATEGORY;
        if ((in[gc] != 0) != negated) dsm_charset_add(s, low, high);
    }
    return true;
}

static int larger_first(const void *a, const void *b)
{
    const dsm_range *x = a, *y = b;
    uint32_t nx = x->high - x->low, ny = y->high - y->low;
    if (nx != ny) return nx < ny ? 1 : -1;
    return x->low < y->low ? -1 : x->low > y->low;
}

/* How many code points from c on may be passed over at once because none has membership `in`. */
static uint32_t without(const dsm_charset *s, uint32_t c, bool in)
{
    const uint64_t skip = in ? 0 : UINT64_MAX;
    uint64_t word;
    if ((c & 63) == 0) {
        memcpy(&word, s->bits + (c >> 3), sizeof word);
        if (word == skip) return 64;
    }
    return (c & 7) == 0 && s->bits[c >> 3] == (unsigned char)skip ? 8 : 1;
}

/* The first code point at or after c whose membership is `in`, DSM_CODE_POINTS if there is none. */
static uint32_t next_with(const dsm_charset *s, uint32_t c, bool in)
{
    while (c < DSM_CODE_POINTS && dsm_charset_has(s, c) != in)
        c += without(s, c, in);
    return c;
}

/* UTF-8 has no surrogates, and PCRE2 accepts none. */
static void drop_surrogates(dsm_charset *s)
{
    memset(s->bits + (0xD800 >> 3), 0, (0xE000 - 0xD800) >> 3);
}

void dsm_charset_write(dsm_charset *s, dsm_buf *out)
{
    dsm_range *ranges = NULL;
    size_t n = 0, cap = 0;
    drop_surrogates(s);
    for (uint32_t low = next_with(s, 0, true), end; low < DSM_CODE_POINTS;
         low = next_with(s, end, true)) {
        end = next_with(s, low, false);
        if (n == cap) {
            cap = cap ? 2 * cap : 64;
            dsm_range *more = realloc(ranges, cap * sizeof *more);
            if (!more) {
                out->failed = true;
                goto done;
            }
            ranges = more;
        }
        ranges[n++] = (dsm_range){low, end - 1};
    }
    if (n > 1) qsort(ranges, n, sizeof *ranges, larger_first);
    dsm_buf_str(out, n ? "[" : "(?!)");
    for (size_t i = 0; i < n; i++) {
        dsm_buf_fmt(out, "\\x{%x}", ranges[i].low);
        if (ranges[i].high > ranges[i].low) dsm_buf_fmt(out, "-\\x{%x}", ranges[i].high);
    }
    if (n) dsm_buf_str(out, "]");
done:
    free(ranges);
}
