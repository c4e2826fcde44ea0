/* SPDX-License-Identifier: MIT */
/* Chat templates: the subset of Jinja that models' own templates are written in, rendered as
 * transformers renders them (trim_blocks, lstrip_blocks, its `tojson`, `raise_exception`,
 * `strftime_now`, {% generation %}).
 *
 * A template is text of a stranger: it may be wrong, or loop and recurse without end. Steps,
 * memory, depth and output are bounded, and what lies outside of the subset is an error that names
 * the line, never skipped. docs/chat.md lists the subset. */
#ifndef DSMOE_TEMPLATE_TEMPLATE_H
#define DSMOE_TEMPLATE_TEMPLATE_H

#include "core/buf.h"

#include <jansson.h>

typedef struct dsm_template dsm_template;

/* `name` is what messages call it. Errors: DSM_EFORMAT "NAME: line N: …". */
dsm_status dsm_template_compile(dsm_template **out, const char *text, size_t n, const char *name,
                                dsm_err *err);
void dsm_template_free(dsm_template *t); /* accepts NULL */

typedef struct dsm_template_options {
    int64_t now;   /* seconds since 1970 that strftime_now tells; 0: what the clock says */
    int64_t steps; /* that it may take; 0: 5 million */
} dsm_template_options;

/* Append the rendering with the members of `variables`, an object, as variables. A template may be
 * rendered any number of times, by several threads at once. */
dsm_status dsm_template_render(const dsm_template *t, const json_t *variables,
                               const dsm_template_options *o, dsm_buf *out, dsm_err *err);

#endif
