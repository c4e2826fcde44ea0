/* SPDX-License-Identifier: MIT */
/* Row-wise kernels against the truth: norm, rotary embedding, SwiGLU, softmax, cross entropy,
 * top-k. */
#include "support/support.h"

#include "support/lab.h"

#include <stdio.h>

static const double eps = (double)DSM_REAL_EPS;

typedef struct shape {
    int64_t R, D;
} shape;

static const shape shapes[] = {{0, 5},   {1, 1},    {1, 16},   {3, 7},    {17, 33},
                               {40, 64}, {33, 129}, {100, 47}, {5, 1000}, {70, 256}};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

typedef struct ctx {
    shape s;
    int64_t rs, head_rs, T, heads, K;
    const dsm_real *a, *b, *c, *d;
    const int32_t *id;
    dsm_real scale;
    int sign;
    bool in_place, adjacent;
} ctx;

static void check(lab_case *c, const ctx *k)
{
    c->ctx = k;
    snprintf(c->shape, sizeof c->shape, "R=%d D=%d rs=%d", (int)k->s.R, (int)k->s.D, (int)k->rs);
    lab_check(c);
}

/* ---- RMSNorm -------------------------------------------------------------------------------- */

static void run_norm(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->rmsnorm(x, out[0], out[1], c->a, c->b, c->s.R, c->s.D, c->scale);
}

static void run_norm_bwd(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->rmsnorm_bwd(x, out[0], out[1], c->c, c->a, c->b, c->d, c->s.R, c->s.D);
}

static void test_norm(void **state)
{
    (void)state;
    for (int i = 0; i < N_SHAPES; i++) {
        int64_t R = shapes[i].R, D = shapes[i].D, n = R * D;
        for (double amp = 1e-3; amp < 1e5; amp *= 1e4) {
            ctx k = {.s = shapes[i],
                     .a = lab_random(n, amp, 1),
                     .b = lab_random(D, 2, 2),
                     .scale = (dsm_real)1e-6};
            double rel = eps * (4 + sqrt((double)D)); /* mean of squares, then a square root */
            lab_case c = {.op = "rmsnorm", .run = run_norm, .n_out = 2};
            c.out[0] = (lab_out){"y", n, NULL, 0, rel, false};
            c.out[1] = (lab_out){"rstd", R, NULL, 0, rel, false};
            check(&c, &k);

            dsm_real *y = lab_random(n, 1, 3), *rstd = lab_random(R, 1, 4);
            lab_truth()->kernels->rmsnorm(lab_truth(), y, rstd, k.a, k.b, R, D, k.scale);
            k.c = lab_random(n, 1, 5);
            k.d = rstd;
            double top = 0; /* the largest 1/rms scales every term of dx */
            for (int64_t r = 0; r < R; r++)
                top = fmax(top, (double)rstd[r]);
            lab_case b = {.op = "rmsnorm_bwd", .run = run_norm_bwd, .n_out = 2};
            b.out[0] = (lab_out){
                "dx", n,    lab_random(n, 1, 6), eps * (1 + 4 * top * (4 + sqrt((double)D))),
                eps,  false};
            b.out[1] = (lab_out){"dw", D,    lab_random(D, 1, 7), lab_sum_tol(R, sqrt((double)D)),
                                 eps,  false};
            check(&b, &k);
            lab_release();
        }
    }
}

/* ---- rotary embedding ----------------------------------------------------------------------- */

static void run_rope(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->rope(x, &(dsm_rope){out[0], c->rs, c->head_rs, c->s.R, c->T, c->heads, c->s.D, c->a,
                                    c->sign, c->adjacent});
}

static void test_rope(void **state)
{
    static const ctx cases[] = {
        {.s = {1, 2}, .T = 1, .heads = 1, .rs = 2, .head_rs = 2, .sign = 1},
        {.s = {14, 6}, .T = 7, .heads = 3, .rs = 20, .head_rs = 6, .sign = -1},
        {.s = {33, 64}, .T = 11, .heads = 2, .rs = 128, .head_rs = 64, .sign = 1},
        {.s = {20, 34}, .T = 10, .heads = 5, .rs = 171, .head_rs = 34, .sign = -1},
        {.s = {1, 2}, .T = 1, .heads = 1, .rs = 2, .head_rs = 2, .sign = 1, .adjacent = true},
        {.s = {15, 6}, .T = 5, .heads = 3, .rs = 40, .head_rs = 13, .sign = -1, .adjacent = true},
        {.s = {33, 64},
         .T = 11,
         .heads = 4,
         .rs = 768,
         .head_rs = 192,
         .sign = 1,
         .adjacent = true},
        {.s = {20, 34}, .T = 10, .heads = 2, .rs = 81, .head_rs = 34, .sign = -1, .adjacent = true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ctx k = cases[i];
        k.a = lab_random(k.T * k.s.D, 1, 1);
        int64_t n = k.s.R * k.rs;
        lab_case c = {.op = "rope", .run = run_rope, .n_out = 1};
        c.out[0] = (lab_out){"v", n, lab_random(n, 1, 2), 2 * eps, 0, false};
        check(&c, &k);
        lab_release();
    }
}

/* ---- SwiGLU --------------------------------------------------------------------------------- */

static void run_swiglu(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->swiglu(x, out[0], c->a, c->b, c->rs, c->d, c->s.R, c->s.D);
}

static void run_swiglu_bwd(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    const dsm_real *g = c->in_place ? out[0] : c->a, *u = c->in_place ? out[1] : c->b;
    x->kernels->swiglu_bwd(x, out[0], out[1], c->d ? out[3] : NULL, out[2], g, u, c->rs, c->d,
                           c->s.R, c->s.D);
}

static void test_swiglu(void **state)
{
    (void)state;
    for (int i = 0; i < N_SHAPES; i++)
        for (int variant = 0; variant < 4; variant++) {
            double amp = variant < 2 ? 4 : 200; /* 200: exp overflows and underflows */
            ctx k = {.s = shapes[i], .rs = shapes[i].D + variant, .in_place = variant % 2};
            int64_t n = k.s.R * k.s.D, n_gu = k.s.R * k.rs;
            k.a = lab_random(n_gu, amp, 1);
            k.b = lab_random(n_gu, 2, 2);
            k.d = variant % 2 ? lab_random(k.s.R, 1, 4) : NULL;
            lab_case c = {.op = "swiglu", .run = run_swiglu, .n_out = 1};
            c.out[0] = (lab_out){"h", n, NULL, 1e-37, 8 * eps, false};
            check(&c, &k);

            /* 1 - sigmoid loses digits where the sigmoid is near 1 and g is large */
            lab_case b = {.op = "swiglu_bwd", .run = run_swiglu_bwd, .n_out = k.d ? 4 : 3};
            double tol = 8 * eps * (1 + fmin(amp, 20)) * 2;
            b.out[0] = (lab_out){"dg", n_gu, k.in_place ? k.a : NULL, tol, 8 * eps, false};
            b.out[1] = (lab_out){"du", n_gu, k.in_place ? k.b : NULL, 1e-37, 8 * eps, false};
            b.out[2] = (lab_out){"h", n, lab_random(n, 1, 3), 1e-37, 8 * eps, false};
            b.out[3] = (lab_out){"dgate", k.s.R, NULL, 8 * lab_sum_tol(k.s.D, 2 * amp), 0, false};
            check(&b, &k);
            lab_release();
        }
}

/* ---- softmax and cross entropy -------------------------------------------------------------- */

static void run_softmax(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->softmax(x, out[0], c->in_place ? out[0] : c->a, c->s.R, c->s.D);
}

static void test_softmax(void **state)
{
    (void)state;
    for (int i = 0; i < N_SHAPES; i++)
        for (int variant = 0; variant < 4; variant++) {
            double amp = variant < 2 ? 3 : 300;
            int64_t n = shapes[i].R * shapes[i].D;
            ctx k = {.s = shapes[i], .a = lab_random(n, amp, 1), .in_place = variant % 2};
            lab_case c = {.op = "softmax", .run = run_softmax, .n_out = 1};
            /* subnormal results may differ by a few steps of 2^-149 */
            c.out[0] = (lab_out){
                "score", n, k.in_place ? k.a : NULL, 1e-44, eps * (6 + sqrt((double)k.s.D)), false};
            check(&c, &k);
            lab_release();
        }
}

static void run_xent(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->xent(x, out[0], c->rs, c->id, out[1], c->s.R, c->s.D, c->scale);
}

static void test_xent(void **state)
{
    (void)state;
    for (int i = 0; i < N_SHAPES; i++)
        for (int variant = 0; variant < 4; variant++) {
            double amp = variant < 2 ? 5 : 100;
            ctx k = {.s = shapes[i],
                     .rs = shapes[i].D + 3 * (variant % 2),
                     .scale = variant % 2 ? (dsm_real)0.25 : 0};
            int64_t n = k.s.R * k.rs;
            int32_t *target = lab_random_int(k.s.R, k.s.D, 2);
            for (int64_t r = 2; r < k.s.R; r += 5)
                target[r] = -1; /* ignored */
            k.id = target;
            lab_case c = {.op = "xent", .run = run_xent, .n_out = 2};
            double rel = eps * (6 + sqrt((double)k.s.D));
            c.out[0] = (lab_out){"logits", n, lab_random(n, amp, 1), eps, rel, false};
            c.out[1] = (lab_out){"loss", k.s.R, NULL, eps * (amp + 8) + rel, eps, false};
            check(&c, &k);
            lab_release();
        }
}

/* ---- top-k ---------------------------------------------------------------------------------- */

static void run_topk(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->topk(x, (int32_t *)(void *)out[0], c->a, c->s.R, c->s.D, c->K);
}

static void test_topk(void **state)
{
    static const int64_t ks[] = {1, 2, 6, 40};
    (void)state;
    for (int i = 0; i < N_SHAPES; i++)
        for (size_t j = 0; j < sizeof ks / sizeof *ks && ks[j] <= shapes[i].D; j++) {
            ctx k = {.s = shapes[i], .K = ks[j]};
            int64_t n = k.s.R * k.s.D;
            dsm_real *score = lab_random(n, 1, 1);
            for (int64_t e = 0; e < n; e += 2) /* many ties */
                score[e] = (dsm_real)(0.125 * floor(8 * (double)score[e]));
            k.a = score;
            lab_case c = {.op = "topk", .run = run_topk, .n_out = 1};
            c.out[0] = (lab_out){"pick", k.s.R * k.K, NULL, 0, 0, true};
            check(&c, &k);
            lab_release();
        }
}

static void test_topk_order(void **state)
{
    const dsm_real score[] = {0.5f, 2, 1, 2, -1, 1, 2};
    int32_t pick[5];
    (void)state;
    lab_truth()->kernels->topk(lab_truth(), pick, score, 1, 7, 5);
    const int32_t expected[] = {1, 3, 6, 2, 5};
    assert_memory_equal(pick, expected, sizeof expected);
}

/* ---- normal numbers ------------------------------------------------------------------------- */

static void run_normal(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    const dsm_rng rng = {.seed = 77, .stream = DSM_STREAM_TEST, .step = 5};
    x->kernels->normal(x, out[0], c->s.R, &rng, (double)c->scale);
}

static void test_normal(void **state)
{
    static const int64_t sizes[] = {0, 1, 3, 255, 256, 1000, 200001};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        ctx k = {.s = {sizes[i], 1}, .scale = (dsm_real)0.5};
        lab_case c = {.op = "normal", .run = run_normal, .n_out = 1};
        c.out[0] = (lab_out){"z", sizes[i], NULL, 6 * eps, 0, false}; /* z reaches 6.7 */
        check(&c, &k);
        lab_release();
    }
}

/* ---- exp: through a row of softmax whose largest logit is 0 and whose sum is known ---------- */

static void test_exp_accuracy(void **state)
{
    enum { N = 20001 };
    dsm_real *z = lab_random(N, 1, 1), *truth = lab_random(N, 1, 1);
    for (int i = 0; i < N; i++)
        z[i] = (dsm_real)(-110.0 * i / (N - 1));
    for (int i = 0; i < N; i++)
        truth[i] = (dsm_real)exp((double)z[i]);
    (void)state;
    unsigned have = dsm_cpu_flags(), sets[] = {0, DSM_CPU_AVX2, DSM_CPU_AVX2 | DSM_CPU_AVX512};
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if ((have & sets[s]) != sets[s]) continue;
        dsm_kernels k;
        dsm_kernels_init(&k, sets[s]);
        dsm_exec x = *lab_truth();
        x.kernels = &k;
        /* p = e^z / sum, so p_i · sum / e^{z_i} = 1 up to exp's error and two roundings */
        dsm_real *p = lab_random(N, 1, 2);
        k.softmax(&x, p, z, 1, N);
        double sum = 1 / (double)p[0];
        for (int i = 0; i < N; i++) {
            double got = (double)p[i] * sum, want = (double)truth[i];
            double ulp = fmax(want * eps, 0x1p-149 * sum);
            if (fabs(got - want) > 4 * ulp)
                fail_msg("exp(%g): found %.9g, expected %.9g", (double)z[i], got, want);
        }
    }
    lab_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm),         cmocka_unit_test(test_rope),
        cmocka_unit_test(test_swiglu),       cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_xent),         cmocka_unit_test(test_topk),
        cmocka_unit_test(test_topk_order),   cmocka_unit_test(test_normal),
        cmocka_unit_test(test_exp_accuracy),
    };
    return cmocka_run_group_tests_name("kernel_rows", tests, lab_open, lab_close);
}
