/* SPDX-License-Identifier: MIT */
#include "template/run.h"

#include <stdarg.h>
#include <stdio.h>

enum { DEPTH_MAX = 1000 };

dsm_status dsm_tpl_fail(dsm_tpl_run *r, const char *fmt, ...)
{
    char message[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return dsm_fail(r->err, DSM_EFORMAT, "%s: line %d: %s", r->name, r->line, message);
}

static dsm_status limit(dsm_tpl_run *r, const char *what)
{
    return dsm_fail(r->err, DSM_ELIMIT, "%s: line %d: %s", r->name, r->line, what);
}

dsm_status dsm_tpl_spend(dsm_tpl_run *r, int64_t steps)
{
    r->steps -= steps;
    return r->steps >= 0 ? DSM_OK : limit(r, "the template does not come to an end");
}

dsm_status dsm_tpl_enter(dsm_tpl_run *r)
{
    DSM_TRY(dsm_tpl_spend(r, 1));
    return ++r->depth <= DEPTH_MAX ? DSM_OK
                                   : limit(r, "the template is nested too deep, or without end");
}

dsm_status dsm_tpl_made(dsm_tpl_run *r, bool made)
{
    return made ? DSM_OK : limit(r, "a value is too large, or the memory of a template is used up");
}

dsm_status dsm_tpl_copy(dsm_tpl_run *r, const char *data, size_t n, dsm_val *out)
{
    DSM_TRY(dsm_tpl_spend(r, (int64_t)(n / 64)));
    return dsm_tpl_made(r, n <= DSM_VAL_BYTES_MAX && dsm_val_copy_text(out, &r->pool, data, n));
}

dsm_status dsm_tpl_text(dsm_tpl_run *r, dsm_buf *text, dsm_val *out)
{
    dsm_status status = dsm_tpl_made(r, !text->failed);
    if (status == DSM_OK) status = dsm_tpl_copy(r, text->data, text->len, out);
    dsm_buf_free(text);
    return status;
}

dsm_status dsm_tpl_defined(dsm_tpl_run *r, const dsm_val *v)
{
    if (v->kind != DSM_VAL_UNDEFINED) return DSM_OK;
    const char *name = v->as.missing.name, *of = v->as.missing.of;
    if (!name) return dsm_tpl_fail(r, "a value is undefined");
    if (of) return dsm_tpl_fail(r, "this %s has no \"%s\"", of, name);
    return dsm_tpl_fail(r, "\"%s\" is undefined", name);
}

dsm_status dsm_tpl_to_text(dsm_tpl_run *r, const dsm_val *v, dsm_val *out)
{
    if (v->kind == DSM_VAL_STRING) {
        *out = *v;
        return DSM_OK;
    }
    dsm_buf text = {0};
    if (!dsm_val_print(&text, v)) {
        dsm_buf_free(&text);
        return dsm_tpl_fail(r, "found %s, which has no text", dsm_val_type(v));
    }
    return dsm_tpl_text(r, &text, out);
}
