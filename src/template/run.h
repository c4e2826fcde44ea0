/* SPDX-License-Identifier: MIT */
/* A rendering at work: where it is, what it may still spend, and how it fails.
 *
 * Everything a template can make long is counted: steps (nodes evaluated, bytes handled), memory,
 * depth of recursion and size of the output. */
#ifndef DSMOE_TEMPLATE_RUN_H
#define DSMOE_TEMPLATE_RUN_H

#include "template/ast.h"

/* Variables of one block, innermost first along `outer`. */
typedef struct dsm_tpl_scope {
    struct dsm_tpl_scope *outer;
    dsm_val_dict names;
} dsm_tpl_scope;

typedef enum dsm_tpl_jump { DSM_TPL_GO_ON, DSM_TPL_BREAK, DSM_TPL_CONTINUE } dsm_tpl_jump;

typedef struct dsm_tpl_run {
    const char *name; /* of the template */
    int line;         /* of what is being evaluated */
    dsm_pool pool;
    int64_t steps; /* that are left */
    int depth;     /* of nested evaluations */
    size_t out_max;
    dsm_buf *out; /* where text goes: the output, or what a block captures */
    dsm_tpl_scope *scope;
    dsm_val captured; /* text of the block whose filters are being applied */
    dsm_tpl_jump jump;
    int64_t now; /* seconds since 1970, for strftime_now */
    dsm_err *err;
} dsm_tpl_run;

/* "NAME: line N: message"; DSM_EFORMAT. */
dsm_status dsm_tpl_fail(dsm_tpl_run *r, const char *fmt, ...) DSM_PRINTF(2, 3);

/* Spend steps; DSM_ELIMIT when there are no more. */
dsm_status dsm_tpl_spend(dsm_tpl_run *r, int64_t steps);

/* One more evaluation inside of another: enter, and leave by r->depth--. DSM_ELIMIT when it is too
 * deep. */
dsm_status dsm_tpl_enter(dsm_tpl_run *r);

/* DSM_ELIMIT unless `made`: a value could not be made in the memory a rendering may take. */
dsm_status dsm_tpl_made(dsm_tpl_run *r, bool made);

/* A string of the rendering: copied out of a buffer, which is freed. */
dsm_status dsm_tpl_text(dsm_tpl_run *r, dsm_buf *text, dsm_val *out);
dsm_status dsm_tpl_copy(dsm_tpl_run *r, const char *data, size_t n, dsm_val *out);

/* The error of using a value that is not defined, DSM_OK for any other. */
dsm_status dsm_tpl_defined(dsm_tpl_run *r, const dsm_val *v);

/* str(v) as a value. */
dsm_status dsm_tpl_to_text(dsm_tpl_run *r, const dsm_val *v, dsm_val *out);

/* The items of anything that can be iterated: characters, keys, items. An iterator is empty
 * afterwards. The result is not to be changed. */
dsm_status dsm_tpl_iterate(dsm_tpl_run *r, const dsm_val *v, const dsm_val_seq **items);

/* object.name, and object[key]: undefined where there is none. */
dsm_status dsm_tpl_attribute(dsm_tpl_run *r, const dsm_val *object, const char *name, dsm_val *out);
dsm_status dsm_tpl_item(dsm_tpl_run *r, const dsm_val *object, const dsm_val *key, dsm_val *out);

/* object[start:stop:step], each none or an integer. */
dsm_status dsm_tpl_slice(dsm_tpl_run *r, const dsm_val *object, const dsm_val bounds[3],
                         dsm_val *out);

#endif
