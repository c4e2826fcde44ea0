/* SPDX-License-Identifier: MIT */
/* Methods of strings, as Python has them: positions and lengths count characters, whitespace is
 * Unicode's. */
#include "template/builtin.h"
#include "template/text.h"

#include <string.h>

typedef struct span {
    const char *s;
    size_t n;
} span;

static span text_of(const dsm_val *v)
{
    return (span){v->as.text.data, v->as.text.n};
}

/* A part of self. */
static dsm_status give(const dsm_call *c, span s, dsm_val *out)
{
    *out = dsm_val_text(s.s, s.n);
    out->safe = c->self.safe;
    return DSM_OK;
}

/* A new text made of self. */
static dsm_status give_text(dsm_tpl_run *r, const dsm_call *c, dsm_buf *text, dsm_val *out)
{
    DSM_TRY(dsm_tpl_text(r, text, out));
    out->safe = c->self.safe;
    return DSM_OK;
}

/* --- what stands around ----------------------------------------------------------------------- */

/* Is the character at c[0 … n-1] one of `set`? Without a set: is it whitespace? */
static bool is_among(const char *c, size_t n, const dsm_val *set)
{
    if (set->kind != DSM_VAL_STRING) {
        size_t length;
        return dsm_text_is_space(dsm_text_char(c, n, &length));
    }
    return dsm_text_find(set->as.text.data, set->as.text.n, 0, c, n) >= 0;
}

static size_t char_bytes(span s, size_t at)
{
    size_t length;
    dsm_text_char(s.s + at, s.n - at, &length);
    return length;
}

/* Where the last character begins; s is not empty. */
static size_t last_char(span s)
{
    size_t at = s.n - 1;
    while (at > 0 && ((unsigned char)s.s[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static dsm_status strip(dsm_tpl_run *r, const dsm_call *c, bool left, bool right, dsm_val *out)
{
    span s = text_of(&c->self);
    dsm_val set = dsm_val_none();
    if (c->arg[0].kind != DSM_VAL_NONE) DSM_TRY(dsm_arg_text(r, c, 0, &set));
    DSM_TRY(dsm_tpl_spend(r, set.kind == DSM_VAL_STRING ? (int64_t)(set.as.text.n * s.n / 64) : 0));
    while (left && s.n > 0) {
        size_t n = char_bytes(s, 0);
        if (!is_among(s.s, n, &set)) break;
        s = (span){s.s + n, s.n - n};
    }
    while (right && s.n > 0) {
        size_t at = last_char(s);
        if (!is_among(s.s + at, s.n - at, &set)) break;
        s.n = at;
    }
    return give(c, s, out);
}

static dsm_status method_strip(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return strip(r, c, true, true, out);
}
static dsm_status method_lstrip(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return strip(r, c, true, false, out);
}
static dsm_status method_rstrip(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return strip(r, c, false, true, out);
}

static bool stands_at(span s, span part, bool at_end)
{
    if (part.n > s.n) return false;
    const char *at = at_end ? s.s + s.n - part.n : s.s;
    return part.n == 0 || memcmp(at, part.s, part.n) == 0;
}

/* The argument is a string, or a tuple of which one is enough. */
static dsm_status stands(dsm_tpl_run *r, const dsm_call *c, bool at_end, dsm_val *out)
{
    const dsm_val *what = &c->arg[0];
    bool tuple = what->kind == DSM_VAL_SEQ && what->as.seq->shape == DSM_SEQ_TUPLE;
    const dsm_val *items = tuple ? what->as.seq->items : what;
    int64_t n = tuple ? what->as.seq->n : 1;
    *out = dsm_val_bool(false);
    for (int64_t i = 0; i < n; i++) {
        if (items[i].kind != DSM_VAL_STRING) return dsm_call_fail(r, c, &items[i], "a string");
        out->as.boolean |= stands_at(text_of(&c->self), text_of(&items[i]), at_end);
    }
    return DSM_OK;
}

static dsm_status method_startswith(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return stands(r, c, false, out);
}
static dsm_status method_endswith(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return stands(r, c, true, out);
}

static dsm_status remove_part(dsm_tpl_run *r, const dsm_call *c, bool at_end, dsm_val *out)
{
    dsm_val part;
    DSM_TRY(dsm_arg_text(r, c, 0, &part));
    span s = text_of(&c->self), p = text_of(&part);
    if (!stands_at(s, p, at_end)) return give(c, s, out);
    return give(c, (span){at_end ? s.s : s.s + p.n, s.n - p.n}, out);
}

static dsm_status method_removeprefix(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return remove_part(r, c, false, out);
}
static dsm_status method_removesuffix(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return remove_part(r, c, true, out);
}

/* --- splitting -------------------------------------------------------------------------------- */

static dsm_status push_span(dsm_tpl_run *r, dsm_val *list, span s)
{
    DSM_TRY(dsm_tpl_spend(r, 1));
    return dsm_tpl_made(r, dsm_val_push(list->as.seq, &r->pool, dsm_val_text(s.s, s.n)));
}

static dsm_status split_at(dsm_tpl_run *r, span s, span separator, int64_t most, dsm_val *list)
{
    for (ptrdiff_t at; most != 0; most--) {
        at = dsm_text_find(s.s, s.n, 0, separator.s, separator.n);
        if (at < 0) break;
        DSM_TRY(push_span(r, list, (span){s.s, (size_t)at}));
        size_t behind = (size_t)at + separator.n;
        s = (span){s.s + behind, s.n - behind};
    }
    return push_span(r, list, s);
}

/* At runs of whitespace, none of which is kept. */
static dsm_status split_words(dsm_tpl_run *r, span s, int64_t most, dsm_val *list)
{
    for (;; most--) {
        size_t skip = dsm_text_space_left(s.s, s.n), n = 0;
        s = (span){s.s + skip, s.n - skip};
        if (s.n == 0) return DSM_OK;
        if (most == 0) break;
        while (n < s.n && !is_among(s.s + n, s.n - n, &(dsm_val){0}))
            n += char_bytes(s, n);
        DSM_TRY(push_span(r, list, (span){s.s, n}));
        s = (span){s.s + n, s.n - n};
    }
    return push_span(r, list, s);
}

static void reverse(dsm_val_seq *s)
{
    for (int64_t i = 0, k = s->n - 1; i < k; i++, k--) {
        dsm_val swap = s->items[i];
        s->items[i] = s->items[k];
        s->items[k] = swap;
    }
}

/* The last occurrence of part, -1 if there is none. */
static ptrdiff_t find_last(span s, span part)
{
    if (part.n > s.n) return -1;
    for (ptrdiff_t at = (ptrdiff_t)(s.n - part.n); at >= 0; at--)
        if (memcmp(s.s + at, part.s, part.n) == 0) return at;
    return -1;
}

static dsm_status rsplit_at(dsm_tpl_run *r, span s, span separator, int64_t most, dsm_val *list)
{
    for (ptrdiff_t at; most != 0; most--) {
        at = find_last(s, separator);
        if (at < 0) break;
        size_t behind = (size_t)at + separator.n;
        DSM_TRY(push_span(r, list, (span){s.s + behind, s.n - behind}));
        s.n = (size_t)at;
    }
    DSM_TRY(push_span(r, list, s));
    reverse(list->as.seq);
    return DSM_OK;
}

static dsm_status rsplit_words(dsm_tpl_run *r, span s, int64_t most, dsm_val *list)
{
    for (;; most--) {
        s.n -= dsm_text_space_right(s.s, s.n);
        if (s.n == 0 || most == 0) break;
        size_t begin = s.n;
        while (begin > 0) {
            size_t at = last_char((span){s.s, begin});
            if (is_among(s.s + at, begin - at, &(dsm_val){0})) break;
            begin = at;
        }
        DSM_TRY(push_span(r, list, (span){s.s + begin, s.n - begin}));
        s.n = begin;
    }
    if (s.n > 0) DSM_TRY(push_span(r, list, s));
    reverse(list->as.seq);
    return DSM_OK;
}

typedef dsm_status (*split_words_fn)(dsm_tpl_run *r, span s, int64_t most, dsm_val *list);
typedef dsm_status (*split_at_fn)(dsm_tpl_run *r, span s, span separator, int64_t most,
                                  dsm_val *list);

static dsm_status split(dsm_tpl_run *r, const dsm_call *c, split_words_fn words, split_at_fn at,
                        dsm_val *out)
{
    dsm_val separator = dsm_val_none();
    int64_t most = -1;
    if (c->arg[0].kind != DSM_VAL_NONE) DSM_TRY(dsm_arg_text(r, c, 0, &separator));
    DSM_TRY(dsm_arg_int(r, c, 1, &most));
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, DSM_SEQ_LIST, 0)));
    if (separator.kind == DSM_VAL_NONE) return words(r, text_of(&c->self), most, out);
    if (separator.as.text.n == 0) return dsm_tpl_fail(r, "%s: the separator is empty", c->name);
    return at(r, text_of(&c->self), text_of(&separator), most, out);
}

static dsm_status method_split(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return split(r, c, split_words, split_at, out);
}
static dsm_status method_rsplit(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return split(r, c, rsplit_words, rsplit_at, out);
}

static bool ends_line(uint32_t c)
{
    return (c >= 10 && c <= 13) || (c >= 28 && c <= 30) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

static dsm_status method_splitlines(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    span s = text_of(&c->self);
    bool keep = dsm_arg_bool(c, 0, false);
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, DSM_SEQ_LIST, 0)));
    for (size_t begin = 0, at = 0, length; at < s.n; begin = at) {
        uint32_t found = 0;
        size_t end = at;
        while (at < s.n) {
            found = dsm_text_char(s.s + at, s.n - at, &length);
            end = at;
            at += length;
            if (ends_line(found)) break;
            end = at;
        }
        if (found == '\r' && at < s.n && s.s[at] == '\n') at++;
        DSM_TRY(push_span(r, out, (span){s.s + begin, (keep ? at : end) - begin}));
    }
    return DSM_OK;
}

/* The text before, the separator, the text behind. */
static dsm_status three_parts(dsm_tpl_run *r, const dsm_call *c, bool from_end, dsm_val *out)
{
    dsm_val separator;
    DSM_TRY(dsm_arg_text(r, c, 0, &separator));
    span s = text_of(&c->self), p = text_of(&separator), none = {"", 0};
    if (p.n == 0) return dsm_tpl_fail(r, "%s: the separator is empty", c->name);
    ptrdiff_t at = from_end ? find_last(s, p) : dsm_text_find(s.s, s.n, 0, p.s, p.n);
    size_t begin = at < 0 ? 0 : (size_t)at, behind = begin + p.n;
    span parts[3] = {{s.s, begin}, p, {s.s + behind, at < 0 ? 0 : s.n - behind}};
    if (at < 0) {
        parts[0] = from_end ? none : s;
        parts[1] = none;
        parts[2] = from_end ? s : none;
    }
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, DSM_SEQ_TUPLE, 3)));
    for (int i = 0; i < 3; i++)
        DSM_TRY(push_span(r, out, parts[i]));
    return DSM_OK;
}

static dsm_status method_partition(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return three_parts(r, c, false, out);
}
static dsm_status method_rpartition(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return three_parts(r, c, true, out);
}

/* --- searching -------------------------------------------------------------------------------- */

static dsm_status position(dsm_tpl_run *r, const dsm_call *c, bool from_end, dsm_val *out)
{
    dsm_val part;
    DSM_TRY(dsm_arg_text(r, c, 0, &part));
    span s = text_of(&c->self), p = text_of(&part);
    ptrdiff_t at = from_end ? find_last(s, p) : dsm_text_find(s.s, s.n, 0, p.s, p.n);
    *out = dsm_val_int(at < 0 ? -1 : (int64_t)dsm_text_length(s.s, (size_t)at));
    return DSM_OK;
}

static dsm_status method_find(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return position(r, c, false, out);
}
static dsm_status method_rfind(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return position(r, c, true, out);
}
static dsm_status method_index(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    DSM_TRY(position(r, c, false, out));
    return out->as.integer >= 0 ? DSM_OK : dsm_tpl_fail(r, "index: the string holds no such part");
}

static dsm_status method_count(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val part;
    DSM_TRY(dsm_arg_text(r, c, 0, &part));
    span s = text_of(&c->self), p = text_of(&part);
    *out = dsm_val_int(0);
    if (p.n == 0) {
        *out = dsm_val_int((int64_t)dsm_text_length(s.s, s.n) + 1);
        return DSM_OK;
    }
    for (ptrdiff_t at = 0; (at = dsm_text_find(s.s, s.n, (size_t)at, p.s, p.n)) >= 0;
         at += (ptrdiff_t)p.n)
        out->as.integer++;
    return DSM_OK;
}

/* --- replacing and joining -------------------------------------------------------------------- */

/* An empty `old` stands before every character and at the end. */
static void replace_empty(dsm_buf *text, span s, span new, int64_t most)
{
    for (size_t at = 0, length;; at += length) {
        if (most != 0) dsm_buf_add(text, new.s, new.n);
        if (most > 0) most--;
        if (at >= s.n) return;
        length = char_bytes(s, at);
        dsm_buf_add(text, s.s + at, length);
    }
}

static void replace_all(dsm_buf *text, span s, span old, span new, int64_t most)
{
    for (ptrdiff_t at; most != 0; most--) {
        at = dsm_text_find(s.s, s.n, 0, old.s, old.n);
        if (at < 0 || text->len > DSM_VAL_BYTES_MAX) break;
        dsm_buf_add(text, s.s, (size_t)at);
        dsm_buf_add(text, new.s, new.n);
        size_t behind = (size_t)at + old.n;
        s = (span){s.s + behind, s.n - behind};
    }
    dsm_buf_add(text, s.s, s.n);
}

static dsm_status method_replace(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val old, new;
    int64_t most = -1;
    DSM_TRY(dsm_arg_text(r, c, 0, &old));
    DSM_TRY(dsm_arg_text(r, c, 1, &new));
    DSM_TRY(dsm_arg_int(r, c, 2, &most));
    span s = text_of(&c->self);
    if (new.as.text.n > 0 && s.n + 1 > DSM_VAL_BYTES_MAX / new.as.text.n)
        return dsm_tpl_made(r, false);
    dsm_buf text = {0};
    if (old.as.text.n == 0)
        replace_empty(&text, s, text_of(&new), most);
    else
        replace_all(&text, s, text_of(&old), text_of(&new), most);
    return give_text(r, c, &text, out);
}

static dsm_status method_join(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    dsm_buf text = {0};
    DSM_TRY(dsm_tpl_iterate(r, &c->arg[0], &items));
    for (int64_t i = 0; i < items->n; i++) {
        const dsm_val *item = &items->items[i];
        if (item->kind != DSM_VAL_STRING) {
            dsm_buf_free(&text);
            return dsm_call_fail(r, c, item, "strings");
        }
        if (i > 0) dsm_val_print(&text, &c->self);
        dsm_val_print(&text, item);
        if (text.len > DSM_VAL_BYTES_MAX) break; /* refused below */
    }
    return dsm_tpl_text(r, &text, out);
}

/* One field of a format at s, behind its brace: "{}", "{2}" or "{name}". Its length with the
 * closing brace, 0 if it is another kind. */
static size_t format_field(dsm_tpl_run *r, const dsm_call *c, span s, int64_t *next, dsm_val *value)
{
    const char *close = memchr(s.s, '}', s.n);
    size_t n = close ? (size_t)(close - s.s) : s.n;
    if (!close) return 0;
    *value = dsm_val_text(s.s, n);
    const dsm_val *named = dsm_val_find(&c->all->keywords, value);
    int64_t index = n == 0                                     ? (*next)++
                    : n == 1 && s.s[0] >= '0' && s.s[0] <= '9' ? s.s[0] - '0'
                                                               : -1;
    if (index >= 0 && index < c->all->n) named = &c->all->items[index];
    if (!named || dsm_tpl_to_text(r, named, value) != DSM_OK) return 0;
    return n + 1;
}

static dsm_status method_format(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    span s = text_of(&c->self);
    dsm_buf text = {0};
    int64_t next = 0;
    for (size_t at = 0; at < s.n; at++) {
        bool brace = s.s[at] == '{' || s.s[at] == '}',
             twice = at + 1 < s.n && s.s[at + 1] == s.s[at];
        if (!brace || twice) {
            dsm_buf_add(&text, s.s + at, 1);
            at += brace;
            continue;
        }
        dsm_val value;
        size_t n = s.s[at] == '{'
                       ? format_field(r, c, (span){s.s + at + 1, s.n - at - 1}, &next, &value)
                       : 0;
        if (n == 0) {
            dsm_buf_free(&text);
            return dsm_tpl_fail(r,
                                "format: only {}, {0} and {name} of given arguments are supported");
        }
        dsm_val_print(&text, &value);
        at += n;
        if (text.len > DSM_VAL_BYTES_MAX) break; /* refused below */
    }
    return dsm_tpl_text(r, &text, out);
}

/* --- case ------------------------------------------------------------------------------------- */

/* What each character becomes: `first` says whether it begins a word (or the text). */
typedef uint32_t (*recase_fn)(uint32_t c, bool first);

static uint32_t to_lower(uint32_t c, bool first)
{
    (void)first;
    return dsm_text_map(c, DSM_TEXT_LOWER);
}
static uint32_t to_upper(uint32_t c, bool first)
{
    (void)first;
    return dsm_text_map(c, DSM_TEXT_UPPER);
}
static uint32_t to_title(uint32_t c, bool first)
{
    return dsm_text_map(c, first ? DSM_TEXT_UPPER : DSM_TEXT_LOWER);
}

static bool is_letter(uint32_t c)
{
    return dsm_text_map(c, DSM_TEXT_LOWER) != c || dsm_text_map(c, DSM_TEXT_UPPER) != c;
}

static dsm_status recase(dsm_tpl_run *r, const dsm_call *c, recase_fn map, bool words, dsm_val *out)
{
    span s = text_of(&c->self);
    dsm_buf text = {0};
    bool first = true;
    for (size_t at = 0, length; at < s.n; at += length) {
        uint32_t found = dsm_text_char(s.s + at, s.n - at, &length);
        dsm_text_add_char(&text, map(found, first));
        first = words && !is_letter(found);
    }
    return give_text(r, c, &text, out);
}

static dsm_status method_lower(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return recase(r, c, to_lower, false, out);
}
static dsm_status method_upper(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return recase(r, c, to_upper, false, out);
}
static dsm_status method_capitalize(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return recase(r, c, to_title, false, out);
}
static dsm_status method_title(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return recase(r, c, to_title, true, out);
}

/* Is the string not empty, and does every character pass? */
static dsm_status every(const dsm_call *c, bool (*pass)(uint32_t c), dsm_val *out)
{
    span s = text_of(&c->self);
    *out = dsm_val_bool(s.n > 0);
    for (size_t at = 0, length; at < s.n; at += length)
        out->as.boolean &= pass(dsm_text_char(s.s + at, s.n - at, &length));
    return DSM_OK;
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static dsm_status method_isdigit(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    return every(c, is_digit, out);
}
static dsm_status method_isspace(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    return every(c, dsm_text_is_space, out);
}

const dsm_builtin dsm_string_methods[] = {
    {"strip", "chars?", method_strip},
    {"lstrip", "chars?", method_lstrip},
    {"rstrip", "chars?", method_rstrip},
    {"startswith", "prefix", method_startswith},
    {"endswith", "suffix", method_endswith},
    {"removeprefix", "prefix", method_removeprefix},
    {"removesuffix", "suffix", method_removesuffix},
    {"split", "sep? maxsplit?", method_split},
    {"rsplit", "sep? maxsplit?", method_rsplit},
    {"splitlines", "keepends?", method_splitlines},
    {"partition", "sep", method_partition},
    {"rpartition", "sep", method_rpartition},
    {"find", "sub", method_find},
    {"rfind", "sub", method_rfind},
    {"index", "sub", method_index},
    {"count", "sub", method_count},
    {"replace", "old new count?", method_replace},
    {"join", "iterable", method_join},
    {"format", "...", method_format},
    {"lower", "", method_lower},
    {"upper", "", method_upper},
    {"capitalize", "", method_capitalize},
    {"title", "", method_title},
    {"isdigit", "", method_isdigit},
    {"isspace", "", method_isspace},
    {0},
};
