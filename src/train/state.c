/* SPDX-License-Identifier: MIT */
#include "train/state.h"

#include "core/json.h"
#include "formats/safetensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATE_FILE     "trainer.json"
#define OPTIMIZER_FILE "optimizer.safetensors"

enum { STATE_FORMAT = 1, MAX_STATE = 1 << 20 };

/* --- trainer.json ----------------------------------------------------------------------------- */

static json_t *state_to_json(const dsm_train_state *s)
{
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, s->tokenizer_fingerprint);
    json_t *per_source = json_array();
    for (int i = 0; i < DSM_MAX_SOURCES; i++)
        json_array_append_new(per_source, json_integer((json_int_t)s->data.per_source[i]));
    return json_pack("{s:i, s:I, s:I, s:I, s:{s:f}, s:{s:I, s:o, s:I, s:s}}", "format",
                     STATE_FORMAT, "step", (json_int_t)s->step, "tokens", (json_int_t)s->tokens,
                     "seed", (json_int_t)s->seed, "schedule", "lr", s->lr, "data", "sequences",
                     (json_int_t)s->data.sequences, "per_source", per_source, "tokens",
                     (json_int_t)s->data_tokens, "tokenizer", fingerprint);
}

static dsm_status damaged(const char *path, const char *key, const char *expected, dsm_err *err)
{
    return dsm_fail(err, DSM_EFORMAT, "%s: %s: missing or damaged, expected %s", path, key,
                    expected);
}

/* A required integer >= 0. */
static dsm_status fetch(const json_t *o, const char *key, int64_t *out, const char *path,
                        dsm_err *err)
{
    *out = -1;
    DSM_TRY(dsm_json_int(o, key, 0, INT64_MAX, out, path, err));
    return *out >= 0 ? DSM_OK : damaged(path, key, "an integer", err);
}

static dsm_status fetch_data(const json_t *data, dsm_train_state *s, const char *path, dsm_err *err)
{
    int64_t sequences, tokens;
    const char *fingerprint = "";
    char *end;
    DSM_TRY(fetch(data, "sequences", &sequences, path, err));
    DSM_TRY(fetch(data, "tokens", &tokens, path, err));
    DSM_TRY(dsm_json_string(data, "tokenizer", &fingerprint, path, err));
    s->data.sequences = (uint64_t)sequences;
    s->data_tokens = (uint64_t)tokens;
    s->tokenizer_fingerprint = strtoull(fingerprint, &end, 16);
    if (*fingerprint == '\0' || *end) return damaged(path, "data.tokenizer", "a fingerprint", err);
    const json_t *per_source = json_object_get(data, "per_source");
    for (size_t i = 0; i < DSM_MAX_SOURCES; i++) {
        const json_t *n = json_array_get(per_source, i);
        if (!json_is_integer(n) || json_integer_value(n) < 0)
            return damaged(path, "data.per_source", "16 integers", err);
        s->data.per_source[i] = (uint64_t)json_integer_value(n);
    }
    return DSM_OK;
}

static dsm_status state_from_json(dsm_train_state *s, const json_t *o, const char *path,
                                  dsm_err *err)
{
    int64_t format;
    DSM_TRY(fetch(o, "format", &format, path, err));
    if (format != STATE_FORMAT)
        return dsm_fail(err, DSM_EFORMAT, "%s: format: found %lld, expected %d", path,
                        (long long)format, STATE_FORMAT);
    DSM_TRY(fetch(o, "step", &s->step, path, err));
    DSM_TRY(fetch(o, "tokens", &s->tokens, path, err));
    DSM_TRY(fetch(o, "seed", &s->seed, path, err));
    const json_t *data = json_object_get(o, "data");
    if (!json_is_object(data)) return damaged(path, "data", "an object", err);
    return fetch_data(data, s, path, err);
}

static dsm_status write_json(const dsm_train_state *s, const char *path, dsm_err *err)
{
    json_t *o = state_to_json(s);
    if (!o) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = dsm_json_write(o, path, err);
    json_decref(o);
    return status;
}

static dsm_status read_json(dsm_train_state *s, const char *path, dsm_err *err)
{
    json_t *o = NULL;
    dsm_status status = dsm_json_read(&o, path, MAX_STATE, err);
    if (status == DSM_OK) status = state_from_json(s, o, path, err);
    json_decref(o);
    return status;
}

/* --- optimizer.safetensors -------------------------------------------------------------------- */

enum { FIRST, SECOND, VALUE, N_ARRAYS };
static const char *const prefixes[N_ARRAYS] = {"exp_avg.", "exp_avg_sq.", "value."};

static dsm_real *array_of(const dsm_optimizer *o, int which)
{
    dsm_real *const arrays[N_ARRAYS] = {o->m, o->v, o->model->values};
    return arrays[which];
}

static int64_t trained_rows(const dsm_model *m)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->n_params; i++)
        n += m->params[i].offset >= 0;
    return n;
}

enum { MAX_NAME = 160 };

static void name_of(char out[MAX_NAME], int which, const dsm_param *p)
{
    snprintf(out, MAX_NAME, "%s%s", prefixes[which], p->name);
}

/* Rows of `n_arrays` arrays as items; names (n, MAX_NAME) holds their names. */
static int64_t fill_items(const dsm_optimizer *o, int n_arrays, dsm_st_item *items,
                          char (*names)[MAX_NAME])
{
    int64_t n = 0;
    for (int which = 0; which < n_arrays; which++)
        for (int64_t i = 0; i < o->model->n_params; i++) {
            const dsm_param *p = &o->model->params[i];
            if (p->offset < 0) continue;
            name_of(names[n], which, p);
            items[n] = (dsm_st_item){.name = names[n],
                                     .ndim = p->ndim,
                                     .shape = {p->ndim == 1 ? p->cols : p->rows, p->cols},
                                     .from = DSM_REAL_DTYPE,
                                     .to = DSM_REAL_DTYPE,
                                     .data = array_of(o, which) + p->offset};
            n++;
        }
    return n;
}

static dsm_status write_arrays(const dsm_optimizer *o, int n_arrays, const char *path, dsm_err *err)
{
    static const char *const no_metadata[] = {NULL};
    size_t n = (size_t)(n_arrays * trained_rows(o->model));
    dsm_st_item *items = malloc(n * sizeof *items);
    char(*names)[MAX_NAME] = malloc(n * sizeof *names);
    dsm_status status =
        items && names ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    if (status == DSM_OK)
        status = dsm_st_write(path, items, fill_items(o, n_arrays, items, names), no_metadata, err);
    free(items);
    free(names);
    return status;
}

static dsm_status read_row(const dsm_optimizer *o, int which, const dsm_param *p,
                           const dsm_st_file *f, const char *path, dsm_err *err)
{
    char name[MAX_NAME];
    name_of(name, which, p);
    const dsm_st_tensor *t = dsm_st_find(f, name);
    if (!t) return dsm_fail(err, DSM_ESHAPE, "%s: %s is missing", path, name);
    bool fits = t->ndim == p->ndim && t->shape[t->ndim - 1] == p->cols &&
                (p->ndim == 1 || t->shape[0] == p->rows);
    if (!fits || !t->known || t->dtype != DSM_REAL_DTYPE)
        return dsm_fail(
            err, DSM_ESHAPE,
            "%s: %s: found %d dimensions of %s, expected (%lld, %lld) of F32: of another "
            "model?",
            path, name, t->ndim, t->dtype_name, (long long)p->rows, (long long)p->cols);
    memcpy(array_of(o, which) + p->offset, t->data, t->bytes);
    return DSM_OK;
}

static dsm_status read_rows(const dsm_optimizer *o, const dsm_st_file *f, const char *path,
                            dsm_err *err)
{
    int64_t rows = trained_rows(o->model), found = dsm_st_count(f);
    if (found != 2 * rows && found != 3 * rows)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: found %lld tensors, expected %lld or %lld: of another model?", path,
                        (long long)found, (long long)(2 * rows), (long long)(3 * rows));
    for (int which = 0; which < (int)(found / rows); which++)
        for (int64_t i = 0; i < o->model->n_params; i++)
            if (o->model->params[i].offset >= 0)
                DSM_TRY(read_row(o, which, &o->model->params[i], f, path, err));
    return DSM_OK;
}

static dsm_status read_arrays(const dsm_optimizer *o, const char *path, dsm_err *err)
{
    dsm_st_file *f;
    DSM_TRY(dsm_st_open(&f, path, err));
    dsm_status status = read_rows(o, f, path, err);
    dsm_st_close(f);
    return status;
}

/* --- both ------------------------------------------------------------------------------------- */

dsm_status dsm_state_save(const dsm_train_state *s, const dsm_optimizer *o, bool exact,
                          const char *dir, dsm_err *err)
{
    char *json = dsm_fs_join(dir, STATE_FILE), *arrays = dsm_fs_join(dir, OPTIMIZER_FILE);
    dsm_status status =
        json && arrays ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    if (status == DSM_OK) status = write_arrays(o, exact ? N_ARRAYS : VALUE, arrays, err);
    if (status == DSM_OK) status = write_json(s, json, err);
    free(json);
    free(arrays);
    return status;
}

dsm_status dsm_state_load(dsm_train_state *s, dsm_optimizer *o, const char *dir, dsm_err *err)
{
    char *json = dsm_fs_join(dir, STATE_FILE), *arrays = dsm_fs_join(dir, OPTIMIZER_FILE);
    dsm_status status =
        json && arrays ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    if (status == DSM_OK) status = read_json(s, json, err);
    if (status == DSM_OK) status = read_arrays(o, arrays, err);
    free(json);
    free(arrays);
    return status;
}
