/* SPDX-License-Identifier: MIT */
/* Operators between two values: one row each, for the parser and for the evaluator. */
#ifndef DSMOE_TEMPLATE_OPERATORS_H
#define DSMOE_TEMPLATE_OPERATORS_H

#include "template/run.h"

typedef struct dsm_tpl_operator {
    const char *text;
    int level; /* of arithmetic: higher binds tighter; -1: a comparison */
    dsm_status (*apply)(dsm_tpl_run *r, const dsm_val *a, const dsm_val *b, dsm_val *out);
} dsm_tpl_operator;

enum { DSM_TPL_COMPARISON = -1, DSM_TPL_LEVELS = 4 };

/* The row whose text is s[0 … n-1], on this level; NULL if there is none. */
const dsm_tpl_operator *dsm_tpl_operator_find(const char *s, size_t n, int level);

#endif
