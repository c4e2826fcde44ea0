/* SPDX-License-Identifier: MIT */
/* Filters, tests, methods and functions: all are rows of tables, called the same way. */
#ifndef DSMOE_TEMPLATE_BUILTIN_H
#define DSMOE_TEMPLATE_BUILTIN_H

#include "template/run.h"

/* What stands between the parentheses of a call. */
typedef struct dsm_args {
    dsm_val *items; /* (n) without a name */
    int64_t n;
    dsm_val_dict keywords;
} dsm_args;

enum { DSM_BUILTIN_PARAMS = 6 };

/* A call whose arguments have found their parameters. */
typedef struct dsm_call {
    const char *name;
    dsm_val self;                    /* what a filter, a test or a method is applied to */
    dsm_val arg[DSM_BUILTIN_PARAMS]; /* undefined where not given */
    bool given[DSM_BUILTIN_PARAMS];
    const dsm_args *all;
} dsm_call;

typedef struct dsm_builtin {
    const char *name;
    /* Parameters with spaces between: "old new count?"; "?" marks those that may be left out, "..."
     * takes whatever else there is, which `call` then finds in all. */
    const char *params;
    dsm_status (*call)(dsm_tpl_run *r, const dsm_call *c, dsm_val *out);
} dsm_builtin;

/* Each table ends with a row without a name. */
extern const dsm_builtin dsm_filters[], dsm_tests[], dsm_functions[];
extern const dsm_builtin dsm_string_methods[], dsm_dict_methods[], dsm_list_methods[],
    dsm_loop_methods[];

const dsm_builtin *dsm_builtin_find(const dsm_builtin *table, const char *name);
dsm_status dsm_builtin_call(dsm_tpl_run *r, const dsm_builtin *b, const dsm_val *self,
                            const dsm_args *args, dsm_val *out);

/* Argument i as what it must be; *out stays as it was where none was given. */
dsm_status dsm_arg_text(dsm_tpl_run *r, const dsm_call *c, int i, dsm_val *out);
dsm_status dsm_arg_int(dsm_tpl_run *r, const dsm_call *c, int i, int64_t *out);
bool dsm_arg_bool(const dsm_call *c, int i, bool otherwise);

/* "NAME: found TYPE, expected WHAT". */
dsm_status dsm_call_fail(dsm_tpl_run *r, const dsm_call *c, const dsm_val *found, const char *what);

/* A value that can be called: a builtin bound to `self`, or a macro in the scope it stands in. */
typedef struct dsm_tpl_function {
    const char *name;
    const dsm_builtin *builtin;
    dsm_val self;
    const dsm_node *macro;
    dsm_tpl_scope *scope;
} dsm_tpl_function;

dsm_status dsm_function_new(dsm_tpl_run *r, const dsm_tpl_function *f, dsm_val *out);

/* Value parts a dotted path leads to: "function.name"; digits are indices. */
dsm_status dsm_tpl_path(dsm_tpl_run *r, const dsm_val *v, const dsm_val *path, dsm_val *out);

/* str(v) as Python's json.dumps(v, …) writes it. */
typedef struct dsm_json_style {
    bool ascii, sort_keys;
    int64_t indent;                        /* -1: on one line */
    dsm_val item_separator, key_separator; /* strings */
} dsm_json_style;
dsm_status dsm_tpl_dumps(dsm_tpl_run *r, dsm_buf *out, const dsm_val *v, const dsm_json_style *s);

/* What `loop` is. */
typedef struct dsm_tpl_loop {
    const dsm_val_seq *items;
    int64_t at;
} dsm_tpl_loop;

#endif
