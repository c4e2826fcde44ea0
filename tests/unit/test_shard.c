/* SPDX-License-Identifier: MIT */
/* data/shard, data/dataset, data/staging: what is written is read back; damage is refused; folders
 * appear whole or not at all. */
#include "support/support.h"

#include "data/dataset.h"
#include "data/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { V = 300 };
static uint16_t n_bytes[70000];

static dsm_shard_vocab vocab_of(uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        n_bytes[i] = (uint16_t)(i % 7);
    n_bytes[size - 1] = 0; /* EOS */
    return (dsm_shard_vocab){0xFEED5EEDull + size, size, n_bytes};
}

/* Documents of 0, 1, 2, … tokens, ids spread over the whole vocabulary. */
static int32_t id_at(uint64_t i, uint32_t size)
{
    return (int32_t)(i * 2654435761u % size);
}

static void write_shard(const char *path, uint32_t size, int n_documents)
{
    dsm_err err = {0};
    dsm_shard_writer w;
    dsm_shard_vocab vocab = vocab_of(size);
    int32_t ids[64];
    uint64_t token = 0;
    assert_ok(dsm_shard_begin(&w, path, &vocab, &err));
    for (int d = 0; d < n_documents; d++) {
        for (int i = 0; i < d % 64; i++)
            ids[i] = id_at(token++, size);
        assert_ok(dsm_shard_add(&w, ids, (size_t)(d % 64), (uint64_t)d * 3, &err));
    }
    assert_ok(dsm_shard_commit(&w, &err));
}

/* --- one shard ------------------------------------------------------------------------------ */

static void round_trip(const char *dir, uint32_t size, uint32_t width)
{
    dsm_err err = {0};
    dsm_shard s;
    const char *path = test_path(dir, "one.bin");
    write_shard(path, size, 200);
    assert_ok(dsm_shard_open(&s, path, &err));
    assert_int_equal(s.width, width);
    assert_int_equal(s.n_documents, 200);
    assert_int_equal(s.vocab.size, size);
    assert_int_equal(s.vocab.fingerprint, 0xFEED5EEDull + size);
    assert_int_equal(s.text_bytes, 3 * 199 * 200 / 2);
    assert_int_equal(s.documents[3].first, 0 + 1 + 2);
    assert_int_equal(s.documents[3].text_bytes, 9);
    int32_t *ids = malloc(s.tokens * sizeof *ids);
    assert_ok(dsm_shard_copy(&s, 0, s.tokens, ids, &err));
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < s.tokens; i++) {
        assert_int_equal(ids[i], id_at(i, size));
        bytes += s.vocab.n_bytes[ids[i]];
    }
    assert_int_equal(bytes, s.token_bytes);
    assert_ok(dsm_shard_check(&s, &err));
    free(ids);
    dsm_shard_close(&s);
}

static void shards_hold_two_or_four_bytes_per_token(void **state)
{
    round_trip(*state, V, 2);
    round_trip(*state, 65536, 2);
    round_trip(*state, 65537, 4);
}

static void an_empty_shard_is_a_shard(void **state)
{
    dsm_err err = {0};
    dsm_shard s;
    const char *path = test_path(*state, "empty.bin");
    write_shard(path, V, 0);
    assert_ok(dsm_shard_open(&s, path, &err));
    assert_int_equal(s.tokens, 0);
    assert_ok(dsm_shard_check(&s, &err));
    dsm_shard_close(&s);
}

/* --- damage --------------------------------------------------------------------------------- */

static void a_cut_shard_is_refused_at_any_length(void **state)
{
    dsm_err err = {0};
    dsm_buf whole = {0};
    dsm_shard s;
    const char *path = test_path(*state, "cut.bin");
    write_shard(path, V, 12);
    assert_ok(dsm_fs_read(&whole, path, 1 << 20, &err));
    for (size_t n = whole.len; n-- > 0;) {
        assert_int_equal(truncate(path, (off_t)n), 0);
        assert_fails(dsm_shard_open(&s, path, &err), DSM_EFORMAT, "truncated");
        assert_true(test_contains(err.msg, path));
    }
    dsm_buf_add(&whole, "x", 1);
    test_write_file(path, whole.data, whole.len);
    assert_fails(dsm_shard_open(&s, path, &err), DSM_EFORMAT, "bytes in the file");
    dsm_buf_free(&whole);
}

/* Any flipped bit is noticed: in the header when the shard is opened, behind it by the check. */
static void a_flipped_bit_is_noticed(void **state)
{
    dsm_err err = {0};
    dsm_buf whole = {0};
    dsm_shard s;
    const char *path = test_path(*state, "flip.bin");
    write_shard(path, V, 12);
    assert_ok(dsm_fs_read(&whole, path, 1 << 20, &err));
    int fd = open(path, O_WRONLY);
    for (size_t i = 0; i < whole.len; i++) {
        char flipped = (char)(whole.data[i] ^ 1 << i % 8);
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
        dsm_status opened = dsm_shard_open(&s, path, &err);
        if (i < 72) {
            assert_int_equal(opened, DSM_EFORMAT);
        } else {
            assert_int_equal(opened, DSM_OK);
            assert_fails(dsm_shard_check(&s, &err), DSM_EFORMAT, "checksum");
            dsm_shard_close(&s);
        }
        assert_int_equal(pwrite(fd, &whole.data[i], 1, (off_t)i), 1);
    }
    close(fd);
    dsm_buf_free(&whole);
}

static void foreign_ids_are_refused_when_read(void **state)
{
    dsm_err err = {0};
    dsm_buf whole = {0};
    dsm_shard s;
    int32_t ids[4];
    const char *path = test_path(*state, "ids.bin");
    write_shard(path, V, 20);
    assert_ok(dsm_fs_read(&whole, path, 1 << 20, &err));
    whole.data[72 + 2 * V + 3] = 0x7F; /* upper byte of token 1 (the table needs no padding) */
    test_write_file(path, whole.data, whole.len);
    assert_ok(dsm_shard_open(&s, path, &err));
    assert_fails(dsm_shard_copy(&s, 0, 4, ids, &err), DSM_EFORMAT, "the vocabulary has 300");
    assert_ok(dsm_shard_copy(&s, 2, 2, ids, &err));
    dsm_shard_close(&s);
    dsm_buf_free(&whole);
}

static void other_files_are_no_shards(void **state)
{
    dsm_err err = {0};
    dsm_shard s;
    char zeros[200] = {0};
    const char *path = test_path(*state, "zeros.bin");
    test_write_file(path, zeros, sizeof zeros);
    assert_fails(dsm_shard_open(&s, path, &err), DSM_EFORMAT, "not a token shard");
    assert_fails(dsm_shard_open(&s, test_path(*state, "none.bin"), &err), DSM_ENOTFOUND,
                 "none.bin");
}

/* --- a data set ----------------------------------------------------------------------------- */

/* Documents of 10 tokens whose ids count up, cut into shards of at least shard_tokens. */
static void write_set(const char *dir, int n_documents, uint64_t shard_tokens, dsm_data_info *info)
{
    dsm_err err = {0};
    dsm_dataset_writer w;
    dsm_shard_vocab vocab = vocab_of(V);
    mkdir(dir, 0777);
    assert_ok(dsm_dataset_begin(&w, dir, &vocab, shard_tokens, &err));
    for (int d = 0; d < n_documents; d++) {
        int32_t ids[10];
        for (int i = 0; i < 10; i++)
            ids[i] = (d * 10 + i) % V;
        assert_ok(dsm_dataset_add(&w, ids, 10, 17, &err));
    }
    assert_ok(dsm_dataset_finish(&w, info, &err));
}

static void a_set_reads_across_its_shards(void **state)
{
    dsm_err err = {0};
    dsm_data_info info;
    dsm_dataset d;
    int32_t ids[500];
    const char *dir = test_path(*state, "set");
    write_set(dir, 50, 35, &info);
    assert_int_equal(info.n_shards, 13); /* 40 tokens each, the last 20 */
    assert_ok(dsm_dataset_open(&d, dir, &err));
    assert_int_equal(d.info.tokens, 500);
    assert_int_equal(d.info.documents, 50);
    assert_int_equal(d.info.bytes, 50 * 17);
    for (uint64_t first = 0; first < 500; first += 7)
        for (size_t n = 0; n <= 500 - first; n += 61) {
            assert_ok(dsm_dataset_copy(&d, first, n, ids, &err));
            for (size_t i = 0; i < n; i++)
                assert_int_equal(ids[i], (first + i) % V);
        }
    dsm_dataset_close(&d);
    assert_ok(dsm_data_check(dir, &err));
}

static void damage_set(const char *dir, const char *name, const char *with, dsm_status code,
                       const char *message)
{
    dsm_err err = {0};
    dsm_buf keep = {0};
    dsm_data_info info;
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_ok(dsm_fs_read(&keep, path, 1 << 20, &err));
    if (with)
        test_write_file(path, with, strlen(with));
    else
        unlink(path);
    assert_fails(dsm_data_get_info(&info, dir, &err), code, message);
    assert_true(test_contains(err.msg, dir));
    test_write_file(path, keep.data, keep.len);
    dsm_buf_free(&keep);
}

static void a_damaged_set_names_what_is_wrong(void **state)
{
    dsm_err err = {0};
    dsm_data_info info;
    const char *dir = test_path(*state, "damaged");
    write_set(dir, 20, 50, &info);
    damage_set(dir, "data.json", NULL, DSM_ENOTFOUND, "data.json: cannot open");
    damage_set(dir, "data.json", "", DSM_EFORMAT, "data.json: line");
    damage_set(dir, "data.json", "{\"format\":\"x\"}", DSM_EFORMAT, "expected \"dsmoe-data\"");
    damage_set(
        dir, "data.json",
        "{\"format\":\"dsmoe-data\",\"version\":1,\"vocab_size\":300,\"documents\":1,\"tokens\":1,"
        "\"bytes\":1,\"tokenizer_fingerprint\":\"zz\"}",
        DSM_EFORMAT, "expected 16 hex digits");
    damage_set(
        dir, "data.json",
        "{\"format\":\"dsmoe-data\",\"version\":1,\"vocab_size\":300,\"documents\":1,\"tokens\":1,"
        "\"bytes\":1,\"tokenizer_fingerprint\":\"00000000feed6019\","
        "\"shards\":[{\"file\":\"../x\"}]}",
        DSM_EFORMAT, "is no file name");
    damage_set(dir, "shard-00001.bin", NULL, DSM_ENOTFOUND, "shard-00001.bin");
    damage_set(dir, "shard-00001.bin", "short", DSM_EFORMAT, "truncated");
    assert_ok(dsm_data_get_info(&info, dir, &err));

    dsm_buf first = {0}; /* a shard in another's place */
    char path[4200];
    write_set(test_path(*state, "other"), 3, 50, NULL);
    assert_ok(dsm_fs_read(&first, test_path(*state, "other/shard-00000.bin"), 1 << 20, &err));
    snprintf(path, sizeof path, "%s/shard-00001.bin", dir);
    test_write_file(path, first.data, first.len);
    assert_fails(dsm_data_get_info(&info, dir, &err), DSM_EFORMAT,
                 "found 30 tokens in 3 documents");
    dsm_buf_free(&first);
}

/* --- staging -------------------------------------------------------------------------------- */

static void a_folder_appears_by_one_rename(void **state)
{
    dsm_err err = {0};
    dsm_staging s, other;
    char name[4096]; /* test_path's buffers take turns */
    snprintf(name, sizeof name, "%s", test_path(*state, "deep/er/out"));
    assert_ok(dsm_staging_begin(&s, test_path(*state, "deep/er/out//"), &err));
    test_write_file(test_path(s.data, "file"), "x", 1);
    assert_false(dsm_fs_exists(name));
    assert_fails(dsm_staging_begin(&other, name, &err), DSM_EBUSY, "another process is making it");
    assert_true(dsm_fs_exists(test_path(s.data, "file"))); /* the refused one took nothing */
    assert_ok(dsm_staging_publish(&s, &err));
    assert_true(dsm_fs_exists(test_path(name, "file")));
    assert_false(dsm_fs_exists(test_path(*state, "deep/er/out.partial")));
    assert_fails(dsm_staging_begin(&s, name, &err), DSM_EUSAGE, "exists already");
    assert_true(dsm_fs_exists(test_path(name, "file")));
}

static void what_a_killed_process_left_is_cleared(void **state)
{
    dsm_err err = {0};
    dsm_staging s;
    char name[4096];
    snprintf(name, sizeof name, "%s", test_path(*state, "again"));
    assert_ok(dsm_fs_make_dirs(test_path(*state, "again.partial/data/train"), &err));
    test_write_file(test_path(*state, "again.partial/data/train/old"), "x", 1);
    assert_ok(dsm_staging_begin(&s, name, &err));
    assert_false(dsm_fs_exists(test_path(s.data, "train")));
    dsm_staging_abandon(&s);
    assert_false(dsm_fs_exists(test_path(*state, "again.partial")));
    assert_false(dsm_fs_exists(name));
    test_write_file(test_path(*state, "taken"), "x", 1);
    assert_fails(dsm_staging_begin(&s, test_path(*state, "taken/out"), &err), DSM_ENOTFOUND,
                 "cannot create folder");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards_hold_two_or_four_bytes_per_token),
        cmocka_unit_test(an_empty_shard_is_a_shard),
        cmocka_unit_test(a_cut_shard_is_refused_at_any_length),
        cmocka_unit_test(a_flipped_bit_is_noticed),
        cmocka_unit_test(foreign_ids_are_refused_when_read),
        cmocka_unit_test(other_files_are_no_shards),
        cmocka_unit_test(a_set_reads_across_its_shards),
        cmocka_unit_test(a_damaged_set_names_what_is_wrong),
        cmocka_unit_test(a_folder_appears_by_one_rename),
        cmocka_unit_test(what_a_killed_process_left_is_cleared),
    };
    return cmocka_run_group_tests(tests, test_enter_dir, test_leave_dir);
}
