/* SPDX-License-Identifier: MIT */
/* Filters: value | name(arguments). Those that jinja2 makes of a string method call that method's
 * row. Lazy filters (map, select, …) are worked off at once here, but what they give is an iterator
 * as it is there: used once, without a length, always true. */
#include "template/builtin.h"
#include "template/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dsm_status push(dsm_tpl_run *r, dsm_val *list, dsm_val item)
{
    DSM_TRY(dsm_tpl_spend(r, 1));
    return dsm_tpl_made(r, dsm_val_push(list->as.seq, &r->pool, item));
}

static dsm_status new_list(dsm_tpl_run *r, dsm_seq_shape shape, dsm_val *out)
{
    return dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, shape, 0));
}

/* --- strings ---------------------------------------------------------------------------------- */

/* A string method of str(self), with the filter's own arguments. HTML stays HTML. */
static dsm_status as_method(dsm_tpl_run *r, const dsm_call *c, const char *name, dsm_val *out)
{
    dsm_val text;
    DSM_TRY(dsm_tpl_to_text(r, &c->self, &text));
    return dsm_builtin_call(r, dsm_builtin_find(dsm_string_methods, name), &text, c->all, out);
}

static dsm_status filter_lower(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return as_method(r, c, "lower", out);
}
static dsm_status filter_upper(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return as_method(r, c, "upper", out);
}
static dsm_status filter_capitalize(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return as_method(r, c, "capitalize", out);
}
static dsm_status filter_trim(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return as_method(r, c, "strip", out);
}
static dsm_status filter_replace(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    DSM_TRY(as_method(r, c, "replace", out));
    out->safe = false;
    return DSM_OK;
}

/* Words begin behind spaces and opening brackets only, not behind every sign as str.title has it.
 */
static dsm_status filter_title(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val v;
    dsm_buf text = {0};
    bool first = true;
    DSM_TRY(dsm_tpl_to_text(r, &c->self, &v));
    for (size_t at = 0, length; at < v.as.text.n; at += length) {
        uint32_t found = dsm_text_char(v.as.text.data + at, v.as.text.n - at, &length);
        dsm_text_add_char(&text, dsm_text_map(found, first ? DSM_TEXT_UPPER : DSM_TEXT_LOWER));
        first = dsm_text_is_space(found) || (found < 0x80 && found && strchr("-({[<", (int)found));
    }
    return dsm_tpl_text(r, &text, out);
}

static dsm_status filter_string(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return dsm_tpl_to_text(r, &c->self, out);
}

static dsm_status filter_safe(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    DSM_TRY(dsm_tpl_to_text(r, &c->self, out));
    out->safe = true;
    return DSM_OK;
}

static void add_spaces(dsm_buf *text, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dsm_buf_str(text, " ");
}

static dsm_status filter_escape(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_buf text = {0};
    DSM_TRY(dsm_tpl_to_text(r, &c->self, out));
    if (out->safe) return DSM_OK;
    dsm_text_escape(&text, out->as.text.data, out->as.text.n);
    DSM_TRY(dsm_tpl_text(r, &text, out));
    out->safe = true;
    return DSM_OK;
}

/* Lines behind the first (or all) moved right; empty ones only if asked for. */
static dsm_status filter_indent(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t width = 4;
    dsm_val v;
    dsm_buf text = {0};
    bool first = dsm_arg_bool(c, 1, false), blank = dsm_arg_bool(c, 2, false);
    DSM_TRY(dsm_arg_int(r, c, 0, &width));
    DSM_TRY(dsm_tpl_to_text(r, &c->self, &v));
    const char *s = v.as.text.data;
    size_t n = v.as.text.n;
    if (width > 1000)
        return dsm_tpl_fail(r, "indent: found a width of %lld, at most 1000", (long long)width);
    for (size_t begin = 0, end; begin <= n; begin = end + 1) {
        for (end = begin; end < n && s[end] != '\n';)
            end++;
        if (begin > 0) dsm_buf_str(&text, "\n");
        if (begin == 0 ? first : blank || end > begin) add_spaces(&text, width);
        dsm_buf_add(&text, s + begin, end - begin);
        if (text.len > DSM_VAL_BYTES_MAX) break; /* refused below */
    }
    return dsm_tpl_text(r, &text, out);
}

static dsm_status filter_tojson(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_json_style style = {.ascii = dsm_arg_bool(c, 0, false),
                            .sort_keys = dsm_arg_bool(c, 3, false),
                            .indent = -1,
                            .key_separator = dsm_val_literal(": ")};
    DSM_TRY(dsm_arg_int(r, c, 1, &style.indent));
    if (style.indent > 1000)
        return dsm_call_fail(r, c, &c->arg[1], "an indentation of at most 1000");
    style.item_separator = dsm_val_literal(style.indent < 0 ? ", " : ",");
    const dsm_val *separators = &c->arg[2];
    if (separators->kind == DSM_VAL_SEQ && separators->as.seq->n == 2) {
        style.item_separator = separators->as.seq->items[0];
        style.key_separator = separators->as.seq->items[1];
    } else if (c->given[2] && separators->kind != DSM_VAL_NONE) {
        return dsm_call_fail(r, c, separators, "two separators");
    }
    if (style.item_separator.kind != DSM_VAL_STRING || style.key_separator.kind != DSM_VAL_STRING)
        return dsm_call_fail(r, c, separators, "separators that are strings");
    dsm_buf text = {0};
    dsm_status status = dsm_tpl_dumps(r, &text, &c->self, &style);
    if (status == DSM_OK) return dsm_tpl_text(r, &text, out);
    dsm_buf_free(&text);
    return status;
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* The number that a text is, spaces around it allowed. */
static bool read_number(const dsm_val *text, dsm_val *out)
{
    char copy[64], *end;
    const char *s = text->as.text.data;
    size_t n = text->as.text.n, left = dsm_text_space_left(s, n);
    n -= left;
    n -= dsm_text_space_right(s + left, n);
    if (n == 0 || n >= sizeof copy || memchr(s + left, 'x', n)) return false;
    memcpy(copy, s + left, n);
    copy[n] = '\0';
    long long whole = strtoll(copy, &end, 10);
    if (*end == '\0') {
        *out = dsm_val_int(whole);
        return true;
    }
    *out = dsm_val_real(strtod(copy, &end));
    return *end == '\0';
}

/* self as a number; false if it is none. */
static bool as_number(const dsm_val *self, dsm_val *out)
{
    *out = *self;
    return self->kind == DSM_VAL_STRING ? read_number(self, out) : dsm_val_is_number(self);
}

static dsm_status filter_int(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val number;
    int64_t whole, base = 10;
    DSM_TRY(dsm_arg_int(r, c, 1, &base));
    if (base != 10) return dsm_tpl_fail(r, "int: only base 10 is supported");
    *out = c->given[0] ? c->arg[0] : dsm_val_int(0);
    if (!as_number(&c->self, &number)) return DSM_OK;
    if (dsm_val_as_integer(&number, &whole))
        *out = dsm_val_int(whole);
    else if (fabs(number.as.real) < 9e18)
        *out = dsm_val_int((int64_t)number.as.real);
    return DSM_OK;
}

static dsm_status filter_float(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    dsm_val number;
    *out = c->given[0] ? c->arg[0] : dsm_val_real(0);
    if (as_number(&c->self, &number)) *out = dsm_val_real(dsm_val_as_real(&number));
    return DSM_OK;
}

static dsm_status filter_abs(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t whole;
    if (!dsm_val_is_number(&c->self)) return dsm_call_fail(r, c, &c->self, "a number");
    *out = dsm_val_real(fabs(dsm_val_as_real(&c->self)));
    if (!dsm_val_as_integer(&c->self, &whole)) return DSM_OK;
    if (whole == INT64_MIN) return dsm_tpl_fail(r, "an integer is larger than 64 bits hold");
    *out = dsm_val_int(whole < 0 ? -whole : whole);
    return DSM_OK;
}

/* To `precision` decimals, halves to even as Python rounds them. */
static double round_to(double x, int64_t precision)
{
    char text[400];
    if (!isfinite(x)) return x;
    snprintf(text, sizeof text, "%.*f", (int)precision, x);
    return strtod(text, NULL);
}

static dsm_status filter_round(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t precision = 0;
    dsm_val method = dsm_val_literal("common");
    DSM_TRY(dsm_arg_int(r, c, 0, &precision));
    DSM_TRY(dsm_arg_text(r, c, 1, &method));
    if (!dsm_val_is_number(&c->self)) return dsm_call_fail(r, c, &c->self, "a number");
    if (precision < 0 || precision > 15)
        return dsm_tpl_fail(r, "round: found a precision of %lld, expected 0 to 15",
                            (long long)precision);
    double x = dsm_val_as_real(&c->self), scale = pow(10, (double)precision);
    if (dsm_val_equals_text(&method, "ceil"))
        x = ceil(x * scale) / scale;
    else if (dsm_val_equals_text(&method, "floor"))
        x = floor(x * scale) / scale;
    else
        x = round_to(x, precision);
    *out = dsm_val_real(x);
    return DSM_OK;
}

/* --- sequences -------------------------------------------------------------------------------- */

static dsm_status filter_length(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t n;
    if (!dsm_val_has_length(&c->self, &n))
        return dsm_call_fail(r, c, &c->self, "something with a length");
    *out = dsm_val_int(n);
    return DSM_OK;
}

static dsm_status filter_first(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    DSM_TRY(dsm_tpl_iterate(r, &c->self, &items));
    *out = items->n > 0 ? items->items[0] : dsm_val_missing("first item", "sequence");
    return DSM_OK;
}

static dsm_status filter_last(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    DSM_TRY(dsm_tpl_iterate(r, &c->self, &items));
    *out = items->n > 0 ? items->items[items->n - 1] : dsm_val_missing("last item", "sequence");
    return DSM_OK;
}

static dsm_status copy_items(dsm_tpl_run *r, const dsm_val *from, dsm_val *list)
{
    const dsm_val_seq *items;
    DSM_TRY(dsm_tpl_iterate(r, from, &items));
    DSM_TRY(new_list(r, DSM_SEQ_LIST, list));
    for (int64_t i = 0; i < items->n; i++)
        DSM_TRY(push(r, list, items->items[i]));
    return DSM_OK;
}

static dsm_status filter_list(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return copy_items(r, &c->self, out);
}

static dsm_status filter_reverse(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    static const dsm_val backwards[3] = {
        {.kind = DSM_VAL_NONE}, {.kind = DSM_VAL_NONE}, {.kind = DSM_VAL_INT, .as.integer = -1}};
    if (c->self.kind == DSM_VAL_STRING) return dsm_tpl_slice(r, &c->self, backwards, out);
    dsm_val list;
    DSM_TRY(copy_items(r, &c->self, &list));
    DSM_TRY(dsm_tpl_slice(r, &list, backwards, out));
    out->as.seq->shape = DSM_SEQ_ITERATOR;
    return DSM_OK;
}

static dsm_status filter_join(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    dsm_val separator = dsm_val_literal("");
    dsm_buf text = {0};
    bool printed = true;
    dsm_status status = DSM_OK;
    if (c->given[0]) DSM_TRY(dsm_tpl_to_text(r, &c->arg[0], &separator));
    DSM_TRY(dsm_tpl_iterate(r, &c->self, &items));
    for (int64_t i = 0; i < items->n && status == DSM_OK && printed; i++) {
        dsm_val item = items->items[i];
        if (c->given[1]) status = dsm_tpl_path(r, &items->items[i], &c->arg[1], &item);
        if (i > 0) dsm_val_print(&text, &separator);
        printed = dsm_val_print(&text, &item) && text.len <= DSM_VAL_BYTES_MAX;
    }
    if (status == DSM_OK && printed) return dsm_tpl_text(r, &text, out);
    dsm_buf_free(&text);
    return status != DSM_OK ? status
                            : dsm_tpl_fail(r, "join: an item has no text, or they are too long");
}

static dsm_status filter_items(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    if (c->self.kind == DSM_VAL_UNDEFINED) return new_list(r, DSM_SEQ_ITERATOR, out);
    if (c->self.kind != DSM_VAL_DICT) return dsm_call_fail(r, c, &c->self, "a dict");
    DSM_TRY(
        dsm_builtin_call(r, dsm_builtin_find(dsm_dict_methods, "items"), &c->self, c->all, out));
    out->as.seq->shape = DSM_SEQ_ITERATOR;
    return DSM_OK;
}

static dsm_status filter_sum(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    int64_t whole = 0, one;
    double real = 0;
    bool integers = true;
    if (c->given[1] && !dsm_val_is_number(&c->arg[1]))
        return dsm_call_fail(r, c, &c->arg[1], "a number");
    if (c->given[1]) integers = dsm_val_as_integer(&c->arg[1], &whole);
    if (c->given[1]) real = dsm_val_as_real(&c->arg[1]);
    DSM_TRY(dsm_tpl_iterate(r, &c->self, &items));
    for (int64_t i = 0; i < items->n; i++) {
        dsm_val item = items->items[i];
        if (c->given[0] && c->arg[0].kind != DSM_VAL_NONE)
            DSM_TRY(dsm_tpl_path(r, &items->items[i], &c->arg[0], &item));
        if (!dsm_val_is_number(&item)) return dsm_call_fail(r, c, &item, "numbers");
        integers = integers && dsm_val_as_integer(&item, &one);
        real += dsm_val_as_real(&item);
        if (integers && __builtin_add_overflow(whole, one, &whole))
            return dsm_tpl_fail(r, "an integer is larger than 64 bits hold");
    }
    *out = integers ? dsm_val_int(whole) : dsm_val_real(real);
    return DSM_OK;
}

/* --- order ------------------------------------------------------------------------------------ */

/* What to sort an item by: the part `path` leads to, in lower case unless case counts. */
static dsm_status sort_key(dsm_tpl_run *r, const dsm_val *item, const dsm_val *path, bool with_case,
                           dsm_val *key)
{
    static const dsm_args none = {0};
    *key = *item;
    if (path->kind != DSM_VAL_UNDEFINED && path->kind != DSM_VAL_NONE)
        DSM_TRY(dsm_tpl_path(r, item, path, key));
    if (key->kind != DSM_VAL_STRING || with_case) return DSM_OK;
    const dsm_val text = *key;
    return dsm_builtin_call(r, dsm_builtin_find(dsm_string_methods, "lower"), &text, &none, key);
}

/* Both sorted by the keys: stable, and refused where Python cannot order them. */
static dsm_status insertion_sort(dsm_tpl_run *r, dsm_val *items, dsm_val *keys, int64_t n, int sign)
{
    for (int64_t i = 1; i < n; i++) {
        const dsm_val item = items[i], key = keys[i];
        int64_t at = i;
        for (; at > 0; at--) {
            int order;
            DSM_TRY(dsm_tpl_spend(r, 1));
            if (!dsm_val_compare(&keys[at - 1], &key, &order))
                return dsm_tpl_fail(r, "sort: %s and %s have no order", dsm_val_type(&keys[at - 1]),
                                    dsm_val_type(&key));
            if (sign * order <= 0) break;
            items[at] = items[at - 1];
            keys[at] = keys[at - 1];
        }
        items[at] = item;
        keys[at] = key;
    }
    return DSM_OK;
}

static dsm_status sort_list(dsm_tpl_run *r, dsm_val *list, const dsm_val *path, bool with_case,
                            bool reverse)
{
    dsm_val_seq *s = list->as.seq;
    dsm_val *keys = dsm_pool_take(&r->pool, (size_t)s->n * sizeof *keys);
    DSM_TRY(dsm_tpl_made(r, keys != NULL));
    for (int64_t i = 0; i < s->n; i++)
        DSM_TRY(sort_key(r, &s->items[i], path, with_case, &keys[i]));
    return insertion_sort(r, s->items, keys, s->n, reverse ? -1 : 1);
}

static dsm_status filter_sort(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    DSM_TRY(copy_items(r, &c->self, out));
    return sort_list(r, out, &c->arg[2], dsm_arg_bool(c, 1, false), dsm_arg_bool(c, 0, false));
}

static dsm_status filter_dictsort(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val pairs;
    if (c->self.kind != DSM_VAL_DICT) return dsm_call_fail(r, c, &c->self, "a dict");
    const dsm_args none = {0};
    DSM_TRY(
        dsm_builtin_call(r, dsm_builtin_find(dsm_dict_methods, "items"), &c->self, &none, &pairs));
    DSM_TRY(copy_items(r, &pairs, out));
    const dsm_val by = dsm_val_int(dsm_val_equals_text(&c->arg[1], "value"));
    return sort_list(r, out, &by, dsm_arg_bool(c, 0, false), dsm_arg_bool(c, 2, false));
}

/* The least item (sign 1) or the greatest (-1); the first among equals. */
static dsm_status extreme(dsm_tpl_run *r, const dsm_call *c, int sign, dsm_val *out)
{
    const dsm_val_seq *items;
    dsm_val best, key;
    DSM_TRY(dsm_tpl_iterate(r, &c->self, &items));
    *out = dsm_val_missing("item", "sequence");
    for (int64_t i = 0; i < items->n; i++) {
        int order = -sign;
        DSM_TRY(sort_key(r, &items->items[i], &c->arg[1], dsm_arg_bool(c, 0, false), &key));
        if (i > 0 && !dsm_val_compare(&key, &best, &order))
            return dsm_tpl_fail(r, "%s: items have no order", c->name);
        if (sign * order >= 0) continue;
        best = key;
        *out = items->items[i];
    }
    return DSM_OK;
}

static dsm_status filter_min(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return extreme(r, c, 1, out);
}
static dsm_status filter_max(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return extreme(r, c, -1, out);
}

static dsm_status filter_unique(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    dsm_val keys;
    DSM_TRY(dsm_tpl_iterate(r, &c->self, &items));
    DSM_TRY(new_list(r, DSM_SEQ_LIST, &keys));
    DSM_TRY(new_list(r, DSM_SEQ_ITERATOR, out));
    for (int64_t i = 0; i < items->n; i++) {
        dsm_val key;
        bool seen = false;
        DSM_TRY(sort_key(r, &items->items[i], &c->arg[1], dsm_arg_bool(c, 0, false), &key));
        DSM_TRY(dsm_tpl_spend(r, keys.as.seq->n));
        for (int64_t k = 0; k < keys.as.seq->n && !seen; k++)
            seen = dsm_val_equal(&keys.as.seq->items[k], &key);
        if (seen) continue;
        DSM_TRY(push(r, &keys, key));
        DSM_TRY(push(r, out, items->items[i]));
    }
    return DSM_OK;
}

/* --- each item -------------------------------------------------------------------------------- */

/* The arguments from number `from` on. */
static dsm_args tail(const dsm_args *a, int64_t from)
{
    return (dsm_args){a->items + from, a->n > from ? a->n - from : 0, a->keywords};
}

/* A filter or a test by name. */
static dsm_status named(dsm_tpl_run *r, const dsm_call *c, const dsm_builtin *table,
                        const dsm_val *name, const dsm_builtin **out)
{
    char text[32] = "";
    if (name->kind != DSM_VAL_STRING) return dsm_call_fail(r, c, name, "a name");
    if (name->as.text.n < sizeof text) memcpy(text, name->as.text.data, name->as.text.n);
    *out = dsm_builtin_find(table, text);
    if (*out) return DSM_OK;
    return dsm_tpl_fail(r, "%s: there is no filter or test \"%.*s\"", c->name,
                        (int)(name->as.text.n < 40 ? name->as.text.n : 40), name->as.text.data);
}

static const dsm_val *keyword(const dsm_call *c, const char *name)
{
    const dsm_val key = dsm_val_literal(name);
    return dsm_val_find(&c->all->keywords, &key);
}

/* What map, select and their like go through: nothing where the value is false, none say. */
static dsm_status each(dsm_tpl_run *r, const dsm_call *c, const dsm_val_seq **items)
{
    const dsm_val nothing = {0};
    return dsm_tpl_iterate(r, dsm_val_true(&c->self) ? &c->self : &nothing, items);
}

/* map(attribute=path, default=value) or map(filter, its arguments…). */
static dsm_status filter_map(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *items;
    const dsm_val *path = keyword(c, "attribute"), *otherwise = keyword(c, "default");
    const dsm_builtin *b = NULL;
    if (!path && c->all->n == 0) return dsm_tpl_fail(r, "map: a filter or attribute= is missing");
    if (!path) DSM_TRY(named(r, c, dsm_filters, &c->all->items[0], &b));
    const dsm_args rest = tail(c->all, 1);
    DSM_TRY(each(r, c, &items));
    DSM_TRY(new_list(r, DSM_SEQ_ITERATOR, out));
    for (int64_t i = 0; i < items->n; i++) {
        dsm_val item;
        if (path)
            DSM_TRY(dsm_tpl_path(r, &items->items[i], path, &item));
        else
            DSM_TRY(dsm_builtin_call(r, b, &items->items[i], &rest, &item));
        if (otherwise && item.kind == DSM_VAL_UNDEFINED) item = *otherwise;
        DSM_TRY(push(r, out, item));
    }
    return DSM_OK;
}

/* Items (or an attribute of theirs, if `by_attribute`) that pass a test, or that do not; without a
 * test: that are true. */
static dsm_status pick(dsm_tpl_run *r, const dsm_call *c, bool by_attribute, bool wanted,
                       dsm_val *out)
{
    const dsm_val_seq *items;
    const dsm_builtin *test = NULL;
    int64_t n = by_attribute ? 1 : 0;
    if (c->all->n < n) return dsm_tpl_fail(r, "%s: the attribute is missing", c->name);
    if (c->all->n > n) DSM_TRY(named(r, c, dsm_tests, &c->all->items[n], &test));
    const dsm_args rest = tail(c->all, n + 1);
    DSM_TRY(each(r, c, &items));
    DSM_TRY(new_list(r, DSM_SEQ_ITERATOR, out));
    for (int64_t i = 0; i < items->n; i++) {
        dsm_val part = items->items[i], answer;
        if (by_attribute) DSM_TRY(dsm_tpl_path(r, &items->items[i], &c->all->items[0], &part));
        answer = part;
        if (test) DSM_TRY(dsm_builtin_call(r, test, &part, &rest, &answer));
        if (dsm_val_true(&answer) == wanted) DSM_TRY(push(r, out, items->items[i]));
    }
    return DSM_OK;
}

static dsm_status filter_select(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return pick(r, c, false, true, out);
}
static dsm_status filter_reject(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return pick(r, c, false, false, out);
}
static dsm_status filter_selectattr(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return pick(r, c, true, true, out);
}
static dsm_status filter_rejectattr(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return pick(r, c, true, false, out);
}

/* --- any value -------------------------------------------------------------------------------- */

static dsm_status filter_default(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    bool missing =
        c->self.kind == DSM_VAL_UNDEFINED || (dsm_arg_bool(c, 1, false) && !dsm_val_true(&c->self));
    *out = !missing ? c->self : c->given[0] ? c->arg[0] : dsm_val_literal("");
    return DSM_OK;
}

static dsm_status filter_attr(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val name;
    DSM_TRY(dsm_arg_text(r, c, 0, &name));
    return dsm_tpl_item(r, &c->self, &name, out);
}

const dsm_builtin dsm_filters[] = {
    {"abs", "", filter_abs},
    {"attr", "name", filter_attr},
    {"capitalize", "", filter_capitalize},
    {"count", "", filter_length},
    {"d", "default_value? boolean?", filter_default},
    {"default", "default_value? boolean?", filter_default},
    {"dictsort", "case_sensitive? by? reverse?", filter_dictsort},
    {"e", "", filter_escape},
    {"escape", "", filter_escape},
    {"first", "", filter_first},
    {"float", "default?", filter_float},
    {"indent", "width? first? blank?", filter_indent},
    {"int", "default? base?", filter_int},
    {"items", "", filter_items},
    {"join", "d? attribute?", filter_join},
    {"last", "", filter_last},
    {"length", "", filter_length},
    {"list", "", filter_list},
    {"lower", "", filter_lower},
    {"map", "...", filter_map},
    {"max", "case_sensitive? attribute?", filter_max},
    {"min", "case_sensitive? attribute?", filter_min},
    {"reject", "...", filter_reject},
    {"rejectattr", "...", filter_rejectattr},
    {"replace", "old new count?", filter_replace},
    {"reverse", "", filter_reverse},
    {"round", "precision? method?", filter_round},
    {"safe", "", filter_safe},
    {"select", "...", filter_select},
    {"selectattr", "...", filter_selectattr},
    {"sort", "reverse? case_sensitive? attribute?", filter_sort},
    {"string", "", filter_string},
    {"sum", "attribute? start?", filter_sum},
    {"title", "", filter_title},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", filter_tojson},
    {"trim", "chars?", filter_trim},
    {"unique", "case_sensitive? attribute?", filter_unique},
    {"upper", "", filter_upper},
    {0},
};
