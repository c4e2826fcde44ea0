/* SPDX-License-Identifier: MIT */
/* tokenizer: train, save, open, encode, decode; any bytes survive; threads change nothing; long
 * words cost n log n; the shortcut over whole characters changes no id. */
#include "support/support.h"

#include "core/buf.h"
#include "core/clock.h"
#include "core/rng.h"
#include "dsmoe/tokenizer.h"
#include "tokenizer/tok.h"

#include <stdlib.h>
#include <string.h>

/* --- a corpus ---------------------------------------------------------------------------- */

enum { N_DOCUMENTS = 300 };

typedef struct corpus {
    dsm_buf texts[N_DOCUMENTS];
    size_t next;
} corpus;

/* Documents of made-up words in several scripts, from a fixed seed. */
static void fill(corpus *c)
{
    static const char *const syllables[] = {"the",
                                            "an",
                                            "ing",
                                            " ",
                                            " ",
                                            "or",
                                            "\xC3\xA9",
                                            "\xE6\x88\x91",
                                            "\xE7\x88\xB1",
                                            "\xE8\x87\xAA",
                                            "\xE3\x81\xAE",
                                            "12",
                                            "\n",
                                            ", ",
                                            "\xD0\xBF\xD1\x80",
                                            "\xF0\x9F\x98\x80",
                                            "if (x) {",
                                            "\t"};
    memset(c, 0, sizeof *c);
    for (uint32_t d = 0; d < N_DOCUMENTS; d++) {
        const dsm_rng r = {.seed = 3, .stream = DSM_STREAM_TEST, .step = d};
        for (uint64_t i = 0; i < 40 + d; i++)
            dsm_buf_str(&c->texts[d],
                        syllables[dsm_rng_below(&r, i, sizeof syllables / sizeof *syllables)]);
    }
}

static void drain(corpus *c)
{
    for (size_t i = 0; i < N_DOCUMENTS; i++)
        dsm_buf_free(&c->texts[i]);
}

static int next_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    corpus *c = arg;
    (void)err;
    if (c->next == N_DOCUMENTS) return 0;
    *text = c->texts[c->next].data;
    *n = c->texts[c->next++].len;
    return 1;
}

static dsm_tokenizer *train(corpus *c, int n_threads)
{
    dsm_err err = {0};
    dsm_tokenizer *t;
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = 600;
    o.n_threads = n_threads;
    c->next = 0;
    assert_ok(dsm_tokenizer_train(&t, &o, next_document, c, &err));
    return t;
}

typedef struct fixture {
    corpus c;
    dsm_tokenizer *t;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    fill(&f->c);
    f->t = train(&f->c, 2);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    dsm_tokenizer_close(f->t);
    drain(&f->c);
    free(f);
    return 0;
}

static dsm_ids encode(const dsm_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    dsm_err err = {0};
    dsm_ids ids = {0};
    assert_ok(dsm_tokenizer_encode(t, text, n, flags, &ids, &err));
    return ids;
}

static void expect_same(const dsm_ids *a, const dsm_ids *b)
{
    assert_int_equal(a->len, b->len);
    if (a->len) assert_memory_equal(a->data, b->data, a->len * sizeof *a->data);
}

static void expect_round_trip(const dsm_tokenizer *t, const char *text, size_t n)
{
    dsm_err err = {0};
    dsm_ids ids = encode(t, text, n, DSM_ENCODE_PLAIN);
    char *back;
    size_t len;
    assert_ok(dsm_tokenizer_decode(t, ids.data, ids.len, false, &back, &len, &err));
    assert_int_equal(len, n);
    if (n) assert_memory_equal(back, text, n);
    free(back);
    dsm_ids_free(&ids);
}

/* --- tests ------------------------------------------------------------------------------- */

static void test_shape(void **state)
{
    const dsm_tokenizer *t = ((fixture *)*state)->t;
    assert_int_equal(dsm_tokenizer_size(t), 600);
    assert_int_equal(dsm_tokenizer_bos(t), 0);
    assert_int_equal(dsm_tokenizer_eos(t), 1);
    assert_true(dsm_tokenizer_is_special(t, 2));
    assert_false(dsm_tokenizer_is_special(t, 3));
    assert_false(dsm_tokenizer_is_special(t, -1));
    assert_false(dsm_tokenizer_is_special(t, 600));
    assert_string_equal(dsm_tokenizer_pretokenizer(t), "deepseek-v3");
    assert_null(dsm_tokenizer_token(t, 600));
    for (int32_t id = 0; id < 600; id++)
        assert_int_equal(dsm_tokenizer_find(t, dsm_tokenizer_token(t, id)), id);
    size_t n;
    dsm_tokenizer_bytes(t, 600, &n);
    assert_int_equal(n, 0);
}

static void test_any_bytes_survive(void **state)
{
    fixture *f = *state;
    char text[3000];
    for (int b = 0; b < 256; b++)
        text[b] = (char)b;
    expect_round_trip(f->t, text, 256);
    expect_round_trip(f->t, "", 0);
    for (uint32_t round = 0; round < 300; round++) {
        const dsm_rng r = {.seed = 5, .stream = DSM_STREAM_TEST, .step = round};
        size_t n = dsm_rng_below(&r, 0, sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)dsm_rng_below(&r, 1 + i, round % 2 ? 256 : 16);
        expect_round_trip(f->t, text, n);
    }
    for (int i = 0; i < N_DOCUMENTS; i++)
        expect_round_trip(f->t, f->c.texts[i].data, f->c.texts[i].len);
}

static void test_special_tokens(void **state)
{
    const dsm_tokenizer *t = ((fixture *)*state)->t;
    const char *text = "a<｜end▁of▁sentence｜>b<｜end▁of";
    dsm_ids with = encode(t, text, strlen(text), DSM_ENCODE_SPECIAL);
    dsm_ids without = encode(t, text, strlen(text), DSM_ENCODE_PLAIN);
    int found = 0;
    for (size_t i = 0; i < with.len; i++)
        found += with.data[i] == dsm_tokenizer_eos(t);
    for (size_t i = 0; i < without.len; i++)
        assert_int_not_equal(without.data[i], dsm_tokenizer_eos(t));
    assert_int_equal(found, 1);
    dsm_err err = {0};
    char *back;
    size_t n;
    assert_ok(dsm_tokenizer_decode(t, with.data, with.len, true, &back, &n, &err));
    assert_string_equal(back, "ab<｜end▁of");
    free(back);
    dsm_ids_free(&with);
    dsm_ids_free(&without);
}

static void test_save_and_open(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_tokenizer *back;
    char *dir = test_make_dir();
    assert_ok(dsm_tokenizer_save(f->t, dir, &err));
    assert_ok(dsm_tokenizer_open(&back, dir, &err));
    assert_true(dsm_tokenizer_fingerprint(back) == dsm_tokenizer_fingerprint(f->t));
    assert_int_equal(dsm_tokenizer_bos(back), 0);
    assert_int_equal(dsm_tokenizer_eos(back), 1);
    for (int i = 0; i < N_DOCUMENTS; i++) {
        dsm_ids a = encode(f->t, f->c.texts[i].data, f->c.texts[i].len, 0);
        dsm_ids b = encode(back, f->c.texts[i].data, f->c.texts[i].len, 0);
        expect_same(&a, &b);
        dsm_ids_free(&a);
        dsm_ids_free(&b);
    }
    dsm_tokenizer_close(back);
    assert_ok(dsm_tokenizer_open(&back, test_path(dir, "tokenizer.json"), &err));
    assert_int_equal(dsm_tokenizer_size(back), 600);
    dsm_tokenizer_close(back);
    test_remove_dir(dir);
}

static void test_threads_change_nothing(void **state)
{
    fixture *f = *state;
    const char *texts[N_DOCUMENTS];
    size_t lengths[N_DOCUMENTS];
    dsm_err err = {0};
    for (int i = 0; i < N_DOCUMENTS; i++) {
        texts[i] = f->c.texts[i].data;
        lengths[i] = f->c.texts[i].len;
    }
    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        dsm_tokenizer *t = train(&f->c, n_threads);
        assert_true(dsm_tokenizer_fingerprint(t) == dsm_tokenizer_fingerprint(f->t));
        dsm_ids ids[N_DOCUMENTS] = {{0}};
        assert_ok(
            dsm_tokenizer_encode_batch(t, texts, lengths, N_DOCUMENTS, 0, n_threads, ids, &err));
        for (int i = 0; i < N_DOCUMENTS; i++) {
            dsm_ids one = encode(f->t, texts[i], lengths[i], 0);
            expect_same(&one, &ids[i]);
            dsm_ids_free(&one);
            dsm_ids_free(&ids[i]);
        }
        dsm_tokenizer_close(t);
    }
}

/* A text that is long enough to be cut for the threads, in a batch with short ones. */
static void test_long_texts_are_cut_without_trace(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_buf text = {0};
    dsm_ids ids[3] = {{0}};
    assert_true(f->t->cuttable);
    while (text.len < 2 << 20)
        for (int i = 0; i < N_DOCUMENTS; i++) {
            dsm_buf_add(&text, f->c.texts[i].data, f->c.texts[i].len);
            dsm_buf_str(&text, i % 3 ? "end\nNext" : "<｜end▁of▁sentence｜>\n");
        }
    const char *texts[] = {"the", text.data, ""};
    const size_t lengths[] = {3, text.len, 0};
    const unsigned flags = DSM_ENCODE_SPECIAL | DSM_ENCODE_POST;
    f->t->add_bos = f->t->add_eos = true;
    assert_ok(dsm_tokenizer_encode_batch(f->t, texts, lengths, 3, flags, 3, ids, &err));
    for (int i = 0; i < 3; i++) {
        dsm_ids one = encode(f->t, texts[i], lengths[i], flags);
        expect_same(&one, &ids[i]);
        dsm_ids_free(&one);
        dsm_ids_free(&ids[i]);
    }
    f->t->add_bos = f->t->add_eos = false;
    dsm_buf_free(&text);
}

/* Without the shortcut of chars.h, every word starts from bytes. */
static void test_whole_characters_change_nothing(void **state)
{
    fixture *f = *state;
    assert_non_null(f->t->chars.id);
    dsm_tokenizer *bytes_only = train(&f->c, 1);
    dsm_chars_free(&bytes_only->chars);
    dsm_buf text = {0};
    for (uint32_t round = 0; round < 400; round++) {
        const dsm_rng r = {.seed = 8, .stream = DSM_STREAM_TEST, .step = round};
        static const char *const pieces[] = {"\xE6\x88\x91",
                                             "\xE7\x88\xB1",
                                             "\xE8\x87\xAA",
                                             "\xE3\x81\xAE",
                                             "\xD0\xBF",
                                             "\xD1\x80",
                                             "\xE4\xB8\x80",
                                             "a",
                                             "\xC3\xA9",
                                             "\xF0\x9F\x98\x80",
                                             " "};
        dsm_buf_clear(&text);
        for (uint64_t i = 0; i < 1 + round % 60; i++)
            dsm_buf_str(&text, pieces[dsm_rng_below(&r, i, sizeof pieces / sizeof *pieces)]);
        dsm_ids a = encode(f->t, text.data, text.len, 0),
                b = encode(bytes_only, text.data, text.len, 0);
        expect_same(&a, &b);
        dsm_ids_free(&a);
        dsm_ids_free(&b);
    }
    dsm_buf_free(&text);
    dsm_tokenizer_close(bytes_only);
}

/* A megabyte of one letter is one word; so are a megabyte of spaces and of Chinese. */
static void test_long_words(void **state)
{
    const dsm_tokenizer *t = ((fixture *)*state)->t;
    static const char *const units[] = {"a", " ", "\n", "\xE6\x88\x91", "!", "\xFF", "the"};
    enum { BYTES = 1 << 20 };
    char *text = malloc(BYTES + 8);
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t n = 0, len = strlen(units[u]);
        for (; n < BYTES; n += len)
            memcpy(text + n, units[u], len);
        double start = dsm_clock();
        expect_round_trip(t, text, n);
        double seconds = dsm_clock() - start;
        if (seconds > 20) fail_msg("a megabyte of \"%s\" took %.1f s", units[u], seconds);
    }
    free(text);
}

/* The two ways of merging a word agree: words around the length where one takes over. */
static void test_short_and_long_words_agree(void **state)
{
    const dsm_tokenizer *t = ((fixture *)*state)->t;
    dsm_bpe_work w = {0};
    dsm_err err = {0};
    for (uint32_t round = 0; round < 300; round++) {
        const dsm_rng r = {.seed = 9, .stream = DSM_STREAM_TEST, .step = round};
        int32_t whole[400], half[200];
        size_t n = 0, n_half;
        for (size_t i = 0; i < 80; i++)
            half[i] = t->byte_id[(unsigned char)"thean ingor"[dsm_rng_below(&r, i, 11)]];
        memcpy(whole, half, 80 * sizeof *half);
        whole[80] = t->byte_id[0]; /* a byte that nothing merges with keeps the halves apart */
        memcpy(whole + 81, half, 80 * sizeof *half);
        n = 161;
        n_half = 80;
        assert_ok(dsm_bpe_apply(&t->bpe, &w, whole, &n, &err));
        assert_ok(dsm_bpe_apply(&t->bpe, &w, half, &n_half, &err));
        assert_int_equal(n, 2 * n_half + 1);
        assert_memory_equal(whole, half, n_half * sizeof *half);
        assert_memory_equal(whole + n_half + 1, half, n_half * sizeof *half);
    }
    dsm_bpe_work_free(&w);
}

/* --- wrong options ----------------------------------------------------------------------- */

static int no_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    (void)arg, (void)text, (void)n, (void)err;
    return 0;
}

static int broken_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    (void)arg, (void)text, (void)n;
    dsm_fail(err, DSM_EIO, "the disk is gone");
    return -1;
}

static void test_wrong_training(void **state)
{
    (void)state;
    dsm_err err = {0};
    dsm_tokenizer *t;
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    assert_fails(dsm_tokenizer_train(&t, &o, no_document, NULL, &err), DSM_EFORMAT, "no text");
    assert_fails(dsm_tokenizer_train(&t, &o, broken_document, NULL, &err), DSM_EIO,
                 "the disk is gone");
    o.vocab_size = 258;
    assert_fails(dsm_tokenizer_train(&t, &o, no_document, NULL, &err), DSM_EUSAGE, "expected 259");
    o.vocab_size = 300;
    o.eos = "<end>";
    assert_fails(dsm_tokenizer_train(&t, &o, no_document, NULL, &err), DSM_EUSAGE,
                 "\"<end>\" is not one");
    o.eos = NULL;
    o.pretokenizer = "deepseek-v4";
    assert_fails(dsm_tokenizer_train(&t, &o, no_document, NULL, &err), DSM_EUSAGE,
                 "did you mean deepseek-v3");
    o.pretokenizer = "gpt2";
    o.min_frequency = -1;
    assert_fails(dsm_tokenizer_train(&t, &o, no_document, NULL, &err), DSM_EUSAGE,
                 "minimum frequency");
}

/* A special token may spell a byte's character or a token that merges would make. */
static void test_specials_that_look_like_tokens(void **state)
{
    fixture *f = *state;
    static const char *const specials[] = {"a", "the", "a"};
    dsm_err err = {0};
    dsm_tokenizer *t;
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = 400;
    o.specials = specials;
    o.n_specials = 3;
    o.bos = o.eos = o.pad = NULL;
    f->c.next = 0;
    assert_ok(dsm_tokenizer_train(&t, &o, next_document, &f->c, &err));
    assert_int_equal(dsm_tokenizer_find(t, "a"), 0);
    assert_int_equal(dsm_tokenizer_find(t, "the"), 1);
    assert_int_equal(dsm_tokenizer_bos(t), -1);
    expect_round_trip(t, "that then a the", 15);
    dsm_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_any_bytes_survive),
        cmocka_unit_test(test_special_tokens),
        cmocka_unit_test(test_save_and_open),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_long_texts_are_cut_without_trace),
        cmocka_unit_test(test_whole_characters_change_nothing),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_short_and_long_words_agree),
        cmocka_unit_test(test_wrong_training),
        cmocka_unit_test(test_specials_that_look_like_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
