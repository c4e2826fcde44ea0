/* SPDX-License-Identifier: MIT */
/* Reading experiments; see definition.h. Everything is checked here, so that what follows can rely
 * on names that exist and numbers that make sense. */
#include "experiment/definition.h"

#include "core/fs.h"
#include "core/json.h"
#include "core/nearest.h"
#include "core/yaml.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dsm_analysis_names[DSM_N_ANALYSES + 1] = {"mask_top", "drop_shared", "active",
                                                            "experts", NULL};

/* --- parts of a definition -------------------------------------------------------------------- */

/* Every key of an object is in the list. */
static dsm_status check_keys(const json_t *o, const char *const *known, size_t n, const char *what,
                             dsm_err *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(o))
        return dsm_fail(err, DSM_EFORMAT, "%s: found %s, expected a group of keys", what,
                        dsm_json_type_name(o));
    json_object_foreach((json_t *)o, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < n; i++)
            found = found || strcmp(known[i], key) == 0;
        const char *near = found ? NULL : dsm_nearest(key, known, n, sizeof *known);
        if (!found)
            return dsm_fail(err, DSM_EFORMAT, "%s: unknown key %s%s%s", what, key,
                            near ? "; did you mean " : "", near ? near : "");
    }
    return DSM_OK;
}

/* Names become names of files. */
static dsm_status check_name(const char *name, const char *what, dsm_err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    if (*name && *name != '.' && strspn(name, letters) == strlen(name) && strlen(name) <= 48)
        return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: name: found \"%.60s\", expected a-z 0-9 - . only", what,
                    name);
}

static int find_run(const dsm_definition *d, const char *name)
{
    for (int i = 0; i < d->n_runs; i++)
        if (strcmp(d->runs[i].name, name) == 0) return i;
    return -1;
}

static dsm_status need_run(const dsm_definition *d, const char *name, int *run, const char *what,
                           dsm_err *err)
{
    *run = find_run(d, name);
    if (*run >= 0) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: found run \"%.60s\", expected one of its runs", what,
                    name);
}

static dsm_status read_run(dsm_definition *d, const json_t *o, const char *what, dsm_err *err)
{
    static const char *const keys[] = {"name", "label", "model", "set", "paper"};
    dsm_def_run r = {.paper = NAN};
    DSM_TRY(check_keys(o, keys, sizeof keys / sizeof *keys, what, err));
    DSM_TRY(dsm_json_need_string(o, "name", &r.name, what, err));
    DSM_TRY(check_name(r.name, what, err));
    DSM_TRY(dsm_json_need_string(o, "model", &r.model, what, err));
    DSM_TRY(check_name(r.model, what, err));
    r.label = r.name;
    DSM_TRY(dsm_json_string(o, "label", &r.label, what, err));
    DSM_TRY(dsm_json_real(o, "paper", &r.paper, what, err));
    r.set = json_object_get(o, "set");
    if (r.set && !json_is_object(r.set))
        return dsm_fail(err, DSM_EFORMAT, "%s: set: found %s, expected recipe keys", what,
                        dsm_json_type_name(r.set));
    if (find_run(d, r.name) >= 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: found a second run \"%s\"", what, r.name);
    d->runs[d->n_runs++] = r;
    return DSM_OK;
}

static dsm_status read_kind(const char *name, dsm_analysis_kind *kind, const char *what,
                            dsm_err *err)
{
    for (int k = 0; k < DSM_N_ANALYSES; k++)
        if (strcmp(dsm_analysis_names[k], name) == 0) {
            *kind = (dsm_analysis_kind)k;
            return DSM_OK;
        }
    return dsm_fail(
        err, DSM_EFORMAT,
        "%s: found analysis \"%.40s\", expected mask_top, drop_shared, active or experts", what,
        name);
}

/* A list of at most DSM_MAX_POINTS numbers; null is NAN. */
static dsm_status read_numbers(const json_t *list, double *out, int *n, const char *what,
                               const char *key, dsm_err *err)
{
    size_t i, count = json_array_size(list);
    json_t *v;
    if (!json_is_array(list) || count < 1 || count > DSM_MAX_POINTS)
        return dsm_fail(err, DSM_EFORMAT, "%s: %s: expected a list of 1 to %d numbers", what, key,
                        DSM_MAX_POINTS);
    json_array_foreach(list, i, v)
    {
        if (!json_is_number(v) && !json_is_null(v))
            return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %s, expected a number", what, key,
                            dsm_json_type_name(v));
        out[i] = json_is_null(v) ? (double)NAN : json_number_value(v);
    }
    *n = (int)count;
    return DSM_OK;
}

static dsm_status read_points(dsm_def_analysis *a, const json_t *o, const char *what, dsm_err *err)
{
    int n_paper = 0;
    DSM_TRY(read_numbers(json_object_get(o, "at"), a->at, &a->n, what, "at", err));
    for (int i = 0; i < a->n; i++)
        a->paper[i] = NAN;
    const json_t *paper = json_object_get(o, "paper");
    if (paper) DSM_TRY(read_numbers(paper, a->paper, &n_paper, what, "paper", err));
    if (!paper || n_paper == a->n) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: paper: found %d numbers, expected %d as in at", what,
                    n_paper, a->n);
}

static dsm_status read_analysis(dsm_definition *d, const json_t *o, const char *what, dsm_err *err)
{
    static const char *const keys[] = {"run", "kind", "at", "paper"};
    dsm_def_analysis a = {0};
    const char *run = NULL, *kind = NULL;
    DSM_TRY(check_keys(o, keys, sizeof keys / sizeof *keys, what, err));
    DSM_TRY(dsm_json_need_string(o, "run", &run, what, err));
    DSM_TRY(need_run(d, run, &a.run, what, err));
    DSM_TRY(dsm_json_need_string(o, "kind", &kind, what, err));
    DSM_TRY(read_kind(kind, &a.kind, what, err));
    if (a.kind != DSM_ANALYSIS_EXPERTS) DSM_TRY(read_points(&a, o, what, err));
    d->analyses[d->n_analyses++] = a;
    return DSM_OK;
}

/* "gshard" or "deepseekmoe@active=4" */
static dsm_status read_operand(const dsm_definition *d, const json_t *v, dsm_operand *out,
                               const char *what, dsm_err *err)
{
    char run[64], kind[32];
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    const char *at = strchr(text, '@');
    *out = (dsm_operand){.of_analysis = at != NULL};
    snprintf(run, sizeof run, "%.*s", at ? (int)(at - text) : (int)strlen(text), text);
    DSM_TRY(need_run(d, run, &out->run, what, err));
    if (!at) return DSM_OK;
    if (sscanf(at, "@%31[a-z_]=%lf", kind, &out->x) != 2)
        return dsm_fail(err, DSM_EFORMAT, "%s: found \"%.60s\", expected RUN@KIND=X", what, text);
    return read_kind(kind, &out->kind, what, err);
}

static dsm_status read_claim(dsm_definition *d, const json_t *o, const char *what, dsm_err *err)
{
    static const char *const keys[] = {"text", "metric", "less", "at_most", "within"};
    dsm_def_claim c = {.metric = d->metric};
    DSM_TRY(check_keys(o, keys, sizeof keys / sizeof *keys, what, err));
    DSM_TRY(dsm_json_need_string(o, "text", &c.text, what, err));
    DSM_TRY(dsm_json_string(o, "metric", &c.metric, what, err));
    DSM_TRY(dsm_json_real(o, "within", &c.within, what, err));
    const json_t *less = json_object_get(o, "less"), *at_most = json_object_get(o, "at_most");
    const json_t *pair = less ? less : at_most;
    if (!less == !at_most || json_array_size(pair) != 2)
        return dsm_fail(err, DSM_EFORMAT, "%s: expected less: [a, b] or at_most: [a, b]", what);
    if (!at_most != !(c.within > 0))
        return dsm_fail(err, DSM_EFORMAT, "%s: within: expected a share above 0 with at_most only",
                        what);
    DSM_TRY(read_operand(d, json_array_get(pair, 0), &c.a, what, err));
    DSM_TRY(read_operand(d, json_array_get(pair, 1), &c.b, what, err));
    d->claims[d->n_claims++] = c;
    return DSM_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

typedef dsm_status (*part_fn)(dsm_definition *d, const json_t *o, const char *what, dsm_err *err);

static dsm_status read_list(dsm_definition *d, const char *key, size_t max, part_fn read,
                            const char *what, dsm_err *err)
{
    const json_t *list = json_object_get(d->file, key);
    json_t *item;
    size_t i;
    if (!list) return DSM_OK;
    if (!json_is_array(list) || json_array_size(list) > max)
        return dsm_fail(err, DSM_EFORMAT, "%s: %s: expected a list of at most %zu", what, key, max);
    json_array_foreach(list, i, item)
    {
        DSM_TRY(read(d, item, dsm_json_item(what, key, i).text, err));
    }
    return DSM_OK;
}

static dsm_status read_parts(dsm_definition *d, const char *what, dsm_err *err)
{
    static const char *const keys[] = {"title", "source", "metric", "runs", "analyses", "claims"};
    DSM_TRY(check_keys(d->file, keys, sizeof keys / sizeof *keys, what, err));
    DSM_TRY(dsm_json_need_string(d->file, "title", &d->title, what, err));
    DSM_TRY(dsm_json_need_string(d->file, "source", &d->source, what, err));
    d->metric = "loss";
    DSM_TRY(dsm_json_string(d->file, "metric", &d->metric, what, err));
    DSM_TRY(read_list(d, "runs", DSM_MAX_RUNS, read_run, what, err));
    DSM_TRY(read_list(d, "analyses", DSM_MAX_PARALLEL_ANALYSES, read_analysis, what, err));
    DSM_TRY(read_list(d, "claims", DSM_MAX_CLAIMS, read_claim, what, err));
    if (d->n_runs > 0) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: runs: found none, expected at least one", what);
}

static dsm_status unknown(const char *configs, const char *name, dsm_err *err)
{
    char **names = NULL;
    int n = 0;
    DSM_TRY(dsm_definition_list(&names, &n, configs, err));
    const char *near = dsm_nearest(name, (const char *const *)names, (size_t)n, sizeof *names);
    dsm_status status =
        dsm_fail(err, DSM_EUSAGE, "no experiment \"%.60s\"%s%s (dsmoe experiment list shows all)",
                 name, near ? "; did you mean " : "", near ? near : "");
    dsm_definition_list_free(names, n);
    return status;
}

dsm_status dsm_definition_read(dsm_definition *d, const char *configs, const char *name,
                               dsm_err *err)
{
    dsm_buf path = {0};
    memset(d, 0, sizeof *d);
    DSM_TRY(check_name(name, "experiment", err));
    dsm_buf_fmt(&path, "%s/experiments/%s.yaml", configs, name);
    dsm_status status = dsm_buf_check(&path, name, err);
    if (status == DSM_OK && !dsm_fs_exists(path.data))
        status = unknown(configs, name, err);
    else if (status == DSM_OK)
        status = dsm_yaml_read(&d->file, path.data, err);
    if (status == DSM_OK) status = read_parts(d, path.data, err);
    dsm_buf_free(&path);
    d->name = name;
    if (status != DSM_OK) dsm_definition_free(d);
    return status;
}

void dsm_definition_free(dsm_definition *d)
{
    json_decref(d->file);
    memset(d, 0, sizeof *d);
}

/* --- the list --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static dsm_status add_name(char ***names, int *n, const char *file, size_t length, dsm_err *err)
{
    char **more = realloc(*names, (size_t)(*n + 1) * sizeof *more);
    if (more) *names = more;
    char *name = more ? strndup(file, length) : NULL;
    if (!name) return dsm_fail(err, DSM_ENOMEM, "experiments: out of memory");
    more[(*n)++] = name;
    return DSM_OK;
}

static dsm_status list_folder(DIR *dir, char ***names, int *n, dsm_err *err)
{
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot && dot != entry->d_name && strcmp(dot, ".yaml") == 0)
            DSM_TRY(add_name(names, n, entry->d_name, (size_t)(dot - entry->d_name), err));
    }
    return DSM_OK;
}

dsm_status dsm_definition_list(char ***names, int *n, const char *configs, dsm_err *err)
{
    *names = NULL;
    *n = 0;
    char *path = dsm_fs_join(configs, "experiments");
    if (!path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", configs);
    DIR *dir = opendir(path);
    dsm_status status =
        dir ? list_folder(dir, names, n, err) : dsm_fail_errno(err, path, "read folder");
    if (dir) closedir(dir);
    free(path);
    if (*n > 1) qsort(*names, (size_t)*n, sizeof **names, by_name);
    return status;
}

void dsm_definition_list_free(char **names, int n)
{
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
}
