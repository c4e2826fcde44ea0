/* SPDX-License-Identifier: MIT */
/* Parts of values: attributes, items, slices and what a loop runs over. As jinja2 does it,
 * object.name looks for a method first and an item then, object[key] the other way round. */
#include "template/builtin.h"
#include "template/text.h"

#include <string.h>

/* --- iteration -------------------------------------------------------------------------------- */

static dsm_status characters(dsm_tpl_run *r, const dsm_val *v, dsm_val *list)
{
    const char *s = v->as.text.data;
    size_t n = v->as.text.n, length;
    DSM_TRY(dsm_tpl_spend(r, (int64_t)n));
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(list, &r->pool, DSM_SEQ_LIST, (int64_t)n)));
    for (size_t at = 0; at < n; at += length) {
        dsm_text_char(s + at, n - at, &length);
        DSM_TRY(
            dsm_tpl_made(r, dsm_val_push(list->as.seq, &r->pool, dsm_val_text(s + at, length))));
    }
    return DSM_OK;
}

static dsm_status keys(dsm_tpl_run *r, const dsm_val_dict *d, dsm_val *list)
{
    DSM_TRY(dsm_tpl_spend(r, d->n));
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(list, &r->pool, DSM_SEQ_LIST, d->n)));
    for (int64_t i = 0; i < d->n; i++)
        DSM_TRY(dsm_tpl_made(r, dsm_val_push(list->as.seq, &r->pool, d->pairs[i].key)));
    return DSM_OK;
}

/* An iterator's items, once. */
static dsm_status exhaust(dsm_tpl_run *r, dsm_val_seq *s, dsm_val *list)
{
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(list, &r->pool, DSM_SEQ_LIST, 0)));
    *list->as.seq = *s;
    list->as.seq->shape = DSM_SEQ_LIST;
    s->n = 0;
    return DSM_OK;
}

dsm_status dsm_tpl_iterate(dsm_tpl_run *r, const dsm_val *v, const dsm_val_seq **items)
{
    dsm_val list = *v;
    switch (v->kind) {
    case DSM_VAL_SEQ:
        if (v->as.seq->shape == DSM_SEQ_ITERATOR) DSM_TRY(exhaust(r, v->as.seq, &list));
        break;
    case DSM_VAL_UNDEFINED:
        DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(&list, &r->pool, DSM_SEQ_LIST, 0)));
        break;
    case DSM_VAL_STRING:
        DSM_TRY(characters(r, v, &list));
        break;
    case DSM_VAL_DICT:
        DSM_TRY(keys(r, v->as.dict, &list));
        break;
    default:
        return dsm_tpl_fail(r, "found %s, which has no items to go through", dsm_val_type(v));
    }
    *items = list.as.seq;
    return DSM_OK;
}

/* --- attributes and items --------------------------------------------------------------------- */

static int64_t loop_number(const dsm_tpl_loop *l, const char *name, bool *known)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"index", l->at + 1},
        {"index0", l->at},
        {"revindex", l->items->n - l->at},
        {"revindex0", l->items->n - l->at - 1},
        {"length", l->items->n},
        {"depth", 1}, /* of recursive loops, which there are none of */
        {"depth0", 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].name, name) == 0) {
            *known = true;
            return numbers[i].value;
        }
    *known = false;
    return 0;
}

/* A part of `loop`; false if it has none of that name. */
static bool loop_part(const dsm_tpl_loop *l, const char *name, dsm_val *out)
{
    int64_t last = l->items->n - 1;
    bool known;
    *out = dsm_val_int(loop_number(l, name, &known));
    if (known) return true;
    if (strcmp(name, "first") == 0)
        *out = dsm_val_bool(l->at == 0);
    else if (strcmp(name, "last") == 0)
        *out = dsm_val_bool(l->at == last);
    else if (strcmp(name, "previtem") == 0)
        *out = l->at > 0 ? l->items->items[l->at - 1] : dsm_val_missing("previtem", "loop");
    else if (strcmp(name, "nextitem") == 0)
        *out = l->at < last ? l->items->items[l->at + 1] : dsm_val_missing("nextitem", "loop");
    else
        return false;
    return true;
}

static const dsm_builtin *methods_of(const dsm_val *v)
{
    switch (v->kind) {
    case DSM_VAL_STRING:
        return dsm_string_methods;
    case DSM_VAL_DICT:
        return dsm_dict_methods;
    case DSM_VAL_SEQ:
        return v->as.seq->shape <= DSM_SEQ_TUPLE ? dsm_list_methods : NULL;
    case DSM_VAL_LOOP:
        return dsm_loop_methods;
    default:
        return NULL;
    }
}

/* A method of the object, bound to it; undefined if it has none of that name. */
static dsm_status method(dsm_tpl_run *r, const dsm_val *object, const char *name, dsm_val *out)
{
    const dsm_builtin *table = methods_of(object),
                      *b = table ? dsm_builtin_find(table, name) : NULL;
    *out = dsm_val_missing(name, dsm_val_type(object));
    if (!b) return DSM_OK;
    if (!b->call)
        return dsm_tpl_fail(r, "the method \"%s\" of %s would change it, which a template may not",
                            name, dsm_val_type(object));
    const dsm_tpl_function f = {.name = b->name, .builtin = b, .self = *object};
    return dsm_function_new(r, &f, out);
}

/* The pair of a dict or a namespace. */
static bool find_pair(dsm_tpl_run *r, const dsm_val *object, const dsm_val *key, dsm_val *out)
{
    if (object->kind != DSM_VAL_DICT && object->kind != DSM_VAL_NAMESPACE) return false;
    r->steps -= object->as.dict->n / 4;
    const dsm_val *found = dsm_val_find(object->as.dict, key);
    if (found) *out = *found;
    return found != NULL;
}

dsm_status dsm_tpl_attribute(dsm_tpl_run *r, const dsm_val *object, const char *name, dsm_val *out)
{
    DSM_TRY(dsm_tpl_defined(r, object));
    if (object->kind == DSM_VAL_LOOP && loop_part(object->as.loop, name, out)) return DSM_OK;
    const dsm_val key = dsm_val_literal(name);
    DSM_TRY(method(r, object, name, out));
    if (out->kind == DSM_VAL_UNDEFINED) find_pair(r, object, &key, out);
    return DSM_OK;
}

/* The item at an index, from the end if it is negative. */
static bool find_at(const dsm_val *object, int64_t index, dsm_val *out)
{
    int64_t n;
    bool indexed = object->kind == DSM_VAL_STRING ||
                   (object->kind == DSM_VAL_SEQ && object->as.seq->shape <= DSM_SEQ_RANGE);
    if (!indexed || !dsm_val_has_length(object, &n)) return false;
    if (index < 0) index += n;
    if (index < 0 || index >= n) return false;
    if (object->kind == DSM_VAL_SEQ) {
        *out = object->as.seq->items[index];
        return true;
    }
    const char *s = object->as.text.data;
    size_t at = dsm_text_offset(s, object->as.text.n, index), length;
    dsm_text_char(s + at, object->as.text.n - at, &length);
    *out = dsm_val_text(s + at, length);
    out->safe = object->safe;
    return true;
}

dsm_status dsm_tpl_item(dsm_tpl_run *r, const dsm_val *object, const dsm_val *key, dsm_val *out)
{
    int64_t index;
    DSM_TRY(dsm_tpl_defined(r, object));
    DSM_TRY(dsm_tpl_spend(r, dsm_val_extent_of(object).bytes / 256));
    if (find_pair(r, object, key, out)) return DSM_OK;
    if (dsm_val_as_integer(key, &index) && find_at(object, index, out)) return DSM_OK;
    const char *type = dsm_val_type(object);
    *out = dsm_val_missing("such item", type);
    if (key->kind != DSM_VAL_STRING) return DSM_OK;
    const char *name = dsm_pool_copy(&r->pool, key->as.text.data, key->as.text.n);
    DSM_TRY(dsm_tpl_made(r, name != NULL));
    if (object->kind == DSM_VAL_LOOP && loop_part(object->as.loop, name, out)) return DSM_OK;
    return method(r, object, name, out);
}

/* --- slices ----------------------------------------------------------------------------------- */

/* Python's slice.indices: where to begin and end for a length of n, and the step. */
static dsm_status slice_indices(dsm_tpl_run *r, const dsm_val bounds[3], int64_t n, int64_t at[3])
{
    at[2] = 1;
    if (bounds[2].kind != DSM_VAL_NONE && !dsm_val_as_integer(&bounds[2], &at[2]))
        return dsm_tpl_fail(r, "a slice's step is %s, expected an integer",
                            dsm_val_type(&bounds[2]));
    if (at[2] == 0) return dsm_tpl_fail(r, "a slice's step is 0");
    int64_t low = at[2] < 0 ? -1 : 0, high = at[2] < 0 ? n - 1 : n;
    at[0] = at[2] < 0 ? high : low;
    at[1] = at[2] < 0 ? low : high;
    for (int i = 0; i < 2; i++) {
        if (bounds[i].kind == DSM_VAL_NONE) continue;
        if (!dsm_val_as_integer(&bounds[i], &at[i]))
            return dsm_tpl_fail(r, "a slice's bound is %s, expected an integer",
                                dsm_val_type(&bounds[i]));
        if (at[i] < 0) at[i] = at[i] < -n ? low : at[i] + n;
        if (at[i] > high) at[i] = high;
    }
    return DSM_OK;
}

/* Items at[0], at[0] + at[2], … before at[1]. */
static dsm_status take_items(dsm_tpl_run *r, const dsm_val_seq *from, const int64_t at[3],
                             dsm_seq_shape shape, dsm_val *out)
{
    DSM_TRY(dsm_tpl_spend(r, from->n));
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, shape, 0)));
    int64_t left = at[2] > 0 ? at[1] - at[0] : at[0] - at[1];
    uint64_t stride = at[2] > 0 ? (uint64_t)at[2] : 0 - (uint64_t)at[2];
    for (int64_t i = at[0]; left > 0; i += at[2]) {
        DSM_TRY(dsm_tpl_made(r, dsm_val_push(out->as.seq, &r->pool, from->items[i])));
        if (stride >= (uint64_t)left) break;
        left -= (int64_t)stride;
    }
    return DSM_OK;
}

static dsm_status slice_text(dsm_tpl_run *r, const dsm_val *v, const int64_t at[3], dsm_val *out)
{
    const char *s = v->as.text.data;
    size_t n = v->as.text.n;
    if (at[2] == 1) { /* a part of the same bytes */
        size_t begin = dsm_text_offset(s, n, at[0]), end = dsm_text_offset(s, n, at[1]);
        *out = dsm_val_text(s + begin, end > begin ? end - begin : 0);
        return DSM_OK;
    }
    const dsm_val_seq *all;
    dsm_val kept;
    dsm_buf text = {0};
    DSM_TRY(dsm_tpl_iterate(r, v, &all));
    DSM_TRY(take_items(r, all, at, DSM_SEQ_LIST, &kept));
    for (int64_t i = 0; i < kept.as.seq->n; i++)
        dsm_val_print(&text, &kept.as.seq->items[i]);
    return dsm_tpl_text(r, &text, out);
}

dsm_status dsm_tpl_slice(dsm_tpl_run *r, const dsm_val *object, const dsm_val bounds[3],
                         dsm_val *out)
{
    int64_t n, at[3];
    DSM_TRY(dsm_tpl_defined(r, object));
    bool list = object->kind == DSM_VAL_SEQ && object->as.seq->shape <= DSM_SEQ_RANGE;
    if (!list && object->kind != DSM_VAL_STRING) {
        *out = dsm_val_missing("slices", dsm_val_type(object));
        return DSM_OK;
    }
    DSM_TRY(dsm_tpl_spend(r, dsm_val_extent_of(object).bytes / 64));
    dsm_val_has_length(object, &n);
    DSM_TRY(slice_indices(r, bounds, n, at));
    if (!list) {
        DSM_TRY(slice_text(r, object, at, out));
        out->safe = object->safe;
        return DSM_OK;
    }
    return take_items(r, object->as.seq, at, object->as.seq->shape, out);
}
