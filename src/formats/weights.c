/* SPDX-License-Identifier: MIT */
#include "formats/weights.h"

#include "core/json.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_MAX = 100000000 };

struct dsm_weights {
    int n_files, capacity;
    char **names; /* (n_files) within the folder */
    dsm_st_file **files;
};

static int file_index(const dsm_weights *w, const char *name)
{
    for (int i = 0; i < w->n_files; i++)
        if (strcmp(w->names[i], name) == 0) return i;
    return -1;
}

static dsm_status grow(dsm_weights *w, const char *dir, dsm_err *err)
{
    if (w->n_files < w->capacity) return DSM_OK;
    int capacity = w->capacity ? 2 * w->capacity : 4;
    char **names = realloc(w->names, (size_t)capacity * sizeof *names);
    if (names) w->names = names;
    dsm_st_file **files = realloc(w->files, (size_t)capacity * sizeof *files);
    if (files) w->files = files;
    if (!names || !files) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    w->capacity = capacity;
    return DSM_OK;
}

static dsm_status add_file(dsm_weights *w, const char *dir, const char *name, dsm_err *err)
{
    DSM_TRY(grow(w, dir, err));
    char *path = dsm_fs_join(dir, name), *copy = strdup(name);
    dsm_status status = path && copy ? dsm_st_open(&w->files[w->n_files], path, err)
                                     : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    free(path);
    if (status == DSM_OK)
        w->names[w->n_files++] = copy;
    else
        free(copy);
    return status;
}

/* A shard's name is a plain file name: an index must not lead out of its folder. */
static bool is_plain_name(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && !strchr(name, '/');
}

/* One row of the index: open its file if it is new, and see that the tensor is in it. */
static dsm_status add_row(dsm_weights *w, const char *dir, const char *tensor, const json_t *file,
                          dsm_err *err)
{
    const char *name = json_string_value(file);
    if (!name || !is_plain_name(name))
        return dsm_fail(err, DSM_EFORMAT, "%s/" DSM_WEIGHTS_INDEX ": %.120s: expected a file name",
                        dir, tensor);
    if (file_index(w, name) < 0) DSM_TRY(add_file(w, dir, name, err));
    if (!dsm_st_find(w->files[file_index(w, name)], tensor))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s/%s: tensor %.120s is missing, the index puts it there", dir, name,
                        tensor);
    return DSM_OK;
}

/* Rows name each tensor once and where it is; equal counts then rule out tensors beside the index.
 */
static dsm_status check_counts(const dsm_weights *w, const char *dir, size_t n_rows, dsm_err *err)
{
    int64_t stored = 0;
    for (int i = 0; i < w->n_files; i++)
        stored += dsm_st_count(w->files[i]);
    if ((int64_t)n_rows == stored) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: its shards hold %lld tensors, " DSM_WEIGHTS_INDEX " lists %zu", dir,
                    (long long)stored, n_rows);
}

static dsm_status add_shards(dsm_weights *w, const char *dir, const json_t *index, dsm_err *err)
{
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        return dsm_fail(err, DSM_EFORMAT, "%s/" DSM_WEIGHTS_INDEX ": no object \"weight_map\"",
                        dir);
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file) DSM_TRY(add_row(w, dir, tensor, file, err));
    return check_counts(w, dir, json_object_size(map), err);
}

static dsm_status open_set(dsm_weights *w, const char *dir, const char *single, const char *index,
                           dsm_err *err)
{
    if (dsm_fs_exists(single)) return add_file(w, dir, DSM_WEIGHTS_FILE, err);
    if (!dsm_fs_exists(index))
        return dsm_fail(err, DSM_ENOTFOUND,
                        "%s: found neither " DSM_WEIGHTS_FILE " nor " DSM_WEIGHTS_INDEX
                        " (half-written checkpoint?)",
                        dir);
    json_t *json = NULL;
    DSM_TRY(dsm_json_read(&json, index, INDEX_MAX, err));
    dsm_status status = add_shards(w, dir, json, err);
    json_decref(json);
    return status;
}

dsm_status dsm_weights_open(dsm_weights **out, const char *dir, dsm_err *err)
{
    *out = NULL;
    dsm_weights *w = calloc(1, sizeof *w);
    char *single = dsm_fs_join(dir, DSM_WEIGHTS_FILE), *index = dsm_fs_join(dir, DSM_WEIGHTS_INDEX);
    dsm_status status = w && single && index ? open_set(w, dir, single, index, err)
                                             : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    free(single);
    free(index);
    if (status != DSM_OK) {
        dsm_weights_close(w);
        return status;
    }
    *out = w;
    return DSM_OK;
}

void dsm_weights_close(dsm_weights *w)
{
    if (!w) return;
    for (int i = 0; i < w->n_files; i++) {
        dsm_st_close(w->files[i]);
        free(w->names[i]);
    }
    free(w->names);
    free(w->files);
    free(w);
}

int dsm_weights_files(const dsm_weights *w)
{
    return w->n_files;
}

const char *dsm_weights_file_name(const dsm_weights *w, int i)
{
    return w->names[i];
}

const dsm_st_file *dsm_weights_file(const dsm_weights *w, int i)
{
    return w->files[i];
}

const dsm_st_tensor *dsm_weights_find(const dsm_weights *w, const char *name)
{
    for (int i = 0; i < w->n_files; i++) {
        const dsm_st_tensor *t = dsm_st_find(w->files[i], name);
        if (t) return t;
    }
    return NULL;
}
