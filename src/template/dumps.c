/* SPDX-License-Identifier: MIT */
/* A value as Python's json.dumps writes it: separators ", " and ": " on one line, "," and ": " with
 * an indentation, unless told otherwise. */
#include "template/builtin.h"
#include "template/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    dsm_tpl_run *r;
    dsm_buf *out;
    const dsm_json_style *style;
} writer;

static dsm_status write_value(const writer *w, const dsm_val *v, int64_t depth);

static void add_text(dsm_buf *out, const dsm_val *text)
{
    dsm_buf_add(out, text->as.text.data, text->as.text.n);
}

static dsm_status new_line(const writer *w, int64_t depth)
{
    if (w->style->indent < 0) return DSM_OK;
    int64_t spaces = w->style->indent * depth;
    DSM_TRY(dsm_tpl_spend(w->r, spaces / 16));
    DSM_TRY(dsm_tpl_made(w->r, w->out->len < DSM_VAL_BYTES_MAX));
    dsm_buf_str(w->out, "\n");
    for (int64_t i = 0; i < spaces; i++)
        dsm_buf_str(w->out, " ");
    return DSM_OK;
}

static dsm_status write_list(const writer *w, const dsm_val_seq *s, int64_t depth)
{
    dsm_buf_str(w->out, "[");
    for (int64_t i = 0; i < s->n; i++) {
        if (i > 0) add_text(w->out, &w->style->item_separator);
        DSM_TRY(new_line(w, depth + 1));
        DSM_TRY(write_value(w, &s->items[i], depth + 1));
    }
    if (s->n > 0) DSM_TRY(new_line(w, depth));
    dsm_buf_str(w->out, "]");
    return DSM_OK;
}

/* Keys are strings in JSON: numbers and constants become what they print as. */
static dsm_status write_key(const writer *w, const dsm_val *key)
{
    if (key->kind == DSM_VAL_STRING) return write_value(w, key, 0);
    if (key->kind == DSM_VAL_SEQ)
        return dsm_tpl_fail(w->r, "tojson: found a key of type %s", dsm_val_type(key));
    dsm_buf_str(w->out, "\"");
    DSM_TRY(write_value(w, key, 0));
    dsm_buf_str(w->out, "\"");
    return DSM_OK;
}

static int by_key(const void *a, const void *b)
{
    int order = 0;
    dsm_val_compare(&((const dsm_val_pair *)a)->key, &((const dsm_val_pair *)b)->key, &order);
    return order;
}

static dsm_status sorted_pairs(const writer *w, const dsm_val_dict *d, const dsm_val_pair **pairs)
{
    size_t n = (size_t)d->n;
    dsm_val_pair *sorted = dsm_pool_take(&w->r->pool, n * sizeof *sorted);
    DSM_TRY(dsm_tpl_made(w->r, sorted != NULL));
    DSM_TRY(dsm_tpl_spend(w->r, d->n * 8));
    for (int64_t i = 0; i < d->n; i++)
        if (d->pairs[i].key.kind != DSM_VAL_STRING)
            return dsm_tpl_fail(w->r, "tojson: sort_keys sorts strings only");
    if (n > 0) memcpy(sorted, d->pairs, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_key);
    *pairs = sorted;
    return DSM_OK;
}

static dsm_status write_dict(const writer *w, const dsm_val_dict *d, int64_t depth)
{
    const dsm_val_pair *pairs = d->pairs;
    if (w->style->sort_keys) DSM_TRY(sorted_pairs(w, d, &pairs));
    dsm_buf_str(w->out, "{");
    for (int64_t i = 0; i < d->n; i++) {
        if (i > 0) add_text(w->out, &w->style->item_separator);
        DSM_TRY(new_line(w, depth + 1));
        DSM_TRY(write_key(w, &pairs[i].key));
        add_text(w->out, &w->style->key_separator);
        DSM_TRY(write_value(w, &pairs[i].value, depth + 1));
    }
    if (d->n > 0) DSM_TRY(new_line(w, depth));
    dsm_buf_str(w->out, "}");
    return DSM_OK;
}

static void write_real(dsm_buf *out, double x)
{
    if (isfinite(x))
        dsm_text_real(out, x);
    else
        dsm_buf_str(out, isnan(x) ? "NaN" : x < 0 ? "-Infinity" : "Infinity");
}

static dsm_status write_value(const writer *w, const dsm_val *v, int64_t depth)
{
    DSM_TRY(dsm_tpl_spend(w->r, 1));
    switch (v->kind) {
    case DSM_VAL_NONE:
        dsm_buf_str(w->out, "null");
        return DSM_OK;
    case DSM_VAL_BOOL:
        dsm_buf_str(w->out, v->as.boolean ? "true" : "false");
        return DSM_OK;
    case DSM_VAL_INT:
        dsm_buf_fmt(w->out, "%lld", (long long)v->as.integer);
        return DSM_OK;
    case DSM_VAL_FLOAT:
        write_real(w->out, v->as.real);
        return DSM_OK;
    case DSM_VAL_STRING:
        dsm_text_json(w->out, v->as.text.data, v->as.text.n, w->style->ascii);
        return DSM_OK;
    case DSM_VAL_SEQ:
        if (v->as.seq->shape <= DSM_SEQ_TUPLE) return write_list(w, v->as.seq, depth);
        break;
    case DSM_VAL_DICT:
        return write_dict(w, v->as.dict, depth);
    default:
        break;
    }
    DSM_TRY(dsm_tpl_defined(w->r, v));
    return dsm_tpl_fail(w->r, "tojson: found %s, which JSON cannot hold", dsm_val_type(v));
}

dsm_status dsm_tpl_dumps(dsm_tpl_run *r, dsm_buf *out, const dsm_val *v, const dsm_json_style *s)
{
    const writer w = {.r = r, .out = out, .style = s};
    DSM_TRY(dsm_tpl_spend(r, dsm_val_extent_of(v).bytes / 16));
    return write_value(&w, v, 0);
}
