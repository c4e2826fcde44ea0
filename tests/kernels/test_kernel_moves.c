/* SPDX-License-Identifier: MIT */
/* Kernels that move rows or sweep flat memory, against the truth: combine, gather, add, Σ v², AdamW. */
#include "support/support.h"

#include "core/rng.h"
#include "support/lab.h"

#include <stdio.h>

static const double eps = (double)DSM_REAL_EPS;

typedef struct ctx {
    int64_t T, K, D, n;
    const dsm_real *rows, *dy, *g;
    const int32_t *pos;
    dsm_mat table;
    dsm_adamw p;
    dsm_keys keys;
} ctx;

/* ---- combine: every (token, choice) has its own row, some choices are dropped --------------- */

static ctx make_combine(int64_t T, int64_t K, int64_t D)
{
    ctx c = {.T = T, .K = K, .D = D, .n = T * K};
    dsm_rng rng = {7, DSM_STREAM_TEST, 2};
    int32_t *pos = lab_bytes((size_t)c.n * sizeof *pos);
    for (int64_t i = 0; i < c.n; i++)
        pos[i] = (int32_t)dsm_rng_permute(&rng, (uint64_t)i, (uint64_t)c.n);
    for (int64_t i = 3; i < c.n; i += 7)
        pos[i] = -1;
    c.pos = pos;
    c.rows = lab_random(c.n * D, 1, 1);
    return c;
}

static void run_combine(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->combine(x, out[0], c->rows, c->pos, c->T, c->K, c->D);
}

static void test_combine(void **state)
{
    static const int64_t shapes[][3] = {{0, 2, 8}, {1, 1, 1}, {5, 3, 17}, {40, 7, 64}, {33, 2, 129}};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        ctx k = make_combine(shapes[i][0], shapes[i][1], shapes[i][2]);
        int64_t n = k.T * k.D;
        lab_case c = {.op = "combine", .run = run_combine, .ctx = &k, .n_out = 1};
        snprintf(c.shape, sizeof c.shape, "T=%d K=%d D=%d", (int)k.T, (int)k.K, (int)k.D);
        c.out[0] = (lab_out){"y", n, lab_random(n, 1, 4), lab_sum_tol(k.K, 1), 0, false};
        lab_check(&c);
        lab_release();
    }
}

/* ---- gather --------------------------------------------------------------------------------- */

static void run_gather(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->gather(x, out[0], &c->table, c->pos, c->n);
}

static void run_gather_bwd(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->gather_bwd(x, out[0], c->dy, c->pos, c->n, c->D);
}

static void test_gather(void **state)
{
    static const int64_t shapes[][3] = {
        {4, 0, 8}, {1, 9, 3}, {20, 100, 65}, {50, 33, 130}, {10, 20, 512}};
    static const dsm_dtype dtypes[] = {DSM_F32, DSM_BF16, DSM_F16, DSM_Q8_0, DSM_Q4_K};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++) {
            int64_t V = shapes[i][0], R = shapes[i][1], D = shapes[i][2];
            if (D % dsm_dtype_block(dtypes[t]) != 0) continue;
            void *stored = lab_bytes(dsm_dtype_bytes(dtypes[t], V * D));
            dsm_dtype_store(stored, dtypes[t], lab_random(V * D, 1, 1), V * D);
            ctx k = {.n = R, .D = D, .table = {stored, dtypes[t], V, D},
                     .pos = lab_random_int(R, V, 2), .dy = lab_random(R * D, 1, 3)};
            lab_case c = {.op = "gather", .run = run_gather, .ctx = &k, .n_out = 1};
            snprintf(c.shape, sizeof c.shape, "V=%d R=%d D=%d %s", (int)V, (int)R, (int)D,
                     dsm_dtype_name(dtypes[t]));
            c.out[0] = (lab_out){"y", R * D, NULL, 0, 0, true};
            lab_check(&c);

            lab_case b = {.op = "gather_bwd", .run = run_gather_bwd, .ctx = &k, .n_out = 1};
            snprintf(b.shape, sizeof b.shape, "%s", c.shape);
            b.out[0] = (lab_out){"dtable", V * D, lab_random(V * D, 1, 4), lab_sum_tol(R, 1), 0, false};
            lab_check(&b);
            lab_release();
        }
}

/* ---- keys of latent attention --------------------------------------------------------------- */

static void run_columns(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->columns(x, out[0] + 1, c->D + 3, c->g + 2, c->D + 5, c->n, c->D);
}

static void run_keys(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    dsm_keys op = ((const ctx *)raw)->keys;
    op.k = out[0];
    x->kernels->keys(x, &op);
}

static void run_keys_bwd(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    dsm_keys op = ((const ctx *)raw)->keys;
    op.kv = out[0];
    op.shared = out[1];
    x->kernels->keys_bwd(x, &op);
}

static void test_keys(void **state)
{
    /* R, H, Dn, Dr, Dv */
    static const int64_t shapes[][5] = {{1, 1, 1, 2, 1}, {5, 3, 7, 4, 9}, {33, 2, 128, 64, 128}};
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int64_t *s = shapes[i], R = s[0], H = s[1], n_k = R * H * (s[2] + s[3]);
        const int64_t kv_hs = s[2] + s[4], kv_rs = H * kv_hs + 1, n_kv = R * kv_rs;
        ctx k = {.n = R, .D = s[2], .g = lab_random(R * (s[2] + 5) + 2, 1, 4)};
        k.keys = (dsm_keys){.R = R, .H = H, .Dn = s[2], .Dr = s[3], .kv_rs = kv_rs, .kv_hs = kv_hs,
                            .kv = lab_random(n_kv, 1, 1), .shared = lab_random(R * s[3], 1, 2)};
        lab_case c = {.op = "columns", .run = run_columns, .ctx = &k, .n_out = 1};
        snprintf(c.shape, sizeof c.shape, "R=%d H=%d Dn=%d Dr=%d", (int)R, (int)H, (int)s[2],
                 (int)s[3]);
        c.out[0] = (lab_out){"y", R * (s[2] + 3), lab_random(R * (s[2] + 3), 1, 5), 0, 0, true};
        lab_check(&c);
        c.op = "keys";
        c.run = run_keys;
        c.out[0] = (lab_out){"k", n_k, NULL, 0, 0, true};
        lab_check(&c);
        k.keys.k = lab_random(n_k, 1, 3);
        c.op = "keys_bwd";
        c.run = run_keys_bwd;
        c.n_out = 2; /* the values' part of dkv is others' */
        c.out[0] = (lab_out){"dkv", n_kv, lab_random(n_kv, 1, 6), 0, 0, true};
        c.out[1] = (lab_out){"dshared", R * s[3], NULL, lab_sum_tol(H, 1), 0, false};
        lab_check(&c);
        lab_release();
    }
}

/* ---- flat passes ---------------------------------------------------------------------------- */

static void run_add(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->add(x, out[0], c->g, c->n);
}

static void run_adamw(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    x->kernels->adamw(x, out[0], out[1], out[2], c->g, c->n, &c->p);
}

static void run_squares(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    const ctx *c = raw;
    bool finite;
    out[0][0] = (dsm_real)x->kernels->sum_squares(x, c->g, c->n, &finite);
    out[0][1] = finite;
}

static void test_flat(void **state)
{
    static const int64_t sizes[] = {0, 1, 15, 1000, 16384, 16385, 70001};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int64_t n = sizes[i];
        ctx k = {.n = n, .g = lab_random(n, 1, 1),
                 .p = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .decay = 0.1f,
                       .bias1 = 0.1f, .bias2 = 0.05f, .grad_scale = 0.5f}};
        lab_case c = {.op = "add", .run = run_add, .ctx = &k, .n_out = 1};
        snprintf(c.shape, sizeof c.shape, "n=%d", (int)n);
        c.out[0] = (lab_out){"y", n, lab_random(n, 1, 2), 0, 0, true};
        lab_check(&c);

        dsm_real *v = lab_random(n, 1, 3);
        for (int64_t j = 0; j < n; j++)
            v[j] *= v[j];
        c.op = "adamw";
        c.run = run_adamw;
        c.n_out = 3;
        /* a step is at most about lr / sqrt(1 - beta2) · few, and carries 8 roundings */
        c.out[0] = (lab_out){"w", n, lab_random(n, 1, 4), eps + 8 * eps * 1e-2 * 10, eps, false};
        c.out[1] = (lab_out){"m", n, lab_random(n, 1, 5), 2 * eps, 0, false};
        c.out[2] = (lab_out){"v", n, v, 2 * eps, 0, false};
        lab_check(&c);

        c.op = "sum_squares";
        c.run = run_squares;
        c.n_out = 1;
        c.out[0] = (lab_out){"sum, finite", 2, NULL, 0, eps, false};
        lab_check(&c);
        lab_release();
    }
}

static void test_not_finite(void **state)
{
    static const dsm_real bad[] = {INFINITY, -INFINITY, NAN};
    enum { N = 40000 };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int64_t at = 0; at < N; at += N - 1) {
            dsm_real *v = lab_random(N, 1, 1);
            bool finite = true;
            v[at] = bad[i];
            lab_truth()->kernels->sum_squares(lab_truth(), v, N, &finite);
            assert_false(finite);
            v[at] = (dsm_real)3e38; /* large, but finite */
            lab_truth()->kernels->sum_squares(lab_truth(), v, N, &finite);
            assert_true(finite);
            lab_release();
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_combine),
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests_name("kernel_moves", tests, lab_open, lab_close);
}
