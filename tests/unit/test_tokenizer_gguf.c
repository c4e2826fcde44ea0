/* SPDX-License-Identifier: MIT */
/* tokenizer/tokenizer_gguf: vocabularies in GGUF metadata, read, written, and against a plain
 * implementation of SentencePiece's rule. */
#include "support/support.h"

#include "core/rng.h"
#include "tokenizer/pretok_gguf.h"
#include "tokenizer/tokenizer_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "\xE2\x96\x81"

/* The metadata as a file in dir, opened. */
static dsm_gguf *file_of(const char *dir, const dsm_gguf_meta *meta)
{
    dsm_err err;
    dsm_gguf *f;
    dsm_gguf_writer w;
    const char *path = test_path(dir, "t.gguf");
    assert_ok(dsm_gguf_begin(&w, path, meta, NULL, 0, &err));
    assert_ok(dsm_gguf_commit(&w, &err));
    assert_ok(dsm_gguf_open(&f, path, &err));
    return f;
}

static void expect_ids(const dsm_tokenizer *t, const char *text, const int32_t *ids, size_t n)
{
    dsm_err err;
    dsm_ids found = {0};
    assert_ok(dsm_tokenizer_encode(t, text, strlen(text), DSM_ENCODE_SPECIAL | DSM_ENCODE_POST,
                                   &found, &err));
    bool same = found.len == n && (n == 0 || memcmp(found.data, ids, n * sizeof *ids) == 0);
    if (!same) {
        printf("\"%s\": found", text);
        for (size_t i = 0; i < found.len; i++)
            printf(" %d", found.data[i]);
        printf("\n");
    }
    assert_true(same);
    dsm_ids_free(&found);
}

static void expect_alike(const dsm_tokenizer *a, const dsm_tokenizer *b, const char *text)
{
    dsm_err err;
    dsm_ids ids = {0};
    assert_ok(dsm_tokenizer_encode(a, text, strlen(text), DSM_ENCODE_SPECIAL | DSM_ENCODE_POST,
                                   &ids, &err));
    expect_ids(b, text, ids.data, ids.len);
    char *decoded[2];
    size_t n[2];
    assert_ok(dsm_tokenizer_decode(a, ids.data, ids.len, true, &decoded[0], &n[0], &err));
    assert_ok(dsm_tokenizer_decode(b, ids.data, ids.len, true, &decoded[1], &n[1], &err));
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(decoded[0], decoded[1], n[0]);
    free(decoded[0]);
    free(decoded[1]);
    dsm_ids_free(&ids);
}

static const char *const samples[] = {
    "",
    " ",
    "the cat  sat on the mat",
    "The Cat's 12345 mats, don't you see?\n\n  Yes!",
    "tabs\tand\r\nlines   ",
    "caf\xC3\xA9 \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80",
    "<s>the cat<end> sat",
};
enum { N_SAMPLES = sizeof samples / sizeof *samples };

/* --- byte-level ------------------------------------------------------------------------------- */

typedef struct lines {
    int left;
} lines;

static int next_line(void *arg, const char **text, size_t *n, dsm_err *err)
{
    lines *l = arg;
    (void)err;
    if (l->left-- == 0) return 0;
    *text = samples[2 + l->left % 4];
    *n = strlen(*text);
    return 1;
}

static dsm_tokenizer *trained(const char *pretokenizer)
{
    static const char *const specials[] = {"<s>", "<end>"};
    dsm_err err;
    dsm_tokenizer *t;
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = 300;
    o.pretokenizer = pretokenizer;
    o.specials = specials;
    o.n_specials = 2;
    o.bos = "<s>";
    o.eos = "<end>";
    o.pad = NULL;
    o.n_threads = 1;
    assert_ok(dsm_tokenizer_train(&t, &o, next_line, &(lines){40}, &err));
    return t;
}

/* Every preset survives, with ids to spare. */
static void byte_level_goes_both_ways(void **state)
{
    (void)state;
    static const char *const presets[][2] = {{"deepseek-v3", "deepseek-v3"},
                                             {"deepseek-llm", "deepseek-llm"},
                                             {"deepseek-coder", "deepseek-coder"},
                                             {"gpt2", "gpt-2"}};
    dsm_err err;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        char *dir = test_make_dir();
        dsm_gguf_meta meta = {0};
        dsm_tokenizer *t = trained(presets[i][0]), *back;
        assert_ok(dsm_tokenizer_put_gguf(&meta, t, 320, "t", &err));
        dsm_gguf *f = file_of(dir, &meta);
        const char *pre = NULL;
        assert_ok(dsm_gguf_text(f, "tokenizer.ggml.pre", &pre, &err));
        assert_string_equal(pre, presets[i][1]);
        assert_ok(dsm_tokenizer_of_gguf(&back, f, &err));
        assert_string_equal(dsm_tokenizer_pretokenizer(back), presets[i][0]);
        assert_int_equal(dsm_tokenizer_size(back), dsm_tokenizer_size(t));
        assert_true(dsm_tokenizer_fingerprint(back) == dsm_tokenizer_fingerprint(t));
        assert_int_equal(dsm_tokenizer_bos(back), 0);
        assert_int_equal(dsm_tokenizer_eos(back), 1);
        assert_true(dsm_tokenizer_is_special(back, 1));
        for (int s = 0; s < N_SAMPLES; s++)
            expect_alike(t, back, samples[s]);
        dsm_gguf_close(f);
        dsm_tokenizer_close(t);
        dsm_tokenizer_close(back);
        dsm_gguf_meta_free(&meta);
        test_remove_dir(dir);
    }
}

static void needs_enough_rows(void **state)
{
    (void)state;
    dsm_err err;
    dsm_gguf_meta meta = {0};
    dsm_tokenizer *t = trained("gpt2");
    assert_fails(dsm_tokenizer_put_gguf(&meta, t, 299, "t", &err), DSM_ESHAPE, "299 rows for 300");
    dsm_gguf_meta_free(&meta);
    dsm_tokenizer_close(t);
}

static void every_name_makes_a_chain(void **state)
{
    (void)state;
    static const char *const names[] = {"deepseek-llm", "deepseek-coder", "deepseek-v3",
                                        "llama-bpe",    "qwen2",          "gpt-2",
                                        "smollm",       "default"};
    dsm_err err;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dsm_pretok p;
        const dsm_gguf_pre *row = dsm_gguf_pre_find(names[i]);
        assert_non_null(row);
        json_t *json = row->build();
        assert_ok(dsm_pretok_read(&p, json, names[i], &err));
        assert_string_equal(dsm_gguf_pre_like(&p)->name, names[i]);
        dsm_pretok_free(&p);
        json_decref(json);
    }
    assert_null(dsm_gguf_pre_find("bloom"));
}

/* --- SentencePiece ---------------------------------------------------------------------------- */

/* A vocabulary as the file lists it. */
typedef struct piece {
    const char *text;
    int32_t type;
    float score;
} piece;

static void put_pieces(dsm_gguf_meta *m, const piece *pieces, int n)
{
    dsm_gguf_put_text(m, "tokenizer.ggml.model", "llama");
    dsm_gguf_put_list(m, "tokenizer.ggml.tokens", DSM_GGUF_TEXT, (uint64_t)n);
    for (int i = 0; i < n; i++)
        dsm_gguf_add_text(m, pieces[i].text, strlen(pieces[i].text));
    dsm_gguf_put_list(m, "tokenizer.ggml.token_type", DSM_GGUF_I32, (uint64_t)n);
    for (int i = 0; i < n; i++)
        dsm_gguf_add_i32(m, pieces[i].type);
    dsm_gguf_put_list(m, "tokenizer.ggml.scores", DSM_GGUF_F32, (uint64_t)n);
    for (int i = 0; i < n; i++)
        dsm_gguf_add_f32(m, pieces[i].score);
}

enum { UNK = DSM_GGUF_TOKEN_UNKNOWN, CTL = DSM_GGUF_TOKEN_CONTROL, BYTE = DSM_GGUF_TOKEN_BYTE };

/* "<unk>", "<s>", "</s>", 256 bytes, then words; ids of words begin at WORDS. */
enum { WORDS = 3 + 256 };
static char byte_names[256][8];

static int fill_pieces(piece *out, const piece *words, int n)
{
    out[0] = (piece){"<unk>", UNK, 0};
    out[1] = (piece){"<s>", CTL, 0};
    out[2] = (piece){"</s>", CTL, 0};
    for (int i = 0; i < 256; i++) {
        snprintf(byte_names[i], sizeof byte_names[i], "<0x%02X>", (unsigned)i);
        out[3 + i] = (piece){byte_names[i], BYTE, 0};
    }
    memcpy(out + WORDS, words, (size_t)n * sizeof *words);
    return WORDS + n;
}

/* Runs of one letter and of two: many ways to make the same token. */
static const piece words[] = {
    {MARK, 1, -20},    {"a", 1, -21},   {"b", 1, -22},     {"c", 1, -23},
    {"aa", 1, -3},     {"aaa", 1, -2},  {"ab", 1, -4},     {"ba", 1, -5},
    {"abc", 1, -1},    {"bc", 1, -6},   {MARK "a", 1, -7}, {"\xC3\xA9", 1, -24},
    {"aab", 1, -1.5f}, {"aaaa", 1, -9}, {"caa", 1, -2.5f}, {"<user>", DSM_GGUF_TOKEN_USER, 0},
};
enum { N_WORDS = sizeof words / sizeof *words };

enum { MOST = 256 }; /* characters of a text */

/* The rule itself: of all neighbours that make a token, merge the pair of best score, the leftmost
 * among equals, until there is none; characters without a token are bytes. */
static size_t merge_plainly(const piece *pieces, int n_pieces, const char *text, int32_t *ids)
{
    static char symbols[MOST + 1][32];
    size_t n = 0, out = 0;
    for (size_t i = 0; text[i]; n++) {
        uint32_t c;
        int len = dsm_utf8_decode(text + i, strlen(text + i), &c);
        snprintf(symbols[n], sizeof symbols[n], "%.*s", len, text + i);
        i += (size_t)len;
    }
    for (;;) {
        size_t best = n;
        float score = 0;
        char joined[64];
        for (size_t i = 0; i + 1 < n; i++) {
            snprintf(joined, sizeof joined, "%.31s%.31s", symbols[i], symbols[i + 1]);
            for (int p = WORDS; p < n_pieces; p++)
                if (strcmp(pieces[p].text, joined) == 0 && (best == n || pieces[p].score > score)) {
                    best = i;
                    score = pieces[p].score;
                }
        }
        if (best == n) break;
        snprintf(joined, sizeof joined, "%.31s%.31s", symbols[best], symbols[best + 1]);
        snprintf(symbols[best], sizeof symbols[best], "%.31s", joined);
        memmove(symbols[best + 1], symbols[best + 2], (n - best - 2) * sizeof symbols[0]);
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        int id = WORDS;
        while (id < n_pieces && strcmp(pieces[id].text, symbols[i]) != 0)
            id++;
        if (id < n_pieces)
            ids[out++] = id;
        else
            for (const char *s = symbols[i]; *s; s++)
                ids[out++] = 3 + (unsigned char)*s;
    }
    return out;
}

static dsm_tokenizer *open_pieces(const char *dir, const dsm_gguf_meta *meta)
{
    dsm_err err;
    dsm_tokenizer *t;
    dsm_gguf *f = file_of(dir, meta);
    assert_ok(dsm_tokenizer_of_gguf(&t, f, &err));
    dsm_gguf_close(f);
    return t;
}

/* A text of up to `most` characters, some without a token; marked: as the rule sees it. */
static void random_text(char *raw, char *marked, uint64_t most, unsigned seed)
{
    static const char *const letters[] = {"a", "b", "c", " ", "\xC3\xA9", "\xC3\xB6", "a", "b"};
    dsm_rng rng = {.seed = seed, .stream = DSM_STREAM_TEST};
    size_t n = 1 + dsm_rng_below(&rng, 0, most);
    raw[0] = '\0';
    strcpy(marked, MARK);
    for (size_t i = 0; i < n; i++) {
        const char *s = letters[dsm_rng_below(&rng, i + 1, 8)];
        strcat(raw, s);
        strcat(marked, *s == ' ' ? MARK : s);
    }
}

static void merges_by_score(void **state)
{
    (void)state;
    piece pieces[WORDS + N_WORDS];
    int n = fill_pieces(pieces, words, N_WORDS);
    char *dir = test_make_dir();
    dsm_gguf_meta meta = {0};
    put_pieces(&meta, pieces, n);
    dsm_tokenizer *t = open_pieces(dir, &meta);
    for (unsigned seed = 0; seed < 2000; seed++) {
        char raw[4 * MOST], marked[4 * MOST];
        int32_t ids[4 * MOST] = {1}; /* BOS, which such files add unless they say otherwise */
        /* long texts are one word of more symbols than are merged by scanning */
        random_text(raw, marked, seed % 20 ? 30 : MOST - 1, seed);
        size_t n_ids = merge_plainly(pieces, n, marked, ids + 1);
        expect_ids(t, raw, ids, n_ids + 1);
    }
    dsm_tokenizer_close(t);
    dsm_gguf_meta_free(&meta);
    test_remove_dir(dir);
}

static void special_pieces_and_spaces(void **state)
{
    (void)state;
    piece pieces[WORDS + N_WORDS];
    int n = fill_pieces(pieces, words, N_WORDS);
    char *dir = test_make_dir(), *text;
    size_t len;
    dsm_err err;
    dsm_gguf_meta meta = {0};
    put_pieces(&meta, pieces, n);
    dsm_tokenizer *t = open_pieces(dir, &meta);
    const int32_t between[] = {1, WORDS + 10, 2, WORDS + 10, WORDS + 15, WORDS + 10};
    expect_ids(t, "a</s>a<user>a", between, 6); /* a space is put behind each of them as well */
    assert_ok(dsm_tokenizer_decode(t, between, 2, true, &text, &len, &err));
    assert_string_equal(text, "a");
    free(text);
    const int32_t bytes[] = {WORDS + 10, 3 + 0xC3, 3 + 0xB6};
    assert_ok(dsm_tokenizer_decode(t, bytes, 3, true, &text, &len, &err));
    assert_string_equal(text, "a\xC3\xB6");
    free(text);
    dsm_tokenizer_close(t);
    dsm_gguf_meta_free(&meta);
    test_remove_dir(dir);
}

/* Through a tokenizer.json and back into GGUF. */
static void sentencepiece_goes_both_ways(void **state)
{
    (void)state;
    piece pieces[WORDS + N_WORDS];
    int n = fill_pieces(pieces, words, N_WORDS);
    char *dir = test_make_dir();
    dsm_err err;
    dsm_gguf_meta meta = {0}, again = {0};
    put_pieces(&meta, pieces, n);
    dsm_tokenizer *t = open_pieces(dir, &meta), *json, *back;
    assert_ok(dsm_tokenizer_save(t, dir, &err));
    assert_ok(dsm_tokenizer_open(&json, dir, &err));
    assert_ok(dsm_tokenizer_put_gguf(&again, json, n + 5, "t", &err));
    back = open_pieces(dir, &again);
    static const char *const texts[] = {"", "a", "abc ba", "\xC3\xA9\xC3\xB6 caab",
                                        "x</s> a<user>b"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect_alike(t, json, texts[i]);
        expect_alike(t, back, texts[i]);
    }
    dsm_tokenizer_close(t);
    dsm_tokenizer_close(json);
    dsm_tokenizer_close(back);
    dsm_gguf_meta_free(&meta);
    dsm_gguf_meta_free(&again);
    test_remove_dir(dir);
}

/* --- damaged ---------------------------------------------------------------------------------- */

static void put_texts(dsm_gguf_meta *m, const char *key, const char *const *texts, int n)
{
    dsm_gguf_put_list(m, key, DSM_GGUF_TEXT, (uint64_t)n);
    for (int i = 0; i < n; i++)
        dsm_gguf_add_text(m, texts[i], strlen(texts[i]));
}

static void no_tokens(dsm_gguf_meta *m)
{
    dsm_gguf_put_text(m, "tokenizer.ggml.model", "gpt2");
}

static void another_model(dsm_gguf_meta *m)
{
    dsm_gguf_put_text(m, "tokenizer.ggml.model", "bert");
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a"}, 1);
}

static void too_few_types(dsm_gguf_meta *m)
{
    no_tokens(m);
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a", "b"}, 2);
    dsm_gguf_put_list(m, "tokenizer.ggml.token_type", DSM_GGUF_I32, 1);
    dsm_gguf_add_i32(m, 1);
}

static void unknown_pre(dsm_gguf_meta *m)
{
    no_tokens(m);
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a"}, 1);
    dsm_gguf_put_text(m, "tokenizer.ggml.pre", "klingon");
}

static void merge_of_nothing(dsm_gguf_meta *m)
{
    no_tokens(m);
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "ab"}, 3);
    put_texts(m, "tokenizer.ggml.merges", (const char *const[]){"a b", "a c"}, 2);
}

static void merge_without_space(dsm_gguf_meta *m)
{
    no_tokens(m);
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "ab"}, 3);
    put_texts(m, "tokenizer.ggml.merges", (const char *const[]){" "}, 1);
}

static void twice_the_same(dsm_gguf_meta *m)
{
    no_tokens(m);
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a", "a"}, 2);
}

static void not_utf8(dsm_gguf_meta *m)
{
    no_tokens(m);
    put_texts(m, "tokenizer.ggml.tokens", (const char *const[]){"a", "\xFF"}, 2);
}

static void tells_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        void (*say)(dsm_gguf_meta *m);
        const char *message;
    } cases[] = {
        {no_tokens, "found 0 tokens"},
        {another_model, "found \"bert\", expected gpt2 or llama"},
        {too_few_types, "found 2 tokens, 1 types"},
        {unknown_pre, "\"klingon\" is not a pre-tokenizer"},
        {merge_of_nothing, "merges[1]: \"a c\""},
        {merge_without_space, "merges[0]: \" \""},
        {twice_the_same, "token \"a\" has both id 0 and id 1"},
        {not_utf8, "tokens[1]: not UTF-8"},
    };
    dsm_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *dir = test_make_dir();
        dsm_gguf_meta meta = {0};
        dsm_tokenizer *t;
        cases[i].say(&meta);
        dsm_gguf *f = file_of(dir, &meta);
        assert_true(dsm_gguf_has_tokenizer(f));
        assert_fails(dsm_tokenizer_of_gguf(&t, f, &err), DSM_EFORMAT, cases[i].message);
        assert_null(t);
        dsm_gguf_close(f);
        dsm_gguf_meta_free(&meta);
        test_remove_dir(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level_goes_both_ways), cmocka_unit_test(needs_enough_rows),
        cmocka_unit_test(every_name_makes_a_chain),  cmocka_unit_test(merges_by_score),
        cmocka_unit_test(special_pieces_and_spaces), cmocka_unit_test(sentencepiece_goes_both_ways),
        cmocka_unit_test(tells_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
