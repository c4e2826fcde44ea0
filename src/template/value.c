/* SPDX-License-Identifier: MIT */
#include "template/value.h"

#include "template/text.h"

#include <math.h>
#include <string.h>

/* --- making ----------------------------------------------------------------------------------- */

dsm_val dsm_val_literal(const char *s)
{
    return dsm_val_text(s, strlen(s));
}

bool dsm_val_copy_text(dsm_val *out, dsm_pool *p, const char *data, size_t n)
{
    char *copy = dsm_pool_copy(p, data, n);
    *out = dsm_val_text(copy, n);
    return copy != NULL;
}

bool dsm_val_new_seq(dsm_val *out, dsm_pool *p, dsm_seq_shape shape, int64_t cap)
{
    dsm_val_seq *s = dsm_pool_take(p, sizeof *s);
    if (!s) return false;
    s->shape = shape;
    s->cap = cap;
    s->items = dsm_pool_take(p, (size_t)cap * sizeof *s->items);
    *out = (dsm_val){.kind = DSM_VAL_SEQ, .as.seq = s};
    return s->items != NULL;
}

/* An array of `n` elements moved to one with room for more; the old one stays in the pool. */
static void *grow(dsm_pool *p, const void *old, int64_t n, int64_t *cap, size_t element)
{
    int64_t wanted = *cap > 0 ? 2 * *cap : 8;
    void *items = dsm_pool_take(p, (size_t)wanted * element);
    if (!items) return NULL;
    if (n > 0) memcpy(items, old, (size_t)n * element);
    *cap = wanted;
    return items;
}

dsm_val_extent dsm_val_extent_of(const dsm_val *v)
{
    if (v->kind == DSM_VAL_SEQ) return v->as.seq->extent;
    if (v->kind == DSM_VAL_DICT) return v->as.dict->extent;
    return (dsm_val_extent){0, v->kind == DSM_VAL_STRING ? (int64_t)v->as.text.n + 1 : 8};
}

/* A container's extent grows by one item; false when it becomes too much. */
static bool extend(dsm_val_extent *e, const dsm_val *item)
{
    dsm_val_extent x = dsm_val_extent_of(item);
    if (x.depth + 1 > e->depth) e->depth = x.depth + 1;
    e->bytes += x.bytes;
    return e->depth <= DSM_VAL_DEPTH_MAX && e->bytes <= DSM_VAL_BYTES_MAX;
}

bool dsm_val_push(dsm_val_seq *s, dsm_pool *p, dsm_val item)
{
    if (!extend(&s->extent, &item)) return false;
    if (s->n == s->cap) {
        dsm_val *items = grow(p, s->items, s->n, &s->cap, sizeof *items);
        if (!items) return false;
        s->items = items;
    }
    s->items[s->n++] = item;
    return true;
}

bool dsm_val_new_dict(dsm_val *out, dsm_pool *p)
{
    dsm_val_dict *d = dsm_pool_take(p, sizeof *d);
    *out = (dsm_val){.kind = DSM_VAL_DICT, .as.dict = d};
    return d != NULL;
}

static bool add_pair(dsm_val_dict *d, dsm_pool *p, dsm_val key, dsm_val value)
{
    if (!extend(&d->extent, &key) || !extend(&d->extent, &value)) return false;
    if (d->n == d->cap) {
        dsm_val_pair *pairs = grow(p, d->pairs, d->n, &d->cap, sizeof *pairs);
        if (!pairs) return false;
        d->pairs = pairs;
    }
    d->pairs[d->n++] = (dsm_val_pair){key, value};
    return true;
}

bool dsm_val_set(dsm_val_dict *d, dsm_pool *p, dsm_val key, dsm_val value)
{
    dsm_val *there = (dsm_val *)dsm_val_find(d, &key);
    if (!there) return add_pair(d, p, key, value);
    d->extent.bytes -= dsm_val_extent_of(there).bytes;
    *there = value;
    return extend(&d->extent, &value);
}

static bool from_json(dsm_val *out, dsm_pool *p, const json_t *json, int depth);

static bool list_from_json(dsm_val *out, dsm_pool *p, const json_t *json, int depth)
{
    size_t n = json_array_size(json);
    if (!dsm_val_new_seq(out, p, DSM_SEQ_LIST, (int64_t)n)) return false;
    for (size_t i = 0; i < n; i++) {
        dsm_val item;
        if (!from_json(&item, p, json_array_get(json, i), depth)) return false;
        if (!dsm_val_push(out->as.seq, p, item)) return false;
    }
    return true;
}

/* Keys of a JSON object differ, so none needs to be looked for. */
static bool dict_from_json(dsm_val *out, dsm_pool *p, const json_t *json, int depth)
{
    const char *key;
    json_t *value;
    if (!dsm_val_new_dict(out, p)) return false;
    json_object_foreach((json_t *)json, key, value)
    {
        dsm_val v;
        if (!from_json(&v, p, value, depth)) return false;
        if (!add_pair(out->as.dict, p, dsm_val_literal(key), v)) return false;
    }
    return true;
}

static bool from_json(dsm_val *out, dsm_pool *p, const json_t *json, int depth)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return depth < DSM_VAL_DEPTH_MAX && dict_from_json(out, p, json, depth + 1);
    case JSON_ARRAY:
        return depth < DSM_VAL_DEPTH_MAX && list_from_json(out, p, json, depth + 1);
    case JSON_STRING:
        *out = dsm_val_text(json_string_value(json), json_string_length(json));
        return true;
    case JSON_INTEGER:
        *out = dsm_val_int(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = dsm_val_real(json_real_value(json));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = dsm_val_bool(json_is_true(json));
        return true;
    case JSON_NULL:
        break;
    }
    *out = dsm_val_none();
    return true;
}

bool dsm_val_from_json(dsm_val *out, dsm_pool *p, const json_t *json)
{
    return from_json(out, p, json, 0);
}

/* --- asking ----------------------------------------------------------------------------------- */

bool dsm_val_is_number(const dsm_val *v)
{
    return v->kind == DSM_VAL_BOOL || v->kind == DSM_VAL_INT || v->kind == DSM_VAL_FLOAT;
}

bool dsm_val_as_integer(const dsm_val *v, int64_t *i)
{
    if (v->kind == DSM_VAL_INT) *i = v->as.integer;
    if (v->kind == DSM_VAL_BOOL) *i = v->as.boolean;
    return v->kind == DSM_VAL_INT || v->kind == DSM_VAL_BOOL;
}

double dsm_val_as_real(const dsm_val *v)
{
    int64_t i;
    return dsm_val_as_integer(v, &i) ? (double)i : v->as.real;
}

bool dsm_val_equals_text(const dsm_val *v, const char *s)
{
    return v->kind == DSM_VAL_STRING && v->as.text.n == strlen(s) &&
           memcmp(v->as.text.data, s, v->as.text.n) == 0;
}

const char *dsm_val_type(const dsm_val *v)
{
    static const char *const names[DSM_VAL_KINDS] = {
        [DSM_VAL_UNDEFINED] = "Undefined",
        [DSM_VAL_NONE] = "None",
        [DSM_VAL_BOOL] = "bool",
        [DSM_VAL_INT] = "int",
        [DSM_VAL_FLOAT] = "float",
        [DSM_VAL_STRING] = "str",
        [DSM_VAL_SEQ] = "list",
        [DSM_VAL_DICT] = "dict",
        [DSM_VAL_NAMESPACE] = "Namespace",
        [DSM_VAL_LOOP] = "loop",
        [DSM_VAL_FUNCTION] = "function",
    };
    static const char *const shapes[] = {"list", "tuple", "range", "dict view", "iterator"};
    return v->kind == DSM_VAL_SEQ ? shapes[v->as.seq->shape] : names[v->kind];
}

bool dsm_val_has_length(const dsm_val *v, int64_t *n)
{
    switch (v->kind) {
    case DSM_VAL_UNDEFINED:
        *n = 0;
        return true;
    case DSM_VAL_STRING:
        *n = (int64_t)dsm_text_length(v->as.text.data, v->as.text.n);
        return true;
    case DSM_VAL_SEQ:
        *n = v->as.seq->n;
        return v->as.seq->shape != DSM_SEQ_ITERATOR;
    case DSM_VAL_DICT:
        *n = v->as.dict->n;
        return true;
    default:
        return false;
    }
}

bool dsm_val_hashable(const dsm_val *v)
{
    return v->kind != DSM_VAL_DICT && (v->kind != DSM_VAL_SEQ || v->as.seq->shape == DSM_SEQ_TUPLE);
}

bool dsm_val_true(const dsm_val *v)
{
    switch (v->kind) {
    case DSM_VAL_UNDEFINED:
    case DSM_VAL_NONE:
        return false;
    case DSM_VAL_BOOL:
        return v->as.boolean;
    case DSM_VAL_INT:
        return v->as.integer != 0;
    case DSM_VAL_FLOAT:
        return v->as.real != 0;
    case DSM_VAL_STRING:
        return v->as.text.n > 0;
    case DSM_VAL_SEQ:
        return v->as.seq->shape == DSM_SEQ_ITERATOR || v->as.seq->n > 0;
    case DSM_VAL_DICT:
        return v->as.dict->n > 0;
    default:
        return true;
    }
}

static bool equal_seqs(const dsm_val_seq *a, const dsm_val_seq *b)
{
    if (a == b) return true;
    if (a->n != b->n || a->shape != b->shape || a->shape >= DSM_SEQ_VIEW) return false;
    for (int64_t i = 0; i < a->n; i++)
        if (!dsm_val_equal(&a->items[i], &b->items[i])) return false;
    return true;
}

static bool equal_dicts(const dsm_val_dict *a, const dsm_val_dict *b)
{
    if (a->n != b->n) return false;
    for (int64_t i = 0; i < a->n; i++) {
        const dsm_val *other = dsm_val_find(b, &a->pairs[i].key);
        if (!other || !dsm_val_equal(&a->pairs[i].value, other)) return false;
    }
    return true;
}

static bool equal_numbers(const dsm_val *a, const dsm_val *b)
{
    int64_t i = 0, k = 0;
    if (dsm_val_as_integer(a, &i) && dsm_val_as_integer(b, &k)) return i == k;
    return dsm_val_as_real(a) == dsm_val_as_real(b);
}

bool dsm_val_equal(const dsm_val *a, const dsm_val *b)
{
    if (dsm_val_is_number(a) && dsm_val_is_number(b)) return equal_numbers(a, b);
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case DSM_VAL_STRING:
        return a->as.text.n == b->as.text.n &&
               memcmp(a->as.text.data, b->as.text.data, a->as.text.n) == 0;
    case DSM_VAL_SEQ:
        return equal_seqs(a->as.seq, b->as.seq);
    case DSM_VAL_DICT:
        return equal_dicts(a->as.dict, b->as.dict);
    case DSM_VAL_NAMESPACE:
        return a->as.dict == b->as.dict;
    case DSM_VAL_LOOP:
        return a->as.loop == b->as.loop;
    case DSM_VAL_FUNCTION:
        return a->as.function == b->as.function;
    default: /* undefined, none */
        return true;
    }
}

/* Bytes of UTF-8 sort as their characters do. */
static int compare_texts(const dsm_val *a, const dsm_val *b)
{
    size_t n = a->as.text.n < b->as.text.n ? a->as.text.n : b->as.text.n;
    int order = memcmp(a->as.text.data, b->as.text.data, n);
    return order ? order : (a->as.text.n > b->as.text.n) - (a->as.text.n < b->as.text.n);
}

static bool compare_seqs(const dsm_val_seq *a, const dsm_val_seq *b, int *order)
{
    if (a->shape != b->shape || a->shape > DSM_SEQ_TUPLE) return false;
    for (int64_t i = 0; i < a->n && i < b->n; i++)
        if (!dsm_val_equal(&a->items[i], &b->items[i]))
            return dsm_val_compare(&a->items[i], &b->items[i], order);
    *order = (a->n > b->n) - (a->n < b->n);
    return true;
}

bool dsm_val_compare(const dsm_val *a, const dsm_val *b, int *order)
{
    if (dsm_val_is_number(a) && dsm_val_is_number(b)) {
        double x = dsm_val_as_real(a), y = dsm_val_as_real(b);
        *order = equal_numbers(a, b) ? 0 : (x > y) - (x < y);
        return !isnan(x) && !isnan(y);
    }
    if (a->kind != b->kind) return false;
    if (a->kind == DSM_VAL_STRING) {
        *order = compare_texts(a, b);
        return true;
    }
    return a->kind == DSM_VAL_SEQ && compare_seqs(a->as.seq, b->as.seq, order);
}

const dsm_val *dsm_val_find(const dsm_val_dict *d, const dsm_val *key)
{
    for (int64_t i = 0; i < d->n; i++)
        if (dsm_val_equal(&d->pairs[i].key, key)) return &d->pairs[i].value;
    return NULL;
}

/* --- printing --------------------------------------------------------------------------------- */

static bool print_seq(dsm_buf *out, const dsm_val_seq *s)
{
    bool tuple = s->shape == DSM_SEQ_TUPLE;
    if (s->shape > DSM_SEQ_TUPLE) return false;
    dsm_buf_str(out, tuple ? "(" : "[");
    for (int64_t i = 0; i < s->n; i++) {
        if (i > 0) dsm_buf_str(out, ", ");
        if (!dsm_val_print_repr(out, &s->items[i])) return false;
    }
    dsm_buf_str(out, tuple ? s->n == 1 ? ",)" : ")" : "]");
    return true;
}

static bool print_dict(dsm_buf *out, const dsm_val_dict *d)
{
    dsm_buf_str(out, "{");
    for (int64_t i = 0; i < d->n; i++) {
        if (i > 0) dsm_buf_str(out, ", ");
        if (!dsm_val_print_repr(out, &d->pairs[i].key)) return false;
        dsm_buf_str(out, ": ");
        if (!dsm_val_print_repr(out, &d->pairs[i].value)) return false;
    }
    dsm_buf_str(out, "}");
    return true;
}

bool dsm_val_print(dsm_buf *out, const dsm_val *v)
{
    if (v->kind == DSM_VAL_UNDEFINED) return true;
    if (v->kind != DSM_VAL_STRING) return dsm_val_print_repr(out, v);
    dsm_buf_add(out, v->as.text.data, v->as.text.n);
    return true;
}

bool dsm_val_print_repr(dsm_buf *out, const dsm_val *v)
{
    switch (v->kind) {
    case DSM_VAL_UNDEFINED:
        dsm_buf_str(out, "Undefined");
        return true;
    case DSM_VAL_NONE:
        dsm_buf_str(out, "None");
        return true;
    case DSM_VAL_BOOL:
        dsm_buf_str(out, v->as.boolean ? "True" : "False");
        return true;
    case DSM_VAL_INT:
        dsm_buf_fmt(out, "%lld", (long long)v->as.integer);
        return true;
    case DSM_VAL_FLOAT:
        dsm_text_real(out, v->as.real);
        return true;
    case DSM_VAL_STRING:
        dsm_text_repr(out, v->as.text.data, v->as.text.n);
        return true;
    case DSM_VAL_SEQ:
        return print_seq(out, v->as.seq);
    case DSM_VAL_DICT:
        return print_dict(out, v->as.dict);
    default:
        return false;
    }
}
