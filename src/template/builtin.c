/* SPDX-License-Identifier: MIT */
#include "template/builtin.h"

#include <string.h>

const dsm_builtin *dsm_builtin_find(const dsm_builtin *table, const char *name)
{
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0) return table;
    return NULL;
}

/* --- arguments to parameters ------------------------------------------------------------------ */

/* One parameter out of a row's list. */
typedef struct parameter {
    const char *name;
    size_t n;
    bool optional;
} parameter;

/* The parameter at *list, which moves on; false at the end and at "...". */
static bool next_parameter(const char **list, parameter *p)
{
    while (**list == ' ')
        ++*list;
    if (**list == '\0' || **list == '.') return false;
    p->name = *list;
    p->n = strcspn(*list, " ?");
    *list += p->n;
    p->optional = **list == '?';
    *list += p->optional;
    return true;
}

static const dsm_val *keyword(const dsm_args *a, const parameter *p)
{
    const dsm_val name = dsm_val_text(p->name, p->n);
    return dsm_val_find(&a->keywords, &name);
}

/* Every argument must have been taken. */
static dsm_status check_rest(dsm_tpl_run *r, const dsm_call *c, const char *list, int64_t n_params,
                             int64_t n_keywords)
{
    if (*list == '.') return DSM_OK;
    if (c->all->n > n_params)
        return dsm_tpl_fail(r, "%s: found %lld arguments, expected at most %lld", c->name,
                            (long long)c->all->n, (long long)n_params);
    if (c->all->keywords.n > n_keywords)
        return dsm_tpl_fail(r, "%s: found an argument with a name it does not know", c->name);
    return DSM_OK;
}

static dsm_status bind(dsm_tpl_run *r, dsm_call *c, const char *list)
{
    parameter p;
    int64_t n = 0, n_keywords = 0;
    for (; next_parameter(&list, &p); n++) {
        const dsm_val *named = keyword(c->all, &p),
                      *value = n < c->all->n ? &c->all->items[n] : named;
        if (named && n < c->all->n)
            return dsm_tpl_fail(r, "%s: found two values of \"%.*s\"", c->name, (int)p.n, p.name);
        n_keywords += named != NULL;
        c->given[n] = value != NULL;
        if (value) c->arg[n] = *value;
        if (!value && !p.optional)
            return dsm_tpl_fail(r, "%s: the argument \"%.*s\" is missing", c->name, (int)p.n,
                                p.name);
    }
    return check_rest(r, c, list, n, n_keywords);
}

dsm_status dsm_builtin_call(dsm_tpl_run *r, const dsm_builtin *b, const dsm_val *self,
                            const dsm_args *args, dsm_val *out)
{
    dsm_call c = {.name = b->name, .all = args};
    if (self) c.self = *self;
    DSM_TRY(dsm_tpl_spend(r, self ? dsm_val_extent_of(self).bytes / 16 + 1 : 1));
    DSM_TRY(bind(r, &c, b->params));
    return b->call(r, &c, out);
}

/* --- what a row's function asks for ----------------------------------------------------------- */

dsm_status dsm_call_fail(dsm_tpl_run *r, const dsm_call *c, const dsm_val *found, const char *what)
{
    DSM_TRY(dsm_tpl_defined(r, found));
    return dsm_tpl_fail(r, "%s: found %s, expected %s", c->name, dsm_val_type(found), what);
}

dsm_status dsm_arg_text(dsm_tpl_run *r, const dsm_call *c, int i, dsm_val *out)
{
    if (!c->given[i]) return DSM_OK;
    if (c->arg[i].kind != DSM_VAL_STRING) return dsm_call_fail(r, c, &c->arg[i], "a string");
    *out = c->arg[i];
    return DSM_OK;
}

dsm_status dsm_arg_int(dsm_tpl_run *r, const dsm_call *c, int i, int64_t *out)
{
    if (!c->given[i] || c->arg[i].kind == DSM_VAL_NONE) return DSM_OK;
    if (!dsm_val_as_integer(&c->arg[i], out)) return dsm_call_fail(r, c, &c->arg[i], "an integer");
    return DSM_OK;
}

bool dsm_arg_bool(const dsm_call *c, int i, bool otherwise)
{
    return c->given[i] ? dsm_val_true(&c->arg[i]) : otherwise;
}

dsm_status dsm_function_new(dsm_tpl_run *r, const dsm_tpl_function *f, dsm_val *out)
{
    dsm_tpl_function *copy = dsm_pool_take(&r->pool, sizeof *copy);
    DSM_TRY(dsm_tpl_made(r, copy != NULL));
    *copy = *f;
    *out = (dsm_val){.kind = DSM_VAL_FUNCTION, .as.function = copy};
    return DSM_OK;
}

/* Digits alone: an index. */
static bool is_index(const char *s, size_t n, int64_t *index)
{
    *index = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || n > 9) return false;
        *index = 10 * *index + (s[i] - '0');
    }
    return n > 0;
}

dsm_status dsm_tpl_path(dsm_tpl_run *r, const dsm_val *v, const dsm_val *path, dsm_val *out)
{
    if (path->kind == DSM_VAL_INT) return dsm_tpl_item(r, v, path, out);
    if (path->kind != DSM_VAL_STRING)
        return dsm_tpl_fail(r, "found %s, expected the name of an attribute", dsm_val_type(path));
    const char *s = path->as.text.data;
    size_t n = path->as.text.n;
    *out = *v;
    for (size_t at = 0, end; at <= n; at = end + 1) {
        int64_t index;
        for (end = at; end < n && s[end] != '.';)
            end++;
        const dsm_val key = is_index(s + at, end - at, &index) ? dsm_val_int(index)
                                                               : dsm_val_text(s + at, end - at);
        const dsm_val object = *out;
        DSM_TRY(dsm_tpl_item(r, &object, &key, out));
    }
    return DSM_OK;
}
