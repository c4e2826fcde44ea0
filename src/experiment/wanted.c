/* SPDX-License-Identifier: MIT */
/* What a run of an experiment must be, and what is there of it; see wanted.h. */
#include "experiment/wanted.h"

#include "core/fs.h"
#include "core/json.h"
#include "dsmoe/plan.h"
#include "run/store.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SETS = 32, MAX_CONFIG = 1 << 20 };

static dsm_status no_memory(const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
}

/* --- paths ------------------------------------------------------------------------------------ */

char *dsm_experiment_path(const dsm_experiment_options *o, const char *folder, const char *name)
{
    return dsm_format("%s/%s/%s", o->root, folder, name);
}

char *dsm_analysis_path(const dsm_experiment_options *o, const char *id, dsm_analysis_kind kind)
{
    return dsm_format("%s/analyses/%s.%s.json", o->root, id, dsm_analysis_names[kind]);
}

static dsm_status name_paths(dsm_wanted *w, const dsm_experiment_options *o, dsm_err *err)
{
    snprintf(w->id, sizeof w->id, "%.48s-s%" PRId64, w->run->name, w->seed);
    w->recipes = dsm_format("%s/recipes/%s", o->root, w->id);
    w->dir = dsm_format("%s/runs/%s", o->root, w->id);
    w->log = dsm_format("%s/logs/%s.log", o->root, w->id);
    w->config = dsm_format("%s/mini/%s/%s.json", o->configs, o->size, w->run->model);
    return w->recipes && w->dir && w->log && w->config ? DSM_OK : no_memory(w->id, err);
}

/* --- what it must be -------------------------------------------------------------------------- */

/* "key=value" lines of --set, each malloc'd. */
typedef struct set_list {
    char *item[MAX_SETS];
    int n;
} set_list;

static void free_sets(set_list *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->item[i]);
}

static dsm_status add_set(set_list *l, const char *key, const char *value, dsm_err *err)
{
    if (l->n == MAX_SETS)
        return dsm_fail(err, DSM_ELIMIT, "set: found more than %d keys", MAX_SETS);
    l->item[l->n] = dsm_format("%s=%s", key, value);
    return l->item[l->n++] ? DSM_OK : no_memory(key, err);
}

/* JSON is YAML: a value in its compact form is one for --set. */
static dsm_status add_own_sets(set_list *l, const json_t *set, dsm_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)set, key, value)
    {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        dsm_status status = text ? add_set(l, key, text, err) : no_memory(key, err);
        free(text);
        DSM_TRY(status);
    }
    return DSM_OK;
}

static dsm_status add_sets(set_list *l, const dsm_wanted *w, const dsm_experiment_options *o,
                           dsm_err *err)
{
    char seed[24], run[DSM_TEXT_MAX], train[DSM_TEXT_MAX], valid[DSM_TEXT_MAX];
    char model[DSM_TEXT_MAX];
    snprintf(seed, sizeof seed, "%" PRId64, w->seed);
    snprintf(run, sizeof run, "\"%s\"", w->dir);
    snprintf(train, sizeof train, "\"%s/train\"", o->data);
    snprintf(valid, sizeof valid, "\"%s/valid\"", o->data);
    snprintf(model, sizeof model, "\"%s/config.json\"", w->recipes);
    DSM_TRY(add_set(l, "seed", seed, err));
    DSM_TRY(add_set(l, "model", model, err));
    DSM_TRY(add_set(l, "run", run, err));
    DSM_TRY(add_set(l, "data.train", train, err));
    DSM_TRY(add_set(l, "data.valid", valid, err));
    return add_own_sets(l, w->run->set, err);
}

static dsm_status read_recipe(dsm_wanted *w, const dsm_experiment_options *o, dsm_err *err)
{
    set_list sets = {0};
    char *base;
    base = dsm_format("%s/mini/%s.yaml", o->configs, o->size);
    w->recipe = malloc(sizeof *w->recipe);
    dsm_status status = base && w->recipe ? add_sets(&sets, w, o, err) : no_memory(w->id, err);
    if (status == DSM_OK && !dsm_fs_exists(base))
        status = dsm_fail(err, DSM_EUSAGE, "%s: no such size; found no %s", o->size, base);
    if (status == DSM_OK)
        status = dsm_recipe_read(w->recipe, base, (const char *const *)sets.item, sets.n, err);
    if (status != DSM_OK) dsm_fail_context(err, status, "run %s", w->run->name);
    free_sets(&sets);
    free(base);
    return status;
}

/* Forward and backward of every token: for the time left only. */
static dsm_status count_work(dsm_wanted *w, dsm_err *err)
{
    dsm_model_config c;
    dsm_plan plan;
    const dsm_recipe *r = w->recipe;
    const dsm_plan_options o = {.seq_len = r->data.seq_len, .sequences = r->batch.micro};
    DSM_TRY(dsm_model_config_read(&c, w->config, err));
    DSM_TRY(dsm_plan_make(&plan, &c, &o, err));
    w->work = plan.train_flops_causal * (double)(r->steps * r->batch.sequences);
    return DSM_OK;
}

/* --- what is there ---------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
    dsm_buf x = {0}, y = {0};
    bool same = dsm_fs_read(&x, a, MAX_CONFIG, NULL) == DSM_OK &&
                dsm_fs_read(&y, b, MAX_CONFIG, NULL) == DSM_OK && x.len == y.len &&
                memcmp(x.data ? x.data : "", y.data ? y.data : "", x.len) == 0;
    dsm_buf_free(&x);
    dsm_buf_free(&y);
    return same;
}

static bool same_in(const char *folder, const char *name, const char *other)
{
    char *path = dsm_fs_join(folder, name);
    bool same = path && same_file(path, other);
    free(path);
    return same;
}

/* Paths are where, not what; how often is looked decides no number. */
static void keep_what_counts(dsm_recipe *r)
{
    dsm_recipe plain;
    dsm_recipe_defaults(&plain);
    memcpy(r->run, plain.run, sizeof r->run);
    memcpy(r->model, plain.model, sizeof r->model);
    r->data.train = plain.data.train;
    memcpy(r->data.valid, plain.data.valid, sizeof r->data.valid);
    r->eval.every = plain.eval.every;
    r->checkpoint = plain.checkpoint;
    r->sample = plain.sample;
    r->log = plain.log;
}

/* The first line in which two texts differ, as "found A, expected B". */
static void first_difference(const char *found, const char *expected, char *out, size_t size)
{
    while (*found && *expected) {
        int a = (int)strcspn(found, "\n"), b = (int)strcspn(expected, "\n");
        if (a != b || strncmp(found, expected, (size_t)a) != 0) {
            while (*found == ' ')
                found++, a--;
            while (*expected == ' ')
                expected++, b--;
            snprintf(out, size, "found %.*s, expected %.*s", a < 60 ? a : 60, found,
                     b < 60 ? b : 60, expected);
            return;
        }
        found += a + (found[a] == '\n'), expected += b + (expected[b] == '\n');
    }
    snprintf(out, size, "its recipe has other keys");
}

static dsm_status compare_recipes(dsm_wanted *w, const char *path, dsm_err *err)
{
    dsm_recipe *both = malloc(2 * sizeof *both);
    if (!both) return no_memory(w->id, err);
    char *found = NULL, *expected = NULL;
    if (dsm_recipe_read(&both[0], path, NULL, 0, NULL) == DSM_OK) {
        both[1] = *w->recipe;
        keep_what_counts(&both[0]);
        keep_what_counts(&both[1]);
        found = dsm_recipe_text(&both[0]);
        expected = dsm_recipe_text(&both[1]);
        if (!found || !expected)
            snprintf(w->difference, sizeof w->difference, "out of memory");
        else if (strcmp(found, expected) != 0)
            first_difference(found, expected, w->difference, sizeof w->difference);
    } else {
        snprintf(w->difference, sizeof w->difference, "its recipe.yaml cannot be read");
    }
    free(found);
    free(expected);
    free(both);
    return DSM_OK;
}

static dsm_status compare(dsm_wanted *w, const dsm_experiment_options *o, dsm_err *err)
{
    char *recipe = dsm_fs_join(w->recipes, "recipe.yaml"), *data;
    data = dsm_format("%s/train/data.json", o->data);
    dsm_status status = recipe && data ? compare_recipes(w, recipe, err) : no_memory(w->id, err);
    if (status == DSM_OK && !*w->difference && !same_in(w->recipes, "config.json", w->config))
        snprintf(w->difference, sizeof w->difference, "its model is not that of %.100s", w->config);
    if (status == DSM_OK && !*w->difference && !same_in(w->recipes, "data.json", data))
        snprintf(w->difference, sizeof w->difference, "its data is not that of %.100s", o->data);
    free(recipe);
    free(data);
    return status;
}

/* Done is what was evaluated after its last step; the evaluation is written after the checkpoint.
 */
static dsm_status read_progress(dsm_wanted *w, const char *path, bool *done, dsm_err *err)
{
    dsm_store *store = NULL;
    double loss;
    *done = false;
    if (!dsm_fs_exists(path)) return DSM_OK;
    dsm_status status = dsm_store_open(&store, path, err);
    if (status == DSM_OK) status = dsm_store_last_step(store, &w->step, err);
    if (status == DSM_OK)
        status = dsm_store_get_eval(store, w->recipe->steps, "valid", "loss", done, &loss, err);
    dsm_store_close(store);
    return status;
}

/* A store that cannot be read spoils its run alone. */
static dsm_status find_progress(dsm_wanted *w, dsm_err *err)
{
    char *path = dsm_fs_join(w->dir, "runs.db");
    bool done;
    dsm_err why;
    if (!path) return no_memory(w->id, err);
    if (read_progress(w, path, &done, &why) != DSM_OK) {
        w->state = DSM_RUN_UNFIT;
        snprintf(w->difference, sizeof w->difference, "%.140s", why.msg);
    } else {
        w->state = done ? DSM_RUN_DONE : DSM_RUN_PART;
    }
    free(path);
    return DSM_OK;
}

static dsm_status find_state(dsm_wanted *w, const dsm_experiment_options *o, dsm_err *err)
{
    char *recipe = dsm_fs_join(w->dir, "recipe.yaml");
    bool begun = recipe && dsm_fs_exists(recipe);
    free(recipe);
    w->state = DSM_RUN_NEW;
    if (!begun) return DSM_OK;
    DSM_TRY(compare(w, o, err));
    if (!*w->difference) return find_progress(w, err);
    w->state = DSM_RUN_UNFIT;
    return DSM_OK;
}

/* --- the whole -------------------------------------------------------------------------------- */

dsm_status dsm_wanted_make(dsm_wanted *w, const dsm_experiment_options *o, const dsm_def_run *run,
                           int64_t seed, dsm_err *err)
{
    *w = (dsm_wanted){.run = run, .seed = seed};
    dsm_status status = name_paths(w, o, err);
    if (status == DSM_OK) status = read_recipe(w, o, err);
    if (status == DSM_OK) status = count_work(w, err);
    if (status == DSM_OK) status = find_state(w, o, err);
    if (status != DSM_OK) dsm_wanted_free(w);
    return status;
}

void dsm_wanted_free(dsm_wanted *w)
{
    free(w->recipes);
    free(w->dir);
    free(w->log);
    free(w->config);
    free(w->recipe);
    memset(w, 0, sizeof *w);
}

static dsm_status copy_in(const char *folder, const char *name, const char *from, dsm_err *err)
{
    char *to = dsm_fs_join(folder, name);
    dsm_status status = to ? dsm_fs_copy(to, from, err) : no_memory(folder, err);
    free(to);
    return status;
}

static dsm_status write_recipe(const dsm_wanted *w, dsm_err *err)
{
    char *text = dsm_recipe_text(w->recipe), *path = dsm_fs_join(w->recipes, "recipe.yaml");
    dsm_status status =
        text && path ? dsm_fs_replace(path, text, strlen(text), err) : no_memory(w->id, err);
    free(text);
    free(path);
    return status;
}

dsm_status dsm_wanted_write(const dsm_wanted *w, dsm_err *err)
{
    char *data = dsm_fs_join(w->recipe->data.train.item[0].dir, "data.json");
    if (!data) return no_memory(w->id, err);
    dsm_status status = dsm_fs_make_dirs(w->recipes, err);
    if (status == DSM_OK) status = copy_in(w->recipes, "config.json", w->config, err);
    if (status == DSM_OK) status = copy_in(w->recipes, "data.json", data, err);
    if (status == DSM_OK) status = write_recipe(w, err);
    free(data);
    return status;
}

/* --- setting aside ---------------------------------------------------------------------------- */

/* Rename path to the first free of "path.old", "path.old.2" … */
static dsm_status move_aside(const char *path, dsm_err *err)
{
    dsm_status status = DSM_OK;
    for (int i = 1; dsm_fs_exists(path) && status == DSM_OK; i++) {
        char *old;
        if (i == 1)
            old = dsm_format("%s.old", path);
        else
            old = dsm_format("%s.old.%d", path, i);
        if (!old)
            status = no_memory(path, err);
        else if (!dsm_fs_exists(old) && rename(path, old) < 0)
            status = dsm_fail_errno(err, path, "rename");
        free(old);
    }
    return status;
}

dsm_status dsm_wanted_set_aside(dsm_wanted *w, const dsm_experiment_options *o, dsm_err *err)
{
    DSM_TRY(move_aside(w->dir, err));
    DSM_TRY(move_aside(w->recipes, err));
    for (int k = 0; k < DSM_N_ANALYSES; k++) {
        char *path = dsm_analysis_path(o, w->id, (dsm_analysis_kind)k);
        dsm_status status = path ? move_aside(path, err) : no_memory(w->id, err);
        free(path);
        DSM_TRY(status);
    }
    w->state = DSM_RUN_NEW;
    w->step = 0;
    w->difference[0] = '\0';
    return DSM_OK;
}

/* --- cost ------------------------------------------------------------------------------------- */

dsm_cost dsm_wanted_cost(const dsm_wanted *w)
{
    dsm_cost cost = {0};
    json_t *o = NULL;
    char *path = dsm_fs_join(w->recipes, "cost.json");
    if (path && dsm_json_read(&o, path, MAX_CONFIG, NULL) == DSM_OK) {
        (void)dsm_json_real(o, "wall_s", &cost.wall_s, path, NULL);
        (void)dsm_json_real(o, "cpu_s", &cost.cpu_s, path, NULL);
    }
    json_decref(o);
    free(path);
    return cost;
}

dsm_status dsm_wanted_add_cost(const dsm_wanted *w, dsm_cost more, dsm_err *err)
{
    dsm_cost cost = dsm_wanted_cost(w);
    char *path = dsm_fs_join(w->recipes, "cost.json");
    json_t *o = json_pack("{s:f, s:f}", "wall_s", cost.wall_s + more.wall_s, "cpu_s",
                          cost.cpu_s + more.cpu_s);
    dsm_status status = path && o ? dsm_json_write(o, path, err) : no_memory(w->id, err);
    json_decref(o);
    free(path);
    return status;
}
