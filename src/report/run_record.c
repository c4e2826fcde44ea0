/* SPDX-License-Identifier: MIT */
#include "report/run_record.h"

#include "core/fs.h"
#include "run/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RECIPE = 1 << 20, MAX_LAYERS = 1 << 10, MAX_EXPERTS = 1 << 14, MAX_CELLS = 1 << 24 };

static dsm_status no_memory(const char *dir, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
}

/* --- curves ----------------------------------------------------------------------------------- */

typedef struct curve_reader {
    dsm_curve *curve;
    bool failed;
} curve_reader;

static void take_point(void *arg, int64_t step, double value)
{
    curve_reader *r = arg;
    if (!dsm_curve_add(r->curve, (double)step, value)) r->failed = true;
}

static dsm_status read_metric(dsm_curve *c, dsm_store *s, const char *key, const char *dir,
                              dsm_err *err)
{
    curve_reader r = {c, false};
    DSM_TRY(dsm_store_each_metric(s, key, take_point, &r, err));
    return r.failed ? no_memory(dir, err) : DSM_OK;
}

static dsm_status read_valid(dsm_curve *c, dsm_store *s, const char *metric, const char *dir,
                             dsm_err *err)
{
    curve_reader r = {c, false};
    DSM_TRY(dsm_store_each_eval(s, "valid", metric, take_point, &r, err));
    return r.failed ? no_memory(dir, err) : DSM_OK;
}

/* The last value of an evaluation's metric. */
static dsm_status read_final(double *value, dsm_store *s, const char *metric, const char *dir,
                             dsm_err *err)
{
    dsm_curve c = {0};
    dsm_status status = read_valid(&c, s, metric, dir, err);
    *value = dsm_curve_last(&c);
    dsm_curve_free(&c);
    return status;
}

/* Between two logged steps the tokens grew at the rate that the second one tells. */
static double spent(const dsm_curve *tokens, const dsm_curve *rate)
{
    double seconds = 0, before = 0;
    for (size_t i = 0; i < tokens->n && i < rate->n; i++) {
        if (rate->y[i] > 0 && tokens->y[i] > before)
            seconds += (tokens->y[i] - before) / rate->y[i];
        before = tokens->y[i];
    }
    return tokens->n > 0 ? seconds : (double)NAN;
}

static dsm_status read_effort(dsm_run_record *r, dsm_store *s, dsm_err *err)
{
    dsm_curve tokens = {0}, rate = {0};
    dsm_status status = read_metric(&tokens, s, "tokens", r->dir, err);
    if (status == DSM_OK) status = read_metric(&rate, s, "tokens_per_s", r->dir, err);
    r->tokens = dsm_curve_last(&tokens);
    r->steps = tokens.n > 0 ? tokens.x[tokens.n - 1] : (double)NAN;
    r->seconds = spent(&tokens, &rate);
    dsm_curve_free(&tokens);
    dsm_curve_free(&rate);
    return status;
}

static dsm_status read_curves(dsm_run_record *r, dsm_store *s, dsm_err *err)
{
    DSM_TRY(read_metric(&r->train, s, "loss", r->dir, err));
    DSM_TRY(read_metric(&r->max_vio, s, "max_vio", r->dir, err));
    DSM_TRY(read_valid(&r->valid, s, "loss", r->dir, err));
    DSM_TRY(read_final(&r->perplexity, s, "perplexity", r->dir, err));
    DSM_TRY(read_final(&r->bits_per_byte, s, "bits_per_byte", r->dir, err));
    DSM_TRY(read_final(&r->valid_max_vio, s, "max_vio", r->dir, err));
    return read_effort(r, s, err);
}

/* --- loads ------------------------------------------------------------------------------------ */

/* Two passes over the rows: the first finds which layers, experts and steps there are, the second
 * sums. Rows come in the order of steps. */
typedef struct load_reader {
    dsm_load_map *map;
    bool strange;           /* a number that no model of ours has */
    int64_t steps, last;    /* distinct steps so far, and the newest */
    int64_t at[MAX_LAYERS]; /* first pass: 1 if the layer was seen; second: its place */
} load_reader;

static void count_step(load_reader *r, int64_t step)
{
    if (r->steps == 0 || step != r->last) r->steps++;
    r->last = step;
}

static void survey(void *arg, int64_t step, int64_t layer, int64_t expert, int64_t tokens)
{
    load_reader *r = arg;
    dsm_load_map *m = r->map;
    if (layer < 0 || layer >= MAX_LAYERS || expert < 0 || expert >= MAX_EXPERTS || tokens < 0) {
        r->strange = true;
        return;
    }
    if (r->steps == 0) m->first_step = step;
    m->last_step = step;
    count_step(r, step);
    if (!r->at[layer]) m->n_layers++;
    r->at[layer] = 1;
    if (expert >= m->E) m->E = expert + 1;
}

typedef struct load_sums {
    load_reader *reader;
    int64_t n_steps; /* in all */
} load_sums;

static void sum_up(void *arg, int64_t step, int64_t layer, int64_t expert, int64_t tokens)
{
    load_sums *sums = arg;
    dsm_load_map *m = sums->reader->map;
    count_step(sums->reader, step);
    int64_t column = (sums->reader->steps - 1) * m->columns / sums->n_steps;
    if (column >= m->columns) return; /* rows that a running training added meanwhile */
    if (layer < 0 || layer >= MAX_LAYERS || expert < 0 || expert >= m->E) return;
    double *cell = &m->share[(sums->reader->at[layer] * m->E + expert) * m->columns + column];
    *cell = (isnan(*cell) ? 0 : *cell) + (double)tokens;
}

static void number_layers(dsm_load_map *m, int64_t at[MAX_LAYERS])
{
    int64_t n = 0;
    for (int64_t l = 0; l < MAX_LAYERS; l++) {
        if (!at[l]) continue;
        m->layer[n] = l;
        at[l] = n++;
    }
}

/* Tokens (E, columns) of one layer to multiples of the column's mean. */
static void to_shares(double *layer, int64_t E, int64_t columns)
{
    for (int64_t c = 0; c < columns; c++) {
        double sum = 0;
        int64_t n = 0;
        for (int64_t e = 0; e < E; e++)
            if (!isnan(layer[e * columns + c])) sum += layer[e * columns + c], n++;
        for (int64_t e = 0; e < E; e++)
            layer[e * columns + c] *= sum > 0 ? (double)n / sum : 0;
    }
}

static dsm_status fill_loads(load_reader *r, dsm_store *s, const char *dir, dsm_err *err)
{
    dsm_load_map *m = r->map;
    load_sums sums = {r, r->steps};
    m->columns = r->steps < DSM_LOAD_COLUMNS ? r->steps : DSM_LOAD_COLUMNS;
    if (m->n_layers * m->E > MAX_CELLS / DSM_LOAD_COLUMNS)
        return dsm_fail(err, DSM_ELIMIT, "%s: expert_load: found %lld layers of %lld experts", dir,
                        (long long)m->n_layers, (long long)m->E);
    size_t cells = (size_t)(m->n_layers * m->E * m->columns);
    m->layer = calloc((size_t)m->n_layers, sizeof *m->layer);
    m->share = malloc(cells * sizeof *m->share);
    if (!m->layer || !m->share) return no_memory(dir, err);
    for (size_t i = 0; i < cells; i++)
        m->share[i] = NAN;
    number_layers(m, r->at);
    r->steps = 0;
    DSM_TRY(dsm_store_each_load(s, sum_up, &sums, err));
    for (int64_t l = 0; l < m->n_layers; l++)
        to_shares(m->share + l * m->E * m->columns, m->E, m->columns);
    return DSM_OK;
}

static dsm_status read_loads(dsm_run_record *run, dsm_store *s, dsm_err *err)
{
    load_reader *r = calloc(1, sizeof *r);
    if (!r) return no_memory(run->dir, err);
    r->map = &run->loads;
    dsm_status status = dsm_store_each_load(s, survey, r, err);
    if (status == DSM_OK && r->strange)
        status =
            dsm_fail(err, DSM_EFORMAT, "%s/runs.db: expert_load: a row is out of range", run->dir);
    if (status == DSM_OK && r->map->n_layers > 0) status = fill_loads(r, s, run->dir, err);
    free(r);
    return status;
}

/* --- samples and recipe ----------------------------------------------------------------------- */

static void free_sample(dsm_run_sample *s)
{
    free(s->prompt);
    free(s->text);
}

/* Keep the last ones. */
static void take_sample(void *arg, int64_t step, const char *prompt, const char *text)
{
    dsm_run_record *r = arg;
    dsm_run_sample s = {step, strdup(prompt), strdup(text)};
    if (!s.prompt || !s.text) {
        free_sample(&s);
        return;
    }
    if (r->n_samples == DSM_MAX_SAMPLES) {
        free_sample(&r->samples[0]);
        memmove(r->samples, r->samples + 1, (DSM_MAX_SAMPLES - 1) * sizeof *r->samples);
        r->n_samples--;
    }
    r->samples[r->n_samples++] = s;
}

/* A run made by other means may have none. */
static dsm_status read_recipe(dsm_run_record *r, dsm_err *err)
{
    char *path = dsm_fs_join(r->dir, "recipe.yaml");
    dsm_buf text = {0};
    dsm_status status = DSM_OK;
    if (!path) return no_memory(r->dir, err);
    if (dsm_fs_exists(path)) status = dsm_fs_read(&text, path, MAX_RECIPE, err);
    free(path);
    r->recipe = text.data;
    return status;
}

/* --- the record ------------------------------------------------------------------------------- */

static dsm_status read_store(dsm_run_record *r, const char *path, dsm_err *err)
{
    dsm_store *s;
    DSM_TRY(dsm_store_open_read(&s, path, err));
    dsm_status status = read_curves(r, s, err);
    if (status == DSM_OK) status = read_loads(r, s, err);
    if (status == DSM_OK) status = dsm_store_each_sample(s, take_sample, r, err);
    dsm_store_close(s);
    return status;
}

static dsm_status read_all(dsm_run_record *r, const char *dir, dsm_err *err)
{
    r->dir = strdup(dir);
    char *path = dsm_fs_join(dir, "runs.db");
    dsm_status status = r->dir && path ? DSM_OK : no_memory(dir, err);
    if (status == DSM_OK && !dsm_fs_is_dir(dir))
        status = dsm_fail(err, DSM_ENOTFOUND, "%s: found no run directory", dir);
    if (status == DSM_OK && !dsm_fs_exists(path))
        status =
            dsm_fail(err, DSM_ENOTFOUND, "%s: found no runs.db, expected a run directory", dir);
    if (status == DSM_OK) status = read_store(r, path, err);
    if (status == DSM_OK) status = read_recipe(r, err);
    free(path);
    return status;
}

dsm_status dsm_run_record_read(dsm_run_record *r, const char *dir, dsm_err *err)
{
    memset(r, 0, sizeof *r);
    r->perplexity = r->bits_per_byte = r->valid_max_vio = NAN;
    r->steps = r->tokens = r->seconds = NAN;
    dsm_status status = read_all(r, dir, err);
    if (status != DSM_OK) dsm_run_record_free(r);
    return status;
}

void dsm_run_record_free(dsm_run_record *r)
{
    dsm_curve_free(&r->train);
    dsm_curve_free(&r->valid);
    dsm_curve_free(&r->max_vio);
    free(r->loads.layer);
    free(r->loads.share);
    for (int i = 0; i < r->n_samples; i++)
        free_sample(&r->samples[i]);
    free(r->dir);
    free(r->recipe);
    memset(r, 0, sizeof *r);
}
