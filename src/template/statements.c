/* SPDX-License-Identifier: MIT */
#include "template/eval.h"

#include <string.h>

/* --- output ----------------------------------------------------------------------------------- */

static dsm_status check_output(dsm_tpl_run *r)
{
    if (r->out->failed) return dsm_fail(r->err, DSM_ENOMEM, "%s: out of memory", r->name);
    if (r->out->len <= r->out_max) return DSM_OK;
    return dsm_fail(r->err, DSM_ELIMIT, "%s: line %d: the text becomes longer than %zu bytes",
                    r->name, r->line, r->out_max);
}

static dsm_status exec_text(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_buf_add(r->out, n->text, n->n);
    return check_output(r);
}

static dsm_status exec_output(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_val value;
    DSM_TRY(dsm_tpl_eval(r, n->first, &value));
    DSM_TRY(dsm_tpl_spend(r, dsm_val_extent_of(&value).bytes / 16));
    if (!dsm_val_print(r->out, &value))
        return dsm_tpl_fail(r, "found %s, which has no text", dsm_val_type(&value));
    return check_output(r);
}

dsm_status dsm_tpl_capture(dsm_tpl_run *r, const dsm_node *body, dsm_tpl_scope *scope, dsm_val *out)
{
    dsm_buf text = {0}, *before = r->out;
    dsm_tpl_scope *around = r->scope;
    r->out = &text;
    r->scope = scope;
    dsm_status status = dsm_tpl_exec(r, body);
    r->out = before;
    r->scope = around;
    if (status == DSM_OK) return dsm_tpl_text(r, &text, out);
    dsm_buf_free(&text);
    return status;
}

/* --- assignments ------------------------------------------------------------------------------ */

static dsm_status assign(dsm_tpl_run *r, const dsm_node *target, const dsm_val *value);

static dsm_status assign_each(dsm_tpl_run *r, const dsm_node *target, const dsm_val *value)
{
    const dsm_val_seq *items;
    const dsm_node *name = target->first;
    DSM_TRY(dsm_tpl_defined(r, value));
    DSM_TRY(dsm_tpl_iterate(r, value, &items));
    if (items->n != target->n_kids)
        return dsm_tpl_fail(r, "found %lld values, expected %d", (long long)items->n,
                            target->n_kids);
    for (int64_t i = 0; i < items->n; i++, name = name->next)
        DSM_TRY(assign(r, name, &items->items[i]));
    return DSM_OK;
}

static dsm_status assign_attribute(dsm_tpl_run *r, const dsm_node *target, const dsm_val *value)
{
    dsm_val object;
    DSM_TRY(dsm_tpl_eval(r, target->first, &object));
    if (object.kind != DSM_VAL_NAMESPACE)
        return dsm_tpl_fail(r, "only a namespace's attributes can be set, found %s",
                            dsm_val_type(&object));
    dsm_val_dict *d = object.as.dict;
    d->extent = (dsm_val_extent){0}; /* as a scope's: what it holds is not one value */
    return dsm_tpl_made(r, dsm_val_set(d, &r->pool, dsm_val_text(target->text, target->n), *value));
}

static dsm_status assign(dsm_tpl_run *r, const dsm_node *target, const dsm_val *value)
{
    if (target->kind == DSM_NODE_TUPLE) return assign_each(r, target, value);
    if (target->kind == DSM_NODE_ATTR) return assign_attribute(r, target, value);
    return dsm_tpl_scope_set(r, r->scope, target->text, *value);
}

static dsm_status exec_set(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_val value;
    DSM_TRY(dsm_tpl_eval(r, n->last, &value));
    return assign(r, n->first, &value);
}

/* Text of a block in a scope of its own, through its filters. */
static dsm_status filtered_block(dsm_tpl_run *r, const dsm_node *filters, const dsm_node *body,
                                 dsm_val *out)
{
    dsm_tpl_scope *inside;
    dsm_val text;
    DSM_TRY(dsm_tpl_scope_new(r, r->scope, &inside));
    DSM_TRY(dsm_tpl_capture(r, body, inside, &text));
    r->captured = text;
    return dsm_tpl_eval(r, filters, out);
}

static dsm_status exec_set_block(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_val value;
    DSM_TRY(filtered_block(r, n->first->next, n->last, &value));
    return assign(r, n->first, &value);
}

static dsm_status exec_filter_block(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_val value;
    DSM_TRY(filtered_block(r, n->first, n->last, &value));
    dsm_val_print(r->out, &value);
    return check_output(r);
}

static dsm_status exec_macro(dsm_tpl_run *r, const dsm_node *n)
{
    const dsm_tpl_function f = {.name = n->text, .macro = n, .scope = r->scope};
    dsm_val value;
    DSM_TRY(dsm_function_new(r, &f, &value));
    return dsm_tpl_scope_set(r, r->scope, n->text, value);
}

/* What the model wrote: a scope of its own, otherwise text like any other. */
static dsm_status exec_generation(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_tpl_scope *inside, *around = r->scope;
    DSM_TRY(dsm_tpl_scope_new(r, around, &inside));
    r->scope = inside;
    DSM_TRY(dsm_tpl_exec(r, n->first));
    r->scope = around;
    return DSM_OK;
}

/* --- branches and loops ----------------------------------------------------------------------- */

static dsm_status exec_if(dsm_tpl_run *r, const dsm_node *n)
{
    dsm_val condition;
    DSM_TRY(dsm_tpl_eval(r, n->first, &condition));
    return dsm_tpl_exec(r, dsm_val_true(&condition) ? n->first->next : n->last);
}

/* A scope around one turn of a loop, with its target assigned. */
static dsm_status enter_turn(dsm_tpl_run *r, dsm_tpl_scope *around, const dsm_node *target,
                             const dsm_val *item)
{
    DSM_TRY(dsm_tpl_scope_new(r, around, &r->scope));
    return assign(r, target, item);
}

/* The items for which the loop's condition holds. */
static dsm_status filter_items(dsm_tpl_run *r, const dsm_node *target, const dsm_node *condition,
                               const dsm_val_seq *items, dsm_val *out)
{
    dsm_tpl_scope *around = r->scope;
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, DSM_SEQ_LIST, 0)));
    for (int64_t i = 0; i < items->n; i++) {
        dsm_val holds;
        DSM_TRY(enter_turn(r, around, target, &items->items[i]));
        DSM_TRY(dsm_tpl_eval(r, condition, &holds));
        if (dsm_val_true(&holds))
            DSM_TRY(dsm_tpl_made(r, dsm_val_push(out->as.seq, &r->pool, items->items[i])));
    }
    r->scope = around;
    return DSM_OK;
}

static dsm_status run_loop(dsm_tpl_run *r, const dsm_node *target, const dsm_node *body,
                           const dsm_val_seq *items)
{
    dsm_tpl_scope *around = r->scope;
    dsm_tpl_loop *loop = dsm_pool_take(&r->pool, sizeof *loop);
    DSM_TRY(dsm_tpl_made(r, loop != NULL));
    *loop = (dsm_tpl_loop){.items = items};
    const dsm_val value = {.kind = DSM_VAL_LOOP, .as.loop = loop};
    for (; loop->at < items->n; loop->at++) {
        DSM_TRY(enter_turn(r, around, target, &items->items[loop->at]));
        DSM_TRY(dsm_tpl_scope_set(r, r->scope, "loop", value));
        DSM_TRY(dsm_tpl_exec(r, body));
        bool stop = r->jump == DSM_TPL_BREAK;
        r->jump = DSM_TPL_GO_ON;
        if (stop) break;
    }
    r->scope = around;
    return DSM_OK;
}

static dsm_status exec_for(dsm_tpl_run *r, const dsm_node *n)
{
    const dsm_node *target = n->first, *iterated = target->next, *condition = iterated->next,
                   *body = condition->next;
    dsm_val value, kept;
    const dsm_val_seq *items;
    DSM_TRY(dsm_tpl_eval(r, iterated, &value));
    DSM_TRY(dsm_tpl_iterate(r, &value, &items));
    if (condition->kind != DSM_NODE_NOTHING) {
        DSM_TRY(filter_items(r, target, condition, items, &kept));
        items = kept.as.seq;
    }
    if (items->n > 0) return run_loop(r, target, body, items);
    return dsm_tpl_exec(r, n->last);
}

static dsm_status exec_break(dsm_tpl_run *r, const dsm_node *n)
{
    (void)n;
    r->jump = DSM_TPL_BREAK;
    return DSM_OK;
}

static dsm_status exec_continue(dsm_tpl_run *r, const dsm_node *n)
{
    (void)n;
    r->jump = DSM_TPL_CONTINUE;
    return DSM_OK;
}

static dsm_status exec_body(dsm_tpl_run *r, const dsm_node *n)
{
    for (const dsm_node *kid = n->first; kid && r->jump == DSM_TPL_GO_ON; kid = kid->next)
        DSM_TRY(dsm_tpl_exec(r, kid));
    return DSM_OK;
}

static dsm_status exec_nothing(dsm_tpl_run *r, const dsm_node *n)
{
    (void)r;
    (void)n;
    return DSM_OK;
}

typedef dsm_status (*exec_fn)(dsm_tpl_run *r, const dsm_node *n);

static const exec_fn rules[DSM_NODE_KINDS] = {
    [DSM_NODE_NOTHING] = exec_nothing,
    [DSM_NODE_BODY] = exec_body,
    [DSM_NODE_TEXT] = exec_text,
    [DSM_NODE_OUTPUT] = exec_output,
    [DSM_NODE_IF] = exec_if,
    [DSM_NODE_FOR] = exec_for,
    [DSM_NODE_BREAK] = exec_break,
    [DSM_NODE_CONTINUE] = exec_continue,
    [DSM_NODE_SET] = exec_set,
    [DSM_NODE_SET_BLOCK] = exec_set_block,
    [DSM_NODE_FILTER_BLOCK] = exec_filter_block,
    [DSM_NODE_MACRO] = exec_macro,
    [DSM_NODE_GENERATION] = exec_generation,
};

dsm_status dsm_tpl_exec(dsm_tpl_run *r, const dsm_node *n)
{
    DSM_TRY(dsm_tpl_enter(r));
    r->line = n->line;
    DSM_TRY(rules[n->kind](r, n));
    r->depth--;
    return DSM_OK;
}
