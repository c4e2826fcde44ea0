/* SPDX-License-Identifier: MIT */
/* Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json.
 *
 * What was read is written back as it was; vocabulary and merges, by far the largest part, are
 * formatted here, in the order of ids and ranks. */
#include "core/fs.h"
#include "core/json.h"
#include "tokenizer/tok.h"

#include <stdlib.h>
#include <string.h>

/* A JSON string of valid UTF-8. */
static void add_string(dsm_buf *b, const char *s, size_t n)
{
    dsm_buf_add(b, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\')
            dsm_buf_fmt(b, "\\%c", c);
        else if (c < 0x20)
            dsm_buf_fmt(b, "\\u%04x", c);
        else
            dsm_buf_add(b, &s[i], 1);
    }
    dsm_buf_add(b, "\"", 1);
}

static void add_vocab(dsm_buf *b, const dsm_tokenizer *t)
{
    const char *separator = "\n";
    dsm_buf_str(b, "{");
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *text = dsm_vocab_text(&t->vocab, id, &n);
        if (!text || !(t->kind[id] & DSM_TOKEN_MODEL)) continue;
        dsm_buf_str(b, separator);
        dsm_buf_str(b, "      ");
        add_string(b, text, n);
        dsm_buf_fmt(b, ": %d", id);
        separator = ",\n";
    }
    dsm_buf_str(b, "\n    }");
}

static void add_merge(dsm_buf *b, const dsm_tokenizer *t, const dsm_merge *m)
{
    const int32_t half[2] = {(int32_t)(m->pair >> 32), (int32_t)(uint32_t)m->pair};
    dsm_buf_str(b, "      [");
    for (int k = 0; k < 2; k++) {
        size_t n;
        const char *text = dsm_vocab_text(&t->vocab, half[k], &n);
        if (k) dsm_buf_str(b, ", ");
        add_string(b, text, n);
    }
    dsm_buf_str(b, "]");
}

static void add_merges(dsm_buf *b, const dsm_tokenizer *t)
{
    dsm_buf_str(b, "[");
    for (size_t i = 0; i < t->bpe.n_merges; i++) {
        dsm_buf_str(b, i ? ",\n" : "\n");
        add_merge(b, t, &t->bpe.merges[i]);
    }
    dsm_buf_str(b, "\n    ]");
}

/* `,\n<indent>"key": value`, the comma only if something stands before. Inner lines of the value
 * are indented as well (a JSON string holds no raw newline). */
static void add_member(dsm_buf *b, bool *first, const char *indent, const char *key,
                       const json_t *value)
{
    dsm_buf_fmt(b, "%s\n%s", *first ? "" : ",", indent);
    add_string(b, key, strlen(key));
    dsm_buf_str(b, ": ");
    *first = false;
    if (!value) return;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(2));
    if (!text) b->failed = true;
    for (const char *line = text; line;) {
        const char *end = strchr(line, '\n');
        dsm_buf_add(b, line, end ? (size_t)(end - line) + 1 : strlen(line));
        if (end) dsm_buf_str(b, indent);
        line = end ? end + 1 : NULL;
    }
    free(text);
}

static void add_model(dsm_buf *b, const dsm_tokenizer *t)
{
    const char *key;
    json_t *value;
    bool first = true;
    dsm_buf_str(b, "{");
    json_object_foreach(json_object_get(t->root, "model"), key, value)
        add_member(b, &first, "    ", key, value);
    add_member(b, &first, "    ", "vocab", NULL);
    add_vocab(b, t);
    add_member(b, &first, "    ", "merges", NULL);
    add_merges(b, t);
    dsm_buf_str(b, "\n  }");
}

static void add_root(dsm_buf *b, const dsm_tokenizer *t)
{
    static const char *const order[] = {"version",        "truncation", "padding",
                                        "added_tokens",   "normalizer", "pre_tokenizer",
                                        "post_processor", "decoder"};
    bool first = true;
    dsm_buf_str(b, "{");
    json_t *null = json_null(), *none = json_array();
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        const json_t *value = json_object_get(t->root, order[i]);
        if (strcmp(order[i], "added_tokens") == 0) value = t->added_json ? t->added_json : none;
        add_member(b, &first, "  ", order[i], value ? value : null);
    }
    json_decref(none);
    add_member(b, &first, "  ", "model", NULL);
    add_model(b, t);
    dsm_buf_str(b, "\n}\n");
}

static dsm_status write_file(const char *dir, const char *name, const dsm_buf *text, dsm_err *err)
{
    char *path = dsm_fs_join(dir, name);
    if (!path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    dsm_status status = dsm_fs_replace(path, text->data, text->len, err);
    free(path);
    return status;
}

static dsm_status write_json(const char *dir, const char *name, const json_t *json, dsm_err *err)
{
    char *path = dsm_fs_join(dir, name);
    if (!path || !json) {
        free(path);
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    }
    dsm_status status = dsm_json_write(json, path, err);
    free(path);
    return status;
}

static void set_token(json_t *o, const char *key, const dsm_tokenizer *t, int32_t id)
{
    const char *text = dsm_tokenizer_token(t, id);
    if (text) json_object_set_new(o, key, json_string(text));
}

/* The config of a tokenizer that came without one. */
static json_t *default_config(const dsm_tokenizer *t)
{
    json_t *o =
        json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                  "add_bos_token", 0, "add_eos_token", 0, "clean_up_tokenization_spaces", 0);
    if (!o) return NULL;
    json_object_set_new(o, "model_max_length", json_integer(1000000000));
    set_token(o, "bos_token", t, t->bos);
    set_token(o, "eos_token", t, t->eos);
    return o;
}

/* bos, eos, pad and unk as the config names them. */
static json_t *special_map(const json_t *config)
{
    static const char *const keys[] = {"bos_token", "eos_token", "pad_token", "unk_token"};
    json_t *o = json_object();
    for (size_t i = 0; o && i < sizeof keys / sizeof *keys; i++) {
        const json_t *v = json_object_get(config, keys[i]);
        const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
        if (text) json_object_set_new(o, keys[i], json_string(text));
    }
    return o;
}

dsm_status dsm_tokenizer_save(const dsm_tokenizer *t, const char *dir, dsm_err *err)
{
    dsm_buf text = {0};
    DSM_TRY(dsm_fs_make_dirs(dir, err));
    add_root(&text, t);
    dsm_status status = dsm_buf_check(&text, dir, err);
    if (status == DSM_OK) status = write_file(dir, "tokenizer.json", &text, err);
    dsm_buf_free(&text);
    json_t *config = t->config ? json_deep_copy(t->config) : default_config(t);
    json_t *map = special_map(config);
    if (status == DSM_OK) status = write_json(dir, "tokenizer_config.json", config, err);
    if (status == DSM_OK) status = write_json(dir, "special_tokens_map.json", map, err);
    json_decref(config);
    json_decref(map);
    return status;
}
