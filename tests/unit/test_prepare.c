/* SPDX-License-Identifier: MIT */
/* data/prepare: text goes in, the same text can be read back out of the shards, document by
 * document, in order, whatever the threads; failures leave nothing behind. */
#include "support/support.h"

#include "core/buf.h"
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_DOCUMENTS = 3000, DISTINCT = 2500 };

typedef struct fixture {
    char *dir;
    char corpus[4096];        /* jsonl of N_DOCUMENTS documents */
    dsm_tokenizer *tokenizer; /* bytes, some merges, BOS 0 and EOS 1 */
} fixture;

/* Document i: words, digits, Chinese, a special token's text. Documents i and i + DISTINCT are
 * equal. */
static void document(dsm_buf *out, int i)
{
    i %= DISTINCT;
    dsm_buf_fmt(out, "document %d of many, the same words again <eos> ", i);
    for (int k = 0; k < i % 40; k++)
        dsm_buf_fmt(out, "%s%d", k % 3 ? " word" : "\xE5\xAD\x97", i * k);
}

static int next_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    (void)err;
    static dsm_buf buf;
    int *i = arg;
    dsm_buf_clear(&buf);
    if (*i == 200) {
        dsm_buf_free(&buf);
        return 0;
    }
    document(&buf, (*i)++);
    *text = buf.data;
    *n = buf.len;
    return 1;
}

static void write_corpus(const char *path)
{
    dsm_buf all = {0}, one = {0};
    for (int i = 0; i < N_DOCUMENTS; i++) {
        dsm_buf_clear(&one);
        document(&one, i);
        dsm_buf_fmt(&all, "{\"id\":%d,\"text\":\"%s\"}\n", i, one.data);
    }
    test_write_file(path, all.data, all.len);
    dsm_buf_free(&all);
    dsm_buf_free(&one);
}

static int make_fixture(void **state)
{
    dsm_err err = {0};
    fixture *f = calloc(1, sizeof *f);
    static const char *const specials[] = {"<bos>", "<eos>"};
    int i = 0;
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = 400;
    o.specials = specials;
    o.n_specials = 2;
    o.bos = specials[0];
    o.eos = specials[1];
    o.pad = NULL;
    assert_ok(dsm_tokenizer_train(&f->tokenizer, &o, next_document, &i, &err));
    f->dir = test_make_dir();
    snprintf(f->corpus, sizeof f->corpus, "%s/corpus.jsonl", f->dir);
    write_corpus(f->corpus);
    *state = f;
    return 0;
}

static int free_fixture(void **state)
{
    fixture *f = *state;
    if (!f) return 0;
    dsm_tokenizer_close(f->tokenizer);
    test_remove_dir(f->dir);
    free(f);
    return 0;
}

static dsm_status prepare(const fixture *f, const dsm_prepare_options *o, dsm_data_info *train,
                          dsm_data_info *valid, dsm_err *err)
{
    const char *inputs[] = {f->corpus};
    return dsm_data_prepare(f->tokenizer, inputs, 1, o, train, valid, NULL, err);
}

/* Decode document i of a shard; BOS and EOS are checked and dropped. */
static char *decode(const fixture *f, const dsm_shard *s, uint64_t i, bool bos)
{
    dsm_err err = {0};
    uint64_t first = s->documents[i].first;
    uint64_t end = i + 1 < s->n_documents ? s->documents[i + 1].first : s->tokens;
    size_t n = (size_t)(end - first), bytes;
    int32_t *ids = malloc(n * sizeof *ids);
    char *text;
    assert_ok(dsm_shard_copy(s, first, n, ids, &err));
    assert_int_equal(ids[n - 1], dsm_tokenizer_eos(f->tokenizer));
    if (bos) assert_int_equal(ids[0], dsm_tokenizer_bos(f->tokenizer));
    assert_ok(
        dsm_tokenizer_decode(f->tokenizer, ids + bos, n - 1 - bos, false, &text, &bytes, &err));
    assert_int_equal(bytes, s->documents[i].text_bytes);
    char *copy = strndup(text, bytes);
    free(text);
    free(ids);
    return copy;
}

/* --- tests ---------------------------------------------------------------------------------- */

static void every_document_can_be_read_back_in_order(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_prepare_options o;
    dsm_data_info info;
    dsm_dataset d;
    dsm_prepare_defaults(&o);
    o.out_dir = test_path(f->dir, "all");
    o.prepend_bos = true;
    o.shard_tokens = 20000;
    assert_ok(prepare(f, &o, &info, NULL, &err));
    assert_int_equal(info.documents, N_DOCUMENTS);
    assert_true(info.n_shards > 3);
    assert_ok(dsm_dataset_open(&d, test_path(f->dir, "all"), &err));
    assert_int_equal(d.token_bytes, info.bytes); /* tokens spell the text */
    int i = 0;
    for (int s = 0; s < d.info.n_shards; s++)
        for (uint64_t k = 0; k < d.shards[s].n_documents; k++) {
            dsm_buf expected = {0};
            document(&expected, i++);
            char *text = decode(f, &d.shards[s], k, true);
            assert_string_equal(text, expected.data);
            free(text);
            dsm_buf_free(&expected);
        }
    assert_int_equal(i, N_DOCUMENTS);
    dsm_dataset_close(&d);
    assert_ok(dsm_data_check(test_path(f->dir, "all"), &err));

    dsm_tokenizer *copy; /* the set holds its tokenizer */
    assert_ok(dsm_tokenizer_open(&copy, test_path(f->dir, "all"), &err));
    assert_int_equal(dsm_tokenizer_fingerprint(copy), info.tokenizer_fingerprint);
    assert_int_equal(dsm_tokenizer_fingerprint(f->tokenizer), info.tokenizer_fingerprint);
    dsm_tokenizer_close(copy);
}

/* Equal texts are on one side; sizes fit the fraction. */
static void parts_are_split_by_text(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_prepare_options o;
    dsm_data_info train, valid;
    dsm_prepare_defaults(&o);
    o.out_dir = test_path(f->dir, "split");
    o.valid_fraction = 0.2;
    assert_ok(prepare(f, &o, &train, &valid, &err));
    assert_int_equal(train.documents + valid.documents, N_DOCUMENTS);
    assert_in_range(valid.documents, N_DOCUMENTS / 5 - 100, N_DOCUMENTS / 5 + 100);
    static const char *const parts[] = {"split/train", "split/valid"};
    int side[DISTINCT] = {0};
    for (int p = 0; p < 2; p++) {
        dsm_dataset d;
        assert_ok(dsm_dataset_open(&d, test_path(f->dir, parts[p]), &err));
        for (uint64_t k = 0; k < d.info.documents; k++) {
            char *text = decode(f, &d.shards[0], k, false);
            int id = atoi(text + strlen("document "));
            assert_true(side[id] == 0 || side[id] == p + 1);
            side[id] = p + 1;
            free(text);
        }
        dsm_dataset_close(&d);
    }
}

static void assert_same_file(const char *a, const char *b)
{
    dsm_err err = {0};
    dsm_buf x = {0}, y = {0};
    assert_ok(dsm_fs_read(&x, a, 1 << 28, &err));
    assert_ok(dsm_fs_read(&y, b, 1 << 28, &err));
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.data, y.data, x.len);
    dsm_buf_free(&x);
    dsm_buf_free(&y);
}

static void threads_do_not_change_the_files(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_prepare_options o;
    static const char *const names[] = {"one", "two", "three"};
    dsm_prepare_defaults(&o);
    for (int n = 1; n <= 3; n++) {
        o.n_threads = n;
        o.out_dir = test_path(f->dir, names[n - 1]);
        assert_ok(prepare(f, &o, NULL, NULL, &err));
    }
    assert_same_file(test_path(f->dir, "one/shard-00000.bin"),
                     test_path(f->dir, "two/shard-00000.bin"));
    assert_same_file(test_path(f->dir, "one/shard-00000.bin"),
                     test_path(f->dir, "three/shard-00000.bin"));
}

static void skipped_lines_do_not_fail_a_batch(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_prepare_options o;
    dsm_data_info info;
    dsm_corpus_stats stats;
    char input[4096];
    static const char text[] = "{\"text\":\"a\"}\n{broken\n{\"text\":\"b\"}\n";
    snprintf(input, sizeof input, "%s/skip.jsonl", f->dir);
    test_write_file(input, text, sizeof text - 1);
    const char *inputs[] = {input};
    dsm_prepare_defaults(&o);
    o.out_dir = test_path(f->dir, "skip");
    o.corpus.skip_bad_lines = true;
    assert_ok(dsm_data_prepare(f->tokenizer, inputs, 1, &o, &info, NULL, &stats, &err));
    assert_int_equal(info.documents, 2);
    assert_int_equal(stats.bad_lines, 1);
}

static void fails(const fixture *f, const dsm_prepare_options *o, const char *input,
                  dsm_status code, const char *message)
{
    dsm_err err = {0};
    assert_fails(dsm_data_prepare(f->tokenizer, &input, 1, o, NULL, NULL, NULL, &err), code,
                 message);
    assert_false(dsm_fs_exists(test_path(f->dir, "never")));
    assert_false(dsm_fs_exists(test_path(f->dir, "never.partial")));
}

static void failures_leave_nothing_behind(void **state)
{
    fixture *f = *state;
    dsm_prepare_options o;
    char input[4096], out[4096];
    snprintf(input, sizeof input, "%s/bad.jsonl", f->dir);
    snprintf(out, sizeof out, "%s/never", f->dir);
    dsm_prepare_defaults(&o);
    o.out_dir = out;
    test_write_file(input, "", 0);
    fails(f, &o, input, DSM_EFORMAT, "the corpus is empty");
    test_write_file(input, "{\"text\":\"\"}\n", 12);
    fails(f, &o, input, DSM_EFORMAT, "1 empty");
    test_write_file(input, "{\"text\":\"a\"}\n{\"text\":", 21);
    fails(f, &o, input, DSM_EFORMAT, "bad.jsonl:2: column");
    fails(f, &o, test_path(f->dir, "missing"), DSM_ENOTFOUND, "missing: cannot open");
    test_write_file(input, "{\"text\":\"a\"}\n", 13);
    o.valid_fraction = 1e-9;
    fails(f, &o, input, DSM_ERANGE, "leaves the valid part of 1 documents empty");
    o.valid_fraction = 1.0;
    fails(f, &o, input, DSM_EUSAGE, "valid fraction: found 1");
}

static void a_name_that_is_taken_is_refused(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_prepare_options o;
    dsm_prepare_defaults(&o);
    o.out_dir = f->dir;
    assert_fails(prepare(f, &o, NULL, NULL, &err), DSM_EUSAGE, "exists already");
    assert_true(dsm_fs_exists(f->corpus));
}

static void a_loader_reads_what_was_prepared(void **state)
{
    fixture *f = *state;
    dsm_err err = {0};
    dsm_prepare_options o;
    dsm_data_info info;
    dsm_loader *l;
    enum { T = 64 };
    int32_t tokens[T], targets[T];
    uint64_t bytes, sum = 0;
    dsm_prepare_defaults(&o);
    o.out_dir = test_path(f->dir, "load");
    assert_ok(prepare(f, &o, &info, NULL, &err));
    dsm_source s = {test_path(f->dir, "load"), 1};
    assert_ok(dsm_loader_open(&l, &s, 1, T, 1, true, &err));
    for (uint64_t i = 0; i < dsm_loader_epoch_sequences(l); i++) {
        assert_ok(dsm_loader_next(l, 1, tokens, targets, &bytes, &err));
        sum += bytes;
    }
    /* All text but the first token's and the tail's, at most seq_len tokens of some bytes each. */
    assert_true(sum < info.bytes && info.bytes - sum < (T + 1) * 64);
    dsm_loader_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_document_can_be_read_back_in_order),
        cmocka_unit_test(parts_are_split_by_text),
        cmocka_unit_test(threads_do_not_change_the_files),
        cmocka_unit_test(skipped_lines_do_not_fail_a_batch),
        cmocka_unit_test(failures_leave_nothing_behind),
        cmocka_unit_test(a_name_that_is_taken_is_refused),
        cmocka_unit_test(a_loader_reads_what_was_prepared),
    };
    return cmocka_run_group_tests(tests, make_fixture, free_fixture);
}
