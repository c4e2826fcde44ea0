/* SPDX-License-Identifier: MIT */
/* Grouped linear maps against the truth: odd sizes, empty groups, row maps, strides, every weight
 * dtype, overwrite and accumulate. */
#include "support/support.h"

#include "support/lab.h"

#include <stdio.h>

enum { MAX_GROUPS = 8 };

typedef struct shape {
    int n_groups;
    int32_t rows[MAX_GROUPS];
    int64_t N, K, pad; /* pad: extra elements between rows of x, y and dx */
    bool mapped, accumulate;
    dsm_dtype dtype;
} shape;

static const shape shapes[] = {
    /* one group: tails of every tile size */
    {1, {1}, 1, 1, 0, false, false, DSM_F32},
    {1, {1}, 48, 64, 0, false, false, DSM_F32},
    {1, {3}, 7, 5, 1, false, true, DSM_F32},
    {1, {5}, 130, 257, 0, true, false, DSM_F32},
    {1, {8}, 33, 31, 3, false, false, DSM_F32},
    {1, {9}, 50, 17, 0, false, true, DSM_F32},
    {1, {13}, 96, 192, 0, true, false, DSM_F32},
    {1, {97}, 47, 200, 0, false, false, DSM_F32},
    {1, {64}, 49, 385, 5, true, true, DSM_F32},
    {1, {200}, 15, 16, 0, false, false, DSM_F32},
    {1, {31}, 400, 33, 0, false, true, DSM_F32},
    {1, {530}, 65, 66, 0, false, false, DSM_F32},
    {1, {20}, 9, 1030, 0, true, false, DSM_F32}, /* sums longer than a panel is deep */
    {2, {11, 30}, 1033, 20, 0, false, true, DSM_F32},
    /* groups: empty ones, single rows, many */
    {3, {0, 0, 0}, 16, 16, 0, false, false, DSM_F32},
    {4, {5, 0, 1, 40}, 23, 37, 0, true, false, DSM_F32},
    {8, {1, 1, 0, 1, 1, 2, 0, 9}, 100, 64, 0, true, true, DSM_F32},
    {5, {0, 70, 3, 120, 17}, 88, 96, 2, true, false, DSM_F32},
    {2, {600, 10}, 51, 129, 0, false, true, DSM_F32},
    /* stored types, forward and input */
    {1, {1}, 70, 300, 0, false, false, DSM_BF16},
    {2, {40, 3}, 65, 70, 0, true, false, DSM_BF16},
    {1, {2}, 70, 300, 0, false, true, DSM_F16},
    {2, {3, 40}, 65, 270, 0, true, false, DSM_F16},
};

typedef struct ctx {
    dsm_linear op;
    dsm_mat w[MAX_GROUPS];
    int32_t begin[MAX_GROUPS + 1];
} ctx;

static dsm_mat make_weight(const shape *s, unsigned seed)
{
    int64_t n = s->N * s->K;
    dsm_real *values = lab_random(n, 1, seed);
    if (s->dtype == DSM_REAL_DTYPE) return (dsm_mat){values, s->dtype, s->N, s->K};
    void *stored = lab_bytes((size_t)n * dsm_dtype_size(s->dtype));
    dsm_dtype_store(stored, s->dtype, values, n);
    return (dsm_mat){stored, s->dtype, s->N, s->K};
}

static int64_t make_ctx(ctx *c, const shape *s)
{
    for (int g = 0; g < s->n_groups; g++) {
        c->begin[g + 1] = c->begin[g] + s->rows[g];
        c->w[g] = make_weight(s, (unsigned)g + 10);
    }
    int64_t R = c->begin[s->n_groups], x_rs = s->K + s->pad, pool = R + 3;
    c->op = (dsm_linear){.n_groups = s->n_groups, .begin = c->begin, .N = s->N, .K = s->K,
                         .w = c->w, .x_rs = x_rs, .y_rs = s->N + s->pad, .dx_rs = x_rs,
                         .accumulate = s->accumulate};
    c->op.x = lab_random(pool * x_rs, 1, 1);
    c->op.x_rows = s->mapped ? lab_random_int(R, pool, 2) : NULL;
    return R;
}

static void name_case(lab_case *c, const shape *s)
{
    int at = snprintf(c->shape, sizeof c->shape, "N=%d K=%d pad=%d map=%d acc=%d %s rows=", (int)s->N,
                      (int)s->K, (int)s->pad, s->mapped, s->accumulate, dsm_dtype_name(s->dtype));
    for (int g = 0; g < s->n_groups; g++)
        at += snprintf(c->shape + at, sizeof c->shape - (size_t)at, "%d,", (int)s->rows[g]);
}

static void run_forward(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    dsm_linear op = ((const ctx *)raw)->op;
    op.y = out[0];
    x->kernels->linear(x, &op);
}

static void run_input(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    dsm_linear op = ((const ctx *)raw)->op;
    op.dx = out[0];
    x->kernels->linear_input(x, &op);
}

static void run_weight(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    dsm_linear op = c->op;
    dsm_real *dw[MAX_GROUPS];
    for (int g = 0; g < op.n_groups; g++)
        dw[g] = out[0] + g * op.N * op.K;
    op.dw = dw;
    op.first = !op.accumulate;
    x->kernels->linear_weight(x, &op);
}

static void test_forward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        ctx c = {0};
        int64_t n = make_ctx(&c, s) * c.op.y_rs;
        lab_case k = {.op = "linear", .run = run_forward, .ctx = &c, .n_out = 1};
        k.out[0] = (lab_out){"y", n, s->accumulate ? lab_random(n, 1, 5) : NULL,
                             lab_sum_tol(s->K, 1), 0, false};
        name_case(&k, s);
        lab_check(&k);
        lab_release();
    }
}

static void test_input(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        ctx c = {0};
        int64_t R = make_ctx(&c, s), n = R * c.op.dx_rs;
        c.op.y = lab_random(R * c.op.y_rs, 1, 6);
        lab_case k = {.op = "linear_input", .run = run_input, .ctx = &c, .n_out = 1};
        k.out[0] = (lab_out){"dx", n, s->accumulate ? lab_random(n, 1, 5) : NULL,
                             lab_sum_tol(s->N, 1), 0, false};
        name_case(&k, s);
        lab_check(&k);
        lab_release();
    }
}

static void test_weight(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        ctx c = {0};
        int64_t R = make_ctx(&c, s), n = s->n_groups * s->N * s->K;
        c.op.y = lab_random(R * c.op.y_rs, 1, 6);
        lab_case k = {.op = "linear_weight", .run = run_weight, .ctx = &c, .n_out = 1};
        k.out[0] = (lab_out){"dw", n, s->accumulate ? lab_random(n, 1, 5) : NULL,
                             lab_sum_tol(R, 1), 0, false};
        name_case(&k, s);
        lab_check(&k);
        lab_release();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_weight),
    };
    return cmocka_run_group_tests_name("linear", tests, lab_open, lab_close);
}
