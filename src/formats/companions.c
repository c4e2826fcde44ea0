/* SPDX-License-Identifier: MIT */
/* What a checkpoint has beside its weights: the tokenizer's files, the ids that end a text, the
 * chat template. In a GGUF file they are metadata. */
#include "formats/checkpoint.h"

#include "core/gguf.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATION_CONFIG_MAX = 1 << 20, TEMPLATE_MAX = 16 << 20 };

static dsm_status no_memory(const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
}

/* --- the tokenizer ---------------------------------------------------------------------------- */

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

/* --- ends of a text --------------------------------------------------------------------------- */

/* One entry of eos_token_id; config.json may say none with -1. */
static dsm_status add_eos(int32_t *ids, int max, int *n, const json_t *v, const char *path,
                          dsm_err *err)
{
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -2;
    if (id < -1 || id > INT32_MAX)
        return dsm_fail(err, DSM_EFORMAT, "%s: eos_token_id: expected token ids", path);
    if (id >= 0 && *n < max) ids[(*n)++] = (int32_t)id;
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

/* End of text, of a turn and of a message. */
static dsm_status gguf_eos(int32_t *ids, int max, int *n, const dsm_gguf *f, dsm_err *err)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int64_t id = -1;
        DSM_TRY(dsm_gguf_int(f, keys[i], 0, UINT32_MAX, &id, err));
        if (id >= 0 && id <= INT32_MAX && *n < max) ids[(*n)++] = (int32_t)id;
    }
    return DSM_OK;
}

static dsm_status read_gguf_eos(int32_t *ids, int max, int *n, const char *path, dsm_err *err)
{
    dsm_gguf *f;
    DSM_TRY(dsm_gguf_open(&f, path, err));
    dsm_status status = gguf_eos(ids, max, n, f, err);
    dsm_gguf_close(f);
    return status;
}

static dsm_status read_file_eos(int32_t *ids, int max, int *n, const char *dir, const char *name,
                                dsm_err *err)
{
    char *path = dsm_fs_join(dir, name);
    if (!path) return no_memory(dir, err);
    dsm_status status = dsm_fs_exists(path) ? read_eos(ids, max, n, path, err) : DSM_OK;
    free(path);
    return status;
}

static dsm_status read_dir_eos(int32_t *ids, int max, int *n, const char *dir, dsm_err *err)
{
    DSM_TRY(read_file_eos(ids, max, n, dir, "generation_config.json", err));
    return *n > 0 ? DSM_OK : read_file_eos(ids, max, n, dir, "config.json", err);
}

dsm_status dsm_checkpoint_eos(int32_t *ids, int max, int *n, const char *dir,
                              const dsm_model_config *c, dsm_err *err)
{
    *n = 0;
    dsm_status status = dsm_checkpoint_is_gguf(dir) ? read_gguf_eos(ids, max, n, dir, err)
                                                    : read_dir_eos(ids, max, n, dir, err);
    if (status == DSM_OK && *n == 0 && c->eos_token_id >= 0 && max > 0)
        ids[(*n)++] = (int32_t)c->eos_token_id;
    return status;
}

/* --- generation_config.json ------------------------------------------------------------------ */

static void set_id(json_t *o, const char *key, int64_t id)
{
    if (id >= 0) json_object_set_new(o, key, json_integer(id));
}

/* A number, or a list of several. */
static void set_ends(json_t *o, const int32_t *ends, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ends[i]));
    if (n == 1)
        set_id(o, "eos_token_id", ends[0]);
    else if (n > 1)
        json_object_set(o, "eos_token_id", list);
    json_decref(list);
}

static dsm_status write_generation(const char *path, const dsm_model_config *c, const int32_t *ends,
                                   int n, dsm_err *err)
{
    if (dsm_fs_exists(path)) return DSM_OK;
    json_t *o = json_pack("{s:b}", "_from_model_config", 1);
    set_id(o, "bos_token_id", c->bos_token_id);
    set_ends(o, ends, n);
    set_id(o, "pad_token_id", c->pad_token_id);
    dsm_status status = o ? dsm_json_write(o, path, err) : no_memory(path, err);
    json_decref(o);
    return status;
}

dsm_status dsm_checkpoint_write_generation(const char *dir, const dsm_model_config *c,
                                           const int32_t *ends, int n, dsm_err *err)
{
    char *path = dsm_fs_join(dir, "generation_config.json");
    dsm_status status = path ? write_generation(path, c, ends, n, err) : no_memory(dir, err);
    free(path);
    return status;
}

/* --- the chat template ------------------------------------------------------------------------ */

static dsm_status copy_text(char **text, const char *from, const char *what, dsm_err *err)
{
    *text = from ? strdup(from) : NULL;
    return from && !*text ? no_memory(what, err) : DSM_OK;
}

static const char default_name[] = "default";

static bool is_default(const char *name)
{
    return strcmp(name, default_name) == 0;
}

static dsm_status gguf_template(char **text, const char *path, const char *name, dsm_err *err)
{
    const char *found = NULL;
    char key[128];
    dsm_gguf *f;
    snprintf(key, sizeof key, "tokenizer.chat_template%s%s", is_default(name) ? "" : ".",
             is_default(name) ? "" : name);
    DSM_TRY(dsm_gguf_open(&f, path, err));
    dsm_status status = dsm_gguf_text(f, key, &found, err);
    if (status == DSM_OK) status = copy_text(text, found, path, err);
    dsm_gguf_close(f);
    return status;
}

/* A string, which is the default, or a list of {name, template}. */
static const char *template_of(const json_t *v, const char *wanted)
{
    const json_t *item;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)v, i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        if (name && strcmp(name, wanted) == 0)
            return json_string_value(json_object_get(item, "template"));
    }
    return is_default(wanted) ? json_string_value(v) : NULL;
}

static dsm_status config_template(char **text, const char *path, const char *name, dsm_err *err)
{
    dsm_buf file = {0};
    DSM_TRY(dsm_fs_read(&file, path, TEMPLATE_MAX, err));
    json_error_t at; /* numbers such as model_max_length 10^30 fit no integer */
    json_t *o =
        json_loadb(file.data, file.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &at);
    dsm_buf_free(&file);
    if (!json_is_object(o)) {
        json_decref(o);
        return dsm_fail(err, DSM_EFORMAT, "%s: line %d: %s", path, at.line, at.text);
    }
    dsm_status status =
        copy_text(text, template_of(json_object_get(o, "chat_template"), name), path, err);
    json_decref(o);
    return status;
}

static dsm_status dir_template(char **text, const char *own, const char *config, const char *name,
                               dsm_err *err)
{
    dsm_buf file = {0};
    if (!dsm_fs_exists(own))
        return dsm_fs_exists(config) ? config_template(text, config, name, err) : DSM_OK;
    dsm_status status = dsm_fs_read(&file, own, TEMPLATE_MAX, err);
    if (status == DSM_OK) status = copy_text(text, file.data ? file.data : "", own, err);
    dsm_buf_free(&file);
    return status;
}

/* The file a folder keeps a template in by itself. */
static char *template_path(const char *dir, const char *name)
{
    char file[128];
    if (is_default(name)) return dsm_fs_join(dir, "chat_template.jinja");
    snprintf(file, sizeof file, "additional_chat_templates/%s.jinja", name);
    return dsm_fs_join(dir, file);
}

dsm_status dsm_checkpoint_chat_template(char **text, const char *dir, const char *name,
                                        dsm_err *err)
{
    *text = NULL;
    if (!name) name = default_name;
    if (name[0] == '\0' || strlen(name) > 64 || strchr(name, '/')) return DSM_OK;
    if (dsm_checkpoint_is_gguf(dir)) return gguf_template(text, dir, name, err);
    char *own = template_path(dir, name);
    char *config = dsm_fs_join(dir, "tokenizer_config.json");
    dsm_status status =
        own && config ? dir_template(text, own, config, name, err) : no_memory(dir, err);
    free(own);
    free(config);
    return status;
}
