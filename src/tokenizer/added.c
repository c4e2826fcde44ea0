/* SPDX-License-Identifier: MIT */
/* The rules for single_word, lstrip and rstrip follow the reference: a match that fails its
 * single_word test, or is special when specials do not count, still uses up its text. */
#include "tokenizer/added.h"

#include "core/buf.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>

dsm_status dsm_added_add(dsm_added_set *s, const dsm_added_token *t, dsm_err *err)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        dsm_added_token *more = realloc(s->tokens, cap * sizeof *more);
        if (!more) return dsm_fail(err, DSM_ENOMEM, "added tokens: out of memory");
        s->tokens = more;
        s->cap = cap;
    }
    char *content = malloc(t->n);
    if (!content) return dsm_fail(err, DSM_ENOMEM, "added tokens: out of memory");
    memcpy(content, t->content, t->n);
    s->tokens[s->n] = *t;
    s->tokens[s->n++].content = content;
    return DSM_OK;
}

static int by_content(const void *a, const void *b)
{
    const dsm_added_token *x = a, *y = b;
    int order = memcmp(x->content, y->content, x->n < y->n ? x->n : y->n);
    return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

void dsm_added_finish(dsm_added_set *s)
{
    if (s->n > 1) qsort(s->tokens, s->n, sizeof *s->tokens, by_content);
    for (size_t i = 0; i < s->n; i++) {
        unsigned char b = (unsigned char)s->tokens[i].content[0];
        if (s->first[b]) continue;
        s->first[b] = true;
        if (s->n_firsts < DSM_ADDED_FIRST_BYTES) s->firsts[s->n_firsts] = b;
        if (s->n_firsts <= DSM_ADDED_FIRST_BYTES) s->n_firsts++;
    }
}

void dsm_added_free(dsm_added_set *s)
{
    for (size_t i = 0; i < s->n; i++)
        free((char *)s->tokens[i].content);
    free(s->tokens);
    memset(s, 0, sizeof *s);
}

/* First tokens in [low, high) whose byte `depth` is at least b. All share their first depth bytes.
 */
static size_t lower_bound(const dsm_added_set *s, size_t low, size_t high, size_t depth, unsigned b)
{
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const dsm_added_token *t = &s->tokens[mid];
        if (depth >= t->n || (unsigned char)t->content[depth] < b)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The longest token that text begins with. */
static const dsm_added_token *longest(const dsm_added_set *s, const char *text, size_t n)
{
    const dsm_added_token *best = NULL;
    size_t low = 0, high = s->n;
    for (size_t depth = 0; depth < n && low < high; depth++) {
        unsigned b = (unsigned char)text[depth];
        low = lower_bound(s, low, high, depth, b);
        high = lower_bound(s, low, high, depth, b + 1);
        if (low < high && s->tokens[low].n == depth + 1) best = &s->tokens[low];
    }
    return best;
}

/* The next byte at or after w->at that begins some token; n if none does. */
static size_t candidate(dsm_added_walk *w)
{
    const dsm_added_set *s = w->set;
    size_t at = w->at, nearest = w->n;
    if (s->n_firsts > DSM_ADDED_FIRST_BYTES) {
        while (at < w->n && !s->first[(unsigned char)w->text[at]])
            at++;
        return at;
    }
    for (int i = 0; i < s->n_firsts; i++) {
        if (w->ahead[i] <= at) {
            const char *p = memchr(w->text + at, s->firsts[i], w->n - at);
            w->ahead[i] = 1 + (p ? (size_t)(p - w->text) : w->n);
        }
        if (w->ahead[i] - 1 < nearest) nearest = w->ahead[i] - 1;
    }
    return nearest;
}

static unsigned flags_before(const char *text, size_t i, size_t *len)
{
    uint32_t c;
    for (*len = 1; *len < 4 && *len < i && ((unsigned char)text[i - *len] & 0xC0) == 0x80;)
        ++*len;
    return dsm_utf8_decode(text + i - *len, *len, &c) == (int)*len ? dsm_char_flags(c) : 0;
}

static unsigned flags_behind(const char *text, size_t n, size_t i, size_t *len)
{
    uint32_t c;
    int got = i < n ? dsm_utf8_decode(text + i, n - i, &c) : 0;
    *len = (size_t)got;
    return got ? dsm_char_flags(c) : 0;
}

static bool inside_word(const char *text, size_t n, size_t begin, size_t end)
{
    size_t len;
    return (begin > 0 && flags_before(text, begin, &len) & DSM_CH_IDENT) ||
           (end < n && flags_behind(text, n, end, &len) & DSM_CH_IDENT);
}

static size_t strip_left(const char *text, size_t begin, size_t floor)
{
    for (size_t len; begin > floor && flags_before(text, begin, &len) & DSM_CH_SPACE;)
        begin -= len;
    return begin < floor ? floor : begin;
}

static size_t strip_right(const char *text, size_t n, size_t end)
{
    for (size_t len; flags_behind(text, n, end, &len) & DSM_CH_SPACE;)
        end += len;
    return end;
}

const dsm_added_token *dsm_added_next(dsm_added_walk *w, size_t *begin, size_t *end)
{
    while (w->set->n && (w->at = candidate(w)) < w->n) {
        const dsm_added_token *t = longest(w->set, w->text + w->at, w->n - w->at);
        if (!t) {
            w->at++;
            continue;
        }
        *begin = w->at;
        *end = w->at += t->n;
        if ((t->special && !w->specials) ||
            (t->single_word && inside_word(w->text, w->n, *begin, *end)))
            continue;
        if (*begin < w->floor)
            *begin = w->floor; /* rstrip of the last token reached into this one */
        if (t->lstrip) *begin = strip_left(w->text, *begin, w->floor);
        if (t->rstrip) *end = strip_right(w->text, w->n, *end);
        w->floor = *end;
        return t;
    }
    return NULL;
}
