/* SPDX-License-Identifier: MIT */
/* Numbers and verdicts of an experiment; see results.h. Everything is read from the runs' stores
 * and the analyses' files, so results can be made anew at any time. */
#include "experiment/results.h"

#include "core/fs.h"
#include "core/host.h"
#include "core/json.h"
#include "dsmoe/dsmoe.h"
#include "experiment/points.h"
#include "experiment/verdict.h"
#include "run/store.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_FILE = 1 << 26 };

/* What is known of a finished run, and where it stands: the last evaluation, or the mean of a
 * metric over the second half of training. */
static const struct {
    const char *name, *metric;
    bool of_training;
    double spread; /* of differences of two runs of one seed, as a share; measured at size hour */
} measures[] = {
    {"loss", "loss", false, 0.004},
    {"perplexity", "perplexity", false, 0.008},
    {"bits_per_byte", "bits_per_byte", false, 0.004},
    {"max_vio", "max_vio", false, 0.22},
    {"train_max_vio", "max_vio", true, 0.12},
};
enum { N_MEASURES = sizeof measures / sizeof *measures };

typedef struct collector {
    const dsm_definition *d;
    const dsm_jobs *s;
    dsm_err *err;
    /* Per run of the definition, over seeds. */
    dsm_sample of_run[DSM_MAX_RUNS][N_MEASURES];
    dsm_sample of_point[DSM_MAX_PARALLEL_ANALYSES][DSM_MAX_POINTS];
} collector;

static dsm_status no_memory(const collector *c)
{
    return dsm_fail(c->err, DSM_ENOMEM, "results of %s: out of memory", c->d->name);
}

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

/* --- runs ------------------------------------------------------------------------------------- */

static dsm_status measure(collector *c, const dsm_wanted *w, dsm_store *store, int run, json_t *out)
{
    int64_t steps = w->recipe->steps;
    for (int i = 0; i < N_MEASURES; i++) {
        bool found;
        double value;
        DSM_TRY(measures[i].of_training
                    ? dsm_store_mean(store, steps / 2, measures[i].metric, &found, &value, c->err)
                    : dsm_store_get_eval(store, steps, "valid", measures[i].metric, &found, &value,
                                         c->err));
        if (found) dsm_sample_set(&c->of_run[run][i], w->seed, value);
        json_object_set_new(out, measures[i].name, found ? number(value) : json_null());
    }
    return DSM_OK;
}

static dsm_status measure_done(collector *c, const dsm_wanted *w, int run, json_t *out)
{
    dsm_store *store = NULL;
    char *path = dsm_fs_join(w->dir, "runs.db");
    dsm_status status = path ? dsm_store_open(&store, path, c->err) : no_memory(c);
    if (status == DSM_OK) status = measure(c, w, store, run, out);
    dsm_store_close(store);
    free(path);
    return status;
}

static const char *state_of(const dsm_job *j)
{
    return j->state == DSM_JOB_DONE ? "done" : j->state == DSM_JOB_FAILED ? "failed" : "missing";
}

static dsm_status add_seed(collector *c, int run, int64_t seed, json_t *seeds)
{
    const dsm_wanted *w = dsm_jobs_find(c->s, &c->d->runs[run], seed);
    if (!w) return DSM_OK; /* of these seeds only others were trained */
    const dsm_job *j = dsm_jobs_training(c->s, w);
    dsm_cost cost = dsm_wanted_cost(w);
    char dir[96];
    snprintf(dir, sizeof dir, "runs/%s", w->id);
    json_t *o = json_pack("{s:I, s:s, s:s, s:f, s:f}", "seed", (json_int_t)seed, "dir", dir,
                          "state", state_of(j), "seconds", cost.wall_s, "cpu_seconds", cost.cpu_s);
    if (!o || json_array_append_new(seeds, o) < 0) return no_memory(c);
    if (j->state == DSM_JOB_DONE) return measure_done(c, w, run, o);
    if (*j->text) json_object_set_new(o, "error", json_string(j->text));
    return DSM_OK;
}

/* Tokens per activated parameter outside embedding and head: the papers' regime is about 330. */
static dsm_status add_sizes(const collector *c, const dsm_wanted *w, json_t *o)
{
    dsm_model_config config;
    dsm_plan plan;
    const dsm_recipe *r = w->recipe;
    const dsm_plan_options options = {.seq_len = r->data.seq_len, .sequences = 1};
    DSM_TRY(dsm_model_config_read(&config, w->config, c->err));
    DSM_TRY(dsm_plan_make(&plan, &config, &options, c->err));
    double ends = 2.0 * (double)config.vocab_size * (double)config.hidden_size;
    double active = (double)plan.active_params - ends;
    double tokens = (double)(r->steps * r->batch.sequences * r->data.seq_len);
    json_object_set_new(o, "params", json_integer((json_int_t)plan.params));
    json_object_set_new(o, "active_params", json_integer((json_int_t)plan.active_params));
    json_object_set_new(o, "active_params_inner", json_integer((json_int_t)active));
    json_object_set_new(o, "tokens_per_active_param", number(tokens / active));
    return DSM_OK;
}

static dsm_status add_run(collector *c, int run, json_t *runs)
{
    const dsm_def_run *r = &c->d->runs[run];
    json_t *seeds = json_array();
    json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "name", r->name, "label", r->label, "paper",
                          number(r->paper), "seeds", seeds);
    if (!o || json_array_append_new(runs, o) < 0) return no_memory(c);
    DSM_TRY(add_sizes(c, dsm_jobs_find(c->s, r, 1), o));
    for (int64_t seed = 1; seed <= c->s->seeds; seed++)
        DSM_TRY(add_seed(c, run, seed, seeds));
    return DSM_OK;
}

/* --- analyses --------------------------------------------------------------------------------- */

static dsm_status read_analysis(const collector *c, const dsm_def_analysis *a, int64_t seed,
                                json_t **file)
{
    const dsm_wanted *w = dsm_jobs_find(c->s, &c->d->runs[a->run], seed);
    *file = NULL;
    if (!w) return DSM_OK;
    char *path = dsm_analysis_path(c->s->options, w->id, a->kind);
    dsm_status status = path ? DSM_OK : no_memory(c);
    bool there = path && dsm_jobs_training(c->s, w)->state == DSM_JOB_DONE && dsm_fs_exists(path);
    if (there) status = dsm_json_read(file, path, MAX_FILE, c->err);
    free(path);
    return status;
}

static dsm_status add_points(collector *c, int index, int64_t seed, json_t *points)
{
    const dsm_def_analysis *a = &c->d->analyses[index];
    json_t *file;
    DSM_TRY(read_analysis(c, a, seed, &file));
    for (int i = 0; i < a->n; i++) {
        double loss = dsm_points_loss(file, a->kind, a->at[i]);
        if (!isfinite(loss)) continue;
        dsm_sample_set(&c->of_point[index][i], seed, loss);
        json_t *seeds = json_object_get(json_array_get(points, (size_t)i), "seeds");
        json_array_append_new(seeds,
                              json_pack("{s:I, s:f}", "seed", (json_int_t)seed, "loss", loss));
    }
    json_decref(file);
    return DSM_OK;
}

static dsm_status add_analysis(collector *c, int index, json_t *analyses)
{
    const dsm_def_analysis *a = &c->d->analyses[index];
    const dsm_def_run *r = &c->d->runs[a->run];
    if (a->kind == DSM_ANALYSIS_EXPERTS) return DSM_OK; /* the report reads its file */
    json_t *points = json_array();
    json_t *o = json_pack("{s:s, s:s, s:s, s:o}", "run", r->name, "label", r->label, "kind",
                          dsm_analysis_names[a->kind], "points", points);
    if (!o || json_array_append_new(analyses, o) < 0) return no_memory(c);
    for (int i = 0; i < a->n; i++) {
        json_t *p =
            json_pack("{s:f, s:o, s:[]}", "x", a->at[i], "paper", number(a->paper[i]), "seeds");
        if (!p || json_array_append_new(points, p) < 0) return no_memory(c);
    }
    for (int64_t seed = 1; seed <= c->s->seeds; seed++)
        DSM_TRY(add_points(c, index, seed, points));
    return DSM_OK;
}

/* --- claims ----------------------------------------------------------------------------------- */

static int find_measure(const char *name)
{
    for (int i = 0; i < N_MEASURES; i++)
        if (strcmp(measures[i].name, name) == 0) return i;
    return -1;
}

static const dsm_sample *sample_of(const collector *c, const dsm_operand *o, int metric)
{
    static const dsm_sample none;
    if (!o->of_analysis) return &c->of_run[o->run][metric];
    for (int i = 0; i < c->d->n_analyses; i++) {
        const dsm_def_analysis *a = &c->d->analyses[i];
        if (a->run != o->run || a->kind != o->kind) continue;
        for (int k = 0; k < a->n; k++)
            if (fabs(a->at[k] - o->x) < 1e-9) return &c->of_point[i][k];
    }
    return &none;
}

static dsm_status add_claim(const collector *c, const dsm_def_claim *claim, json_t *claims)
{
    char figures[160];
    int metric = find_measure(claim->metric);
    if (metric < 0)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: metric: found %.40s, expected one that runs have",
                        c->d->name, claim->metric);
    dsm_verdict verdict =
        dsm_verdict_of(sample_of(c, &claim->a, metric), sample_of(c, &claim->b, metric),
                       claim->within, measures[metric].spread, figures, sizeof figures);
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "text", claim->text, "metric", claim->metric,
                          "verdict", dsm_verdict_names[verdict], "figures", figures);
    return o && json_array_append_new(claims, o) == 0 ? DSM_OK : no_memory(c);
}

/* --- the file --------------------------------------------------------------------------------- */

static json_t *settings_of(const dsm_recipe *r)
{
    int64_t batch = r->batch.sequences * r->data.seq_len;
    return json_pack("{s:I, s:I, s:I, s:I, s:f}", "seq_len", (json_int_t)r->data.seq_len,
                     "batch_tokens", (json_int_t)batch, "steps", (json_int_t)r->steps, "tokens",
                     (json_int_t)(batch * r->steps), "peak_lr", r->optimizer.peak_lr);
}

static json_t *head(const collector *c)
{
    char machine[320], created[32];
    time_t now = time(NULL);
    struct tm utc;
    dsm_host_name(machine, sizeof machine);
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "experiment", c->d->name,
                     "title", c->d->title, "source", c->d->source, "size", c->s->options->size,
                     "metric", c->d->metric, "machine", machine, "version", dsm_version(), "commit",
                     dsm_commit(), "created", created, "settings",
                     settings_of(dsm_jobs_find(c->s, &c->d->runs[0], 1)->recipe));
}

static dsm_status fill(collector *c, json_t *o)
{
    json_t *runs = json_array(), *analyses = json_array(), *claims = json_array();
    json_object_set_new(o, "runs", runs);
    json_object_set_new(o, "analyses", analyses);
    json_object_set_new(o, "claims", claims);
    for (int i = 0; i < c->d->n_runs; i++)
        DSM_TRY(add_run(c, i, runs));
    for (int i = 0; i < c->d->n_analyses; i++)
        DSM_TRY(add_analysis(c, i, analyses));
    for (int i = 0; i < c->d->n_claims; i++)
        DSM_TRY(add_claim(c, &c->d->claims[i], claims));
    return DSM_OK;
}

dsm_status dsm_results_write(const dsm_definition *d, const dsm_jobs *s, dsm_err *err)
{
    collector *c = calloc(1, sizeof *c);
    char name[80];
    if (!c) return dsm_fail(err, DSM_ENOMEM, "results of %s: out of memory", d->name);
    *c = (collector){.d = d, .s = s, .err = err};
    snprintf(name, sizeof name, "%.64s.json", d->name);
    char *path = dsm_experiment_path(s->options, "results", name);
    json_t *o = path ? head(c) : NULL;
    dsm_status status = o ? fill(c, o) : no_memory(c);
    if (status == DSM_OK) status = dsm_json_write(o, path, err);
    json_decref(o);
    free(path);
    free(c);
    return status;
}
