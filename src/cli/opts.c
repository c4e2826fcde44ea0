/* SPDX-License-Identifier: MIT */
#include "cli/opts.h"

#include "core/nearest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dsm_status in_range(const dsm_opt *o, double x, dsm_err *err)
{
    if ((o->low != 0 || o->high != 0) && !(x >= o->low && x <= o->high))
        return dsm_fail(err, DSM_EUSAGE, "--%s: found %.10g, expected %.10g to %.10g", o->name, x, o->low,
                        o->high);
    return DSM_OK;
}

static dsm_status store_int(const dsm_opt *o, const char *value, dsm_err *err)
{
    char *end;
    errno = 0;
    long long x = strtoll(value, &end, 10);
    if (*value == '\0' || *end != '\0' || errno)
        return dsm_fail(err, DSM_EUSAGE, "--%s: found \"%s\", expected an integer", o->name, value);
    DSM_TRY(in_range(o, (double)x, err));
    *(int64_t *)o->out = x;
    return DSM_OK;
}

static dsm_status store_real(const dsm_opt *o, const char *value, dsm_err *err)
{
    char *end;
    double x = strtod(value, &end);
    if (*value == '\0' || *end != '\0' || x != x)
        return dsm_fail(err, DSM_EUSAGE, "--%s: found \"%s\", expected a number", o->name, value);
    DSM_TRY(in_range(o, x, err));
    *(double *)o->out = x;
    return DSM_OK;
}

static dsm_status store(const dsm_opt *o, const char *value, dsm_err *err)
{
    switch (o->type) {
    case DSM_OPT_FLAG:
        *(bool *)o->out = true;
        return DSM_OK;
    case DSM_OPT_INT:
        return store_int(o, value, err);
    case DSM_OPT_REAL:
        return store_real(o, value, err);
    case DSM_OPT_STRING:
        *(const char **)o->out = value;
        return DSM_OK;
    case DSM_OPT_LIST: {
        dsm_opt_list *l = o->out;
        if (l->n == (int)(sizeof l->items / sizeof *l->items))
            return dsm_fail(err, DSM_EUSAGE, "--%s: given more than %d times", o->name, l->n);
        l->items[l->n++] = value;
        return DSM_OK;
    }
    }
    return DSM_OK;
}

static const dsm_opt *find(const dsm_opt *opts, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(opts[i].name) == len && memcmp(opts[i].name, name, len) == 0) return &opts[i];
    return NULL;
}

static dsm_status unknown_flag(const dsm_opt *opts, size_t n, const char *arg, dsm_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(arg, "="), arg);
    const char *near = dsm_nearest(name, opts, n, sizeof *opts);
    if (near) return dsm_fail(err, DSM_EUSAGE, "unknown flag --%s; did you mean --%s?", name, near);
    return dsm_fail(err, DSM_EUSAGE, "unknown flag --%s", name);
}

/* Store the flag at argv[*i] if opts has it (*known), moving *i over a separate value. */
static dsm_status take_flag(const dsm_opt *opts, size_t n_opts, int argc, char **argv, int *i,
                            bool *known, dsm_err *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    const dsm_opt *o = find(opts, n_opts, name, strcspn(name, "="));
    *known = o != NULL;
    if (!o) return DSM_OK;
    if (o->type == DSM_OPT_FLAG) {
        if (equals) return dsm_fail(err, DSM_EUSAGE, "--%s takes no value", o->name);
        return store(o, NULL, err);
    }
    if (equals) return store(o, equals + 1, err);
    if (*i + 1 >= argc) return dsm_fail(err, DSM_EUSAGE, "--%s: a value is missing", o->name);
    return store(o, argv[++*i], err);
}

dsm_status dsm_opts_parse(const dsm_opt *opts, size_t n_opts, int argc, char **argv,
                          int *n_positional, dsm_err *err)
{
    int n = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                argv[n++] = argv[i];
            break;
        }
        if (strncmp(argv[i], "--", 2) != 0) {
            argv[n++] = argv[i];
            continue;
        }
        bool known;
        const char *name = argv[i] + 2;
        DSM_TRY(take_flag(opts, n_opts, argc, argv, &i, &known, err));
        if (!known) return unknown_flag(opts, n_opts, name, err);
    }
    *n_positional = n;
    return DSM_OK;
}

dsm_status dsm_opts_take(const dsm_opt *opts, size_t n_opts, int *argc, char **argv, dsm_err *err)
{
    int n = 0, i = 0;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        char *arg = argv[i];
        bool known = false;
        if (strncmp(arg, "--", 2) == 0)
            DSM_TRY(take_flag(opts, n_opts, *argc, argv, &i, &known, err));
        if (!known) argv[n++] = arg;
    }
    while (i < *argc)
        argv[n++] = argv[i++];
    *argc = n;
    return DSM_OK;
}

void dsm_opts_print(const dsm_opt *opts, size_t n_opts)
{
    static const char *const kind[] = {"", " N", " X", " TEXT", " TEXT"};
    for (size_t i = 0; i < n_opts; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s", opts[i].name, kind[opts[i].type]);
        printf("  %-26s %s%s\n", left, opts[i].help,
               opts[i].type == DSM_OPT_LIST ? " (repeatable)" : "");
    }
}
