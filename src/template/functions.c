/* SPDX-License-Identifier: MIT */
/* Functions a template can call by name. */
#include "template/builtin.h"

#include <string.h>
#include <time.h>

/* A template refuses a conversation. */
static dsm_status raise_exception(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val message;
    (void)out;
    DSM_TRY(dsm_tpl_to_text(r, &c->arg[0], &message));
    return dsm_tpl_fail(r, "the template says: %.*s",
                        (int)(message.as.text.n < 300 ? message.as.text.n : 300),
                        message.as.text.data);
}

static dsm_status strftime_now(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    dsm_val format;
    char pattern[128], text[256];
    struct tm now;
    time_t seconds = (time_t)r->now;
    DSM_TRY(dsm_arg_text(r, c, 0, &format));
    if (format.as.text.n >= sizeof pattern)
        return dsm_tpl_fail(r, "strftime_now: the format is too long");
    memcpy(pattern, format.as.text.data, format.as.text.n);
    pattern[format.as.text.n] = '\0';
    if (!localtime_r(&seconds, &now)) return dsm_tpl_fail(r, "strftime_now: there is no such time");
    size_t n = strftime(text, sizeof text, pattern, &now);
    return dsm_tpl_copy(r, text, n, out);
}

/* range(stop) or range(start, stop, step) */
static dsm_status range(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    int64_t start = 0, stop = 0, step = 1;
    DSM_TRY(dsm_arg_int(r, c, 0, c->given[1] ? &start : &stop));
    DSM_TRY(dsm_arg_int(r, c, 1, &stop));
    DSM_TRY(dsm_arg_int(r, c, 2, &step));
    if (step == 0) return dsm_tpl_fail(r, "range: the step is 0");
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_seq(out, &r->pool, DSM_SEQ_RANGE, 0)));
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        DSM_TRY(dsm_tpl_spend(r, 1));
        DSM_TRY(dsm_tpl_made(r, dsm_val_push(out->as.seq, &r->pool, dsm_val_int(i))));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return DSM_OK;
}

/* A dict out of arguments with names and, before them, perhaps another dict. */
static dsm_status make_dict(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    DSM_TRY(dsm_tpl_made(r, dsm_val_new_dict(out, &r->pool)));
    if (c->all->n > 1)
        return dsm_tpl_fail(r, "%s: found more than one argument without a name", c->name);
    const dsm_val_dict *sources[2] = {NULL, &c->all->keywords};
    if (c->all->n == 1) {
        const dsm_val *first = &c->all->items[0];
        if (first->kind != DSM_VAL_DICT) return dsm_call_fail(r, c, first, "a dict");
        sources[0] = first->as.dict;
    }
    for (int s = 0; s < 2; s++)
        for (int64_t i = 0; sources[s] && i < sources[s]->n; i++) {
            const dsm_val_pair *p = &sources[s]->pairs[i];
            DSM_TRY(dsm_tpl_spend(r, out->as.dict->n / 4 + 1));
            DSM_TRY(dsm_tpl_made(r, dsm_val_set(out->as.dict, &r->pool, p->key, p->value)));
        }
    return DSM_OK;
}

static dsm_status make_namespace(dsm_tpl_run *r, const dsm_call *c, dsm_val *out)
{
    DSM_TRY(make_dict(r, c, out));
    out->kind = DSM_VAL_NAMESPACE;
    return DSM_OK;
}

const dsm_builtin dsm_functions[] = {
    {"dict", "...", make_dict},
    {"namespace", "...", make_namespace},
    {"raise_exception", "message", raise_exception},
    {"range", "start stop? step?", range},
    {"strftime_now", "format", strftime_now},
    {0},
};
