/* SPDX-License-Identifier: MIT */
/* formats/safetensors: each check of the reader on a file that breaks it alone, and round trips. */
#include "support/support.h"

#include "formats/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* A file of one header and n bytes of data (0, 1, 2, …). */
static dsm_buf file_of(const char *header, size_t n_data)
{
    dsm_buf b = {0};
    size_t len = strlen(header);
    for (int i = 0; i < 8; i++)
        dsm_buf_add(&b, &(unsigned char){(unsigned char)(len >> (8 * i))}, 1);
    dsm_buf_add(&b, header, len);
    for (size_t i = 0; i < n_data; i++)
        dsm_buf_add(&b, &(unsigned char){(unsigned char)i}, 1);
    return b;
}

static void names_what_is_wrong(void **state)
{
    (void)state;
#define T(body) "{\"a\":{" body "}}"
#define U8_4    "\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]"
    static const struct {
        const char *header;
        size_t n_data;
        const char *message;
    } cases[] = {
        {"", 0, "does not begin with '{'"},
        {" {}", 0, "does not begin with '{'"},
        {"{", 0, "line 1"},
        {"{} x", 0, "line 1"},
        {"{\"a\":\"\xFF\"}", 0, "decode byte 0xff"},
        {"{\"a\":{" U8_4 "},\"a\":{" U8_4 "}}", 4, "duplicate"},
        {"{\"a\":3}", 0, "tensor a: found integer, expected an object"},
        {T("\"shape\":[4],\"data_offsets\":[0,4]"), 4, "no \"dtype\""},
        {T("\"dtype\":\"U8\",\"data_offsets\":[0,4]"), 4, "no \"shape\""},
        {T("\"dtype\":\"U8\",\"shape\":[4]"), 4, "no \"data_offsets\""},
        {T(U8_4 ",\"more\":1"), 4, "alone"},
        {T("\"dtype\":3,\"shape\":[4],\"data_offsets\":[0,4]"), 4, "dtype: found integer"},
        {T("\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,4]"), 4,
         "dtype \"F4\" is not known"},
        {T("\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]"), 4, "shape: found integer"},
        {T("\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]"), 4, "shape[0]"},
        {T("\"dtype\":\"U8\",\"shape\":[4.0],\"data_offsets\":[0,4]"), 4, "shape[0]"},
        {T("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,4]"), 4, "9 dim"},
        {T("\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]"), 4,
         "overflows"},
        {T("\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0,
         "overflows"},
        {T("\"dtype\":\"U8\",\"shape\":[4611686018427387904,4,0],\"data_offsets\":[0,0]"), 0,
         "overflows"},
        {T("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4,8]"), 4, "two data_offsets"},
        {T("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,0]"), 4, "bytes 4 to 0 of 4"},
        {T("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]"), 3, "bytes 0 to 4 of 3"},
        {T("\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[0,4]"), 4, "4 bytes stored"},
        {T("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]"), 5, "1 bytes belong to no"},
        {T("\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[1,5]"), 5, "begins at byte 1, expec"},
        {"{\"a\":{" U8_4 "},\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6,
         "tensor b begins at byte 2, expected 4"},
        {"{\"__metadata__\":{\"x\":1}}", 0, "__metadata__: x: found integer"},
        {"{\"__metadata__\":[]}", 0, "__metadata__: found array"},
    };
    dsm_err err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_buf b = file_of(cases[i].header, cases[i].n_data);
        dsm_st_file *f;
        assert_fails(dsm_st_open_memory(&f, b.data, b.len, "x.safetensors", &err), DSM_EFORMAT,
                     cases[i].message);
        assert_true(test_contains(err.msg, "x.safetensors"));
        assert_null(f);
        dsm_buf_free(&b);
    }
}

/* Every cut of a good file is an error, never a crash. */
static void any_cut_is_an_error(void **state)
{
    (void)state;
    dsm_err err;
    dsm_buf b = file_of("{\"__metadata__\":{\"k\":\"v\"},\"a\":{" U8_4 "}}", 4);
    for (size_t n = 0; n <= b.len; n++) {
        unsigned char *copy = malloc(n + 1); /* its own allocation, so that ASan sees its end */
        memcpy(copy, b.data, n);
        unsigned char *exact = realloc(copy, n ? n : 1);
        dsm_st_file *f;
        dsm_status status = dsm_st_open_memory(&f, exact, n, "cut", &err);
        assert_int_equal(status, n == b.len ? DSM_OK : DSM_EFORMAT);
        dsm_st_close(f);
        free(exact);
    }
    unsigned char huge[8] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F};
    dsm_st_file *f;
    assert_fails(dsm_st_open_memory(&f, huge, 8, "cut", &err), DSM_EFORMAT, "header length");
    dsm_buf_free(&b);
}

static void reads_unusual_but_legal(void **state)
{
    (void)state;
    dsm_err err;
    dsm_buf b = file_of("{\"scalar\":{\"dtype\":\"I16\",\"shape\":[],\"data_offsets\":[0,2]},"
                        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],"
                        "\"data_offsets\":[2,2]},"
                        "\"f8\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[2,5]}}   ",
                        5);
    dsm_st_file *f;
    assert_ok(dsm_st_open_memory(&f, b.data, b.len, "x", &err));
    assert_int_equal(dsm_st_count(f), 3);
    const dsm_st_tensor *t = dsm_st_find(f, "scalar");
    assert_int_equal(t->ndim, 0);
    assert_int_equal(t->bytes, 2);
    assert_false(t->known);
    assert_int_equal(dsm_st_find(f, "empty")->bytes, 0);
    assert_string_equal(dsm_st_find(f, "f8")->dtype_name, "F8_E4M3");
    assert_int_equal(*(const unsigned char *)dsm_st_find(f, "f8")->data, 2);
    assert_null(dsm_st_find(f, "none"));
    assert_null(dsm_st_metadata(f, "format"));
    dsm_st_close(f);
    dsm_buf_free(&b);
    b = file_of("{}", 0);
    assert_ok(dsm_st_open_memory(&f, b.data, b.len, "x", &err));
    assert_int_equal(dsm_st_count(f), 0);
    dsm_st_close(f);
    dsm_buf_free(&b);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "a.safetensors");
    const float values[6] = {1.0f, -2.5f, 0.1f, 65504.0f, -0.0f, 3e-5f};
    const int64_t big[2] = {-1, INT64_C(1) << 60};
    const int32_t ids[3] = {5, 6, 7};
    const dsm_st_item items[] = {
        {"z.f32", 2, {2, 3}, DSM_F32, DSM_F32, values},
        {"half", 1, {6}, DSM_F32, DSM_F16, values},
        {"a \"quoted\"", 1, {6}, DSM_F32, DSM_BF16, values},
        {"i64", 1, {2}, DSM_I64, DSM_I64, big},
        {"ids", 1, {3}, DSM_I32, DSM_I32, ids},
        {"f64", 1, {6}, DSM_F32, DSM_F64, values},
        {"none", 1, {0}, DSM_F32, DSM_F32, values},
    };
    enum { N = sizeof items / sizeof *items };
    const char *const metadata[] = {"step", "7", NULL};
    assert_ok(dsm_st_write(path, items, N, metadata, &err));
    dsm_st_file *f;
    assert_ok(dsm_st_open(&f, path, &err));
    assert_int_equal(dsm_st_count(f), N);
    assert_string_equal(dsm_st_metadata(f, "format"), "pt");
    assert_string_equal(dsm_st_metadata(f, "step"), "7");
    for (int64_t i = 0; i < N; i++) { /* the widest first, so that each is aligned to its size */
        const dsm_st_tensor *t = dsm_st_at(f, i);
        assert_int_equal((uintptr_t)t->data % dsm_dtype_size(t->dtype), 0);
        if (i > 0)
            assert_true(dsm_dtype_size(dsm_st_at(f, i - 1)->dtype) >= dsm_dtype_size(t->dtype));
    }
    assert_memory_equal(dsm_st_find(f, "z.f32")->data, values, sizeof values);
    assert_memory_equal(dsm_st_find(f, "i64")->data, big, sizeof big);
    assert_memory_equal(dsm_st_find(f, "ids")->data, ids, sizeof ids);
    assert_int_equal(dsm_st_find(f, "z.f32")->shape[1], 3);
    static const struct {
        const char *name;
        float relative;
    } lossy[] = {{"half", 0x1p-11f}, {"a \"quoted\"", 0x1p-8f}, {"f64", 0}};
    for (size_t k = 0; k < sizeof lossy / sizeof *lossy; k++) {
        const dsm_st_tensor *t = dsm_st_find(f, lossy[k].name);
        dsm_real back[6];
        dsm_dtype_load(back, t->data, t->dtype, 6);
        for (int i = 0; i < 6; i++) /* 2^-25: half the spacing of f16's subnormal numbers */
            assert_true(dsm_fabs(back[i] - values[i]) <=
                        lossy[k].relative * dsm_fabs(values[i]) + (k == 0 ? 0x1p-25f : 0));
    }
    dsm_st_close(f);
    test_remove_dir(dir);
}

/* More elements than one conversion chunk; and a failed write leaves the old file. */
static void streams_and_replaces(void **state)
{
    (void)state;
    enum { N = 40001 };
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "a.safetensors");
    float *values = malloc(N * sizeof *values);
    for (int i = 0; i < N; i++)
        values[i] = (float)i;
    const dsm_st_item item = {"x", 1, {N}, DSM_F32, DSM_F64, values};
    assert_ok(dsm_st_write(path, &item, 1, NULL, &err));
    dsm_st_file *f;
    assert_ok(dsm_st_open(&f, path, &err));
    double last;
    memcpy(&last, (const double *)dsm_st_find(f, "x")->data + N - 1, sizeof last);
    assert_true(last == N - 1);
    dsm_st_close(f);
    assert_fails(dsm_st_write(test_path(dir, "no/such.safetensors"), &item, 1, NULL, &err),
                 DSM_ENOTFOUND, "no/such.safetensors: cannot create");
    assert_fails(dsm_st_open(&f, test_path(dir, "none"), &err), DSM_ENOTFOUND, "none");
    free(values);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_is_wrong),     cmocka_unit_test(any_cut_is_an_error),
        cmocka_unit_test(reads_unusual_but_legal), cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(streams_and_replaces),
    };
    return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
