/* SPDX-License-Identifier: MIT */
/* core/gguf: each check of the reader on a file that breaks it alone, and round trips. */
#include "support/support.h"

#include "core/gguf.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- files, byte by byte ---------------------------------------------------------------------- */

static void number(dsm_buf *b, uint64_t v, int size)
{
    for (int i = 0; i < size; i++)
        dsm_buf_add(b, &(unsigned char){(unsigned char)(v >> (8 * i))}, 1);
}

static void text(dsm_buf *b, const char *s)
{
    number(b, strlen(s), 8);
    dsm_buf_str(b, s);
}

/* What a file's header says; the fields at 0 make a good one. */
typedef struct header {
    const char *magic;
    uint64_t version, n_tensors, n_keys;
} header;

static dsm_buf begin(header h)
{
    dsm_buf b = {0};
    dsm_buf_str(&b, h.magic ? h.magic : "GGUF");
    number(&b, h.version ? h.version : 3, 4);
    number(&b, h.n_tensors, 8);
    number(&b, h.n_keys, 8);
    return b;
}

static void key(dsm_buf *b, const char *name, uint64_t type)
{
    text(b, name);
    number(b, type, 4);
}

static void tensor(dsm_buf *b, const char *name, int n_dims, const uint64_t *dims, uint64_t type,
                   uint64_t offset)
{
    text(b, name);
    number(b, (uint64_t)n_dims, 4);
    for (int i = 0; i < n_dims; i++)
        number(b, dims[i], 8);
    number(b, type, 4);
    number(b, offset, 8);
}

/* Padding, then n bytes 0, 1, 2, … */
static void data(dsm_buf *b, size_t n)
{
    while (b->len % 32 != 0)
        number(b, 0, 1);
    for (size_t i = 0; i < n; i++)
        number(b, i & 0xFF, 1);
}

/* Frees b. */
static void assert_refused(dsm_buf *b, const char *message)
{
    dsm_err err;
    dsm_gguf *f;
    unsigned char *exact = malloc(b->len ? b->len : 1); /* so that ASan sees its end */
    if (b->len) memcpy(exact, b->data, b->len);
    dsm_status status = dsm_gguf_open_memory(&f, exact, b->len, "x.gguf", &err);
    if (status == DSM_OK || !test_contains(err.msg, message))
        fail_msg("found %d \"%s\", expected \"%s\"", (int)status, status ? err.msg : "", message);
    assert_true(test_contains(err.msg, "x.gguf: "));
    assert_null(f);
    free(exact);
    dsm_buf_free(b);
}

/* --- damaged headers -------------------------------------------------------------------------- */

static void refuses_other_files(void **state)
{
    (void)state;
    static const struct {
        header h;
        const char *message;
    } cases[] = {
        {{.magic = "GGML"}, "does not begin with \"GGUF\""},
        {{.version = 1}, "version 1, expected 2 or 3"},
        {{.version = 4}, "version 4, expected 2 or 3"},
        {{.version = 3 << 24}, "big-endian"},
        {{.n_tensors = 1}, "1 tensors in a file of 24 bytes"},
        {{.n_tensors = UINT64_MAX}, "tensors in a file of"},
        {{.n_keys = 1}, "1 keys in a file of 24 bytes"},
        {{.n_keys = (uint64_t)1 << 63}, "keys in a file of"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_buf b = begin(cases[i].h);
        assert_refused(&b, cases[i].message);
    }
}

typedef void (*damage_fn)(dsm_buf *b);

static void no_name(dsm_buf *b)
{
    key(b, "", DSM_GGUF_U8);
    number(b, 0, 8);
}

static void nul_in_name(dsm_buf *b)
{
    number(b, 3, 8);
    dsm_buf_add(b, "a\0b", 3);
    number(b, DSM_GGUF_U8, 4);
    number(b, 0, 8);
}

static void bad_utf8_in_name(dsm_buf *b)
{
    key(b, "a\xFF", DSM_GGUF_U8);
    number(b, 0, 8);
}

static void long_name(dsm_buf *b)
{
    number(b, UINT64_MAX, 8);
    number(b, 0, 8);
}

static void name_past_end(dsm_buf *b)
{
    number(b, 1000, 8);
    number(b, 0, 8);
}

static void unknown_type(dsm_buf *b)
{
    key(b, "a", DSM_GGUF_N_TYPES);
    number(b, 0, 8);
}

static void text_past_end(dsm_buf *b)
{
    key(b, "a", DSM_GGUF_TEXT);
    number(b, 9, 8);
    number(b, 0, 8);
}

static void list_of_lists(dsm_buf *b)
{
    key(b, "a", DSM_GGUF_LIST);
    number(b, DSM_GGUF_LIST, 4);
    number(b, 0, 8);
}

static void endless_list(dsm_buf *b)
{
    key(b, "a", DSM_GGUF_LIST);
    number(b, DSM_GGUF_U64, 4);
    number(b, ((uint64_t)1 << 30) + 1, 8);
}

static void list_past_end(dsm_buf *b)
{
    key(b, "a", DSM_GGUF_LIST);
    number(b, DSM_GGUF_U64, 4);
    number(b, 2, 8);
    number(b, 0, 8);
}

static void list_text_past_end(dsm_buf *b)
{
    key(b, "a", DSM_GGUF_LIST);
    number(b, DSM_GGUF_TEXT, 4);
    number(b, 2, 8);
    text(b, "b");
    number(b, 1, 8);
}

static void refuses_damaged_keys(void **state)
{
    (void)state;
    static const struct {
        damage_fn damage;
        const char *message;
    } cases[] = {
        {no_name, "key: expected a name"},
        {nul_in_name, "key: expected a name"},
        {bad_utf8_in_name, "key: expected a name"},
        {long_name, "at most 2^30"},
        {name_past_end, "key: cut off"},
        {unknown_type, "a: type 13 is not known"},
        {text_past_end, "a: cut off"},
        {list_of_lists, "no array of arrays"},
        {endless_list, "at most 2^30"},
        {list_past_end, "a: cut off"},
        {list_text_past_end, "a: cut off"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_buf b = begin((header){.n_keys = 1});
        cases[i].damage(&b);
        assert_refused(&b, cases[i].message);
    }
    dsm_buf b = begin((header){.n_keys = 2});
    for (int i = 0; i < 2; i++) {
        key(&b, "same", DSM_GGUF_U8);
        number(&b, 0, 1);
    }
    number(&b, 0, 8);
    assert_refused(&b, "key same is there twice");
}

static void refuses_odd_alignments(void **state)
{
    (void)state;
    static const uint64_t found[] = {0, 3, 48, (uint64_t)1 << 31};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        dsm_buf b = begin((header){.n_keys = 1});
        key(&b, "general.alignment", DSM_GGUF_U32);
        number(&b, found[i], 4);
        assert_refused(&b, "general.alignment: found");
    }
}

/* --- damaged tensors -------------------------------------------------------------------------- */

static void refuses_damaged_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int n_dims;
        uint64_t dims[5], type, offset;
        size_t n_data;
        const char *message;
    } cases[] = {
        {"", 1, {4}, 0, 0, 16, "tensor: expected a name"},
        {"0123456789012345678901234567890123456789012345678901234567890123",
         1,
         {4},
         0,
         0,
         16,
         "tensor: expected a name of 1 to 63"},
        {"t", 5, {1, 1, 1, 1, 4}, 0, 0, 16, "tensor t: 5 dimensions"},
        {"t", 1, {(uint64_t)1 << 63}, 0, 0, 16, "its shape overflows"},
        {"t", 2, {(uint64_t)1 << 32, (uint64_t)1 << 32}, 0, 0, 16, "its shape overflows"},
        {"t", 1, {(uint64_t)1 << 62}, 0, 0, 16, "its shape overflows"},
        {"t", 1, {4}, 31, 0, 16, "type 31 is not known"},
        {"t", 1, {4}, 1000, 0, 16, "type 1000 is not known"},
        {"t", 2, {31, 32}, 8, 0, 34, "rows of 31 values, Q8_0 needs a multiple of 32"},
        {"t", 2, {128, 2}, 12, 0, 144, "rows of 128 values, Q4_K needs a multiple of 256"},
        {"t", 1, {4}, 0, 32, 48, "its data begin at 32, expected 0"},
        {"t", 1, {4}, 0, UINT64_MAX, 16, "expected 0"},
        {"t", 1, {4}, 0, 0, 15, "cut off?"},
        {"t", 1, {(uint64_t)1 << 40}, 0, 0, 16, "cut off?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_buf b = begin((header){.n_tensors = 1});
        tensor(&b, cases[i].name, cases[i].n_dims, cases[i].dims, cases[i].type, cases[i].offset);
        data(&b, cases[i].n_data);
        assert_refused(&b, cases[i].message);
    }
}

static void refuses_tensors_that_overlap(void **state)
{
    (void)state;
    static const struct {
        const char *second;
        uint64_t offset;
        const char *message;
    } cases[] = {
        {"t", 32, "tensor t is there twice"},
        {"u", 0, "tensor u: its data begin at 0, expected 32"},
        {"u", 16, "tensor u: its data begin at 16, expected 32"},
        {"u", 64, "tensor u: its data begin at 64, expected 32"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_buf b = begin((header){.n_tensors = 2});
        tensor(&b, "t", 1, (uint64_t[]){4}, 0, 0);
        tensor(&b, cases[i].second, 1, (uint64_t[]){4}, 0, cases[i].offset);
        data(&b, 80);
        assert_refused(&b, cases[i].message);
    }
}

/* --- good files ------------------------------------------------------------------------------- */

/* Version 2, another alignment, every kind of value, types that are not ours. */
static dsm_buf unusual_file(void)
{
    dsm_buf b = begin((header){.version = 2, .n_tensors = 3, .n_keys = 7});
    key(&b, "general.alignment", DSM_GGUF_U32);
    number(&b, 8, 4);
    key(&b, "i8", DSM_GGUF_I8);
    number(&b, 0xFE, 1);
    key(&b, "u64", DSM_GGUF_U64);
    number(&b, UINT64_MAX, 8);
    key(&b, "f64", DSM_GGUF_F64);
    number(&b, 0x3FF8000000000000, 8);
    key(&b, "text", DSM_GGUF_TEXT);
    number(&b, 3, 8);
    dsm_buf_add(&b, "a\0b", 3);
    key(&b, "list", DSM_GGUF_LIST);
    number(&b, DSM_GGUF_TEXT, 4);
    number(&b, 2, 8);
    text(&b, "");
    text(&b, "xyz");
    key(&b, "shorts", DSM_GGUF_LIST);
    number(&b, DSM_GGUF_I16, 4);
    number(&b, 2, 8);
    number(&b, 0xFFFF, 2);
    number(&b, 7, 2);
    tensor(&b, "scalar", 0, NULL, 0, 0);
    tensor(&b, "empty", 2, (uint64_t[]){256, 0}, 12, 8);
    tensor(&b, "rare", 3, (uint64_t[]){256, 1, 2}, 23, 8);
    while (b.len % 8 != 0)
        number(&b, 0, 1);
    number(&b, 0x3F800000, 4);
    number(&b, 0, 4);
    for (int i = 0; i < 2 * 136; i++)
        number(&b, 5, 1);
    return b;
}

static void check_values(const dsm_gguf *f)
{
    dsm_err err;
    int64_t i = 5;
    double x = 0;
    const char *s = NULL;
    dsm_gguf_list l = {0};
    assert_ok(dsm_gguf_int(f, "i8", -10, 10, &i, &err));
    assert_int_equal(i, -2);
    assert_fails(dsm_gguf_int(f, "i8", 0, 10, &i, &err), DSM_ERANGE, "i8: found -2");
    assert_fails(dsm_gguf_int(f, "u64", 0, INT64_MAX, &i, &err), DSM_EFORMAT, "u64: found u64");
    assert_ok(dsm_gguf_real(f, "f64", &x, &err));
    assert_true(x == 1.5);
    assert_fails(dsm_gguf_real(f, "i8", &x, &err), DSM_EFORMAT, "i8: found i8, expected f32");
    assert_fails(dsm_gguf_text(f, "text", &s, &err), DSM_EFORMAT, "NUL");
    assert_fails(dsm_gguf_text(f, "list", &s, &err), DSM_EFORMAT, "found array, expected string");
    assert_fails(dsm_gguf_bool(f, "i8", &(bool){0}, &err), DSM_EFORMAT, "expected bool");
    assert_ok(dsm_gguf_text(f, "missing", &s, &err));
    assert_null(s);
    assert_fails(dsm_gguf_get_list(f, "list", DSM_GGUF_I32, &l, &err), DSM_EFORMAT,
                 "an array of strings, expected i32s");
    assert_ok(dsm_gguf_get_list(f, "list", DSM_GGUF_TEXT, &l, &err));
    assert_int_equal(l.n, 2);
    const unsigned char *at = l.data;
    size_t n;
    dsm_gguf_list_text(&at, &n);
    assert_int_equal(n, 0);
    assert_memory_equal(dsm_gguf_list_text(&at, &n), "xyz", 3);
    assert_int_equal(n, 3);
    assert_ok(dsm_gguf_get_list(f, "shorts", DSM_GGUF_I16, &l, &err));
    assert_int_equal(dsm_gguf_list_int(&l, 0), -1);
    assert_int_equal(dsm_gguf_list_int(&l, 1), 7);
}

static void reads_unusual_but_legal(void **state)
{
    (void)state;
    dsm_err err;
    dsm_buf b = unusual_file();
    dsm_gguf *f;
    assert_ok(dsm_gguf_open_memory(&f, b.data, b.len, "x", &err));
    check_values(f);
    assert_int_equal(dsm_gguf_n_tensors(f), 3);
    assert_int_equal(dsm_gguf_n_keys(f), 7);
    assert_string_equal(dsm_gguf_key_at(f, 1), "i8");
    const dsm_gguf_tensor *t = dsm_gguf_find(f, "rare");
    assert_string_equal(t->type_name, "IQ4_XS");
    assert_false(t->known);
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[2], 256);
    assert_int_equal(t->bytes, 2 * 136);
    assert_int_equal(((const unsigned char *)t->data)[0], 5);
    assert_int_equal(dsm_gguf_find(f, "scalar")->bytes, 4);
    assert_int_equal(dsm_gguf_find(f, "empty")->bytes, 0);
    assert_null(dsm_gguf_find(f, "none"));
    dsm_gguf_close(f);
    dsm_buf_free(&b);
}

/* Every cut of a good file is an error, never a crash. */
static void any_cut_is_an_error(void **state)
{
    (void)state;
    dsm_buf whole = unusual_file();
    for (size_t n = 0; n < whole.len; n++) {
        dsm_buf b = {0};
        dsm_buf_add(&b, whole.data, n);
        assert_refused(&b, "x.gguf");
    }
    dsm_buf_free(&whole);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void put_everything(dsm_gguf_meta *m)
{
    dsm_gguf_put_text(m, "general.architecture", "llama");
    dsm_gguf_put_u32(m, "u32", 7);
    dsm_gguf_put_f32(m, "f32", 0.1f);
    dsm_gguf_put_bool(m, "bool", true);
    dsm_gguf_put_list(m, "texts", DSM_GGUF_TEXT, 2);
    dsm_gguf_add_text(m, "a b", 3);
    dsm_gguf_add_text(m, "", 0);
    dsm_gguf_put_list(m, "ints", DSM_GGUF_I32, 1);
    dsm_gguf_add_i32(m, -3);
    dsm_gguf_put_list(m, "reals", DSM_GGUF_F32, 1);
    dsm_gguf_add_f32(m, -2.5f);
}

static void check_everything(const dsm_gguf *f)
{
    dsm_err err;
    const char *s;
    int64_t i;
    double x;
    bool b = false;
    dsm_gguf_list l;
    assert_ok(dsm_gguf_text(f, "general.architecture", &s, &err));
    assert_string_equal(s, "llama");
    assert_ok(dsm_gguf_int(f, "u32", 0, 9, &i, &err));
    assert_int_equal(i, 7);
    assert_ok(dsm_gguf_real(f, "f32", &x, &err));
    assert_true((float)x == 0.1f);
    assert_ok(dsm_gguf_bool(f, "bool", &b, &err));
    assert_true(b);
    assert_ok(dsm_gguf_get_list(f, "ints", DSM_GGUF_I32, &l, &err));
    assert_int_equal(dsm_gguf_list_int(&l, 0), -3);
    assert_ok(dsm_gguf_get_list(f, "reals", DSM_GGUF_F32, &l, &err));
    assert_true(dsm_gguf_list_real(&l, 0) == -2.5);
    assert_ok(dsm_gguf_get_list(f, "texts", DSM_GGUF_TEXT, &l, &err));
    assert_int_equal(l.n, 2);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "a.gguf");
    unsigned char bytes[144];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7);
    const dsm_gguf_item items[] = {
        {"odd", 2, {3, 1}, DSM_F32},
        {"none", 2, {0, 32}, DSM_Q8_0},
        {"k", 3, {1, 1, 256}, DSM_Q4_K},
        {"half", 1, {5}, DSM_F16},
    };
    enum { N = sizeof items / sizeof *items };
    dsm_gguf_meta meta = {0};
    dsm_gguf_writer w;
    put_everything(&meta);
    assert_ok(dsm_gguf_begin(&w, path, &meta, items, N, &err));
    assert_ok(dsm_gguf_write(&w, bytes, 5, &err)); /* in pieces of any size */
    assert_ok(dsm_gguf_write(&w, bytes + 5, 7, &err));
    assert_ok(dsm_gguf_write(&w, bytes, 144, &err));
    assert_ok(dsm_gguf_write(&w, bytes, 10, &err));
    assert_false(dsm_fs_exists(path)); /* before it is complete */
    assert_ok(dsm_gguf_commit(&w, &err));
    dsm_gguf *f;
    assert_true(dsm_gguf_is(path));
    assert_ok(dsm_gguf_open(&f, path, &err));
    check_everything(f);
    for (int i = 0; i < N; i++) {
        const dsm_gguf_tensor *t = dsm_gguf_find(f, items[i].name);
        assert_non_null(t);
        assert_true(t->known && t->dtype == items[i].dtype && t->ndim == items[i].ndim);
        assert_memory_equal(t->shape, items[i].shape, sizeof(int64_t) * (size_t)t->ndim);
        assert_int_equal((uintptr_t)t->data % DSM_GGUF_ALIGNMENT, 0);
        assert_memory_equal(t->data, bytes, t->bytes);
    }
    dsm_gguf_close(f);
    dsm_gguf_meta_free(&meta);
    test_remove_dir(dir);
}

static void leaves_nothing_when_abandoned(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_gguf_meta meta = {0};
    dsm_gguf_writer w;
    const dsm_gguf_item bad[] = {{"rows of 31", 2, {2, 31}, DSM_Q8_0}};
    const dsm_gguf_item worse[] = {{"a byte", 1, {2}, DSM_U8}};
    const dsm_gguf_item good[] = {{"t", 1, {2}, DSM_F32}};
    const char *path = test_path(dir, "sub");
    assert_ok(dsm_fs_make_dirs(path, &err));
    const char *file = test_path(path, "a.gguf");
    assert_fails(dsm_gguf_begin(&w, file, &meta, bad, 1, &err), DSM_ESHAPE, "multiple of 32");
    assert_fails(dsm_gguf_begin(&w, file, &meta, worse, 1, &err), DSM_EUSAGE, "no type u8");
    assert_ok(dsm_gguf_begin(&w, file, &meta, good, 1, &err));
    assert_ok(dsm_gguf_write(&w, "abcd", 4, &err));
    dsm_gguf_abandon(&w);
    assert_int_equal(rmdir(path), 0); /* it is empty */
    assert_false(dsm_gguf_is(dir));
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_other_files),           cmocka_unit_test(refuses_damaged_keys),
        cmocka_unit_test(refuses_odd_alignments),        cmocka_unit_test(refuses_damaged_tensors),
        cmocka_unit_test(refuses_tensors_that_overlap),  cmocka_unit_test(reads_unusual_but_legal),
        cmocka_unit_test(any_cut_is_an_error),           cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(leaves_nothing_when_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
