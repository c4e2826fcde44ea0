/* SPDX-License-Identifier: MIT */
/* Reads tokenizer.json and the tokenizer_config.json beside it into a dsm_tokenizer.
 *
 * Whatever would change an id and is not understood is an error that names it. */
#include "core/fs.h"
#include "core/json.h"
#include "tokenizer/alphabet.h"
#include "tokenizer/hash.h"
#include "tokenizer/tok.h"
#include "tokenizer/tokenizer_gguf.h"
#include "tokenizer/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 512 << 20 };

/* --- model ------------------------------------------------------------------------------------ */

/* Keys of the model that change ids in ways not supported, unless empty. */
static dsm_status check_model(const json_t *model, const char *what, dsm_err *err)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = "BPE";
    if (!json_is_object(model))
        return dsm_fail(err, DSM_EFORMAT, "%s: model: expected an object", what);
    DSM_TRY(dsm_json_string(model, "type", &type, what, err));
    if (strcmp(type, "BPE") != 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: model.type: found \"%.40s\", expected \"BPE\"", what,
                        type);
    for (size_t i = 0; i < 2; i++) {
        const char *affix = "";
        DSM_TRY(dsm_json_string(model, affixes[i], &affix, what, err));
        if (*affix)
            return dsm_fail(err, DSM_EFORMAT, "%s: model.%s: \"%.40s\" is not supported", what,
                            affixes[i], affix);
    }
    double dropout = 0;
    DSM_TRY(dsm_json_real(model, "dropout", &dropout, what, err));
    if (dropout != 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: model.dropout: found %g, expected null", what,
                        dropout);
    return DSM_OK;
}

static dsm_status read_vocab(dsm_vocab *v, const json_t *vocab, const char *what, dsm_err *err)
{
    const char *token;
    json_t *id;
    if (!json_is_object(vocab))
        return dsm_fail(err, DSM_EFORMAT, "%s: model.vocab: expected an object", what);
    if (json_object_size(vocab) == 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: model.vocab: found no entry", what);
    json_object_foreach((json_t *)vocab, token, id)
    {
        if (!json_is_integer(id))
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: model.vocab: \"%.60s\": found %s, expected an id", what, token,
                            dsm_json_type_name(id));
        DSM_TRY(dsm_vocab_add(v, json_integer_value(id), token, strlen(token), what, err));
    }
    return DSM_OK;
}

/* The two halves of a merge: "a b" or ["a", "b"]. */
static bool merge_halves(const json_t *merge, const char *half[2], size_t n[2])
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        for (size_t i = 0; i < 2; i++) {
            half[i] = json_string_value(json_array_get(merge, i));
            n[i] = json_string_length(json_array_get(merge, i));
        }
        return half[0] && half[1];
    }
    const char *text = json_string_value(merge), *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' ')) return false;
    half[0] = text;
    n[0] = (size_t)(space - text);
    half[1] = space + 1;
    n[1] = strlen(space + 1);
    return true;
}

static dsm_status read_merge(dsm_merge *m, const dsm_vocab *v, const json_t *json, size_t i,
                             dsm_buf *joined, const char *what, dsm_err *err)
{
    const char *half[2];
    size_t n[2];
    int32_t id[2];
    if (!merge_halves(json, half, n))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: model.merges[%zu]: expected \"left right\" or [left, right]", what, i);
    dsm_buf_clear(joined);
    for (int k = 0; k < 2; k++) {
        id[k] = dsm_vocab_find(v, half[k], n[k]);
        if (id[k] < 0)
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: model.merges[%zu]: \"%.60s\" is not in the vocabulary", what, i,
                            half[k]);
        dsm_buf_add(joined, half[k], n[k]);
    }
    DSM_TRY(dsm_buf_check(joined, what, err));
    int32_t made = dsm_vocab_find(v, joined->data, joined->len);
    if (made < 0)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: model.merges[%zu]: \"%.60s\" is not in the vocabulary", what, i,
                        joined->data);
    *m = (dsm_merge){dsm_pair(id[0], id[1]), made};
    return DSM_OK;
}

static dsm_status read_merges(dsm_tokenizer_parts *p, const json_t *merges, const char *what,
                              dsm_err *err)
{
    if (!json_is_array(merges))
        return dsm_fail(err, DSM_EFORMAT, "%s: model.merges: expected an array", what);
    size_t n = json_array_size(merges);
    p->merges = malloc((n + 1) * sizeof *p->merges);
    if (!p->merges) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    dsm_buf joined = {0};
    dsm_status status = DSM_OK;
    for (size_t i = 0; status == DSM_OK && i < n; i++)
        status =
            read_merge(&p->merges[i], &p->vocab, json_array_get(merges, i), i, &joined, what, err);
    p->n_merges = n;
    dsm_buf_free(&joined);
    return status;
}

/* --- symbols of bytes -------------------------------------------------------------------- */

static void find_byte_ids(dsm_tokenizer *t)
{
    for (int b = 0; b < 256; b++) {
        char text[8];
        int n = t->pretok.byte_level
                    ? dsm_utf8_encode(dsm_alphabet_code_point((unsigned char)b), text)
                    : snprintf(text, sizeof text, "<0x%02X>", (unsigned)b);
        bool wanted = t->pretok.byte_level || t->byte_fallback;
        t->byte_id[b] = wanted ? dsm_vocab_find(&t->vocab, text, (size_t)n) : -1;
    }
}

static dsm_status read_model_flags(dsm_tokenizer *t, const char *what, dsm_err *err)
{
    const json_t *model = json_object_get(t->root, "model");
    const char *unk = NULL;
    DSM_TRY(dsm_json_bool(model, "ignore_merges", &t->ignore_merges, what, err));
    DSM_TRY(dsm_json_bool(model, "byte_fallback", &t->byte_fallback, what, err));
    DSM_TRY(dsm_json_bool(model, "fuse_unk", &t->fuse_unk, what, err));
    DSM_TRY(dsm_json_string(model, "unk_token", &unk, what, err));
    t->unk = unk ? dsm_vocab_find(&t->vocab, unk, strlen(unk)) : -1;
    if (unk && t->unk < 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: model.unk_token: \"%.60s\" is not in the vocabulary",
                        what, unk);
    find_byte_ids(t);
    return t->pretok.byte_level ? dsm_chars_init(&t->chars, &t->vocab, &t->bpe, t->byte_id, err)
                                : DSM_OK;
}

/* --- added tokens ------------------------------------------------------------------------ */

/* Into the vocabulary. The sets come later, when its size is known. */
static dsm_status register_added(dsm_tokenizer *t, const json_t *json, size_t i, const char *what,
                                 dsm_err *err)
{
    const char *content = NULL;
    int64_t id = -1;
    char where[320];
    snprintf(where, sizeof where, "%.280s: added_tokens[%zu]", what, i);
    if (!json_is_object(json)) return dsm_fail(err, DSM_EFORMAT, "%s: expected an object", where);
    DSM_TRY(dsm_json_string(json, "content", &content, where, err));
    DSM_TRY(dsm_json_int(json, "id", 0, DSM_MAX_TOKEN_ID, &id, where, err));
    if (!content || !*content || id < 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: expected an id and a content that is not empty",
                        where);
    int32_t known = dsm_vocab_find(&t->vocab, content, strlen(content));
    if (known >= 0 && known != id)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: \"%.60s\": found id %lld, but the vocabulary says %d", where, content,
                        (long long)id, known);
    if (known < 0) DSM_TRY(dsm_vocab_add(&t->vocab, id, content, strlen(content), where, err));
    return DSM_OK;
}

/* Add a token whose content is matched in normalised text: the content is normalised too. */
static dsm_status add_normalised(dsm_tokenizer *t, dsm_added_token *a, dsm_err *err)
{
    dsm_normalizer_work w = {0};
    dsm_status status = dsm_normalizer_run(&t->normalizer, &w, a->content, a->n, err);
    a->content = w.text.data;
    a->n = w.text.len;
    if (status == DSM_OK && a->n > 0)
        status = dsm_added_add(&t->added[DSM_ADDED_NORMALIZED], a, err);
    dsm_normalizer_work_free(&w);
    return status;
}

static dsm_status add_to_set(dsm_tokenizer *t, const json_t *json, const char *what, dsm_err *err)
{
    dsm_added_token a = {.id = (int32_t)json_integer_value(json_object_get(json, "id"))};
    bool normalized = false;
    DSM_TRY(dsm_json_bool(json, "single_word", &a.single_word, what, err));
    DSM_TRY(dsm_json_bool(json, "lstrip", &a.lstrip, what, err));
    DSM_TRY(dsm_json_bool(json, "rstrip", &a.rstrip, what, err));
    DSM_TRY(dsm_json_bool(json, "special", &a.special, what, err));
    DSM_TRY(dsm_json_bool(json, "normalized", &normalized, what, err));
    a.content = dsm_vocab_text(&t->vocab, a.id, &a.n);
    t->kind[a.id] |= DSM_TOKEN_ADDED | (a.special ? DSM_TOKEN_SPECIAL : 0);
    return normalized ? add_normalised(t, &a, err)
                      : dsm_added_add(&t->added[DSM_ADDED_RAW], &a, err);
}

/* Mark what is in the vocabulary before anything is added to it. */
static bool note_model_tokens(dsm_tokenizer *t)
{
    t->kind = calloc((size_t)t->vocab.size + 1, 1);
    for (int32_t id = 0; t->kind && id < t->vocab.size; id++)
        if (dsm_vocab_text(&t->vocab, id, NULL)) t->kind[id] = DSM_TOKEN_MODEL;
    return t->kind != NULL;
}

static dsm_status read_added(dsm_tokenizer *t, const char *what, dsm_err *err)
{
    size_t n = json_array_size(t->added_json);
    int32_t n_model = t->vocab.size;
    if (t->added_json && !json_is_array(t->added_json))
        return dsm_fail(err, DSM_EFORMAT, "%s: added_tokens: expected an array", what);
    if (!note_model_tokens(t)) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    for (size_t i = 0; i < n; i++)
        DSM_TRY(register_added(t, json_array_get(t->added_json, i), i, what, err));
    unsigned char *kind = realloc(t->kind, (size_t)t->vocab.size + 1);
    if (!kind) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    t->kind = kind;
    memset(kind + n_model, 0, (size_t)(t->vocab.size - n_model));
    for (size_t i = 0; i < n; i++)
        DSM_TRY(add_to_set(t, json_array_get(t->added_json, i), what, err));
    for (int s = 0; s < DSM_ADDED_SETS; s++)
        dsm_added_finish(&t->added[s]);
    return DSM_OK;
}

/* --- post-processor ---------------------------------------------------------------------- */

static dsm_status append_special(const json_t *specials, const char *name, int32_t *ids, int *n,
                                 const dsm_tokenizer *t, const char *what, dsm_err *err)
{
    const json_t *list = json_object_get(json_object_get(specials, name), "ids");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (*n == DSM_TEMPLATE_MAX || id < 0 || id >= t->vocab.size)
            return dsm_fail(err, DSM_EFORMAT, "%s: post_processor: \"%.40s\": bad id %lld", what,
                            name, (long long)id);
        ids[(*n)++] = (int32_t)id;
    }
    if (json_array_size(list) == 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: post_processor: special token \"%.40s\" has no ids",
                        what, name);
    return DSM_OK;
}

static dsm_status read_template(dsm_tokenizer *t, const json_t *json, const char *what,
                                dsm_err *err)
{
    const json_t *single = json_object_get(json, "single");
    const json_t *specials = json_object_get(json, "special_tokens");
    bool behind = false; /* the text itself has come */
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i);
        const char *name =
            json_string_value(json_object_get(json_object_get(item, "SpecialToken"), "id"));
        if (!name && !json_object_get(item, "Sequence"))
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: post_processor: single[%zu]: expected SpecialToken or "
                            "Sequence",
                            what, i);
        if (!name)
            behind = true;
        else if (behind)
            DSM_TRY(append_special(specials, name, t->suffix, &t->n_suffix, t, what, err));
        else
            DSM_TRY(append_special(specials, name, t->prefix, &t->n_prefix, t, what, err));
    }
    return behind
               ? DSM_OK
               : dsm_fail(err, DSM_EFORMAT, "%s: post_processor: single: found no Sequence", what);
}

static dsm_status read_post_processor(dsm_tokenizer *t, const json_t *json, int depth,
                                      const char *what, dsm_err *err)
{
    const char *type = "";
    if (!json || json_is_null(json)) return DSM_OK;
    DSM_TRY(dsm_json_string(json, "type", &type, what, err));
    if (strcmp(type, "ByteLevel") == 0) return DSM_OK; /* offsets only */
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(t, json, what, err);
    if (strcmp(type, "Sequence") != 0 || depth >= 8)
        return dsm_fail(err, DSM_EFORMAT, "%s: post_processor: type \"%.40s\" is not supported",
                        what, type);
    const json_t *list = json_object_get(json, "processors");
    for (size_t i = 0; i < json_array_size(list); i++)
        DSM_TRY(read_post_processor(t, json_array_get(list, i), depth + 1, what, err));
    return DSM_OK;
}

/* --- tokenizer_config.json --------------------------------------------------------------- */

/* Names that begin and end texts in released tokenizers, for files without a config. */
static const char *const known_bos[] = {"<｜begin▁of▁sentence｜>", "<s>", "<|begin_of_text|>",
                                        NULL};
static const char *const known_eos[] = {"<｜end▁of▁sentence｜>", "</s>", "<|end_of_text|>",
                                        "<|endoftext|>", NULL};

static int32_t first_known(const dsm_tokenizer *t, const char *const *names)
{
    for (; *names; names++) {
        int32_t id = dsm_tokenizer_find(t, *names);
        if (id >= 0 && t->kind[id] & DSM_TOKEN_SPECIAL) return id;
    }
    return -1;
}

/* The id of config[key], a string or an AddedToken object. */
static dsm_status config_token(const dsm_tokenizer *t, const char *key, int32_t *id,
                               const char *what, dsm_err *err)
{
    const json_t *v = json_object_get(t->config, key);
    if (!v || json_is_null(v)) return DSM_OK;
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    if (!text)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: tokenizer_config.json: %s: found %s, expected a token", what, key,
                        dsm_json_type_name(v));
    *id = dsm_tokenizer_find(t, text);
    if (*id < 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: tokenizer_config.json: %s: \"%.60s\" is not a token",
                        what, key, text);
    return DSM_OK;
}

static dsm_status take_config(dsm_tokenizer *t, const char *what, dsm_err *err)
{
    t->bos = t->config ? -1 : first_known(t, known_bos);
    t->eos = t->config ? -1 : first_known(t, known_eos);
    if (!t->config) return DSM_OK;
    DSM_TRY(config_token(t, "bos_token", &t->bos, what, err));
    DSM_TRY(config_token(t, "eos_token", &t->eos, what, err));
    DSM_TRY(dsm_json_bool(t->config, "add_bos_token", &t->add_bos, what, err));
    return dsm_json_bool(t->config, "add_eos_token", &t->add_eos, what, err);
}

/* --- fingerprint ------------------------------------------------------------------------- */

/* Missing, null and empty values are the same; so is a sequence of no normalizers. */
static bool is_nothing(const json_t *json)
{
    const json_t *steps = json_object_get(json, "normalizers");
    return !json || json_is_null(json) || (json_is_array(json) && json_array_size(json) == 0) ||
           (steps && json_array_size(steps) == 0);
}

static uint64_t mix_json(uint64_t h, const json_t *json)
{
    char *text =
        is_nothing(json) ? NULL : json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (text) h = dsm_hash_u64(h ^ dsm_hash_bytes(text, strlen(text)));
    free(text);
    return h;
}

/* Everything that changes the ids of a text. (What stands around it, and how ids become text again,
 * differs between the files of one tokenizer.) */
static void take_fingerprint(dsm_tokenizer *t)
{
    uint64_t h = (uint64_t)t->vocab.size;
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n = 0;
        const char *text = dsm_vocab_text(&t->vocab, id, &n);
        h = dsm_hash_u64(h ^ dsm_hash_bytes(text ? text : "", n));
    }
    for (size_t i = 0; i < t->bpe.n_merges; i++)
        h = dsm_hash_u64(h ^ t->bpe.merges[i].pair);
    static const char *const parts[] = {"normalizer", "pre_tokenizer", "model"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        h = dsm_hash_u64(mix_json(h, json_object_get(t->root, parts[i])) + i);
    t->fingerprint = mix_json(h, t->added_json);
}

/* --- putting it together ----------------------------------------------------------------- */

void dsm_tokenizer_parts_free(dsm_tokenizer_parts *p)
{
    json_decref(p->root);
    json_decref(p->added);
    json_decref(p->config);
    dsm_vocab_free(&p->vocab);
    free(p->merges);
    memset(p, 0, sizeof *p);
}

/* May an added token take a newline, or depend on what stands beside it? */
static bool added_see_newlines(const dsm_tokenizer *t)
{
    for (int s = 0; s < DSM_ADDED_SETS; s++)
        for (size_t i = 0; i < t->added[s].n; i++) {
            const dsm_added_token *a = &t->added[s].tokens[i];
            if (a->lstrip || a->rstrip || a->single_word || memchr(a->content, '\n', a->n))
                return true;
        }
    return false;
}

static dsm_status read_parts(dsm_tokenizer *t, const char *what, dsm_err *err)
{
    DSM_TRY(dsm_normalizer_read(&t->normalizer, json_object_get(t->root, "normalizer"), what, err));
    DSM_TRY(dsm_pretok_read(&t->pretok, json_object_get(t->root, "pre_tokenizer"), what, err));
    t->preset = dsm_pretok_recognise(&t->pretok);
    DSM_TRY(read_model_flags(t, what, err));
    DSM_TRY(read_added(t, what, err));
    DSM_TRY(dsm_tokenizer_read_decoder(t, what, err));
    DSM_TRY(read_post_processor(t, json_object_get(t->root, "post_processor"), 0, what, err));
    DSM_TRY(take_config(t, what, err));
    t->cuttable = t->pretok.scan && t->normalizer.n_steps == 0 && !added_see_newlines(t);
    take_fingerprint(t);
    return DSM_OK;
}

dsm_status dsm_tokenizer_build(dsm_tokenizer **out, dsm_tokenizer_parts *p, const char *what,
                               dsm_err *err)
{
    *out = NULL;
    dsm_unicode_init();
    dsm_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        dsm_tokenizer_parts_free(p);
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    }
    pthread_mutex_init(&t->lock, NULL);
    t->root = p->root;
    t->added_json = p->added;
    t->config = p->config;
    t->vocab = p->vocab;
    dsm_merge *merges = p->merges;
    size_t n_merges = p->n_merges;
    bool tied = p->tied;
    memset(p, 0, sizeof *p);
    dsm_status status = dsm_bpe_init(&t->bpe, merges, n_merges, tied, err);
    if (status == DSM_OK) status = read_parts(t, what, err);
    if (status != DSM_OK) {
        dsm_tokenizer_close(t);
        return status;
    }
    *out = t;
    return DSM_OK;
}

/* Take vocabulary, merges and added tokens out of p->root. */
static dsm_status take_apart(dsm_tokenizer_parts *p, const char *what, dsm_err *err)
{
    json_t *model = json_object_get(p->root, "model");
    DSM_TRY(check_model(model, what, err));
    DSM_TRY(read_vocab(&p->vocab, json_object_get(model, "vocab"), what, err));
    DSM_TRY(read_merges(p, json_object_get(model, "merges"), what, err));
    p->added = json_incref(json_object_get(p->root, "added_tokens"));
    if (json_is_null(p->added)) p->added = NULL;
    json_object_del(model, "vocab");
    json_object_del(model, "merges");
    json_object_del(p->root, "added_tokens");
    return DSM_OK;
}

/* As an object. Its model_max_length is often 10^30, which no integer holds: then its numbers are
 * read as reals. */
dsm_status dsm_tokenizer_config_parse(json_t **out, const char *text, size_t n, const char *what,
                                      dsm_err *err)
{
    dsm_status status = dsm_json_parse(out, text, n, what, err);
    if (status == DSM_OK) return DSM_OK;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    if (json_is_object(*out)) return DSM_OK;
    json_decref(*out);
    *out = NULL;
    return status;
}

static dsm_status read_config(json_t **out, const char *path, dsm_err *err)
{
    dsm_buf text = {0};
    dsm_status status = dsm_fs_read(&text, path, MAX_FILE_BYTES, err);
    if (status == DSM_OK)
        status = dsm_tokenizer_config_parse(out, text.data ? text.data : "", text.len, path, err);
    dsm_buf_free(&text);
    return status;
}

/* tokenizer_config.json in the folder of `file`, if there is one. */
static dsm_status read_config_file(json_t **out, const char *file, dsm_err *err)
{
    const char *slash = strrchr(file, '/');
    dsm_buf path = {0};
    if (slash) dsm_buf_add(&path, file, (size_t)(slash - file) + 1);
    dsm_buf_str(&path, "tokenizer_config.json");
    dsm_status status = dsm_buf_check(&path, file, err);
    if (status == DSM_OK && dsm_fs_exists(path.data)) status = read_config(out, path.data, err);
    dsm_buf_free(&path);
    return status;
}

/* The one inside a GGUF file. */
static dsm_status open_gguf(dsm_tokenizer **out, const char *path, dsm_err *err)
{
    dsm_gguf *f;
    DSM_TRY(dsm_gguf_open(&f, path, err));
    dsm_status status = dsm_tokenizer_of_gguf(out, f, err);
    dsm_gguf_close(f);
    return status;
}

/* A damaged GGUF file counts as one that has: opening it says what is wrong. */
bool dsm_tokenizer_exists(const char *path)
{
    dsm_gguf *f;
    if (dsm_gguf_is(path)) {
        bool has = dsm_gguf_open(&f, path, NULL) != DSM_OK || dsm_gguf_has_tokenizer(f);
        dsm_gguf_close(f);
        return has;
    }
    char *file = dsm_fs_join(path, "tokenizer.json");
    bool there = file && dsm_fs_exists(file);
    free(file);
    return there;
}

/* p, whose root and config are whole if status says so, to a tokenizer. */
static dsm_status finish(dsm_tokenizer **out, dsm_tokenizer_parts *p, dsm_status status,
                         const char *what, dsm_err *err)
{
    if (status == DSM_OK) status = take_apart(p, what, err);
    if (status == DSM_OK) return dsm_tokenizer_build(out, p, what, err);
    dsm_tokenizer_parts_free(p);
    return status;
}

dsm_status dsm_tokenizer_parse(dsm_tokenizer **out, const char *text, size_t n, json_t *config,
                               const char *what, dsm_err *err)
{
    dsm_tokenizer_parts p = {.config = config};
    *out = NULL;
    return finish(out, &p, dsm_json_parse(&p.root, text, n, what, err), what, err);
}

dsm_status dsm_tokenizer_open(dsm_tokenizer **out, const char *path, dsm_err *err)
{
    dsm_tokenizer_parts p = {0};
    *out = NULL;
    if (dsm_gguf_is(path)) return open_gguf(out, path, err);
    char *file = dsm_fs_join(path, dsm_fs_is_dir(path) ? "tokenizer.json" : "");
    if (!file) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = dsm_json_read(&p.root, file, MAX_FILE_BYTES, err);
    if (status == DSM_OK) status = read_config_file(&p.config, file, err);
    status = finish(out, &p, status, file, err);
    free(file);
    return status;
}
