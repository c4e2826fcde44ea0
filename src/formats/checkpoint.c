/* SPDX-License-Identifier: MIT */
/* Hugging Face folders as checkpoints.
 *
 *   config.json  generation_config.json  model.safetensors | model-0000i-of-0000n.safetensors +
 * index tokenizer.json  tokenizer_config.json  special_tokens_map.json  chat_template.jinja
 *
 * A folder appears whole, by one rename, so one that lacks a part is reported, never repaired. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "formats/checkpoint.h"

#include "core/buf.h"
#include "core/json.h"
#include "formats/bind.h"
#include "formats/remote.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATION_CONFIG_MAX = 1 << 20 };
static const uint64_t shard_bytes_default = (uint64_t)4 << 30;

static dsm_status no_memory(const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
}

/* --- where it is ------------------------------------------------------------------------------ */

static bool holds(const char *dir, const char *name)
{
    char *path = dsm_fs_join(dir, name);
    bool there = path && dsm_fs_exists(path);
    free(path);
    return there;
}

/* The folder that checkpoints/latest points to now: later checkpoints do not change what is open.
 */
static dsm_status resolve_run(char **dir, const char *model, dsm_err *err)
{
    char *latest = dsm_fs_join(model, "checkpoints/latest");
    if (!latest) return no_memory(model, err);
    char *real = realpath(latest, NULL);
    free(latest);
    if (!real)
        return dsm_fail(err, DSM_ENOTFOUND, "%s: this run has no complete checkpoint yet", model);
    if (!holds(real, "config.json")) {
        dsm_status status = dsm_fail(err, DSM_EFORMAT, "%s: no config.json in it", real);
        free(real);
        return status;
    }
    *dir = real;
    return DSM_OK;
}

dsm_status dsm_checkpoint_resolve(char **dir, const char *model, dsm_err *err)
{
    *dir = NULL;
    if (holds(model, "config.json")) {
        *dir = strdup(model);
        return *dir ? DSM_OK : no_memory(model, err);
    }
    if (holds(model, "checkpoints")) return resolve_run(dir, model, err);
    if (!dsm_fs_exists(model))
        return dsm_fail(err, DSM_ENOTFOUND,
                        "%s: no such model (a folder with config.json, or a run's folder)", model);
    if (!dsm_fs_is_dir(model))
        return dsm_fail(err, DSM_EFORMAT, "%s: found a file, expected a folder with config.json",
                        model);
    return dsm_fail(err, DSM_ENOTFOUND,
                    "%s: found neither config.json nor checkpoints/latest in this folder", model);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void close_bound(void *mapping)
{
    dsm_bound_close(mapping);
}

/* Values into m; what must outlive the call becomes m's mapping. */
static dsm_status load_values(dsm_model *m, const char *dir, dsm_err *err)
{
    dsm_bound *bound = calloc(1, sizeof *bound);
    if (!bound) return no_memory(dir, err);
    m->mapping = bound;
    m->mapping_close = close_bound;
    DSM_TRY(dsm_weights_open(&bound->weights, dir, err));
    DSM_TRY(dsm_bind(bound, m, dir, err));
    if (m->values) { /* everything was copied */
        dsm_bound_close(bound);
        m->mapping = NULL;
        m->mapping_close = NULL;
    }
    return DSM_OK;
}

static dsm_status open_dir(dsm_model **out, const char *dir, unsigned flags, dsm_err *err)
{
    dsm_model_config c;
    DSM_TRY(dsm_model_config_read(&c, dir, err));
    dsm_model *m;
    DSM_TRY(dsm_model_create(&m, &c, flags, err));
    dsm_status status = load_values(m, dir, err);
    if (status != DSM_OK) {
        dsm_model_free(m);
        return status;
    }
    *out = m;
    return DSM_OK;
}

dsm_status dsm_checkpoint_open(dsm_model **out, const char *model, unsigned flags, char **resolved,
                               dsm_err *err)
{
    *out = NULL;
    if (resolved) *resolved = NULL;
    char *dir;
    DSM_TRY(dsm_checkpoint_resolve(&dir, model, err));
    dsm_status status = open_dir(out, dir, flags, err);
    if (status == DSM_OK && resolved)
        *resolved = dir;
    else
        free(dir);
    return status;
}

/* --- writing ---------------------------------------------------------------------------------- */

static dsm_st_item item_of(const dsm_param *p, dsm_dtype dtype)
{
    return (dsm_st_item){
        .name = p->name,
        .ndim = p->ndim,
        .shape = {p->ndim == 1 ? p->cols : p->rows, p->cols},
        .from = p->mat.dtype,
        .to = p->offset >= 0            ? dtype
              : p->mat.dtype == DSM_I32 ? DSM_I32
                                        : DSM_F32,
        .data = p->mat.data,
    };
}

static uint64_t item_bytes(const dsm_param *p, const dsm_st_item *t)
{
    return (uint64_t)(p->rows * p->cols) * dsm_dtype_size(t->to);
}

/* Cut the items, in order, into runs of at most `limit` bytes: begin (n_shards + 1). */
static int64_t plan_shards(int64_t *begin, const dsm_param *params, const dsm_st_item *items,
                           int64_t n, uint64_t limit)
{
    int64_t n_shards = 0;
    uint64_t used = 0;
    begin[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t bytes = item_bytes(&params[i], &items[i]);
        if (i > begin[n_shards] && bytes > limit - used) {
            begin[++n_shards] = i;
            used = 0;
        }
        used = bytes < limit - used ? used + bytes : limit;
    }
    begin[++n_shards] = n;
    return n_shards;
}

static void shard_name(char *out, size_t size, int64_t i, int64_t n)
{
    if (n == 1)
        snprintf(out, size, DSM_WEIGHTS_FILE);
    else
        snprintf(out, size, "model-%05" PRId64 "-of-%05" PRId64 ".safetensors", i + 1, n);
}

static dsm_status write_index(const char *dir, const dsm_param *params, const dsm_st_item *items,
                              const int64_t *begin, int64_t n_shards, dsm_err *err)
{
    char *path = dsm_fs_join(dir, DSM_WEIGHTS_INDEX);
    json_t *map = json_object();
    char name[64];
    uint64_t total = 0;
    for (int64_t s = 0; s < n_shards; s++) {
        shard_name(name, sizeof name, s, n_shards);
        for (int64_t i = begin[s]; i < begin[s + 1]; i++) {
            json_object_set_new(map, items[i].name, json_string(name));
            total += item_bytes(&params[i], &items[i]);
        }
    }
    json_t *index =
        json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    dsm_status status = path && index ? dsm_json_write(index, path, err) : no_memory(dir, err);
    json_decref(index);
    free(path);
    return status;
}

static dsm_status write_shards(const dsm_model *m, const char *dir, const dsm_st_item *items,
                               const int64_t *begin, int64_t n_shards, dsm_err *err)
{
    for (int64_t s = 0; s < n_shards; s++) {
        char name[64];
        shard_name(name, sizeof name, s, n_shards);
        char *path = dsm_fs_join(dir, name);
        dsm_status status =
            path ? dsm_st_write(path, items + begin[s], begin[s + 1] - begin[s], NULL, err)
                 : no_memory(dir, err);
        free(path);
        if (status != DSM_OK) return status;
    }
    return n_shards > 1 ? write_index(dir, m->params, items, begin, n_shards, err) : DSM_OK;
}

static dsm_status write_weights(const dsm_model *m, const char *dir, dsm_dtype dtype,
                                uint64_t shard_bytes, dsm_err *err)
{
    dsm_st_item *items = calloc((size_t)m->n_params + 1, sizeof *items);
    int64_t *begin = calloc((size_t)m->n_params + 2, sizeof *begin);
    dsm_status status = items && begin ? DSM_OK : no_memory(dir, err);
    if (status == DSM_OK) {
        for (int64_t i = 0; i < m->n_params; i++)
            items[i] = item_of(&m->params[i], dtype);
        int64_t n = plan_shards(begin, m->params, items, m->n_params, shard_bytes);
        status = write_shards(m, dir, items, begin, n, err);
    }
    free(items);
    free(begin);
    return status;
}

static void set_id(json_t *o, const char *key, int64_t id)
{
    if (id >= 0) json_object_set_new(o, key, json_integer(id));
}

static dsm_status write_generation_config(const dsm_model_config *c, const char *dir, dsm_err *err)
{
    char *path = dsm_fs_join(dir, "generation_config.json");
    json_t *o = json_pack("{s:b}", "_from_model_config", 1);
    set_id(o, "bos_token_id", c->bos_token_id);
    set_id(o, "eos_token_id", c->eos_token_id);
    set_id(o, "pad_token_id", c->pad_token_id);
    dsm_status status = path && o ? dsm_json_write(o, path, err) : no_memory(dir, err);
    json_decref(o);
    free(path);
    return status;
}

dsm_status dsm_checkpoint_write_shards(const dsm_model *m, const char *dir, dsm_dtype dtype,
                                       uint64_t shard_bytes, dsm_err *err)
{
    char *path = dsm_fs_join(dir, "config.json");
    dsm_status status = path ? dsm_model_config_write(&m->config, path, dsm_dtype_name(dtype), err)
                             : no_memory(dir, err);
    free(path);
    if (status == DSM_OK) status = write_generation_config(&m->config, dir, err);
    if (status == DSM_OK) status = write_weights(m, dir, dtype, shard_bytes, err);
    if (status == DSM_OK) status = dsm_remote_code_write(&m->config, dir, err);
    if (status == DSM_OK) dsm_remote_warn(&m->config, dir);
    return status;
}

dsm_status dsm_checkpoint_write(const dsm_model *m, const char *dir, dsm_dtype dtype, dsm_err *err)
{
    return dsm_checkpoint_write_shards(m, dir, dtype, shard_bytes_default, err);
}

/* --- the files beside the weights ------------------------------------------------------------- */

static dsm_status copy_if_there(const char *to_dir, const char *from_dir, const char *name,
                                bool *there, dsm_err *err)
{
    char *to = dsm_fs_join(to_dir, name), *from = dsm_fs_join(from_dir, name);
    dsm_status status = to && from ? DSM_OK : no_memory(to_dir, err);
    *there = status == DSM_OK && dsm_fs_exists(from);
    if (*there) status = dsm_fs_copy(to, from, err);
    free(to);
    free(from);
    return status;
}

dsm_status dsm_checkpoint_copy_tokenizer(const char *to_dir, const char *from_dir, dsm_err *err)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json", "chat_template.jinja"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool there;
        DSM_TRY(copy_if_there(to_dir, from_dir, names[i], &there, err));
        if (i == 0 && !there)
            return dsm_fail(err, DSM_ENOTFOUND, "%s: found no tokenizer.json in this folder",
                            from_dir);
    }
    return DSM_OK;
}

/* One entry of eos_token_id. */
static dsm_status add_eos(int32_t *ids, int max, int *n, const json_t *v, const char *path,
                          dsm_err *err)
{
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    if (id < 0 || id > INT32_MAX)
        return dsm_fail(err, DSM_EFORMAT, "%s: eos_token_id: expected token ids", path);
    if (*n < max) ids[(*n)++] = (int32_t)id;
    return DSM_OK;
}

static dsm_status read_eos(int32_t *ids, int max, int *n, const char *path, dsm_err *err)
{
    json_t *o;
    DSM_TRY(dsm_json_read(&o, path, GENERATION_CONFIG_MAX, err));
    json_t *eos = json_object_get(o, "eos_token_id"), *v;
    dsm_status status = DSM_OK;
    size_t i;
    if (json_is_array(eos)) {
        json_array_foreach(eos, i, v) if (status == DSM_OK) status =
            add_eos(ids, max, n, v, path, err);
    } else if (eos && !json_is_null(eos)) {
        status = add_eos(ids, max, n, eos, path, err);
    }
    json_decref(o);
    return status;
}

dsm_status dsm_checkpoint_eos(int32_t *ids, int max, int *n, const char *dir,
                              const dsm_model_config *c, dsm_err *err)
{
    *n = 0;
    char *path = dsm_fs_join(dir, "generation_config.json");
    if (!path) return no_memory(dir, err);
    dsm_status status = dsm_fs_exists(path) ? read_eos(ids, max, n, path, err) : DSM_OK;
    free(path);
    if (status == DSM_OK && *n == 0 && c->eos_token_id >= 0 && max > 0)
        ids[(*n)++] = (int32_t)c->eos_token_id;
    return status;
}
