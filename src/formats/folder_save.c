/* SPDX-License-Identifier: MIT */
/* A model as a Hugging Face folder: weights in one file or in shards with an index, what goes with
 * them, and config.json last of all, so that a folder that is not complete is no model to anybody.
 *
 * First a plan: which parameters go into which file. Then one file after another, each parameter's
 * values fetched when its turn comes. */
#include "formats/checkpoint.h"

#include "core/json.h"
#include "formats/remote.h"
#include "formats/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t shard_bytes_default = (uint64_t)4 << 30;

/* Values between two words of progress. */
enum { STRIDE = 1 << 22 };

static dsm_status no_memory(const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
}

/* --- the plan --------------------------------------------------------------------------------- */

typedef struct plan {
    const dsm_model *m;
    const dsm_save_options *o;
    const char *dir;
    dsm_st_item *items; /* (m->n_params) in the order of the parameters */
    int64_t *begin;     /* (n_shards + 1) runs of items */
    int64_t n_shards;
    uint64_t total, done; /* bytes */
} plan;

static dsm_st_item item_of(const dsm_param *p, dsm_dtype dtype)
{
    return (dsm_st_item){
        .name = p->name,
        .ndim = p->ndim,
        .shape = {p->ndim == 1 ? p->cols : p->rows, p->cols},
        .to = p->offset >= 0            ? dtype
              : p->mat.dtype == DSM_I32 ? DSM_I32
                                        : DSM_F32,
    };
}

/* Cut the items, in order, into runs of at most `limit` bytes. */
static void plan_shards(plan *p, uint64_t limit)
{
    uint64_t used = 0;
    for (int64_t i = 0; i < p->m->n_params; i++) {
        uint64_t bytes = dsm_st_item_bytes(&p->items[i]);
        if (i > p->begin[p->n_shards] && bytes > limit - used) {
            p->begin[++p->n_shards] = i;
            used = 0;
        }
        used = bytes < limit - used ? used + bytes : limit;
        p->total += bytes;
    }
    p->begin[++p->n_shards] = p->m->n_params;
}

static dsm_status make_plan(plan *p, uint64_t shard_bytes, dsm_err *err)
{
    p->items = calloc((size_t)p->m->n_params + 1, sizeof *p->items);
    p->begin = calloc((size_t)p->m->n_params + 2, sizeof *p->begin);
    if (!p->items || !p->begin) return no_memory(p->dir, err);
    for (int64_t i = 0; i < p->m->n_params; i++)
        p->items[i] = item_of(&p->m->params[i], p->o->dtype);
    plan_shards(p, shard_bytes ? shard_bytes : shard_bytes_default);
    return DSM_OK;
}

static void free_plan(plan *p)
{
    free(p->items);
    free(p->begin);
}

/* --- weights ---------------------------------------------------------------------------------- */

static void shard_name(char *out, size_t size, int64_t i, int64_t n)
{
    if (n == 1)
        snprintf(out, size, DSM_WEIGHTS_FILE);
    else
        snprintf(out, size, "model-%05" PRId64 "-of-%05" PRId64 ".safetensors", i + 1, n);
}

static dsm_status write_parameter(plan *p, dsm_st_writer *w, dsm_err *err)
{
    const dsm_st_item *item = w->order[w->next];
    dsm_mat values;
    DSM_TRY(dsm_save_fetch(p->o, &values, &p->m->params[item - p->items], err));
    const char *at = values.data;
    int64_t left = w->missing;
    while (left > 0) {
        int64_t n = left < STRIDE ? left : STRIDE;
        DSM_TRY(dsm_st_put(w, p->o->exec, at, values.dtype, n, err));
        at += dsm_dtype_bytes(values.dtype, n);
        left -= n;
        p->done += dsm_dtype_bytes(item->to, n);
        DSM_TRY(dsm_save_tell(p->o, p->done, p->total, p->dir, err));
    }
    return DSM_OK;
}

static dsm_status write_shard(plan *p, int64_t s, const char *path, dsm_err *err)
{
    dsm_st_writer w;
    int64_t first = p->begin[s], n = p->begin[s + 1] - first;
    DSM_TRY(dsm_st_begin(&w, path, p->items + first, n, NULL, err));
    while (w.next < w.n) {
        dsm_status status = write_parameter(p, &w, err);
        if (status == DSM_OK) continue;
        dsm_st_abandon(&w);
        return status;
    }
    return dsm_st_commit(&w, err);
}

static dsm_status write_index(const plan *p, dsm_err *err)
{
    char *path = dsm_fs_join(p->dir, DSM_WEIGHTS_INDEX);
    json_t *map = json_object();
    char name[64];
    for (int64_t s = 0; s < p->n_shards; s++) {
        shard_name(name, sizeof name, s, p->n_shards);
        for (int64_t i = p->begin[s]; i < p->begin[s + 1]; i++)
            json_object_set_new(map, p->items[i].name, json_string(name));
    }
    json_t *index = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)p->total,
                              "weight_map", map);
    dsm_status status = path && index ? dsm_json_write(index, path, err) : no_memory(p->dir, err);
    json_decref(index);
    free(path);
    return status;
}

static dsm_status write_weights(plan *p, dsm_err *err)
{
    for (int64_t s = 0; s < p->n_shards; s++) {
        char name[64];
        shard_name(name, sizeof name, s, p->n_shards);
        char *path = dsm_fs_join(p->dir, name);
        dsm_status status = path ? write_shard(p, s, path, err) : no_memory(p->dir, err);
        free(path);
        if (status != DSM_OK) return status;
    }
    return p->n_shards > 1 ? write_index(p, err) : DSM_OK;
}

/* --- the folder ------------------------------------------------------------------------------- */

static dsm_status write_config(const plan *p, dsm_err *err)
{
    char *path = dsm_fs_join(p->dir, "config.json");
    dsm_status status =
        path ? dsm_model_config_write(&p->m->config, path, dsm_dtype_name(p->o->dtype), err)
             : no_memory(p->dir, err);
    free(path);
    return status;
}

static dsm_status write_folder(plan *p, dsm_err *err)
{
    const dsm_model_config *c = &p->m->config;
    int32_t end = (int32_t)c->eos_token_id;
    DSM_TRY(write_weights(p, err));
    DSM_TRY(dsm_checkpoint_write_generation(p->dir, c, &end, end >= 0, err));
    DSM_TRY(dsm_remote_code_write(c, p->dir, err));
    DSM_TRY(write_config(p, err));
    dsm_remote_warn(c);
    return DSM_OK;
}

dsm_status dsm_checkpoint_save(const dsm_model *m, const char *dir, uint64_t shard_bytes,
                               const dsm_save_options *o, dsm_err *err)
{
    plan p = {.m = m, .o = o, .dir = dir};
    dsm_status status = make_plan(&p, shard_bytes, err);
    if (status == DSM_OK) status = write_folder(&p, err);
    free_plan(&p);
    return status;
}

dsm_status dsm_checkpoint_write(const dsm_model *m, const char *dir, dsm_dtype dtype, dsm_err *err)
{
    return dsm_checkpoint_save(m, dir, 0, &(dsm_save_options){.dtype = dtype}, err);
}
