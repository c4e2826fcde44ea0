/* SPDX-License-Identifier: MIT */
/* Reads the tokenizer of a GGUF file by making of it what a tokenizer.json would be.
 *
 * A byte-level vocabulary ("gpt2") lists its merges. A SentencePiece one ("llama") has scores
 * instead: two neighbours merge when together they are a token, the best score first. So its merges
 * are all ways to cut a token in two tokens, ordered by the score of what they make; ways to make
 * one token share a rank (dsm_tokenizer_parts.tied), because there position decides.
 * Source: llama.cpp, src/llama-vocab.cpp; the format: docs/formats.md. */
#include "tokenizer/tokenizer_gguf.h"

#include "tokenizer/pretok_gguf.h"
#include "tokenizer/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name)  "tokenizer.ggml." name
#define SPACE_MARK "\xE2\x96\x81" /* U+2581 */

/* A vocabulary as the file lists it, and the tokenizer being made of it. */
typedef struct reader {
    const dsm_gguf *f;
    const char *what;
    dsm_gguf_list tokens, types, scores;
    int64_t bos, eos, unk, pad; /* -1: none */
    bool add_bos, add_eos;
    dsm_tokenizer_parts parts;
    dsm_err *err;
} reader;

static dsm_status no_memory(const reader *r)
{
    return dsm_fail(r->err, DSM_ENOMEM, "%s: out of memory", r->what);
}

static int64_t type_of(const reader *r, int64_t id)
{
    return r->types.n ? dsm_gguf_list_int(&r->types, id) : DSM_GGUF_TOKEN_NORMAL;
}

static bool is_added(int64_t type)
{
    return type == DSM_GGUF_TOKEN_CONTROL || type == DSM_GGUF_TOKEN_USER ||
           type == DSM_GGUF_TOKEN_UNKNOWN;
}

/* --- what is listed --------------------------------------------------------------------------- */

static dsm_status read_lists(reader *r)
{
    DSM_TRY(dsm_gguf_get_list(r->f, KEY("tokens"), DSM_GGUF_TEXT, &r->tokens, r->err));
    DSM_TRY(dsm_gguf_get_list(r->f, KEY("token_type"), DSM_GGUF_I32, &r->types, r->err));
    DSM_TRY(dsm_gguf_get_list(r->f, KEY("scores"), DSM_GGUF_F32, &r->scores, r->err));
    int64_t n = r->tokens.n;
    bool alike = (r->types.n == 0 || r->types.n == n) && (r->scores.n == 0 || r->scores.n == n);
    if (n > 0 && n <= DSM_MAX_TOKEN_ID && alike) return DSM_OK;
    return dsm_fail(r->err, DSM_EFORMAT,
                    "%s: tokenizer.ggml: found %lld tokens, %lld types and %lld scores, expected "
                    "as many of each",
                    r->what, (long long)n, (long long)r->types.n, (long long)r->scores.n);
}

static dsm_status read_ids(reader *r)
{
    const struct {
        const char *key;
        int64_t *id;
    } ids[] = {{KEY("bos_token_id"), &r->bos},
               {KEY("eos_token_id"), &r->eos},
               {KEY("unknown_token_id"), &r->unk},
               {KEY("padding_token_id"), &r->pad}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        DSM_TRY(dsm_gguf_int(r->f, ids[i].key, 0, UINT32_MAX, ids[i].id, r->err));
        if (*ids[i].id >= r->tokens.n) *ids[i].id = -1; /* out of use, as everywhere else */
    }
    DSM_TRY(dsm_gguf_bool(r->f, KEY("add_bos_token"), &r->add_bos, r->err));
    return dsm_gguf_bool(r->f, KEY("add_eos_token"), &r->add_eos, r->err);
}

static dsm_status add_special(reader *r, int64_t id, int64_t type, const char *text, size_t n)
{
    json_t *token = json_pack("{s:I, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)id,
                              "content", text, n, "single_word", 0, "lstrip", 0, "rstrip", 0,
                              "normalized", 0, "special", type != DSM_GGUF_TOKEN_USER);
    return json_array_append_new(r->parts.added, token) == 0 ? DSM_OK : no_memory(r);
}

/* Model tokens into the vocabulary, added ones into their list; unused ids have no token. */
static dsm_status read_tokens(reader *r)
{
    const unsigned char *at = r->tokens.data;
    r->parts.added = json_array();
    for (int64_t id = 0; id < r->tokens.n; id++) {
        size_t n;
        const char *text = dsm_gguf_list_text(&at, &n);
        int64_t type = type_of(r, id);
        if (n == 0 || type == DSM_GGUF_TOKEN_UNUSED) continue;
        if (dsm_utf8_valid_prefix(text, n) != n || memchr(text, '\0', n))
            return dsm_fail(r->err, DSM_EFORMAT, "%s: " KEY("tokens") "[%lld]: not UTF-8 text",
                            r->what, (long long)id);
        if (is_added(type)) DSM_TRY(add_special(r, id, type, text, n));
        if (!is_added(type) || id == r->unk)
            DSM_TRY(dsm_vocab_add(&r->parts.vocab, id, text, n, r->what, r->err));
    }
    return DSM_OK;
}

/* --- merges ----------------------------------------------------------------------------------- */

static dsm_status make_merge(const reader *r, dsm_merge *m, int64_t i, const char *text, size_t n,
                             dsm_buf *joined)
{
    const dsm_vocab *v = &r->parts.vocab;
    const char *space = n > 1 ? memchr(text + 1, ' ', n - 1) : NULL;
    size_t left = space ? (size_t)(space - text) : 0;
    int32_t a = -1, b = -1, made = -1;
    if (space) {
        dsm_buf_clear(joined);
        dsm_buf_add(joined, text, left);
        dsm_buf_add(joined, space + 1, n - left - 1);
        DSM_TRY(dsm_buf_check(joined, r->what, r->err));
        a = dsm_vocab_find(v, text, left);
        b = dsm_vocab_find(v, space + 1, n - left - 1);
        made = dsm_vocab_find(v, joined->data, joined->len);
    }
    if (a < 0 || b < 0 || made < 0)
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: " KEY("merges") "[%lld]: \"%.*s\": expected two tokens that make one",
                        r->what, (long long)i, n < 60 ? (int)n : 60, text);
    *m = (dsm_merge){dsm_pair(a, b), made};
    return DSM_OK;
}

static dsm_status read_merges(reader *r)
{
    dsm_gguf_list list = {0};
    dsm_buf joined = {0};
    DSM_TRY(dsm_gguf_get_list(r->f, KEY("merges"), DSM_GGUF_TEXT, &list, r->err));
    r->parts.merges = malloc(((size_t)list.n + 1) * sizeof *r->parts.merges);
    if (!r->parts.merges) return no_memory(r);
    const unsigned char *at = list.data;
    dsm_status status = DSM_OK;
    for (int64_t i = 0; status == DSM_OK && i < list.n; i++) {
        size_t n;
        const char *text = dsm_gguf_list_text(&at, &n);
        status = make_merge(r, &r->parts.merges[i], i, text, n, &joined);
    }
    r->parts.n_merges = (size_t)list.n;
    dsm_buf_free(&joined);
    return status;
}

/* A way to make a token, and what it is worth. */
typedef struct scored {
    dsm_merge merge;
    double score;
} scored;

/* Best score first, then the lower id; the cuts of one token from left to right. */
static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->merge.id != y->merge.id) return x->merge.id < y->merge.id ? -1 : 1;
    return (x->merge.pair > y->merge.pair) - (x->merge.pair < y->merge.pair);
}

typedef struct scored_list {
    scored *items;
    size_t n, cap;
} scored_list;

static dsm_status push(const reader *r, scored_list *l, scored s)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 4096;
        scored *more = realloc(l->items, cap * sizeof *more);
        if (!more) return no_memory(r);
        l->items = more;
        l->cap = cap;
    }
    l->items[l->n++] = s;
    return DSM_OK;
}

/* Every way to cut a token in two. */
static dsm_status cut(const reader *r, scored_list *l, int32_t id)
{
    const dsm_vocab *v = &r->parts.vocab;
    size_t n;
    const char *text = dsm_vocab_text(v, id, &n);
    double score = r->scores.n ? dsm_gguf_list_real(&r->scores, id) : 0;
    for (size_t i = 1; i < n; i++) {
        int32_t left = dsm_vocab_find(v, text, i);
        int32_t right = left < 0 ? -1 : dsm_vocab_find(v, text + i, n - i);
        if (right >= 0) DSM_TRY(push(r, l, (scored){{dsm_pair(left, right), id}, score}));
    }
    return DSM_OK;
}

static dsm_status derive_merges(reader *r)
{
    scored_list l = {0};
    dsm_status status = DSM_OK;
    for (int32_t id = 0; status == DSM_OK && id < r->parts.vocab.size; id++)
        if (dsm_vocab_text(&r->parts.vocab, id, NULL) && type_of(r, id) != DSM_GGUF_TOKEN_BYTE &&
            !is_added(type_of(r, id)))
            status = cut(r, &l, id);
    if (l.n) qsort(l.items, l.n, sizeof *l.items, by_score);
    r->parts.merges = malloc((l.n + 1) * sizeof *r->parts.merges);
    if (status == DSM_OK && !r->parts.merges) status = no_memory(r);
    for (size_t i = 0; status == DSM_OK && i < l.n; i++)
        r->parts.merges[i] = l.items[i].merge;
    r->parts.n_merges = l.n;
    r->parts.tied = true;
    free(l.items);
    return status;
}

/* --- what a tokenizer.json would say ---------------------------------------------------------- */

/* {"type": type, name: list}; takes the list. */
static json_t *sequence(const char *name, json_t *list)
{
    return json_pack("{s:s, s:o}", "type", "Sequence", name, list);
}

static json_t *replace(const char *from, const char *to)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", from, "content",
                     to);
}

/* Spaces become U+2581, and one is put in front. */
static json_t *sentencepiece_normalizer(bool prefix)
{
    json_t *list = json_array();
    if (prefix)
        json_array_append_new(list,
                              json_pack("{s:s, s:s}", "type", "Prepend", "prepend", SPACE_MARK));
    json_array_append_new(list, replace(" ", SPACE_MARK));
    return sequence("normalizers", list);
}

static json_t *sentencepiece_decoder(bool prefix)
{
    json_t *list = json_pack("[o, {s:s}, {s:s}]", replace(SPACE_MARK, " "), "type", "ByteFallback",
                             "type", "Fuse");
    if (prefix)
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content",
                                              " ", "start", 1, "stop", 0));
    return sequence("decoders", list);
}

static json_t *byte_level(void)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1,
                     "trim_offsets", 0, "use_regex", 1);
}

/* The text of an id of the file, which has it; NULL: out of memory. */
static json_t *text_of(const reader *r, int64_t id)
{
    const unsigned char *at = r->tokens.data;
    size_t n = 0;
    const char *text = "";
    for (int64_t i = 0; i <= id; i++)
        text = dsm_gguf_list_text(&at, &n);
    return json_stringn(text, n);
}

static void add_piece(json_t *list, const char *kind, json_t *id, int type)
{
    json_array_append_new(list, json_pack("{s:{s:o, s:i}}", kind, "id", id, "type_id", type));
}

/* Appends BOS, sequence "A" (type 0) or "B" (type 1), EOS. */
static void add_template(json_t *list, const reader *r, int type)
{
    if (r->add_bos && r->bos >= 0) add_piece(list, "SpecialToken", text_of(r, r->bos), type);
    add_piece(list, "Sequence", json_string(type ? "B" : "A"), type);
    if (r->add_eos && r->eos >= 0) add_piece(list, "SpecialToken", text_of(r, r->eos), type);
}

static void add_special_text(json_t *specials, const reader *r, int64_t id)
{
    json_t *text = text_of(r, id);
    json_object_set_new(
        specials, json_string_value(text),
        json_pack("{s:O, s:[I], s:[O]}", "id", text, "ids", (json_int_t)id, "tokens", text));
    json_decref(text);
}

/* BOS and EOS around a text, for readers that do not look at add_bos_token. */
static json_t *around(const reader *r)
{
    bool bos = r->add_bos && r->bos >= 0, eos = r->add_eos && r->eos >= 0;
    json_t *single = json_array(), *pair = json_array(), *specials = json_object();
    add_template(single, r, 0);
    add_template(pair, r, 0);
    add_template(pair, r, 1);
    if (bos) add_special_text(specials, r, r->bos);
    if (eos) add_special_text(specials, r, r->eos);
    json_t *around = json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single",
                               single, "pair", pair, "special_tokens", specials);
    if (bos || eos) return around;
    json_decref(around);
    return json_null();
}

static json_t *model(const reader *r, bool ignore_merges, bool byte_fallback)
{
    json_t *unk = byte_fallback && r->unk >= 0 ? text_of(r, r->unk) : json_null();
    return json_pack("{s:s, s:n, s:o, s:n, s:n, s:b, s:b, s:b}", "type", "BPE", "dropout",
                     "unk_token", unk, "continuing_subword_prefix", "end_of_word_suffix",
                     "fuse_unk", byte_fallback, "byte_fallback", byte_fallback, "ignore_merges",
                     ignore_merges);
}

/* Takes all of its values. */
static json_t *root(const reader *r, json_t *normalizer, json_t *pretok, json_t *decoder,
                    json_t *bpe)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "normalizer", normalizer,
                     "pre_tokenizer", pretok, "post_processor", around(r), "decoder", decoder,
                     "model", bpe);
}

/* --- the two kinds ---------------------------------------------------------------------------- */

static dsm_status read_byte_level(reader *r)
{
    const char *name = "default";
    DSM_TRY(dsm_gguf_text(r->f, KEY("pre"), &name, r->err));
    const dsm_gguf_pre *pre = dsm_gguf_pre_find(name);
    if (!pre)
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: " KEY("pre") ": \"%.40s\" is not a pre-tokenizer this program knows",
                        r->what, name);
    r->add_bos = pre->add_bos;
    DSM_TRY(read_ids(r));
    DSM_TRY(read_tokens(r));
    DSM_TRY(read_merges(r));
    json_t *nfc = pre->nfc ? json_pack("{s:s}", "type", "NFC") : json_null();
    r->parts.root = root(r, nfc, pre->build(), byte_level(), model(r, pre->ignore_merges, false));
    return DSM_OK;
}

static dsm_status read_sentencepiece(reader *r)
{
    bool prefix = true;
    DSM_TRY(dsm_gguf_bool(r->f, KEY("add_space_prefix"), &prefix, r->err));
    r->bos = 1;
    r->eos = 2;
    r->unk = 0;
    r->add_bos = true;
    DSM_TRY(read_ids(r));
    DSM_TRY(read_tokens(r));
    DSM_TRY(derive_merges(r));
    r->parts.root = root(r, sentencepiece_normalizer(prefix), json_null(),
                         sentencepiece_decoder(prefix), model(r, false, true));
    return DSM_OK;
}

/* tokenizer_config.json: which tokens begin and end texts, and the chat template. */
static dsm_status make_config(reader *r)
{
    const char *template = NULL;
    const struct {
        const char *key;
        int64_t id;
    } tokens[] = {
        {"bos_token", r->bos}, {"eos_token", r->eos}, {"unk_token", r->unk}, {"pad_token", r->pad}};
    DSM_TRY(dsm_gguf_text(r->f, "tokenizer.chat_template", &template, r->err));
    json_t *o = json_pack("{s:s, s:b, s:b, s:b}", "tokenizer_class", "PreTrainedTokenizerFast",
                          "add_bos_token", r->add_bos, "add_eos_token", r->add_eos,
                          "clean_up_tokenization_spaces", 0);
    r->parts.config = o;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        if (tokens[i].id >= 0 && type_of(r, tokens[i].id) != DSM_GGUF_TOKEN_UNUSED)
            json_object_set_new(o, tokens[i].key, text_of(r, tokens[i].id));
    if (template) json_object_set_new(o, "chat_template", json_string(template));
    return o && r->parts.root ? DSM_OK : no_memory(r);
}

static dsm_status read_parts(reader *r)
{
    const char *kind = "";
    DSM_TRY(dsm_gguf_text(r->f, KEY("model"), &kind, r->err));
    DSM_TRY(read_lists(r));
    if (strcmp(kind, "gpt2") == 0)
        DSM_TRY(read_byte_level(r));
    else if (strcmp(kind, "llama") == 0)
        DSM_TRY(read_sentencepiece(r));
    else
        return dsm_fail(r->err, DSM_EFORMAT,
                        "%s: " KEY("model") ": found \"%.40s\", expected gpt2 or llama", r->what,
                        kind);
    return make_config(r);
}

bool dsm_gguf_has_tokenizer(const dsm_gguf *f)
{
    const char *kind = "none";
    return dsm_gguf_text(f, KEY("model"), &kind, NULL) != DSM_OK ||
           (strcmp(kind, "none") != 0 && strcmp(kind, "no_vocab") != 0);
}

dsm_status dsm_tokenizer_of_gguf(dsm_tokenizer **out, const dsm_gguf *f, dsm_err *err)
{
    reader r = {
        .f = f, .what = dsm_gguf_what(f), .bos = -1, .eos = -1, .unk = -1, .pad = -1, .err = err};
    *out = NULL;
    dsm_status status = read_parts(&r);
    if (status == DSM_OK) return dsm_tokenizer_build(out, &r.parts, r.what, err);
    dsm_tokenizer_parts_free(&r.parts);
    return status;
}
