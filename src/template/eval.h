/* SPDX-License-Identifier: MIT */
/* Running a tree: expressions to values (expressions.c), statements to text
 * (statements.c). */
#ifndef DSMOE_TEMPLATE_EVAL_H
#define DSMOE_TEMPLATE_EVAL_H

#include "template/builtin.h"

dsm_status dsm_tpl_eval(dsm_tpl_run *r, const dsm_node *n, dsm_val *out);
dsm_status dsm_tpl_exec(dsm_tpl_run *r, const dsm_node *n);

/* Text of a body in a scope of its own around which stands `outer`. */
dsm_status dsm_tpl_capture(dsm_tpl_run *r, const dsm_node *body, dsm_tpl_scope *scope,
                           dsm_val *out);

/* A scope inside of another. */
dsm_status dsm_tpl_scope_new(dsm_tpl_run *r, dsm_tpl_scope *outer, dsm_tpl_scope **out);
dsm_status dsm_tpl_scope_set(dsm_tpl_run *r, dsm_tpl_scope *s, const char *name, dsm_val value);

#endif
