/* SPDX-License-Identifier: MIT */
/* tokenizer: what PyPI tokenizers learnt from a small text, and its ids, for every preset
 * (tests/golden/tokenizer, written by tests/differential/make_golden.py). */
#include "support/support.h"

#include "core/buf.h"
#include "core/fs.h"
#include "core/json.h"
#include "dsmoe/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define FOLDER TEST_SOURCE_DIR "/tests/golden/tokenizer/"
enum { VOCAB_SIZE = 520 };
static const char *const presets[] = {"deepseek-v3", "deepseek-llm", "deepseek-coder", "gpt2"};
enum { N_PRESETS = sizeof presets / sizeof *presets };

static const char *golden_file(const char *preset)
{
    static char path[512];
    snprintf(path, sizeof path, FOLDER "%s.json", preset);
    return path;
}

static int one_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    dsm_buf *corpus = arg;
    (void)err;
    *text = corpus->data;
    *n = corpus->len;
    corpus->len = 0;
    return *n > 0;
}

static dsm_tokenizer *train(const char *preset, int n_threads)
{
    dsm_err err = {0};
    dsm_buf corpus = {0};
    dsm_tokenizer *t;
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = VOCAB_SIZE;
    o.pretokenizer = preset;
    o.n_threads = n_threads;
    assert_ok(dsm_fs_read(&corpus, FOLDER "corpus.txt", 1 << 24, &err));
    assert_ok(dsm_tokenizer_train(&t, &o, one_document, &corpus, &err));
    dsm_buf_free(&corpus);
    return t;
}

static void expect_same_tokens(const char *preset, const dsm_tokenizer *a, const dsm_tokenizer *b)
{
    assert_int_equal(dsm_tokenizer_size(a), dsm_tokenizer_size(b));
    for (int32_t id = 0; id < dsm_tokenizer_size(a); id++)
        if (strcmp(dsm_tokenizer_token(a, id), dsm_tokenizer_token(b, id)) != 0)
            fail_msg("%s: id %d: learnt \"%s\", the reference \"%s\"", preset, id,
                     dsm_tokenizer_token(a, id), dsm_tokenizer_token(b, id));
}

static json_t *merges_of(const char *path)
{
    dsm_err err = {0};
    json_t *root;
    assert_ok(dsm_json_read(&root, path, 1 << 24, &err));
    json_t *merges = json_incref(json_object_get(json_object_get(root, "model"), "merges"));
    json_decref(root);
    return merges;
}

static void test_training(void **state)
{
    (void)state;
    dsm_err err = {0};
    char *dir = test_make_dir();
    for (int i = 0; i < N_PRESETS; i++) {
        dsm_tokenizer *learnt = train(presets[i], 1 + i % 3), *golden;
        assert_ok(dsm_tokenizer_open(&golden, golden_file(presets[i]), &err));
        assert_string_equal(dsm_tokenizer_pretokenizer(golden), presets[i]);
        expect_same_tokens(presets[i], learnt, golden);
        assert_ok(dsm_tokenizer_save(learnt, dir, &err));
        json_t *ours = merges_of(test_path(dir, "tokenizer.json")),
               *theirs = merges_of(golden_file(presets[i]));
        assert_true(json_array_size(ours) > 100);
        assert_true(json_equal(ours, theirs));
        json_decref(ours);
        json_decref(theirs);
        dsm_tokenizer_close(learnt);
        dsm_tokenizer_close(golden);
    }
    test_remove_dir(dir);
}

static void expect_ids(const dsm_tokenizer *t, const char *preset, const json_t *line,
                       size_t number)
{
    dsm_err err = {0};
    dsm_ids ids = {0};
    const json_t *text = json_object_get(line, "text"), *golden = json_object_get(line, preset);
    assert_ok(dsm_tokenizer_encode(t, json_string_value(text), json_string_length(text),
                                   DSM_ENCODE_SPECIAL, &ids, &err));
    if (ids.len != json_array_size(golden))
        fail_msg("%s: line %zu: %zu ids, expected %zu", preset, number, ids.len,
                 json_array_size(golden));
    for (size_t k = 0; k < ids.len; k++)
        if (ids.data[k] != json_integer_value(json_array_get(golden, k)))
            fail_msg("%s: line %zu: id %zu is %d, expected %lld", preset, number, k, ids.data[k],
                     (long long)json_integer_value(json_array_get(golden, k)));
    dsm_ids_free(&ids);
}

static void test_ids(void **state)
{
    (void)state;
    dsm_err err = {0};
    dsm_tokenizer *t[N_PRESETS];
    dsm_buf lines = {0};
    size_t number = 0;
    for (int i = 0; i < N_PRESETS; i++)
        assert_ok(dsm_tokenizer_open(&t[i], golden_file(presets[i]), &err));
    assert_ok(dsm_fs_read(&lines, FOLDER "ids.jsonl", 1 << 24, &err));
    for (char *p = lines.data, *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
        json_t *line;
        number++;
        assert_ok(dsm_json_parse(&line, p, (size_t)(end - p), "ids.jsonl", &err));
        for (int i = 0; i < N_PRESETS; i++)
            expect_ids(t[i], presets[i], line, number);
        json_decref(line);
    }
    assert_true(number > 100);
    dsm_buf_free(&lines);
    for (int i = 0; i < N_PRESETS; i++)
        dsm_tokenizer_close(t[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_training), cmocka_unit_test(test_ids)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
