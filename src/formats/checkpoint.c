/* SPDX-License-Identifier: MIT */
/* Hugging Face folders and GGUF files as checkpoints: weights and config. What else a checkpoint
 * has is in companions.c.
 *
 *   config.json  generation_config.json
 *   model.safetensors | model-0000i-of-0000n.safetensors + index
 *
 * A folder appears whole, by one rename, so one that lacks a part is reported, never repaired. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "formats/checkpoint.h"

#include "core/buf.h"
#include "core/json.h"
#include "formats/bind.h"
#include "formats/gguf_config.h"
#include "formats/remote.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool dsm_checkpoint_is_gguf(const char *path)
{
    size_t n = strlen(path), end = sizeof ".gguf" - 1;
    return n > end && strcmp(path + n - end, ".gguf") == 0 ? !dsm_fs_is_dir(path)
                                                           : dsm_gguf_is(path);
}

dsm_status dsm_checkpoint_resolve(char **dir, const char *model, dsm_err *err)
{
    *dir = NULL;
    if (holds(model, "config.json") || (dsm_fs_exists(model) && dsm_checkpoint_is_gguf(model))) {
        *dir = strdup(model);
        return *dir ? DSM_OK : no_memory(model, err);
    }
    if (holds(model, "checkpoints")) return resolve_run(dir, model, err);
    if (!dsm_fs_exists(model))
        return dsm_fail(err, DSM_ENOTFOUND,
                        "%s: no such model (a folder with config.json, a run's folder, or a GGUF "
                        "file)",
                        model);
    if (!dsm_fs_is_dir(model))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: found a file, expected a folder with config.json or a GGUF file",
                        model);
    return dsm_fail(err, DSM_ENOTFOUND,
                    "%s: found neither config.json nor checkpoints/latest in this folder", model);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void close_bound(void *mapping)
{
    dsm_bound_close(mapping);
}

/* Values of w, which is taken over, into m; what must outlive the call becomes m's mapping. */
static dsm_status load_values(dsm_model *m, dsm_weights *w, const char *what, dsm_err *err)
{
    dsm_bound *bound = calloc(1, sizeof *bound);
    if (!bound) {
        dsm_weights_close(w);
        return no_memory(what, err);
    }
    bound->weights = w;
    m->mapping = bound;
    m->mapping_close = close_bound;
    DSM_TRY(dsm_bind(bound, m, what, err));
    if (m->values) { /* everything was copied */
        dsm_bound_close(bound);
        m->mapping = NULL;
        m->mapping_close = NULL;
    }
    return DSM_OK;
}

/* A model of shape c with the values of w, which is taken over. */
static dsm_status assemble(dsm_model **out, const dsm_model_config *c, dsm_weights *w,
                           unsigned flags, const char *what, dsm_err *err)
{
    dsm_model *m;
    dsm_status status = dsm_model_create(&m, c, flags, err);
    if (status != DSM_OK) {
        dsm_weights_close(w);
        return status;
    }
    status = load_values(m, w, what, err);
    if (status != DSM_OK) {
        dsm_model_free(m);
        return status;
    }
    *out = m;
    return DSM_OK;
}

static dsm_status open_dir(dsm_model **out, const char *dir, unsigned flags, dsm_err *err)
{
    dsm_model_config c;
    dsm_weights *w;
    DSM_TRY(dsm_model_config_read(&c, dir, err));
    DSM_TRY(dsm_weights_open(&w, dir, err));
    return assemble(out, &c, w, flags, dir, err);
}

static dsm_status open_gguf(dsm_model **out, const char *path, unsigned flags, dsm_err *err)
{
    dsm_model_config c;
    dsm_weights *w;
    dsm_gguf *f;
    DSM_TRY(dsm_gguf_open(&f, path, err));
    dsm_status status = dsm_gguf_config_read(&c, f, err);
    if (status != DSM_OK) {
        dsm_gguf_close(f);
        return status;
    }
    DSM_TRY(dsm_weights_of_gguf(&w, f, &c, err));
    return assemble(out, &c, w, flags, path, err);
}

dsm_status dsm_checkpoint_open(dsm_model **out, const char *model, unsigned flags, char **resolved,
                               dsm_err *err)
{
    *out = NULL;
    if (resolved) *resolved = NULL;
    char *dir;
    DSM_TRY(dsm_checkpoint_resolve(&dir, model, err));
    dsm_status status = dsm_checkpoint_is_gguf(dir) ? open_gguf(out, dir, flags, err)
                                                    : open_dir(out, dir, flags, err);
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
    return dsm_dtype_bytes(t->to, p->rows * p->cols);
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
    if (status == DSM_OK) dsm_remote_warn(&m->config);
    return status;
}

dsm_status dsm_checkpoint_write(const dsm_model *m, const char *dir, dsm_dtype dtype, dsm_err *err)
{
    return dsm_checkpoint_write_shards(m, dir, dtype, shard_bytes_default, err);
}
