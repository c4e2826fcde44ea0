/* SPDX-License-Identifier: MIT */
/* Quantised blocks: decoding and encoding against PyPI `gguf` and ggml's reference quantisers
 * (tools/make_golden_quant.py), error bounds of a round trip, zeros, NaN, infinity. */
#include "support/support.h"

#include "core/dtype.h"
#include "core/quant.h"
#include "core/rng.h"
#include "formats/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 4096 };

static dsm_st_file *golden;

static int open_golden(void **state)
{
    dsm_err err;
    (void)state;
    assert_ok(dsm_st_open(&golden, TEST_SOURCE_DIR "/tests/golden/quant/quant.safetensors", &err));
    return 0;
}

static int close_golden(void **state)
{
    (void)state;
    dsm_st_close(golden);
    return 0;
}

static const dsm_st_tensor *find(dsm_dtype t, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", dsm_dtype_name(t), what);
    const dsm_st_tensor *found = dsm_st_find(golden, name);
    if (!found) fail_msg("golden vectors have no %s", name);
    return found;
}

static float *numbers(const dsm_st_tensor *t, int64_t *n)
{
    static float values[2][2 * N];
    static int turn;
    float *out = values[turn++ % 2];
    *n = (int64_t)(t->bytes / sizeof *out);
    assert_true(*n <= 2 * N);
    memcpy(out, t->data, t->bytes);
    return out;
}

static void blocks_decode_as_gguf_does(void **state)
{
    (void)state;
    for (dsm_dtype t = DSM_Q8_0; t <= DSM_Q6_K; t++) {
        static float have[2 * N];
        int64_t n;
        const float *want = numbers(find(t, "values"), &n);
        assert_int_equal(find(t, "blocks")->bytes, dsm_dtype_bytes(t, n));
        dsm_dtype_load(have, find(t, "blocks")->data, t, n);
        for (int64_t i = 0; i < n; i++)
            if (have[i] != want[i])
                fail_msg("%s value %d: %g, gguf has %g", dsm_dtype_name(t), (int)i, (double)have[i],
                         (double)want[i]);
    }
}

static void simple_types_encode_as_gguf_does(void **state)
{
    (void)state;
    for (dsm_dtype t = DSM_Q8_0; t <= DSM_Q4_1; t++) {
        static unsigned char have[2 * N];
        int64_t n;
        const float *source = numbers(dsm_st_find(golden, "source"), &n);
        const dsm_st_tensor *want = find(t, "encoded");
        assert_int_equal(want->bytes, dsm_dtype_bytes(t, n));
        dsm_dtype_store(have, t, source, n);
        assert_memory_equal(have, want->data, want->bytes);
    }
}

/* Root mean square of what a round trip changes, over that of the values. */
static double round_trip_error(dsm_dtype t, const float *x, int64_t n)
{
    static unsigned char stored[4 * N];
    static float back[N];
    double change = 0, size = 0;
    dsm_dtype_store(stored, t, x, n);
    dsm_dtype_load(back, stored, t, n);
    for (int64_t i = 0; i < n; i++) {
        change += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
        size += (double)x[i] * (double)x[i];
    }
    return sqrt(change / size);
}

/* Another search finds other scales; they may be worse than ggml's by 2 % at most. */
static void searched_scales_are_as_good_as_ggmls(void **state)
{
    (void)state;
    for (dsm_dtype t = DSM_Q4_K; t <= DSM_Q6_K; t++) {
        int64_t n, one;
        const float *source = numbers(dsm_st_find(golden, "source"), &n);
        const double ggml = (double)numbers(find(t, "error"), &one)[0];
        const double ours = round_trip_error(t, source, n - 4 * DSM_QK_VALUES);
        print_message("%s: error %.5f, ggml's reference %.5f\n", dsm_dtype_name(t), ours, ggml);
        if (!(ours <= 1.02 * ggml)) fail_msg("%s", dsm_dtype_name(t));
    }
}

/* Normal values of standard deviation `std`, from twelve uniform ones. */
static void make_normal(float *x, float std)
{
    const dsm_rng rng = {5, DSM_STREAM_TEST, 0};
    for (int i = 0; i < N; i++) {
        double sum = -6;
        for (int j = 0; j < 12; j++)
            sum += dsm_rng_uniform53(&rng, (uint64_t)(12 * i + j));
        x[i] = std * (float)sum;
    }
}

/* Bits of precision that a type has, over eleven orders of magnitude. */
static void a_round_trip_keeps_its_precision(void **state)
{
    static const struct {
        dsm_dtype t;
        double most;
    } cases[] = {{DSM_Q8_0, 0.006}, {DSM_Q6_K, 0.02}, {DSM_Q5_K, 0.04},
                 {DSM_Q4_K, 0.08},  {DSM_Q4_1, 0.09}, {DSM_Q4_0, 0.1}};
    static float x[N];
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (float std = 0.01f; std < 1e3f; std *= 10) {
            make_normal(x, std);
            const double error = round_trip_error(cases[c].t, x, N);
            if (!(error < cases[c].most))
                fail_msg("%s at %g: error %g", dsm_dtype_name(cases[c].t), (double)std, error);
        }
}

/* Store x (256 values) as t, and load it again over it. */
static void round_trip(dsm_dtype t, float *x)
{
    unsigned char stored[DSM_QK_VALUES * 2];
    dsm_dtype_store(stored, t, x, DSM_QK_VALUES);
    dsm_dtype_load(x, stored, t, DSM_QK_VALUES);
}

static void odd_blocks_are_not_hidden(void **state)
{
    (void)state;
    for (dsm_dtype t = DSM_Q8_0; t <= DSM_Q6_K; t++) {
        float x[DSM_QK_VALUES] = {0};
        round_trip(t, x);
        for (int i = 0; i < DSM_QK_VALUES; i++)
            assert_true(x[i] == 0);

        static const float odd[] = {NAN, INFINITY, -INFINITY};
        for (int o = 0; o < 3; o++) {
            for (int i = 0; i < DSM_QK_VALUES; i++)
                x[i] = 0.01f * (float)i;
            x[7] = odd[o];
            round_trip(t, x);
            assert_true(isnan(x[7]) && isnan(x[8]));
        }

        for (int i = 0; i < DSM_QK_VALUES;
             i++) /* magnitudes that leave no scale, or overflow one */
            x[i] = i % 2 ? 1e-40f : -3e-39f;
        round_trip(t, x);
        for (int i = 0; i < DSM_QK_VALUES; i++)
            assert_true(x[i] == 0);
        for (int i = 0; i < DSM_QK_VALUES; i++)
            x[i] = i % 2 ? 3e38f : -3e38f;
        round_trip(t, x); /* no more than: nothing undefined happens */
    }
}

static void eight_bit_floats_are_those_of_the_format(void **state)
{
    static const struct {
        uint8_t bits;
        float value;
    } cases[] = {{0x00, 0},    {0x01, 0x1p-9f}, {0x07, 0x7p-9f}, {0x08, 0x1p-6f},
                 {0x38, 1},    {0x39, 1.125f},  {0x7E, 448},     {0xB8, -1},
                 {0xFE, -448}, {0x81, -0x1p-9f}};
    float x[2];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_true(dsm_f8_to_f32(cases[i].bits) == cases[i].value);
    dsm_dtype_load(x, "\x7F\xFF", DSM_F8_E4M3, 2);
    assert_true(isnan(x[0]) && isnan(x[1]));
}

static void types_have_names_and_sizes(void **state)
{
    dsm_dtype t;
    dsm_err err;
    (void)state;
    assert_ok(dsm_dtype_parse(&t, "q4_k", &err));
    assert_int_equal(t, DSM_Q4_K);
    assert_int_equal(dsm_dtype_block(t), 256);
    assert_int_equal(dsm_dtype_bytes(t, 512), 288);
    assert_int_equal(dsm_dtype_block(DSM_BF16), 1);
    assert_int_equal(dsm_dtype_bytes(DSM_BF16, 7), 14);
    assert_fails(dsm_dtype_parse(&t, "f8_e4m3", &err), DSM_EUSAGE, "q6_k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_decode_as_gguf_does),
        cmocka_unit_test(simple_types_encode_as_gguf_does),
        cmocka_unit_test(searched_scales_are_as_good_as_ggmls),
        cmocka_unit_test(a_round_trip_keeps_its_precision),
        cmocka_unit_test(odd_blocks_are_not_hidden),
        cmocka_unit_test(eight_bit_floats_are_those_of_the_format),
        cmocka_unit_test(types_have_names_and_sizes),
    };
    return cmocka_run_group_tests_name("quant", tests, open_golden, close_golden);
}
