/* SPDX-License-Identifier: MIT */
#include "template/eval.h"

#include "template/operators.h"

#include <string.h>

/* --- scopes ----------------------------------------------------------------------------------- */

dsm_status dsm_tpl_scope_new(dsm_tpl_run *r, dsm_tpl_scope *outer, dsm_tpl_scope **out)
{
    dsm_tpl_scope *s = dsm_pool_take(&r->pool, sizeof *s);
    DSM_TRY(dsm_tpl_made(r, s != NULL));
    s->outer = outer;
    *out = s;
    return DSM_OK;
}

/* A scope is no value: what it holds together may be as large as the pool. */
dsm_status dsm_tpl_scope_set(dsm_tpl_run *r, dsm_tpl_scope *s, const char *name, dsm_val value)
{
    s->names.extent = (dsm_val_extent){0};
    DSM_TRY(dsm_tpl_spend(r, s->names.n / 4));
    return dsm_tpl_made(r, dsm_val_set(&s->names, &r->pool, dsm_val_literal(name), value));
}

static dsm_status eval_name(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    const dsm_val name = dsm_val_text(n->text, n->n);
    for (const dsm_tpl_scope *s = r->scope; s; s = s->outer) {
        DSM_TRY(dsm_tpl_spend(r, s->names.n / 8));
        const dsm_val *found = dsm_val_find(&s->names, &name);
        if (!found) continue;
        *out = *found;
        return DSM_OK;
    }
    const dsm_builtin *b = dsm_builtin_find(dsm_functions, n->text);
    *out = dsm_val_missing(n->text, NULL);
    if (!b) return DSM_OK;
    const dsm_tpl_function f = {.name = b->name, .builtin = b};
    return dsm_function_new(r, &f, out);
}

/* --- values ----------------------------------------------------------------------------------- */

static dsm_status eval_const(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    (void)r;
    *out = n->value;
    return DSM_OK;
}

static dsm_status eval_sequence(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_seq_shape shape = n->kind == DSM_NODE_TUPLE ? DSM_SEQ_TUPLE : DSM_SEQ_LIST;
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, shape, n->n_kids)));
    for (const dsm_node *kid = n->first; kid; kid = kid->next) {
        dsm_val item;
        DSM_TRY(dsm_tpl_eval(r, kid, &item));
        DSM_TRY(dsm_tpl_made(r, dsm_val_push(out->as.seq, &r->pool, item)));
    }
    return DSM_OK;
}

static dsm_status eval_dict(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_dict(out, &r->pool)));
    for (const dsm_node *kid = n->first; kid; kid = kid->next->next) {
        dsm_val key, value;
        DSM_TRY(dsm_tpl_eval(r, kid, &key));
        DSM_TRY(dsm_tpl_eval(r, kid->next, &value));
        if (!dsm_val_hashable(&key))
            return dsm_tpl_fail(r, "a %s cannot be a key", dsm_val_type(&key));
        DSM_TRY(dsm_tpl_spend(r, out->as.dict->n / 4));
        DSM_TRY(dsm_tpl_made(r, dsm_val_set(out->as.dict, &r->pool, key, value)));
    }
    return DSM_OK;
}

/* --- parts ------------------------------------------------------------------------------------ */

static dsm_status eval_attr(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val object;
    DSM_TRY(dsm_tpl_eval(r, n->first, &object));
    r->line = n->line;
    return dsm_tpl_attribute(r, &object, n->text, out);
}

static dsm_status eval_item(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val object, key;
    DSM_TRY(dsm_tpl_eval(r, n->first, &object));
    DSM_TRY(dsm_tpl_eval(r, n->last, &key));
    return dsm_tpl_item(r, &object, &key, out);
}

static dsm_status eval_slice(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val object, bounds[3];
    const dsm_node *kid = n->first->next;
    DSM_TRY(dsm_tpl_eval(r, n->first, &object));
    for (int i = 0; i < 3; i++, kid = kid->next) {
        bounds[i] = dsm_val_none();
        if (kid->kind != DSM_NODE_NOTHING) DSM_TRY(dsm_tpl_eval(r, kid, &bounds[i]));
    }
    return dsm_tpl_slice(r, &object, bounds, out);
}

/* --- operators -------------------------------------------------------------------------------- */

static dsm_status eval_not(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    DSM_TRY(dsm_tpl_eval(r, n->first, out));
    *out = dsm_val_bool(!dsm_val_true(out));
    return DSM_OK;
}

/* 0 + x and 0 - x */
static dsm_status eval_sign(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val value;
    const dsm_val zero = dsm_val_int(0);
    const char *sign = n->kind == DSM_NODE_MINUS ? "-" : "+";
    DSM_TRY(dsm_tpl_eval(r, n->first, &value));
    if (value.kind == DSM_VAL_FLOAT) {
        *out = dsm_val_real(n->kind == DSM_NODE_MINUS ? -value.as.real : value.as.real);
        return DSM_OK;
    }
    return dsm_tpl_operator_find(sign, 1, 0)->apply(r, &zero, &value, out);
}

static dsm_status eval_binary(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val a, b;
    DSM_TRY(dsm_tpl_eval(r, n->first, &a));
    DSM_TRY(dsm_tpl_eval(r, n->last, &b));
    r->line = n->line;
    return n->op->apply(r, &a, &b, out);
}

/* `and` gives its first false operand, `or` its first true one; else the last. */
static dsm_status eval_junction(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    DSM_TRY(dsm_tpl_eval(r, n->first, out));
    if (dsm_val_true(out) == (n->kind == DSM_NODE_OR)) return DSM_OK;
    return dsm_tpl_eval(r, n->last, out);
}

static dsm_status eval_compare(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val left, right;
    DSM_TRY(dsm_tpl_eval(r, n->first, &left));
    for (const dsm_node *operand = n->first->next; operand; operand = operand->next) {
        DSM_TRY(dsm_tpl_eval(r, operand->first, &right));
        r->line = operand->line;
        DSM_TRY(operand->op->apply(r, &left, &right, out));
        if (!out->as.boolean) break;
        left = right;
    }
    return DSM_OK;
}

static dsm_status eval_if_else(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    const dsm_node *then = n->first->next, *otherwise = then->next;
    DSM_TRY(dsm_tpl_eval(r, n->first, out));
    if (dsm_val_true(out)) return dsm_tpl_eval(r, then, out);
    *out = dsm_val_missing("else", "if");
    return otherwise->kind == DSM_NODE_NOTHING ? DSM_OK : dsm_tpl_eval(r, otherwise, out);
}

/* --- calls ------------------------------------------------------------------------------------ */

static dsm_status eval_args(dsm_tpl_run *r, const dsm_node *first, int n, dsm_args *args)
{
    *args = (dsm_args){.items = dsm_pool_take(&r->pool, (size_t)n * sizeof *args->items)};
    DSM_TRY(dsm_tpl_made(r, args->items != NULL));
    for (const dsm_node *kid = first; kid; kid = kid->next) {
        dsm_val value;
        bool keyword = kid->kind == DSM_NODE_KEYWORD;
        DSM_TRY(dsm_tpl_eval(r, keyword ? kid->first : kid, &value));
        if (!keyword) {
            args->items[args->n++] = value;
            continue;
        }
        DSM_TRY(dsm_tpl_spend(r, args->keywords.n / 4));
        DSM_TRY(dsm_tpl_made(
            r, dsm_val_set(&args->keywords, &r->pool, dsm_val_text(kid->text, kid->n), value)));
    }
    return DSM_OK;
}

/* Parameters of a macro as variables of scope s. */
static dsm_status bind_macro(dsm_tpl_run *r, const dsm_node *macro, const dsm_args *args,
                             dsm_tpl_scope *s)
{
    int64_t at = 0, n_keywords = 0;
    for (const dsm_node *p = macro->first; p != macro->last; p = p->next, at++) {
        const dsm_val name = dsm_val_text(p->text, p->n),
                      *named = dsm_val_find(&args->keywords, &name);
        dsm_val value = dsm_val_missing(p->text, NULL);
        n_keywords += named != NULL;
        if (named && at < args->n)
            return dsm_tpl_fail(r, "macro %s: found two values of \"%s\"", macro->text, p->text);
        if (at < args->n || named)
            value = named ? *named : args->items[at];
        else if (p->kind == DSM_NODE_KEYWORD)
            DSM_TRY(dsm_tpl_eval(r, p->first, &value));
        DSM_TRY(dsm_tpl_scope_set(r, s, p->text, value));
    }
    if (args->n > at || args->keywords.n > n_keywords)
        return dsm_tpl_fail(r, "macro %s: found an argument it does not take", macro->text);
    return DSM_OK;
}

static dsm_status call_macro(dsm_tpl_run *r, const dsm_tpl_function *f, const dsm_args *args,
                             dsm_val *out)
{
    dsm_tpl_scope *caller = r->scope, *inside;
    DSM_TRY(dsm_tpl_scope_new(r, f->scope, &inside));
    r->scope = inside;
    dsm_status status = bind_macro(r, f->macro, args, inside);
    if (status == DSM_OK) status = dsm_tpl_capture(r, f->macro->last, inside, out);
    r->scope = caller;
    return status;
}

static dsm_status eval_call(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val callee;
    dsm_args args;
    DSM_TRY(dsm_tpl_eval(r, n->first, &callee));
    DSM_TRY(eval_args(r, n->first->next, n->n_kids, &args));
    r->line = n->line;
    DSM_TRY(dsm_tpl_defined(r, &callee));
    if (callee.kind != DSM_VAL_FUNCTION)
        return dsm_tpl_fail(r, "found %s, which cannot be called", dsm_val_type(&callee));
    const dsm_tpl_function *f = callee.as.function;
    if (f->macro) return call_macro(r, f, &args, out);
    return dsm_builtin_call(r, f->builtin, &f->self, &args, out);
}

/* Filters and tests. */
static dsm_status eval_applied(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    dsm_val self;
    dsm_args args;
    DSM_TRY(dsm_tpl_eval(r, n->first, &self));
    DSM_TRY(eval_args(r, n->first->next, n->n_kids, &args));
    r->line = n->line;
    if (!n->builtin)
        return dsm_tpl_fail(r, "the %s \"%s\" is not supported",
                            n->kind == DSM_NODE_FILTER ? "filter" : "test", n->text);
    return dsm_builtin_call(r, n->builtin, &self, &args, out);
}

static dsm_status eval_captured(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    (void)n;
    *out = r->captured;
    return DSM_OK;
}

typedef dsm_status (*eval_fn)(dsm_tpl_run *r, const dsm_node *n, dsm_val *out);

static const eval_fn rules[DSM_NODE_KINDS] = {
    [DSM_NODE_CONST] = eval_const,     [DSM_NODE_NAME] = eval_name,
    [DSM_NODE_LIST] = eval_sequence,   [DSM_NODE_TUPLE] = eval_sequence,
    [DSM_NODE_DICT] = eval_dict,       [DSM_NODE_NOT] = eval_not,
    [DSM_NODE_MINUS] = eval_sign,      [DSM_NODE_PLUS] = eval_sign,
    [DSM_NODE_BINARY] = eval_binary,   [DSM_NODE_AND] = eval_junction,
    [DSM_NODE_OR] = eval_junction,     [DSM_NODE_COMPARE] = eval_compare,
    [DSM_NODE_IF_ELSE] = eval_if_else, [DSM_NODE_ATTR] = eval_attr,
    [DSM_NODE_ITEM] = eval_item,       [DSM_NODE_SLICE] = eval_slice,
    [DSM_NODE_CALL] = eval_call,       [DSM_NODE_FILTER] = eval_applied,
    [DSM_NODE_TEST] = eval_applied,    [DSM_NODE_CAPTURED] = eval_captured,
};

dsm_status dsm_tpl_eval(dsm_tpl_run *r, const dsm_node *n, dsm_val *out)
{
    DSM_TRY(dsm_tpl_enter(r));
    r->line = n->line;
    DSM_TRY(rules[n->kind](r, n, out));
    r->depth--;
    return DSM_OK;
}
