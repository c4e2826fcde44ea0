/* SPDX-License-Identifier: MIT */
/* The hand-written pieces of an instruction set one by one: every tile size, packing, exp; and what
 * the table and the CPU mask promise. */
#include "support/support.h"

#include "kernels/kernels.h"
#include "kernels/tiled/tile.h"
#include "support/lab.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
extern const dsm_tile dsm_tile_avx2, dsm_tile_avx512;
#endif

/* The micro-kernel sets this CPU can run. */
static int tiles(const dsm_tile *out[2])
{
    int n = 0;
#if defined(__x86_64__)
    unsigned have = dsm_cpu_flags();
    if (have & DSM_CPU_AVX2) out[n++] = &dsm_tile_avx2;
    if (have & DSM_CPU_AVX512) out[n++] = &dsm_tile_avx512;
#else
    (void)out;
#endif
    return n;
}

/* One kernel: rows × vectors on depth k, n columns stored; nothing beyond them is touched. */
static void check_tile(const dsm_tile *t, int rows, int vectors, bool by_panel, int64_t k, int64_t n,
                       bool accumulate)
{
    int64_t width = (int64_t)vectors * t->lanes, c_rs = width + 1;
    float *a = lab_random(t->rows * (k + 1), 1, 1), *b = lab_random(k * width + 1, 1, 2);
    float *c = lab_random(rows * c_rs, 1, 3), *before = lab_random(rows * c_rs, 1, 3);
    const float *row[DSM_TILE_MAX_ROWS];
    for (int i = 0; i < rows; i++)
        row[i] = by_panel ? a : a + i * k;
    (by_panel ? t->by_panel : t->by_rows)[vectors - 1][rows - 1](k, row, b, c, c_rs, n, accumulate);
    for (int i = 0; i < rows; i++)
        for (int64_t j = 0; j < c_rs; j++) {
            double want = j < n && !accumulate ? 0 : (double)before[i * c_rs + j];
            for (int64_t p = 0; j < n && p < k; p++)
                want += (double)(by_panel ? a[p * t->rows + i] : row[i][p]) * (double)b[p * width + j];
            double got = (double)c[i * c_rs + j], tol = j < n ? lab_sum_tol(k, 1) : 0;
            if (!(fabs(got - want) <= tol))
                fail_msg("%d lanes, %d x %d, panel %d, k %d, n %d: c[%d][%d] = %g, expected %g",
                         t->lanes, rows, vectors, by_panel, (int)k, (int)n, i, (int)j, got, want);
        }
    lab_release();
}

static void test_tiles(void **state)
{
    const dsm_tile *sets[2];
    (void)state;
    for (int s = tiles(sets) - 1; s >= 0; s--)
        for (int rows = 1; rows <= sets[s]->rows; rows++)
            for (int v = 1; v <= sets[s]->vectors; v++)
                for (int bits = 0; bits < 4; bits++) {
                    int64_t width = (int64_t)v * sets[s]->lanes;
                    check_tile(sets[s], rows, v, bits & 1, 19, width, bits & 2);
                    check_tile(sets[s], rows, v, bits & 1, 1, width - sets[s]->lanes / 2, bits & 2);
                    check_tile(sets[s], rows, v, bits & 1, 0, width, bits & 2);
                }
}

/* exp by rows of scores: within 2 ulp wherever the result is a normal float, 0 and inf at the ends. */
static void test_row_exp(void **state)
{
    enum { N = 100003 };
    const dsm_tile *sets[2];
    float *p = lab_random(N, 1, 1), *z = lab_random(N, 1, 1);
    (void)state;
    for (int i = 0; i < N; i++)
        z[i] = (float)(-90 + 180.0 * i / (N - 1));
    z[0] = -INFINITY;
    for (int s = tiles(sets) - 1; s >= 0; s--) {
        memcpy(p, z, N * sizeof *p);
        float sum = sets[s]->row_exp(p, p, N / 2, 1, 0);
        assert_true(sets[s]->row_exp(NULL, z, N / 2, 1, 0) == sum);
        sets[s]->row_exp(p + N / 2, p + N / 2, N - N / 2, 1, 0);
        for (int i = 0; i < N; i++) {
            double want = exp((double)z[i]), got = (double)p[i];
            if (want > (double)3.4028235e38f && isinf(got)) continue;
            double ulp = ldexp(1, (int)fmax(floor(log2(want)) - 23, -149));
            if (!(fabs(got - want) <= 2 * ulp))
                fail_msg("%d lanes: exp(%.9g) = %.9g, expected %.9g", sets[s]->lanes, (double)z[i], got,
                         want);
        }
        float nan = NAN;
        assert_true(isnan(sets[s]->row_exp(&nan, &nan, 1, 1, 0)));
        assert_true(sets[s]->row_max(z, N) == z[N - 1]);
    }
    lab_release();
}

static void test_table(void **state)
{
    dsm_kernels k;
    (void)state;
    dsm_kernels_init(&k, 0);
    for (int i = 0; i < DSM_N_SLOTS; i++) {
        assert_string_equal(k.variant[i], "ref");
        assert_non_null(dsm_kernel_slots[i]);
    }
    assert_null(dsm_kernel_slots[DSM_N_SLOTS]);
    assert_string_equal(dsm_kernel_slots[DSM_SLOT_adamw], "adamw");
#if defined(__x86_64__)
    dsm_kernels_init(&k, DSM_CPU_AVX2);
    assert_string_equal(k.variant[DSM_SLOT_linear], "avx2 tiled");
    assert_string_equal(k.variant[DSM_SLOT_combine], "avx2");
#endif
}

static void test_mask(void **state)
{
    unsigned mask = 99;
    dsm_err err;
    (void)state;
    assert_ok(dsm_cpu_mask_parse(&mask, "none", &err));
    assert_int_equal(mask, 0);
    assert_ok(dsm_cpu_mask_parse(&mask, "avx2", &err));
    assert_int_equal(mask, DSM_CPU_AVX2);
    assert_ok(dsm_cpu_mask_parse(&mask, "0x3", &err));
    assert_int_equal(mask, DSM_CPU_AVX2 | DSM_CPU_AVX512);
    assert_ok(dsm_cpu_mask_parse(&mask, "all", &err));
    assert_int_equal(mask & 3, 3);
    assert_fails(dsm_cpu_mask_parse(&mask, "sse9", &err), DSM_EUSAGE, "\"sse9\"");
    assert_fails(dsm_cpu_mask_parse(&mask, "-1", &err), DSM_EUSAGE, "expected");
    assert_fails(dsm_cpu_mask_parse(&mask, "", &err), DSM_EUSAGE, "expected");
    assert_fails(dsm_cpu_mask_parse(&mask, "3x", &err), DSM_EUSAGE, "expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_row_exp),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_mask),
    };
    return cmocka_run_group_tests_name("tile", tests, lab_open, lab_close);
}
