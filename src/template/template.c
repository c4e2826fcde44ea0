/* SPDX-License-Identifier: MIT */
#include "template/template.h"

#include "template/eval.h"
#include "template/parser.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TEXT_MAX = 1 << 20,   /* bytes of a template */
    TREE_MAX = 1 << 28,   /* bytes of its tree */
    VALUES_MAX = 1 << 28, /* bytes of a rendering's values */
    OUTPUT_MAX = 1 << 26, /* bytes of text */
    STEPS_MAX = 5000000   /* a long conversation takes some thousands */
};

struct dsm_template {
    dsm_pool pool; /* everything below */
    char *name;
    dsm_node *body;
};

/* A copy of the text with "\n" as its only line end, without one at its very end. */
static const char *normalize(dsm_pool *p, const char *text, size_t *n)
{
    char *copy = dsm_pool_take(p, *n + 1);
    size_t kept = 0;
    for (size_t i = 0; copy && i < *n; i++) {
        if (text[i] == '\r' && i + 1 < *n && text[i + 1] == '\n') continue;
        copy[kept++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (copy && kept > 0 && copy[kept - 1] == '\n') kept--;
    *n = kept;
    return copy;
}

static dsm_status compile(dsm_template *t, const char *text, size_t n, dsm_err *err)
{
    if (n > TEXT_MAX)
        return dsm_fail(err, DSM_ELIMIT, "%s: found %zu bytes, expected at most %d", t->name, n,
                        TEXT_MAX);
    if (dsm_utf8_valid_prefix(text, n) < n)
        return dsm_fail(err, DSM_EFORMAT, "%s: found bytes that are not UTF-8", t->name);
    const char *source = normalize(&t->pool, text, &n);
    if (!source) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", t->name);
    return dsm_template_parse(&t->body, &t->pool, source, n, t->name, err);
}

dsm_status dsm_template_compile(dsm_template **out, const char *text, size_t n, const char *name,
                                dsm_err *err)
{
    *out = NULL;
    dsm_template *t = calloc(1, sizeof *t);
    if (t) {
        t->pool.left = TREE_MAX;
        t->name = dsm_pool_copy(&t->pool, name, strlen(name));
    }
    dsm_status status = t && t->name ? compile(t, text, n, err)
                                     : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", name);
    if (status == DSM_OK)
        *out = t;
    else
        dsm_template_free(t);
    return status;
}

void dsm_template_free(dsm_template *t)
{
    if (!t) return;
    dsm_pool_free(&t->pool);
    free(t);
}

static dsm_status render(dsm_tpl_run *r, const dsm_template *t, const json_t *variables)
{
    dsm_val globals;
    dsm_tpl_scope *outermost;
    DSM_TRY(dsm_tpl_made(r, dsm_val_from_json(&globals, &r->pool, variables)));
    DSM_TRY(dsm_tpl_scope_new(r, NULL, &outermost));
    if (globals.kind == DSM_VAL_DICT) outermost->names = *globals.as.dict;
    r->scope = outermost;
    return dsm_tpl_exec(r, t->body);
}

dsm_status dsm_template_render(const dsm_template *t, const json_t *variables,
                               const dsm_template_options *o, dsm_buf *out, dsm_err *err)
{
    dsm_buf text = {0};
    dsm_tpl_run r = {.name = t->name,
                     .pool.left = VALUES_MAX,
                     .steps = o && o->steps ? o->steps : STEPS_MAX,
                     .out_max = OUTPUT_MAX,
                     .out = &text,
                     .now = o && o->now ? o->now : (int64_t)time(NULL),
                     .err = err};
    dsm_status status = render(&r, t, variables);
    if (status == DSM_OK) {
        dsm_buf_add(out, text.data, text.len);
        status = dsm_buf_check(out, t->name, err);
    }
    dsm_buf_free(&text);
    dsm_pool_free(&r.pool);
    return status;
}
