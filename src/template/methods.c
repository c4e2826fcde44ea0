/* SPDX-License-Identifier: MIT */
/* Methods of dicts, lists and `loop`, as Python and jinja2 have them. Rows without a function are
 * those that change their object: jinja2's immutable sandbox refuses them, and so does this one. */
#include "template/builtin.h"

/* --- dicts ------------------------------------------------------------------------------------ */

static dsm_status method_get(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    const dsm_val *found = dsm_val_find(c->self.as.dict, &c->arg[0]);
    *out = found ? *found : c->given[1] ? c->arg[1] : dsm_val_none();
    return DSM_OK;
}

/* What a view shows of a pair. */
typedef enum part { KEYS, VALUES, ITEMS } part;

static dsm_status pair_part(dsm_tpl_run *r, const dsm_val_pair *p, part what, dsm_val *out)
{
    *out = what == KEYS ? p->key : p->value;
    if (what != ITEMS) return DSM_OK;
    bool made = dsm_val_new_seq(out, &r->pool, DSM_SEQ_TUPLE, 2) &&
                dsm_val_push(out->as.seq, &r->pool, p->key) &&
                dsm_val_push(out->as.seq, &r->pool, p->value);
    return dsm_tpl_made(r, made);
}

static dsm_status view(dsm_tpl_run *r, const dsm_call *c, part what, dsm_val *out)
{
    const dsm_val_dict *d = c->self.as.dict;
    DSM_TRY(dsm_tpl_spend(r, d->n));
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, DSM_SEQ_VIEW, d->n)));
    for (int64_t i = 0; i < d->n; i++) {
        dsm_val item;
        DSM_TRY(pair_part(r, &d->pairs[i], what, &item));
        DSM_TRY(dsm_tpl_made(r, dsm_val_push(out->as.seq, &r->pool, item)));
    }
    return DSM_OK;
}

static dsm_status method_keys(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return view(r, c, KEYS, out);
}
static dsm_status method_values(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return view(r, c, VALUES, out);
}
static dsm_status method_items(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    return view(r, c, ITEMS, out);
}

const dsm_builtin dsm_dict_methods[] = {
    {"get", "key default?", method_get},
    {"keys", "", method_keys},
    {"values", "", method_values},
    {"items", "", method_items},
    {"clear", "", NULL},
    {"pop", "", NULL},
    {"popitem", "", NULL},
    {"setdefault", "", NULL},
    {"update", "", NULL},
    {0},
};

/* --- lists and loops -------------------------------------------------------------------------- */

static dsm_status list_index(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    const dsm_val_seq *s = c->self.as.seq;
    for (int64_t i = 0; i < s->n; i++)
        if (dsm_val_equal(&s->items[i], &c->arg[0])) {
            *out = dsm_val_int(i);
            return DSM_OK;
        }
    return dsm_tpl_fail(r, "index: the list holds no such item");
}

static dsm_status list_count(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    (void)r;
    const dsm_val_seq *s = c->self.as.seq;
    *out = dsm_val_int(0);
    for (int64_t i = 0; i < s->n; i++)
        out->as.integer += dsm_val_equal(&s->items[i], &c->arg[0]);
    return DSM_OK;
}

const dsm_builtin dsm_list_methods[] = {
    {"index", "value", list_index},
    {"count", "value", list_count},
    {"append", "", NULL},
    {"clear", "", NULL},
    {"extend", "", NULL},
    {"insert", "", NULL},
    {"pop", "", NULL},
    {"remove", "", NULL},
    {"reverse", "", NULL},
    {"sort", "", NULL},
    {0},
};

static dsm_status loop_cycle(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    if (c->all->n == 0) return dsm_tpl_fail(r, "cycle: no items were given");
    *out = c->all->items[c->self.as.loop->at % c->all->n];
    return DSM_OK;
}

const dsm_builtin dsm_loop_methods[] = {
    {"cycle", "...", loop_cycle},
    {0},
};
