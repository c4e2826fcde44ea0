/* SPDX-License-Identifier: MIT */
/* Hugging Face folders and GGUF files as checkpoints, opened: weights and config. What else a
 * checkpoint has is in companions.c, how one is written in folder_save.c and gguf_save.c.
 *
 *   config.json  generation_config.json
 *   model.safetensors | model-0000i-of-0000n.safetensors + index
 *
 * A folder appears whole, by one rename, so one that lacks a part is reported, never repaired. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "formats/checkpoint.h"

#include "formats/bind.h"
#include "formats/gguf_config.h"
#include "formats/weights.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

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
static dsm_status load_values(dsm_model *m, dsm_weights *w, unsigned flags, const char *what,
                              dsm_err *err)
{
    dsm_bound *bound = calloc(1, sizeof *bound);
    if (!bound) {
        dsm_weights_close(w);
        return no_memory(what, err);
    }
    bound->weights = w;
    bound->later = flags & DSM_MODEL_LATER;
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
    status = load_values(m, w, flags, what, err);
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
