/* SPDX-License-Identifier: MIT */
/* Writes a tokenizer as GGUF metadata: a byte-level one as "gpt2" with its merges, one that marks
 * spaces and falls back to bytes as "llama" with scores, the rank of the first merge that makes a
 * token below zero. What a reader would do otherwise is refused. */
#include "tokenizer/tokenizer_gguf.h"

#include "tokenizer/pretok_gguf.h"
#include "tokenizer/pretok_stage.h"
#include "tokenizer/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name)  "tokenizer.ggml." name
#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

/* --- tokens ----------------------------------------------------------------------------------- */

static int32_t type_of(const dsm_tokenizer *t, int32_t id, const char *text)
{
    unsigned kind = t->kind[id];
    if (id == t->unk && !t->pretok.byte_level) return DSM_GGUF_TOKEN_UNKNOWN;
    if (kind & DSM_TOKEN_SPECIAL) return DSM_GGUF_TOKEN_CONTROL;
    if (kind & DSM_TOKEN_ADDED) return DSM_GGUF_TOKEN_USER;
    bool byte = !t->pretok.byte_level && t->byte_fallback && strlen(text) == 6 &&
                strncmp(text, "<0x", 3) == 0;
    return byte ? DSM_GGUF_TOKEN_BYTE : DSM_GGUF_TOKEN_NORMAL;
}

static void put_tokens(dsm_gguf_meta *m, const dsm_tokenizer *t, int32_t rows)
{
    dsm_gguf_put_list(m, KEY("tokens"), DSM_GGUF_TEXT, (uint64_t)rows);
    for (int32_t id = 0; id < rows; id++) {
        char unused[32];
        size_t n = 0;
        const char *text = dsm_vocab_text(&t->vocab, id, &n);
        if (!text) n = (size_t)snprintf(unused, sizeof unused, "[PAD%d]", id);
        dsm_gguf_add_text(m, text ? text : unused, n);
    }
    dsm_gguf_put_list(m, KEY("token_type"), DSM_GGUF_I32, (uint64_t)rows);
    for (int32_t id = 0; id < rows; id++) {
        const char *text = dsm_vocab_text(&t->vocab, id, NULL);
        dsm_gguf_add_i32(m, text ? type_of(t, id, text) : DSM_GGUF_TOKEN_UNUSED);
    }
}

static dsm_status put_merges(dsm_gguf_meta *m, const dsm_tokenizer *t, const char *what,
                             dsm_err *err)
{
    dsm_buf line = {0};
    dsm_gguf_put_list(m, KEY("merges"), DSM_GGUF_TEXT, t->bpe.n_merges);
    for (size_t i = 0; i < t->bpe.n_merges; i++) {
        uint64_t pair = t->bpe.merges[i].pair;
        dsm_buf_clear(&line);
        dsm_buf_fmt(&line, "%s %s", dsm_vocab_text(&t->vocab, (int32_t)(pair >> 32), NULL),
                    dsm_vocab_text(&t->vocab, (int32_t)(uint32_t)pair, NULL));
        dsm_gguf_add_text(m, line.data, line.len);
    }
    dsm_status status = dsm_buf_check(&line, what, err);
    dsm_buf_free(&line);
    return status;
}

static dsm_status put_scores(dsm_gguf_meta *m, const dsm_tokenizer *t, int32_t rows,
                             const char *what, dsm_err *err)
{
    float *score = calloc((size_t)rows + 1, sizeof *score);
    if (!score) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    for (size_t i = t->bpe.n_merges; i-- > 0;)
        score[t->bpe.merges[i].id] = -1 - (float)i;
    dsm_gguf_put_list(m, KEY("scores"), DSM_GGUF_F32, (uint64_t)rows);
    for (int32_t id = 0; id < rows; id++)
        dsm_gguf_add_f32(m, score[id]);
    free(score);
    return DSM_OK;
}

/* --- special ids ------------------------------------------------------------------------------ */

static void put_id(dsm_gguf_meta *m, const char *key, int32_t id)
{
    if (id >= 0) dsm_gguf_put_u32(m, key, (uint32_t)id);
}

static int32_t named(const dsm_tokenizer *t, const char *key)
{
    const json_t *v = json_object_get(t->config, key);
    const char *text = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    return text ? dsm_tokenizer_find(t, text) : -1;
}

/* Tokens that frame text to be filled in, by the names DeepSeek gives them. */
static const struct {
    const char *key, *token;
} fill_in[] = {{KEY("fim_pre_token_id"), "<｜fim▁begin｜>"},
               {KEY("fim_suf_token_id"), "<｜fim▁hole｜>"},
               {KEY("fim_mid_token_id"), "<｜fim▁end｜>"}};

static bool begins_with(const dsm_tokenizer *t, int32_t id)
{
    return id >= 0 && (t->add_bos || (t->n_prefix > 0 && t->prefix[0] == id));
}

static bool closes_with(const dsm_tokenizer *t, int32_t id)
{
    return id >= 0 && (t->add_eos || (t->n_suffix > 0 && t->suffix[t->n_suffix - 1] == id));
}

static void put_ids(dsm_gguf_meta *m, const dsm_tokenizer *t)
{
    put_id(m, KEY("bos_token_id"), t->bos);
    put_id(m, KEY("eos_token_id"), t->eos);
    put_id(m, KEY("unknown_token_id"), t->unk);
    put_id(m, KEY("padding_token_id"), named(t, "pad_token"));
    for (size_t i = 0; i < sizeof fill_in / sizeof *fill_in; i++)
        put_id(m, fill_in[i].key, dsm_tokenizer_find(t, fill_in[i].token));
    dsm_gguf_put_bool(m, KEY("add_bos_token"), begins_with(t, t->bos));
    dsm_gguf_put_bool(m, KEY("add_eos_token"), closes_with(t, t->eos));
}

/* --- the two kinds ---------------------------------------------------------------------------- */

static dsm_status refuse(const char *what, const char *why, dsm_err *err)
{
    return dsm_fail(err, DSM_EFORMAT, "%s: GGUF cannot say of this tokenizer: %s", what, why);
}

static bool is_type(const json_t *v, const char *type)
{
    const char *found = json_string_value(json_object_get(v, "type"));
    return found && strcmp(found, type) == 0;
}

static dsm_status put_byte_level(dsm_gguf_meta *m, const dsm_tokenizer *t, const char *what,
                                 dsm_err *err)
{
    const dsm_gguf_pre *pre = dsm_gguf_pre_like(&t->pretok);
    if (!pre) return refuse(what, "a pre-tokenizer without a name in llama.cpp", err);
    if (t->normalizer.n_steps > 0 && !is_type(json_object_get(t->root, "normalizer"), "NFC"))
        return refuse(what, "a normalizer other than NFC", err);
    if (t->ignore_merges != pre->ignore_merges)
        return refuse(what, "ignore_merges with this pre-tokenizer", err);
    dsm_gguf_put_text(m, KEY("model"), "gpt2");
    dsm_gguf_put_text(m, KEY("pre"), pre->name);
    return put_merges(m, t, what, err);
}

/* The steps of a normalizer that is one or a Sequence of them. */
static const json_t *step(const json_t *normalizer, size_t i)
{
    const json_t *list = json_object_get(normalizer, "normalizers");
    return list ? json_array_get(list, i) : i == 0 ? normalizer : NULL;
}

static bool has_text(const json_t *v, const char *key, const char *text)
{
    const char *found = json_string_value(json_object_get(v, key));
    return found && strcmp(found, text) == 0;
}

static bool marks_spaces(const json_t *v)
{
    return is_type(v, "Replace") && has_text(v, "content", SPACE_MARK) &&
           has_text(json_object_get(v, "pattern"), "String", " ");
}

/* Are spaces marked by the normalizer, or by Metaspace, and is one put in front? */
static bool read_marks(const dsm_tokenizer *t, bool *prefix)
{
    const json_t *normalizer = json_object_get(t->root, "normalizer");
    size_t n = t->normalizer.n_steps;
    if (n == 0) {
        const dsm_stage *s = t->pretok.stages;
        *prefix = t->pretok.n_stages > 0 && s->prepend != DSM_PREPEND_NEVER;
        return t->pretok.n_stages == 1 && s->kind == DSM_STAGE_METASPACE &&
               strcmp(s->replacement, SPACE_MARK) == 0;
    }
    *prefix = n == 2;
    if (t->pretok.n_stages > 0 || n > 2 || !marks_spaces(step(normalizer, n - 1))) return false;
    return n == 1 || (is_type(step(normalizer, 0), "Prepend") &&
                      has_text(step(normalizer, 0), "prepend", SPACE_MARK));
}

static dsm_status put_sentencepiece(dsm_gguf_meta *m, const dsm_tokenizer *t, int32_t rows,
                                    const char *what, dsm_err *err)
{
    bool prefix;
    if (!read_marks(t, &prefix) || !t->byte_fallback)
        return refuse(what, "neither byte-level nor SentencePiece with bytes to fall back to", err);
    dsm_gguf_put_text(m, KEY("model"), "llama");
    dsm_gguf_put_text(m, KEY("pre"), "default");
    dsm_gguf_put_bool(m, KEY("add_space_prefix"), prefix);
    return put_scores(m, t, rows, what, err);
}

dsm_status dsm_tokenizer_put_gguf(dsm_gguf_meta *m, const dsm_tokenizer *t, int64_t rows,
                                  const char *what, dsm_err *err)
{
    if (rows < t->vocab.size || rows > INT32_MAX)
        return dsm_fail(err, DSM_ESHAPE, "%s: found %lld rows for %d tokens", what, (long long)rows,
                        t->vocab.size);
    if (t->pretok.byte_level)
        DSM_TRY(put_byte_level(m, t, what, err));
    else
        DSM_TRY(put_sentencepiece(m, t, (int32_t)rows, what, err));
    put_tokens(m, t, (int32_t)rows);
    put_ids(m, t);
    return DSM_OK;
}
