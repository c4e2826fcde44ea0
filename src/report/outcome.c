/* SPDX-License-Identifier: MIT */
#include "report/outcome.h"

#include "core/fs.h"
#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 64 << 20, MAX_ITEMS = 4096 };

const dsm_figure_info dsm_figures[DSM_N_FIGURES] = {
    [DSM_FIGURE_LOSS] = {"loss", "loss", 3},
    [DSM_FIGURE_PERPLEXITY] = {"perplexity", "perplexity", 2},
    [DSM_FIGURE_BITS] = {"bits_per_byte", "bits per byte", 3},
    [DSM_FIGURE_MAX_VIO] = {"max_vio", "MaxVio", 2},
    [DSM_FIGURE_TRAIN_MAX_VIO] = {"train_max_vio", "MaxVio of batches", 2},
    [DSM_FIGURE_SECONDS] = {"seconds", "time", -1},
    [DSM_FIGURE_CPU_SECONDS] = {"cpu_seconds", "processor time", -1},
};

static dsm_status no_memory(const char *path, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
}

/* --- fetching --------------------------------------------------------------------------------- */

static dsm_status optional_real(const json_t *o, const char *key, double *out, const char *what,
                                dsm_err *err)
{
    *out = NAN;
    return dsm_json_real(o, key, out, what, err);
}

/* A list of objects; a missing one is empty. */
static dsm_status get_list(const json_t *o, const char *key, const json_t **out, int *n,
                           const char *what, dsm_err *err)
{
    const json_t *list = json_object_get(o, key);
    *out = list;
    *n = 0;
    if (!list || json_is_null(list)) return DSM_OK;
    if (!json_is_array(list))
        return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %s, expected array", what, key,
                        dsm_json_type_name(list));
    if (json_array_size(list) > MAX_ITEMS)
        return dsm_fail(err, DSM_ELIMIT, "%s: %s: found %zu entries, expected at most %d", what,
                        key, json_array_size(list), MAX_ITEMS);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_object(json_array_get(list, i)))
            return dsm_fail(err, DSM_EFORMAT, "%s: %s[%zu]: found %s, expected object", what, key,
                            i, dsm_json_type_name(json_array_get(list, i)));
    *n = (int)json_array_size(list);
    return DSM_OK;
}

/* calloc of a list that may be empty. */
static void *items(int n, size_t size)
{
    return calloc((size_t)(n > 0 ? n : 1), size);
}

/* --- runs ------------------------------------------------------------------------------------- */

/* A run that was never made has nothing to read. */
static void read_record(dsm_seed_outcome *s)
{
    dsm_err why = {0};
    if (!s->dir || strcmp(s->state, "missing") == 0) return;
    if (dsm_run_record_read(&s->record, s->dir, &why) != DSM_OK)
        snprintf(s->problem, sizeof s->problem, "%.255s", why.msg);
}

static dsm_status read_seed(dsm_seed_outcome *s, const dsm_outcome *o, const json_t *from,
                            const char *what, dsm_err *err)
{
    const char *dir = NULL;
    DSM_TRY(dsm_json_int(from, "seed", 0, INT64_MAX, &s->seed, what, err));
    DSM_TRY(dsm_json_need_string(from, "state", &s->state, what, err));
    DSM_TRY(dsm_json_string(from, "dir", &dir, what, err));
    DSM_TRY(dsm_json_string(from, "error", &s->error, what, err));
    for (int f = 0; f < DSM_N_FIGURES; f++)
        DSM_TRY(optional_real(from, dsm_figures[f].key, &s->figure[f], what, err));
    if (dir && !(s->dir = dir[0] == '/' ? strdup(dir) : dsm_fs_join(o->root, dir)))
        return no_memory(what, err);
    read_record(s);
    return DSM_OK;
}

static dsm_status read_run(dsm_run_outcome *r, const dsm_outcome *o, const json_t *from,
                           const char *what, dsm_err *err)
{
    const json_t *seeds;
    int n;
    DSM_TRY(dsm_json_need_string(from, "name", &r->name, what, err));
    r->label = r->name;
    DSM_TRY(dsm_json_string(from, "label", &r->label, what, err));
    DSM_TRY(optional_real(from, "paper", &r->paper, what, err));
    DSM_TRY(optional_real(from, "params", &r->params, what, err));
    DSM_TRY(optional_real(from, "active_params", &r->active_params, what, err));
    DSM_TRY(optional_real(from, "active_params_inner", &r->active_inner, what, err));
    DSM_TRY(optional_real(from, "tokens_per_active_param", &r->tokens_per_active_param, what, err));
    DSM_TRY(get_list(from, "seeds", &seeds, &n, what, err));
    if (!(r->seeds = items(n, sizeof *r->seeds))) return no_memory(what, err);
    r->n = n;
    for (int i = 0; i < n; i++)
        DSM_TRY(read_seed(&r->seeds[i], o, json_array_get(seeds, (size_t)i), what, err));
    return DSM_OK;
}

static dsm_status read_runs(dsm_outcome *o, dsm_err *err)
{
    const json_t *list;
    int n;
    DSM_TRY(get_list(o->file, "runs", &list, &n, o->path, err));
    if (!(o->runs = items(n, sizeof *o->runs))) return no_memory(o->path, err);
    o->n_runs = n;
    for (int i = 0; i < n; i++) {
        dsm_json_place at = dsm_json_item(o->path, "runs", (size_t)i);
        DSM_TRY(read_run(&o->runs[i], o, json_array_get(list, (size_t)i), at.text, err));
    }
    return DSM_OK;
}

/* --- analyses --------------------------------------------------------------------------------- */

static dsm_status read_point(dsm_sweep_point *p, const json_t *from, const char *what, dsm_err *err)
{
    const json_t *seeds;
    int n;
    DSM_TRY(optional_real(from, "x", &p->x, what, err));
    DSM_TRY(optional_real(from, "paper", &p->paper, what, err));
    DSM_TRY(get_list(from, "seeds", &seeds, &n, what, err));
    p->seed = items(n, sizeof *p->seed);
    p->loss = items(n, sizeof *p->loss);
    if (!p->seed || !p->loss) return no_memory(what, err);
    p->n = n;
    for (int i = 0; i < n; i++) {
        const json_t *s = json_array_get(seeds, (size_t)i);
        DSM_TRY(dsm_json_int(s, "seed", 0, INT64_MAX, &p->seed[i], what, err));
        DSM_TRY(optional_real(s, "loss", &p->loss[i], what, err));
    }
    return DSM_OK;
}

static dsm_status read_sweep(dsm_sweep *s, const json_t *from, const char *what, dsm_err *err)
{
    const json_t *points;
    int n;
    DSM_TRY(dsm_json_need_string(from, "run", &s->run, what, err));
    DSM_TRY(dsm_json_need_string(from, "kind", &s->kind, what, err));
    s->label = s->run;
    DSM_TRY(dsm_json_string(from, "label", &s->label, what, err));
    DSM_TRY(get_list(from, "points", &points, &n, what, err));
    if (!(s->points = items(n, sizeof *s->points))) return no_memory(what, err);
    s->n = n;
    for (int i = 0; i < n; i++)
        DSM_TRY(read_point(&s->points[i], json_array_get(points, (size_t)i), what, err));
    return DSM_OK;
}

static dsm_status read_sweeps(dsm_outcome *o, dsm_err *err)
{
    const json_t *list;
    int n;
    DSM_TRY(get_list(o->file, "analyses", &list, &n, o->path, err));
    if (!(o->sweeps = items(n, sizeof *o->sweeps))) return no_memory(o->path, err);
    o->n_sweeps = n;
    for (int i = 0; i < n; i++) {
        dsm_json_place at = dsm_json_item(o->path, "analyses", (size_t)i);
        DSM_TRY(read_sweep(&o->sweeps[i], json_array_get(list, (size_t)i), at.text, err));
    }
    return DSM_OK;
}

/* --- claims and the rest ---------------------------------------------------------------------- */

static dsm_status read_claims(dsm_outcome *o, dsm_err *err)
{
    const json_t *list;
    int n;
    DSM_TRY(get_list(o->file, "claims", &list, &n, o->path, err));
    if (!(o->claims = items(n, sizeof *o->claims))) return no_memory(o->path, err);
    o->n_claims = n;
    for (int i = 0; i < n; i++) {
        const json_t *from = json_array_get(list, (size_t)i);
        dsm_json_place at = dsm_json_item(o->path, "claims", (size_t)i);
        DSM_TRY(dsm_json_need_string(from, "text", &o->claims[i].text, at.text, err));
        DSM_TRY(dsm_json_need_string(from, "verdict", &o->claims[i].verdict, at.text, err));
        DSM_TRY(dsm_json_string(from, "figures", &o->claims[i].figures, at.text, err));
    }
    return DSM_OK;
}

static void find_metric(dsm_outcome *o)
{
    for (int f = 0; f < DSM_N_FIGURES; f++)
        if (o->metric_name && strcmp(o->metric_name, dsm_figures[f].key) == 0)
            o->metric = (dsm_figure)f;
    o->metric_name = dsm_figures[o->metric].key;
}

static dsm_status read_head(dsm_outcome *o, dsm_err *err)
{
    const struct {
        const char *key, **out;
    } texts[] = {
        {"title", &o->title},     {"question", &o->question},  {"source", &o->source},
        {"size", &o->size},       {"metric", &o->metric_name}, {"machine", &o->machine},
        {"version", &o->version}, {"commit", &o->commit},      {"created", &o->created},
    };
    DSM_TRY(dsm_json_need_string(o->file, "experiment", &o->name, o->path, err));
    o->title = o->name;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        DSM_TRY(dsm_json_string(o->file, texts[i].key, texts[i].out, o->path, err));
    find_metric(o);
    return DSM_OK;
}

/* ROOT of ROOT/results/NAME.json. */
static char *root_of(const char *path)
{
    const char *file = strrchr(path, '/');
    if (!file) return strdup("..");
    const char *folder = file;
    while (folder > path && folder[-1] != '/')
        folder--;
    if (folder == path) return strdup("");
    return strndup(path, folder - path > 1 ? (size_t)(folder - path) - 1 : 1);
}

static dsm_status read_file(dsm_outcome *o, const char *path, dsm_err *err)
{
    o->path = strdup(path);
    o->root = root_of(path);
    if (!o->path || !o->root) return no_memory(path, err);
    DSM_TRY(dsm_json_read(&o->file, path, MAX_FILE, err));
    DSM_TRY(read_head(o, err));
    DSM_TRY(read_runs(o, err));
    DSM_TRY(read_sweeps(o, err));
    return read_claims(o, err);
}

dsm_status dsm_outcome_read(dsm_outcome *o, const char *path, dsm_err *err)
{
    memset(o, 0, sizeof *o);
    dsm_status status = read_file(o, path, err);
    if (status != DSM_OK) dsm_outcome_free(o);
    return status;
}

/* --- plain runs ------------------------------------------------------------------------------- */

/* "runs/a/" to "a", unless that is nothing. */
static const char *base_name(char *dir)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        dir[--n] = '\0';
    const char *slash = strrchr(dir, '/');
    return slash && slash[1] ? slash + 1 : dir;
}

static void take_figures(dsm_seed_outcome *s)
{
    const dsm_run_record *r = &s->record;
    s->figure[DSM_FIGURE_LOSS] = dsm_curve_last(&r->valid);
    s->figure[DSM_FIGURE_PERPLEXITY] = r->perplexity;
    s->figure[DSM_FIGURE_BITS] = r->bits_per_byte;
    s->figure[DSM_FIGURE_SECONDS] = r->seconds;
    if (r->loads.n_layers == 0) return;
    s->figure[DSM_FIGURE_MAX_VIO] = r->valid_max_vio;
    s->figure[DSM_FIGURE_TRAIN_MAX_VIO] = dsm_curve_last(&r->max_vio);
}

static dsm_status take_dir(dsm_run_outcome *r, const char *dir, dsm_err *err)
{
    r->paper = r->params = r->active_params = r->active_inner = r->tokens_per_active_param = NAN;
    r->seeds = items(1, sizeof *r->seeds);
    if (!r->seeds) return no_memory(dir, err);
    r->n = 1;
    dsm_seed_outcome *s = &r->seeds[0];
    for (int f = 0; f < DSM_N_FIGURES; f++)
        s->figure[f] = NAN;
    if (!(s->dir = strdup(dir))) return no_memory(dir, err);
    r->name = r->label = base_name(s->dir);
    s->state = "done";
    read_record(s);
    if (s->record.dir)
        take_figures(s);
    else
        s->state = "failed";
    return DSM_OK;
}

static dsm_status take_dirs(dsm_outcome *o, const char *const *dirs, int n, dsm_err *err)
{
    o->name = "runs";
    o->title = n == 1 ? "The run" : "The runs";
    o->metric = DSM_FIGURE_LOSS;
    o->metric_name = dsm_figures[o->metric].key;
    if (!(o->runs = items(n, sizeof *o->runs))) return no_memory(dirs[0], err);
    o->n_runs = n;
    for (int i = 0; i < n; i++)
        DSM_TRY(take_dir(&o->runs[i], dirs[i], err));
    return DSM_OK;
}

dsm_status dsm_outcome_of_runs(dsm_outcome *o, const char *const *dirs, int n, dsm_err *err)
{
    memset(o, 0, sizeof *o);
    dsm_status status = take_dirs(o, dirs, n, err);
    if (status != DSM_OK) dsm_outcome_free(o);
    return status;
}

/* --- letting go ------------------------------------------------------------------------------- */

static void free_run(dsm_run_outcome *r)
{
    for (int i = 0; i < r->n; i++) {
        dsm_run_record_free(&r->seeds[i].record);
        free(r->seeds[i].dir);
    }
    free(r->seeds);
}

static void free_sweep(dsm_sweep *s)
{
    for (int i = 0; i < s->n; i++) {
        free(s->points[i].seed);
        free(s->points[i].loss);
    }
    free(s->points);
}

void dsm_outcome_free(dsm_outcome *o)
{
    for (int i = 0; i < o->n_runs; i++)
        free_run(&o->runs[i]);
    for (int i = 0; i < o->n_sweeps; i++)
        free_sweep(&o->sweeps[i]);
    free(o->runs);
    free(o->sweeps);
    free(o->claims);
    free(o->path);
    free(o->root);
    json_decref(o->file);
    memset(o, 0, sizeof *o);
}

/* --- asking ----------------------------------------------------------------------------------- */

dsm_moments dsm_run_figure(const dsm_run_outcome *r, dsm_figure f)
{
    double value[64];
    size_t n = 0;
    for (int i = 0; i < r->n && n < sizeof value / sizeof *value; i++)
        if (strcmp(r->seeds[i].state, "done") == 0) value[n++] = r->seeds[i].figure[f];
    return dsm_moments_of(value, n);
}

dsm_moments dsm_point_loss(const dsm_sweep_point *p)
{
    return dsm_moments_of(p->loss, (size_t)p->n);
}

bool dsm_outcome_has(const dsm_outcome *o, dsm_figure f)
{
    for (int i = 0; i < o->n_runs; i++)
        if (dsm_run_figure(&o->runs[i], f).n > 0) return true;
    return false;
}

double dsm_outcome_total(const dsm_outcome *o, dsm_figure f)
{
    double sum = 0;
    bool told = false;
    for (int i = 0; i < o->n_runs; i++)
        for (int k = 0; k < o->runs[i].n; k++)
            if (!isnan(o->runs[i].seeds[k].figure[f])) {
                sum += o->runs[i].seeds[k].figure[f];
                told = true;
            }
    return told ? sum : (double)NAN;
}

const dsm_seed_outcome *dsm_run_first(const dsm_run_outcome *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->seeds[i].record.dir) return &r->seeds[i];
    return NULL;
}
