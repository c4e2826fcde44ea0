/* SPDX-License-Identifier: MIT */
/* core: errors, arena, pool, random numbers, number formats, UTF-8, nearest names. */
#include "support/support.h"

#include "core/arena.h"
#include "core/buf.h"
#include "core/dtype.h"
#include "core/nearest.h"
#include "core/rng.h"
#include "core/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void errors_carry_code_and_message(void **state)
{
    (void)state;
    dsm_err err = {0};
    assert_int_equal(dsm_fail(&err, DSM_ESHAPE, "%s: found %d", "thing", 3), DSM_ESHAPE);
    assert_string_equal(err.msg, "thing: found 3");
    dsm_fail_context(&err, DSM_EIO, "while %s", "reading");
    assert_string_equal(err.msg, "while reading: thing: found 3");
    assert_int_equal(err.code, DSM_EIO);
    assert_int_equal(dsm_fail(NULL, DSM_EIO, "nobody listens"), DSM_EIO);
    assert_string_equal(dsm_status_text((dsm_status)999), "unknown status");
}

static void carve(dsm_arena *a, float **x, char **y)
{
    *x = dsm_arena_take(a, 100 * sizeof **x);
    *y = dsm_arena_take(a, 3);
}

static void arena_measures_what_it_carves(void **state)
{
    (void)state;
    dsm_err err;
    float *x;
    char *y;
    dsm_arena dry = {0}, a;
    carve(&dry, &x, &y);
    assert_null(x);
    assert_ok(dsm_arena_init(&a, dry.used, "test", &err));
    carve(&a, &x, &y);
    assert_int_equal(a.used, dry.used);
    assert_int_equal((uintptr_t)x % DSM_ALIGN, 0);
    assert_int_equal((uintptr_t)y % DSM_ALIGN, 0);
    memset(x, 1, 100 * sizeof *x);
    y[2] = 7;
    dsm_arena_rewind(&a, 0);
    assert_int_equal(a.used, 0);
    dsm_arena_free(&a);
    assert_int_equal(dsm_arena_init(&a, SIZE_MAX / 2, "the moon", &err), DSM_ENOMEM);
    assert_true(test_contains(err.msg, "the moon"));
}

static void count_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    atomic_fetch_add((atomic_int *)arg + item, 1);
}

static void pool_runs_every_item_once(void **state)
{
    (void)state;
    dsm_err err;
    enum { ITEMS = 257, LOOPS = 300 };
    for (int threads = 1; threads <= 4; threads++) {
        dsm_pool *pool;
        atomic_int *seen = calloc(ITEMS, sizeof *seen);
        assert_ok(dsm_pool_open(&pool, threads, &err));
        assert_int_equal(dsm_pool_threads(pool), threads);
        for (int loop = 0; loop < LOOPS; loop++)
            dsm_pool_run(pool, 1 + loop % ITEMS, count_item, seen);
        int64_t total = 0, expected = 0;
        for (int i = 0; i < ITEMS; i++)
            total += seen[i];
        for (int loop = 0; loop < LOOPS; loop++)
            expected += 1 + loop % ITEMS;
        assert_int_equal(total, expected);
        dsm_pool_close(pool);
        free(seen);
    }
    assert_int_equal(dsm_pool_open(&(dsm_pool *){0}, -3, &err), DSM_ERANGE);
}

/* Known answers of Philox4x32-10 as published with Random123 (kat_vectors). */
static void philox_gives_the_published_words(void **state)
{
    (void)state;
    uint32_t w[4];
    dsm_rng zero = {0, 0, 0};
    dsm_rng_words(&zero, 0, w);
    assert_int_equal(w[0], 0x6627e8d5u);
    assert_int_equal(w[1], 0xe169c58du);
    assert_int_equal(w[2], 0xbc57ac4cu);
    assert_int_equal(w[3], 0x9b00dbd8u);
    dsm_rng ones = {UINT64_MAX, UINT32_MAX, UINT32_MAX};
    dsm_rng_words(&ones, UINT64_MAX, w);
    assert_int_equal(w[0], 0x408f276du);
    assert_int_equal(w[1], 0x41c83b0eu);
    assert_int_equal(w[2], 0xa20bc7c6u);
    assert_int_equal(w[3], 0x6d5451fdu);
}

static void draws_have_the_right_moments(void **state)
{
    (void)state;
    dsm_rng r = {42, DSM_STREAM_TEST, 0};
    enum { N = 20000 };
    double sum = 0, squares = 0, uniform = 0;
    for (uint64_t i = 0; i < N; i++) {
        double z = dsm_rng_normal(&r, i);
        sum += z;
        squares += z * z;
        float u = dsm_rng_uniform(&r, i);
        assert_true(u >= 0.0f && u < 1.0f);
        uniform += (double)u;
        assert_true(dsm_rng_below(&r, i, 7) < 7);
    }
    /* five standard errors */
    assert_true(fabs(sum / N) < 5 / sqrt(N));
    assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(uniform / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
}

static void permute_is_a_permutation(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 5, 16, 17, 1000, 4096, 4097};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        dsm_rng r = {7, DSM_STREAM_SHUFFLE, (uint32_t)s};
        char *seen = calloc(sizes[s], 1);
        uint64_t fixed = 0;
        for (uint64_t i = 0; i < sizes[s]; i++) {
            uint64_t j = dsm_rng_permute(&r, i, sizes[s]);
            assert_true(j < sizes[s]);
            assert_int_equal(seen[j]++, 0);
            fixed += i == j;
        }
        if (sizes[s] >= 1000) assert_true(fixed < 10);
        free(seen);
    }
}

static void half_formats_round_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) { /* every half survives a round trip */
        float x = dsm_f16_to_f32((uint16_t)h), b = dsm_bf16_to_f32((uint16_t)h);
        if (!isnan(x)) assert_int_equal(dsm_f32_to_f16(x), h);
        if (!isnan(b)) assert_int_equal(dsm_f32_to_bf16(b), h);
    }
    assert_true(isnan(dsm_f16_to_f32(dsm_f32_to_f16(NAN))));
    assert_true(isnan(dsm_bf16_to_f32(dsm_f32_to_bf16(NAN))));
    assert_int_equal(dsm_f32_to_f16(65519.0f), 0x7BFF);
    assert_int_equal(dsm_f32_to_f16(65520.0f), 0x7C00);
    assert_int_equal(dsm_f32_to_f16(0x1p-25f), 0);      /* tie to even */
    assert_int_equal(dsm_f32_to_f16(0x1.8p-25f), 1);
    assert_int_equal(dsm_f32_to_f16(1.0f + 0x1p-11f), 0x3C00);
    assert_int_equal(dsm_f32_to_f16(1.0f + 0x3p-11f), 0x3C02);
    assert_int_equal(dsm_f32_to_bf16(1.0f + 0x1p-8f), 0x3F80);
    assert_int_equal(dsm_f32_to_bf16(1.0f + 0x3p-8f), 0x3F82);
}

static void utf8_accepts_exactly_the_valid(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char s[4];
        if (c >= 0xD800 && c < 0xE000) continue;
        int n = dsm_utf8_encode(c, s);
        uint32_t back = 0;
        assert_int_equal(dsm_utf8_decode(s, (size_t)n, &back), n);
        assert_int_equal(back, c);
        for (int cut = 1; cut < n; cut++) {
            assert_int_equal(dsm_utf8_decode(s, (size_t)cut, &back), 0);
            assert_int_equal(dsm_utf8_incomplete_tail(s, (size_t)cut), cut);
        }
        assert_int_equal(dsm_utf8_incomplete_tail(s, (size_t)n), 0);
    }
    static const char *const bad[] = {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                                      "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5", "\xFF"};
    uint32_t c;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(dsm_utf8_decode(bad[i], strlen(bad[i]), &c), 0);
}

static void utf8_repair_replaces_maximal_subparts(void **state)
{
    (void)state;
    /* The example of the Unicode standard, section 3.9 (table 3-8). */
    dsm_buf out = {0};
    dsm_utf8_repair(&out, "a\xF1\x80\x80\xE1\x80\xC2" "b\x80" "c\x80\xBF" "d", 13);
    assert_string_equal(out.data, "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" "b\xEF\xBF\xBD" "c\xEF\xBF\xBD"
                                  "\xEF\xBF\xBD" "d");
    dsm_buf_free(&out);
}

static void nearest_name_needs_likeness(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int value;
    } rows[] = {{"temperature", 1}, {"top-p", 2}, {NULL, 0}, {"top-k", 3}};
    assert_string_equal(dsm_nearest("temprature", rows, 4, sizeof *rows), "temperature");
    assert_string_equal(dsm_nearest("topk", rows, 4, sizeof *rows), "top-k");
    assert_null(dsm_nearest("banana", rows, 4, sizeof *rows));
    assert_null(dsm_nearest("", rows, 4, sizeof *rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_code_and_message),
        cmocka_unit_test(arena_measures_what_it_carves),
        cmocka_unit_test(pool_runs_every_item_once),
        cmocka_unit_test(philox_gives_the_published_words),
        cmocka_unit_test(draws_have_the_right_moments),
        cmocka_unit_test(permute_is_a_permutation),
        cmocka_unit_test(half_formats_round_to_nearest_even),
        cmocka_unit_test(utf8_accepts_exactly_the_valid),
        cmocka_unit_test(utf8_repair_replaces_maximal_subparts),
        cmocka_unit_test(nearest_name_needs_likeness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
