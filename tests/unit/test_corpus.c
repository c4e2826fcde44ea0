/* SPDX-License-Identifier: MIT */
/* data/corpus: documents out of every kind of input, and what damaged input says. */
#include "support/support.h"

#include "core/buf.h"
#include "dsmoe/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

/* --- helpers -------------------------------------------------------------------------------- */

/* All documents of one path, each followed by "|"; the last place and the counts if asked for. */
static dsm_status gather(dsm_buf *out, const char *path, const dsm_corpus_options *o,
                         dsm_corpus_stats *stats, dsm_err *err)
{
    dsm_corpus *c;
    dsm_corpus_options defaults;
    dsm_corpus_defaults(&defaults);
    DSM_TRY(dsm_corpus_open(&c, &path, 1, o ? o : &defaults, err));
    const char *text;
    size_t n;
    int rc;
    while ((rc = dsm_corpus_next(c, &text, &n, err)) == 1) {
        dsm_buf_add(out, text, n);
        dsm_buf_str(out, "|");
    }
    if (stats) dsm_corpus_get_stats(c, stats);
    dsm_corpus_close(c);
    return rc == 0 ? DSM_OK : err->code;
}

static void expect(const char *path, const dsm_corpus_options *o, const char *expected)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    assert_ok(gather(&out, path, o, NULL, &err));
    assert_string_equal(out.data ? out.data : "", expected);
    dsm_buf_free(&out);
}

static void expect_failure(const char *path, dsm_status code, const char *part)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    assert_fails(gather(&out, path, NULL, NULL, &err), code, part);
    assert_true(test_contains(err.msg, path));
    dsm_buf_free(&out);
}

static const char *file(const char *dir, const char *name, const char *text)
{
    const char *path = test_path(dir, name);
    test_write_file(path, text, strlen(text));
    return path;
}

static void add_gzip(dsm_buf *out, const void *data, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, n);
    dsm_buf_reserve(out, bound);
    z.next_in = (Bytef *)(uintptr_t)data;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out->data + out->len;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len += bound - z.avail_out;
    deflateEnd(&z);
}

static void add_zstd(dsm_buf *out, const void *data, size_t n)
{
    size_t bound = ZSTD_compressBound(n);
    dsm_buf_reserve(out, bound);
    size_t got = ZSTD_compress(out->data + out->len, bound, data, n, 3);
    assert_false(ZSTD_isError(got));
    out->len += got;
}

/* --- plain text ----------------------------------------------------------------------------- */

static void a_text_file_is_one_document(void **state)
{
    expect(file(*state, "a.txt", "one\n\ntwo\n"), NULL, "one\n\ntwo\n|");
    expect(file(*state, "b.txt", "no newline"), NULL, "no newline|");
    expect(file(*state, "empty.txt", ""), NULL, "");
    expect(file(*state, "mark.txt", "\xEF\xBB\xBFtext"), NULL, "text|");
    expect(file(*state, "README", "unknown ending, named\n"), NULL, "unknown ending, named\n|");
}

static void blank_lines_split_documents_on_request(void **state)
{
    dsm_corpus_options o;
    dsm_corpus_defaults(&o);
    o.split_blank_lines = true;
    expect(file(*state, "s.txt", "\n\na\nb\n \t\n\n\nc\n"), &o, "a\nb\n|c\n|");
    expect(file(*state, "t.txt", "\n \n"), &o, "");
    expect(file(*state, "crlf.txt", "a\r\n\r\nb"), &o, "a\r\n|b|");
}

static void invalid_utf8_is_repaired_and_counted(void **state)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    dsm_corpus_stats stats;
    const char *path = file(*state, "bad.txt",
                            "a\xFF"
                            "b\xE4\xBD");
    assert_ok(gather(&out, path, NULL, &stats, &err));
    assert_string_equal(out.data, "a\xEF\xBF\xBD"
                                  "b\xEF\xBF\xBD|");
    assert_int_equal(stats.repaired, 1);
    assert_int_equal(stats.documents, 1);
    assert_int_equal(stats.bytes, 8);
    dsm_buf_free(&out);
}

static void binary_and_foreign_files_are_refused(void **state)
{
    const char *path = test_path(*state, "model.bin");
    test_write_file(path, "ab\0cd", 5);
    expect_failure(path, DSM_EFORMAT, "zero byte at offset 2");
    expect_failure(file(*state, "x.parquet", "PAR1"), DSM_EFORMAT, ".parquet files cannot be read");
    expect_failure(file(*state, "wide.txt", "\xFF\xFEh"), DSM_EFORMAT, "UTF-16");
    expect_failure(test_path(*state, "missing.txt"), DSM_ENOTFOUND, "cannot open");
}

/* --- jsonl ---------------------------------------------------------------------------------- */

static void jsonl_gives_one_field_per_line(void **state)
{
    dsm_corpus_options o;
    dsm_corpus_defaults(&o);
    expect(file(*state, "a.jsonl", "{\"text\":\"x\",\"meta\":{\"s\":1}}\n\n{\"text\":\"y\\n\"}"),
           NULL, "x|y\n|");
    expect(file(*state, "crlf.json", "{\"text\":\"x\"}\r\n \r\n"), NULL, "x|");
    o.text_field = "content";
    expect(file(*state, "b.jsonl", "{\"content\":\"\\u4f60\\ud83d\\ude00\"}\n"), &o,
           "\xE4\xBD\xA0\xF0\x9F\x98\x80|");
}

static void jsonl_repairs_what_the_web_breaks(void **state)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    dsm_corpus_stats stats;
    const char *path = file(*state, "web.jsonl",
                            "{\"text\":\"raw \xFF\"}\n"
                            "{\"text\":\"half \\ud83d, \\\\ud83d kept\"}\n"
                            "{\"text\":\"low \\uDE00\\uD83D\"}\n"
                            "{\"text\":\"\"}\n{\"text\":\"fine\"}\n");
    assert_ok(gather(&out, path, NULL, &stats, &err));
    assert_string_equal(out.data, "raw \xEF\xBF\xBD|half \xEF\xBF\xBD, \\ud83d kept|"
                                  "low \xEF\xBF\xBD\xEF\xBF\xBD|fine|");
    assert_int_equal(stats.repaired, 3);
    assert_int_equal(stats.empty, 1);
    assert_int_equal(stats.documents, 4);
    dsm_buf_free(&out);
}

static void a_zero_byte_in_a_string_survives(void **state)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    assert_ok(
        gather(&out, file(*state, "nul.jsonl", "{\"text\":\"a\\u0000b\"}"), NULL, NULL, &err));
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "a\0b|", 4);
    dsm_buf_free(&out);
}

static void damaged_jsonl_names_file_and_line(void **state)
{
    static const struct bad {
        const char *text, *message;
    } cases[] = {
        {"{\"text\":\"a\"}\n{\"text\":\n", ":2: column"},
        {"{\"text\":\"cut o", ":1: column"},
        {"\n\n[\"text\"]", ":3: found an array, expected one JSON object per line"},
        {"{\"content\":\"a\",\"id\":1}", ":1: no key \"text\"; found \"content\", \"id\""},
        {"{\"text\":7}", ":1: key \"text\" does not hold a string"},
        {"{}", "found none"},
        {"\x01", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_failure(file(*state, "bad.jsonl", cases[i].text), DSM_EFORMAT, cases[i].message);
}

static void bad_lines_can_be_skipped_and_counted(void **state)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    dsm_corpus_stats stats;
    dsm_corpus_options o;
    dsm_corpus_defaults(&o);
    o.skip_bad_lines = true;
    const char *path =
        file(*state, "bad.jsonl", "{\"text\":\"a\"}\n{\n{\"x\":1}\n{\"text\":\"b\"}\n{\"te");
    assert_ok(gather(&out, path, &o, &stats, &err));
    assert_string_equal(out.data, "a|b|");
    assert_int_equal(stats.bad_lines, 3);
    dsm_buf_free(&out);
}

static void places_name_file_and_line(void **state)
{
    dsm_err err = {0};
    dsm_corpus *c;
    dsm_corpus_options o;
    dsm_corpus_defaults(&o);
    const char *text, *path = file(*state, "p.jsonl", "\n{\"text\":\"a\"}\n");
    size_t n;
    uint64_t done, total;
    assert_ok(dsm_corpus_open(&c, &path, 1, &o, &err));
    assert_int_equal(dsm_corpus_next(c, &text, &n, &err), 1);
    assert_true(test_contains(dsm_corpus_place(c), "p.jsonl:2"));
    assert_int_equal(dsm_corpus_next(c, &text, &n, &err), 0);
    dsm_corpus_progress(c, &done, &total);
    assert_int_equal(done, 14);
    assert_int_equal(total, 14);
    dsm_corpus_close(c);
}

/* --- long lines, compression ---------------------------------------------------------------- */

/* Lines longer than the reader's chunk, and lines that end just at its edges. */
static void lines_of_any_length_arrive_whole(void **state)
{
    dsm_err err = {0};
    static const size_t lengths[] = {1, (1 << 18) - 13, (1 << 18) - 12, 1 << 18, 3 << 18, 700001,
                                     5};
    dsm_buf text = {0}, expected = {0}, out = {0};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        dsm_buf_str(&text, "{\"text\":\"");
        for (size_t k = 0; k < lengths[i]; k++) {
            char letter = (char)('a' + (i + k) % 26);
            dsm_buf_add(&text, &letter, 1);
            dsm_buf_add(&expected, &letter, 1);
        }
        dsm_buf_str(&text, "\"}\n");
        dsm_buf_str(&expected, "|");
    }
    static const char *const names[] = {"long.jsonl", "long.jsonl.gz", "long.jsonl.zst"};
    for (int i = 0; i < 3; i++) {
        dsm_buf packed = {0};
        if (i == 0) dsm_buf_add(&packed, text.data, text.len);
        if (i == 1) add_gzip(&packed, text.data, text.len);
        if (i == 2) add_zstd(&packed, text.data, text.len);
        const char *path = test_path(*state, names[i]);
        test_write_file(path, packed.data, packed.len);
        dsm_buf_clear(&out);
        assert_ok(gather(&out, path, NULL, NULL, &err));
        assert_int_equal(out.len, expected.len);
        assert_memory_equal(out.data, expected.data, out.len);
        dsm_buf_free(&packed);
    }
    dsm_buf_free(&text);
    dsm_buf_free(&expected);
    dsm_buf_free(&out);
}

/* Several members or frames are one file; cut anywhere, or with a flipped byte, it is refused. */
static void damage_compressed(const char *dir, const char *name,
                              void (*add)(dsm_buf *, const void *, size_t))
{
    static const char first[] = "{\"text\":\"one\"}\n{\"te", second[] = "xt\":\"two\"}\n";
    dsm_buf packed = {0};
    add(&packed, first, sizeof first - 1);
    size_t boundary = packed.len;
    add(&packed, second, sizeof second - 1);
    const char *path = test_path(dir, name);
    test_write_file(path, packed.data, packed.len);
    expect(path, NULL, "one|two|");
    for (size_t cut = 0; cut < packed.len; cut++) {
        test_write_file(path, packed.data, cut);
        expect_failure(path, DSM_EFORMAT, cut == boundary ? ":2: column" : "truncated");
    }
    packed.data[boundary] ^= 0x40; /* the second magic number */
    test_write_file(path, packed.data, packed.len);
    expect_failure(path, DSM_EFORMAT, "damaged");
    dsm_buf_free(&packed);
}

static void damaged_gzip_is_refused(void **state)
{
    damage_compressed(*state, "m.jsonl.gz", add_gzip);
}

static void damaged_zstd_is_refused(void **state)
{
    damage_compressed(*state, "m.jsonl.zst", add_zstd);
}

static void gzip_may_end_in_zero_padding(void **state)
{
    dsm_buf packed = {0};
    add_gzip(&packed, "text", 4);
    dsm_buf_add(&packed, "\0\0\0", 3);
    const char *path = test_path(*state, "pad.txt.gz");
    test_write_file(path, packed.data, packed.len);
    expect(path, NULL, "text|");
    dsm_buf_free(&packed);
}

/* A frame whose window is larger than the 8 MiB that decoders allow by default. */
static void zstd_windows_may_be_long(void **state)
{
    dsm_err err = {0};
    size_t n = 40u << 20, bound = ZSTD_compressBound(n);
    char *text = malloc(n), *packed = malloc(bound);
    assert_true(text && packed);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 64 == 63 ? '\n' : (char)('a' + (i / 64 * 7 + i) % 26);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setParameter(c, ZSTD_c_enableLongDistanceMatching, 1);
    ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 28);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    ZSTD_inBuffer in = {text, n, 0};
    ZSTD_outBuffer to = {packed, bound, 0};
    while (ZSTD_compressStream2(c, &to, &in, ZSTD_e_end) != 0) {
    }
    ZSTD_freeCCtx(c);
    const char *path = test_path(*state, "window.txt.zst");
    test_write_file(path, packed, to.pos);
    dsm_buf out = {0};
    assert_ok(gather(&out, path, NULL, NULL, &err));
    assert_int_equal(out.len, n + 1);
    assert_memory_equal(out.data, text, n);
    dsm_buf_free(&out);
    free(text);
    free(packed);
}

/* --- folders -------------------------------------------------------------------------------- */

static void folders_are_walked_in_order_of_names(void **state)
{
    mkdir(test_path(*state, "d"), 0777);
    mkdir(test_path(*state, "d/b"), 0777);
    file(*state, "d/c.txt", "third");
    file(*state, "d/a.jsonl", "{\"text\":\"first\"}");
    file(*state, "d/b/x.md", "second");
    file(*state, "d/.hidden.txt", "no");
    file(*state, "d/picture.png", "no");
    if (symlink(".", test_path(*state, "d/loop")) != 0) fail_msg("symlink");
    expect(test_path(*state, "d"), NULL, "first|second|third|");
    mkdir(test_path(*state, "none"), 0777);
    file(*state, "none/picture.png", "no");
    expect_failure(test_path(*state, "none"), DSM_ENOTFOUND, "no file here ends in");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_file_is_one_document),
        cmocka_unit_test(blank_lines_split_documents_on_request),
        cmocka_unit_test(invalid_utf8_is_repaired_and_counted),
        cmocka_unit_test(binary_and_foreign_files_are_refused),
        cmocka_unit_test(jsonl_gives_one_field_per_line),
        cmocka_unit_test(jsonl_repairs_what_the_web_breaks),
        cmocka_unit_test(a_zero_byte_in_a_string_survives),
        cmocka_unit_test(damaged_jsonl_names_file_and_line),
        cmocka_unit_test(bad_lines_can_be_skipped_and_counted),
        cmocka_unit_test(places_name_file_and_line),
        cmocka_unit_test(lines_of_any_length_arrive_whole),
        cmocka_unit_test(damaged_gzip_is_refused),
        cmocka_unit_test(damaged_zstd_is_refused),
        cmocka_unit_test(gzip_may_end_in_zero_padding),
        cmocka_unit_test(zstd_windows_may_be_long),
        cmocka_unit_test(folders_are_walked_in_order_of_names),
    };
    return cmocka_run_group_tests(tests, test_enter_dir, test_leave_dir);
}
