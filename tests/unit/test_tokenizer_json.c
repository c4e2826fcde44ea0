/* SPDX-License-Identifier: MIT */
/* tokenizer_json: what is read out of a tokenizer.json and its config, and the message for each
 * thing that is damaged or not supported. */
#include "support/support.h"

#include "core/buf.h"
#include "dsmoe/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tiny character-level file: parts are put in place of the defaults. */
typedef struct file {
    const char *vocab, *merges, *model, *rest,
        *config; /* rest, model: members, each with its comma */
} file;

static const char default_vocab[] =
    "\"a\":0,\"b\":1,\"ab\":2,\"<s>\":3,\"\\u2581\":4,\"<0x21>\":5,\"<unk>\":6";

static char *write_file(const file *f)
{
    char *dir = test_make_dir();
    dsm_buf text = {0};
    dsm_buf_fmt(&text, "{%s\"model\":{\"type\":\"BPE\",%s\"vocab\":{%s},\"merges\":%s}}",
                f->rest ? f->rest : "", f->model ? f->model : "",
                f->vocab ? f->vocab : default_vocab, f->merges ? f->merges : "[\"a b\"]");
    test_write_file(test_path(dir, "tokenizer.json"), text.data, text.len);
    if (f->config)
        test_write_file(test_path(dir, "tokenizer_config.json"), f->config, strlen(f->config));
    dsm_buf_free(&text);
    return dir;
}

static void expect_failure(const file *f, const char *message)
{
    dsm_err err = {0};
    dsm_tokenizer *t = NULL;
    char *dir = write_file(f);
    dsm_status status = dsm_tokenizer_open(&t, dir, &err);
    if (status == DSM_OK) fail_msg("opened, expected \"%s\"", message);
    if (!test_contains(err.msg, message))
        fail_msg("message \"%s\" does not contain \"%s\"", err.msg, message);
    assert_null(t);
    test_remove_dir(dir);
}

static void expect_ids(const file *f, const char *text, unsigned flags, const char *expected)
{
    dsm_err err = {0};
    dsm_tokenizer *t;
    dsm_ids ids = {0};
    dsm_buf got = {0};
    char *dir = write_file(f);
    assert_ok(dsm_tokenizer_open(&t, dir, &err));
    assert_ok(dsm_tokenizer_encode(t, text, strlen(text), flags, &ids, &err));
    dsm_buf_str(&got, "");
    for (size_t i = 0; i < ids.len; i++)
        dsm_buf_fmt(&got, "%s%d", i ? " " : "", ids.data[i]);
    assert_string_equal(got.data, expected);
    dsm_buf_free(&got);
    dsm_ids_free(&ids);
    dsm_tokenizer_close(t);
    test_remove_dir(dir);
}

static void expect_text(const file *f, const int32_t *ids, size_t n, const char *expected)
{
    dsm_err err = {0};
    dsm_tokenizer *t;
    char *text;
    size_t len;
    char *dir = write_file(f);
    assert_ok(dsm_tokenizer_open(&t, dir, &err));
    assert_ok(dsm_tokenizer_decode(t, ids, n, false, &text, &len, &err));
    assert_string_equal(text, expected);
    free(text);
    dsm_tokenizer_close(t);
    test_remove_dir(dir);
}

#define ADDED "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true}],"
#define LLAMA                                                                                      \
    "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"    \
    "\"\\u2581\"},"                                                                                \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]},"             \
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"         \
    "\"String\":\"\\u2581\"},"                                                                     \
    "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"                          \
    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"

static void test_reading(void **state)
{
    (void)state;
    expect_ids(&(file){0}, "abba", 0, "2 1 0");
    expect_ids(&(file){.merges = "[[\"a\",\"b\"]]"}, "abab", 0, "2 2");
    expect_ids(&(file){.merges = "[]", .model = "\"ignore_merges\":true,"}, "ab", 0, "2");
    expect_ids(&(file){.rest = ADDED}, "a<s>b", DSM_ENCODE_SPECIAL, "0 3 1");
    expect_ids(&(file){.model = "\"unk_token\":\"<unk>\","}, "a??b", 0, "0 6 6 1");
    expect_ids(&(file){.model = "\"unk_token\":\"<unk>\",\"fuse_unk\":true,"}, "a??b", 0, "0 6 1");
    expect_ids(&(file){.model = "\"byte_fallback\":true,"}, "a!b", 0, "0 5 1");
    expect_ids(&(file){.rest = LLAMA}, "ab b", 0, "4 2 4 1");
    expect_ids(&(file){.rest =
                           "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\","
                           "\"prepend_scheme\":\"first\"},"},
               "ab b", 0, "4 2 4 1");
}

static void test_post_processing(void **state)
{
    (void)state;
    const char *template =
        ADDED "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
              "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
              "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[3],\"tokens\":[\"<s>\"]}}},";
    const char *config = "{\"bos_token\":\"<s>\",\"add_bos_token\":true,\"model_max_length\":"
                         "1000000000000000000000000}";
    expect_ids(&(file){.rest = template}, "a", DSM_ENCODE_POST, "3 0");
    expect_ids(&(file){.rest = template}, "a", 0, "0");
    expect_ids(&(file){.rest = template, .config = config}, "a", DSM_ENCODE_POST, "3 0");
    expect_ids(&(file){.rest = ADDED, .config = config}, "a", DSM_ENCODE_POST, "3 0");
    expect_ids(&(file){.rest = ADDED, .config = config}, "", DSM_ENCODE_POST, "3");
}

static void test_decoding(void **state)
{
    (void)state;
    const int32_t ids[] = {4, 2, 4, 5, 1, 99};
    expect_text(&(file){.rest = LLAMA}, ids, 6, "ab !b");
    expect_text(&(file){0}, ids, 3, "\xE2\x96\x81 ab \xE2\x96\x81");
}

static void test_damaged_models(void **state)
{
    (void)state;
    expect_failure(&(file){.vocab = "\"a\":0,\"b\":0,\"ab\":2"}, "id 0 belongs to both");
    expect_failure(&(file){.vocab = "\"a\":0,\"a\":1,\"ab\":2"}, "duplicate");
    expect_failure(&(file){.vocab = "\"a\":-1"}, "found id -1");
    expect_failure(&(file){.vocab = "\"a\":99999999"}, "found id 99999999");
    expect_failure(&(file){.vocab = "\"a\":\"x\""}, "found string, expected an id");
    expect_failure(&(file){.vocab = ""}, "model.vocab: found no entry");
    expect_failure(&(file){.merges = "[\"a c\"]"}, "\"c\" is not in the vocabulary");
    expect_failure(&(file){.merges = "[\"b a\"]"}, "\"ba\" is not in the vocabulary");
    expect_failure(&(file){.merges = "[\"ab\"]"}, "model.merges[0]: expected");
    expect_failure(&(file){.merges = "[\"a b c\"]"}, "model.merges[0]: expected");
    expect_failure(&(file){.merges = "[[\"a\"]]"}, "model.merges[0]: expected");
    expect_failure(&(file){.merges = "7"}, "model.merges: expected an array");
    expect_failure(&(file){.model = "\"unk_token\":\"x\","}, "model.unk_token");
    expect_failure(&(file){.model = "\"dropout\":0.1,"}, "model.dropout: found 0.1");
    expect_failure(&(file){.model = "\"end_of_word_suffix\":\"</w>\","}, "end_of_word_suffix");
    expect_failure(&(file){.rest = "\"model\":0,"}, "duplicate");
}

static void test_unsupported_parts(void **state)
{
    (void)state;
    expect_failure(&(file){.rest = "\"normalizer\":{\"type\":\"Nmt\"},"},
                   "normalizer: type \"Nmt\"");
    expect_failure(&(file){.rest = "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"},
                   "pre_tokenizer: type \"BertPreTokenizer\"");
    expect_failure(
        &(file){.rest = "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}},"},
        "pattern");
    expect_failure(
        &(file){
            .rest =
                "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{Xx}\"}},"},
        "unknown property \\p{Xx}");
    expect_failure(
        &(file){.rest =
                    "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a)\\\\1\"}},"},
        "not supported");
    expect_failure(
        &(file){
            .rest =
                "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[[:alpha:]]\"}},"},
        "a class inside a class");
    expect_failure(
        &(file){.rest = "\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},"
                        "\"behavior\":\"Sideways\"},"},
        "found \"Sideways\"");
    expect_failure(&(file){.rest = "\"decoder\":{\"type\":\"WordPiece\"},"},
                   "decoder: type \"WordPiece\"");
    expect_failure(&(file){.rest = "\"post_processor\":{\"type\":\"BertProcessing\"},"},
                   "post_processor: type \"BertProcessing\"");
    expect_failure(&(file){.rest = "\"added_tokens\":[{\"id\":9,\"content\":\"\"}],"},
                   "added_tokens[0]");
    expect_failure(&(file){.rest = "\"added_tokens\":[{\"id\":9,\"content\":\"ab\"}],"},
                   "the vocabulary says 2");
    expect_failure(&(file){.rest = "\"added_tokens\":[{\"id\":0,\"content\":\"new\"}],"},
                   "belongs to both");
    expect_failure(&(file){.config = "{\"bos_token\":\"nowhere\"}"}, "\"nowhere\" is not a token");
    expect_failure(&(file){.config = "{\"bos_token\":"}, "tokenizer_config.json");
}

/* Cut off anywhere, the file is an error and nothing else. */
static void test_cut_files(void **state)
{
    (void)state;
    char *dir = write_file(&(file){.rest = LLAMA ADDED});
    const char *path = test_path(dir, "tokenizer.json");
    FILE *f = fopen(path, "rb");
    char text[4096];
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    for (size_t cut = 0; cut < n; cut++) {
        dsm_err err = {0};
        dsm_tokenizer *t;
        test_write_file(path, text, cut);
        assert_true(dsm_tokenizer_open(&t, path, &err) != DSM_OK);
        assert_true(test_contains(err.msg, "tokenizer.json"));
    }
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),           cmocka_unit_test(test_post_processing),
        cmocka_unit_test(test_decoding),          cmocka_unit_test(test_damaged_models),
        cmocka_unit_test(test_unsupported_parts), cmocka_unit_test(test_cut_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
