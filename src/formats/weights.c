/* SPDX-License-Identifier: MIT */
/* Sets of tensors, and those of Hugging Face folders. */
#include "formats/weights.h"

#include "core/json.h"

#include <stdlib.h>
#include <string.h>

enum { INDEX_MAX = 100000000 };

/* --- sets ------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const dsm_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

dsm_status dsm_weights_sort(dsm_weights *w, const char *what, dsm_err *err)
{
    qsort(w->tensors, (size_t)w->n, sizeof *w->tensors, by_name);
    for (int64_t i = 1; i < w->n; i++)
        if (by_name(&w->tensors[i - 1], &w->tensors[i]) == 0)
            return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s is there twice", what,
                            w->tensors[i]->name);
    return DSM_OK;
}

const dsm_st_tensor *dsm_weights_find(const dsm_weights *w, const char *name)
{
    const dsm_st_tensor key = {.name = name}, *wanted = &key;
    const dsm_st_tensor **hit =
        bsearch(&wanted, w->tensors, (size_t)w->n, sizeof *w->tensors, by_name);
    return hit ? *hit : NULL;
}

void dsm_weights_close(dsm_weights *w)
{
    if (!w) return;
    if (w->close_owner) w->close_owner(w->owner);
    free(w->tensors);
    free(w);
}

/* --- folders ---------------------------------------------------------------------------------- */

/* The files of one. */
typedef struct folder {
    int n_files, capacity;
    char **names; /* (n_files) within the folder */
    dsm_st_file **files;
} folder;

static void close_folder(void *owner)
{
    folder *d = owner;
    for (int i = 0; i < d->n_files; i++) {
        dsm_st_close(d->files[i]);
        free(d->names[i]);
    }
    free(d->names);
    free(d->files);
    free(d);
}

static dsm_st_file *file_named(const folder *d, const char *name)
{
    for (int i = 0; i < d->n_files; i++)
        if (strcmp(d->names[i], name) == 0) return d->files[i];
    return NULL;
}

static dsm_status grow(folder *d, const char *dir, dsm_err *err)
{
    if (d->n_files < d->capacity) return DSM_OK;
    int capacity = d->capacity ? 2 * d->capacity : 4;
    char **names = realloc(d->names, (size_t)capacity * sizeof *names);
    if (names) d->names = names;
    dsm_st_file **files = realloc(d->files, (size_t)capacity * sizeof *files);
    if (files) d->files = files;
    if (!names || !files) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    d->capacity = capacity;
    return DSM_OK;
}

static dsm_status add_file(folder *d, const char *dir, const char *name, dsm_err *err)
{
    DSM_TRY(grow(d, dir, err));
    char *path = dsm_fs_join(dir, name), *copy = strdup(name);
    dsm_status status = path && copy ? dsm_st_open(&d->files[d->n_files], path, err)
                                     : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    free(path);
    if (status == DSM_OK)
        d->names[d->n_files++] = copy;
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
static dsm_status add_row(folder *d, const char *dir, const char *tensor, const json_t *file,
                          dsm_err *err)
{
    const char *name = json_string_value(file);
    if (!name || !is_plain_name(name))
        return dsm_fail(err, DSM_EFORMAT, "%s/" DSM_WEIGHTS_INDEX ": %.120s: expected a file name",
                        dir, tensor);
    if (!file_named(d, name)) DSM_TRY(add_file(d, dir, name, err));
    if (!dsm_st_find(file_named(d, name), tensor))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s/%s: tensor %.120s is missing, the index puts it there", dir, name,
                        tensor);
    return DSM_OK;
}

static int64_t count_tensors(const folder *d)
{
    int64_t n = 0;
    for (int i = 0; i < d->n_files; i++)
        n += dsm_st_count(d->files[i]);
    return n;
}

static dsm_status add_shards(folder *d, const char *dir, const json_t *index, dsm_err *err)
{
    json_t *map = json_object_get(index, "weight_map");
    if (!json_is_object(map))
        return dsm_fail(err, DSM_EFORMAT, "%s/" DSM_WEIGHTS_INDEX ": no object \"weight_map\"",
                        dir);
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file) DSM_TRY(add_row(d, dir, tensor, file, err));
    /* rows name each tensor once and where it is; equal counts rule out tensors beside the index */
    if (count_tensors(d) == (int64_t)json_object_size(map)) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: its shards hold %lld tensors, " DSM_WEIGHTS_INDEX " lists %zu", dir,
                    (long long)count_tensors(d), json_object_size(map));
}

static dsm_status open_files(folder *d, const char *dir, const char *single, const char *index,
                             dsm_err *err)
{
    if (dsm_fs_exists(single)) return add_file(d, dir, DSM_WEIGHTS_FILE, err);
    if (!dsm_fs_exists(index))
        return dsm_fail(err, DSM_ENOTFOUND,
                        "%s: found neither " DSM_WEIGHTS_FILE " nor " DSM_WEIGHTS_INDEX
                        " (half-written checkpoint?)",
                        dir);
    json_t *json = NULL;
    DSM_TRY(dsm_json_read(&json, index, INDEX_MAX, err));
    dsm_status status = add_shards(d, dir, json, err);
    json_decref(json);
    return status;
}

/* The tensors of all files as one set. */
static dsm_status gather(dsm_weights *w, const folder *d, const char *dir, dsm_err *err)
{
    w->n_files = d->n_files;
    w->stored = count_tensors(d);
    w->tensors = calloc((size_t)w->stored + 1, sizeof *w->tensors);
    if (!w->tensors) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    for (int f = 0; f < d->n_files; f++)
        for (int64_t i = 0; i < dsm_st_count(d->files[f]); i++) {
            w->tensors[w->n++] = dsm_st_at(d->files[f], i);
            w->bytes += w->tensors[w->n - 1]->bytes;
        }
    return dsm_weights_sort(w, dir, err);
}

static dsm_status open_folder(dsm_weights *w, const char *dir, dsm_err *err)
{
    folder *d = w->owner;
    char *single = dsm_fs_join(dir, DSM_WEIGHTS_FILE), *index = dsm_fs_join(dir, DSM_WEIGHTS_INDEX);
    dsm_status status = single && index ? open_files(d, dir, single, index, err)
                                        : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    free(single);
    free(index);
    return status == DSM_OK ? gather(w, d, dir, err) : status;
}

dsm_status dsm_weights_open(dsm_weights **out, const char *dir, dsm_err *err)
{
    *out = NULL;
    dsm_weights *w = calloc(1, sizeof *w);
    folder *d = calloc(1, sizeof *d);
    if (!w || !d) {
        free(w);
        free(d);
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    }
    w->owner = d;
    w->close_owner = close_folder;
    dsm_status status = open_folder(w, dir, err);
    if (status != DSM_OK) {
        dsm_weights_close(w);
        return status;
    }
    *out = w;
    return DSM_OK;
}
