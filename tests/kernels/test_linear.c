/* SPDX-License-Identifier: MIT */
/* Grouped linear maps against the truth: odd sizes, empty groups, row maps, strides, every weight
 * dtype, overwrite and accumulate. */
#include "support/support.h"

#include "support/lab.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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
    {2, {1, 1}, 500, 129, 0, false, true, DSM_BF16},
    {2, {40, 3}, 65, 70, 0, true, false, DSM_BF16},
    {1, {2}, 70, 300, 0, false, true, DSM_F16},
    {2, {3, 40}, 65, 270, 0, true, false, DSM_F16},
    {1, {37}, 70, 300, 0, false, true, DSM_BF16},
    {3, {50, 0, 20}, 100, 96, 3, true, true, DSM_F16},
    /* quantised: few rows, many rows, an odd number of blocks */
    {1, {1}, 70, 96, 0, false, false, DSM_Q8_0},
    {3, {1, 1, 1}, 401, 320, 0, true, false, DSM_Q8_0}, /* spans that cut and cross groups */
    {4, {1, 0, 8, 5}, 31, 288, 1, true, true, DSM_Q8_0},
    {3, {40, 3, 17}, 65, 1056, 0, true, false, DSM_Q8_0},
    {1, {2}, 33, 160, 0, false, true, DSM_Q4_0},
    {2, {21, 7}, 50, 1024, 2, true, false, DSM_Q4_0},
    {2, {3, 6}, 19, 32, 0, false, false, DSM_Q4_1},
    {2, {60, 4}, 70, 544, 0, false, true, DSM_Q4_1},
    {1, {1}, 100, 512, 0, false, false, DSM_Q4_K},
    {3, {8, 33, 7}, 64, 768, 1, true, true, DSM_Q4_K},
    {2, {4, 1}, 17, 256, 0, true, false, DSM_Q5_K},
    {1, {45}, 49, 512, 0, false, false, DSM_Q5_K},
    {3, {1, 2, 6}, 40, 1024, 0, true, true, DSM_Q6_K},
    {2, {70, 2}, 33, 256, 5, false, false, DSM_Q6_K},
    /* many rows of every type: panels that are not full, quads that are not, empty and small groups
     */
    {1, {9}, 1, 32, 0, false, false, DSM_Q8_0},
    {4, {50, 0, 13, 2}, 149, 320, 3, true, true, DSM_Q8_0},
    {2, {530, 9}, 47, 64, 0, false, false, DSM_Q4_0},
    {2, {12, 35}, 97, 288, 0, true, true, DSM_Q4_1},
    {2, {26, 51}, 100, 512, 1, false, false, DSM_Q4_K},
    {2, {10, 11}, 55, 768, 0, true, true, DSM_Q5_K},
    {3, {17, 1, 48}, 146, 512, 0, true, false, DSM_Q6_K},
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
    void *stored = lab_bytes(dsm_dtype_bytes(s->dtype, n));
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
    c->op = (dsm_linear){.n_groups = s->n_groups,
                         .begin = c->begin,
                         .N = s->N,
                         .K = s->K,
                         .w = c->w,
                         .x_rs = x_rs,
                         .y_rs = s->N + s->pad,
                         .dx_rs = x_rs,
                         .accumulate = s->accumulate};
    c->op.x = lab_random(pool * x_rs, 1, 1);
    c->op.x_rows = s->mapped ? lab_random_int(R, pool, 2) : NULL;
    return R;
}

/* dy of more rows than R, and which of them each row takes. */
static void make_dy(ctx *c, const shape *s, int64_t R)
{
    const int64_t pool = R + 2;
    c->op.y = lab_random(pool * c->op.y_rs, 1, 6);
    c->op.dy_rows = s->mapped ? lab_random_int(R, pool, 7) : NULL;
}

static void name_case(lab_case *c, const shape *s)
{
    int at =
        snprintf(c->shape, sizeof c->shape, "N=%d K=%d pad=%d map=%d acc=%d %s rows=", (int)s->N,
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

/* Weights that are not f32 may meet rounded rows: to bf16 on AMX, to int8 if quantised. Of values
 * up to 1 an int8 keeps ± 1/254 at most: six standard deviations of a sum of n such errors times
 * weights up to 1. */
static double stored_tol(const shape *s, int64_t n)
{
    return s->dtype == DSM_REAL_DTYPE ? lab_sum_tol(n, 1) : 6 * sqrt((double)n) / (254 * 3);
}

static void test_forward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        ctx c = {0};
        int64_t n = make_ctx(&c, s) * c.op.y_rs;
        lab_case k = {.op = "linear", .run = run_forward, .ctx = &c, .n_out = 1};
        k.coarse = s->dtype != DSM_REAL_DTYPE;
        k.out[0] = (lab_out){
            "y", n, s->accumulate ? lab_random(n, 1, 5) : NULL, stored_tol(s, s->K), 0, false};
        name_case(&k, s);
        lab_check(&k);
        lab_release();
    }
}

/* ---- several maps in one call ---------------------------------------------------------------- */

enum { CHAIN = 3, CHAIN_ROWS = 64 };

/* All of one chain read the same rows. */
static const shape chains[][CHAIN] = {
    {{1, {1}, 600, 512, 0, true, false, DSM_Q8_0}, /* as a decoder's queries, keys and values */
     {1, {1}, 130, 512, 3, true, false, DSM_Q8_0},
     {1, {1}, 7, 512, 0, true, true, DSM_F32}},
    {{4, {1, 0, 1, 2}, 200, 256, 0, true, false, DSM_Q8_0}, /* as experts, of several types */
     {4, {1, 0, 1, 2}, 190, 256, 0, true, false, DSM_Q4_K},
     {1, {4}, 333, 256, 1, true, true, DSM_BF16}},
    {{1, {3}, 33, 256, 0, false, false, DSM_Q6_K}, /* not all of them with few rows */
     {2, {9, 40}, 65, 256, 0, true, false, DSM_Q8_0},
     {2, {0, 0}, 20, 256, 0, false, false, DSM_F32}},
};

typedef struct chain_ctx {
    ctx map[CHAIN];
} chain_ctx;

static void run_chain(const dsm_exec *x, const void *raw, dsm_real *const *out)
{
    dsm_linear op[CHAIN];
    for (int i = CHAIN - 1; i >= 0; i--) {
        op[i] = ((const chain_ctx *)raw)->map[i].op;
        op[i].y = out[i];
        op[i].next = i + 1 < CHAIN ? &op[i + 1] : NULL;
    }
    x->kernels->linear(x, op);
}

static void test_chain(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        const int64_t K = chains[i][0].K;
        const dsm_real *x = lab_random(CHAIN_ROWS * K, 1, 1);
        chain_ctx c = {0};
        lab_case k = {.op = "linear", .run = run_chain, .ctx = &c, .n_out = CHAIN, .coarse = true};
        for (int m = 0; m < CHAIN; m++) {
            const shape *s = &chains[i][m];
            const int64_t n = make_ctx(&c.map[m], s) * c.map[m].op.y_rs;
            c.map[m].op.x = x;
            c.map[m].op.x_rs = K;
            k.out[m] = (lab_out){"y", n, s->accumulate ? lab_random(n, 1, 5) : NULL,
                                 stored_tol(s, s->K), 0, false};
        }
        snprintf(k.shape, sizeof k.shape, "chain %d", (int)i);
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
        make_dy(&c, s, R);
        lab_case k = {.op = "linear_input", .run = run_input, .ctx = &c, .n_out = 1};
        k.out[0] = (lab_out){
            "dx", n, s->accumulate ? lab_random(n, 1, 5) : NULL, lab_sum_tol(s->N, 1), 0, false};
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
        make_dy(&c, s, R);
        lab_case k = {.op = "linear_weight", .run = run_weight, .ctx = &c, .n_out = 1};
        k.out[0] = (lab_out){
            "dw", n, s->accumulate ? lab_random(n, 1, 5) : NULL, lab_sum_tol(R, 1), 0, false};
        name_case(&k, s);
        lab_check(&k);
        lab_release();
    }
}

/* ---- precision ------------------------------------------------------------------------------ */

enum { ROWS = 70, WIDTH = 67, DEPTH = 1000 };

/* One map y = x wᵀ with a table for these flags. */
static void run_with(unsigned flags, dsm_compute compute, bool exact, dsm_real *y,
                     const dsm_real *x, const dsm_real *w)
{
    const int32_t begin[] = {0, ROWS};
    const dsm_mat mat = {w, DSM_REAL_DTYPE, WIDTH, DEPTH};
    dsm_kernels k;
    dsm_exec exec;
    dsm_err err;
    dsm_kernels_init(&k, flags);
    assert_ok(dsm_kernels_set_compute(&k, flags, compute, &err));
    assert_ok(dsm_exec_init(&exec, &k, 1, &err));
    k.linear(&exec, &(dsm_linear){.n_groups = 1,
                                  .begin = begin,
                                  .N = WIDTH,
                                  .K = DEPTH,
                                  .w = &mat,
                                  .x = x,
                                  .x_rs = DEPTH,
                                  .y = y,
                                  .y_rs = WIDTH,
                                  .exact = exact});
    dsm_exec_free(&exec);
}

/* Values over forty binary orders of magnitude. */
static dsm_real *wide_random(int64_t n, unsigned seed)
{
    dsm_real *v = lab_random(n, 1, seed), *scale = lab_random(n, 20, seed + 1);
    for (int64_t i = 0; i < n; i++)
        v[i] *= (dsm_real)exp2(floor((double)scale[i]));
    return v;
}

/* Root mean square over all elements of error / Σ|x||w|, in units of f32 rounding. */
static double error_of(const dsm_real *y, const dsm_real *x, const dsm_real *w)
{
    double sum = 0;
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t n = 0; n < WIDTH; n++) {
            double want = 0, size = 0;
            for (int64_t k = 0; k < DEPTH; k++) {
                double p = (double)x[r * DEPTH + k] * (double)w[n * DEPTH + k];
                want += p;
                size += fabs(p);
            }
            double e = ((double)y[r * WIDTH + n] - want) / size;
            sum += e * e;
        }
    return sqrt(sum / (ROWS * WIDTH)) / (double)DSM_REAL_EPS;
}

/* y by multiply and add in float, k ascending: what an f32 matrix product is. */
static void plain_sums(dsm_real *y, const dsm_real *x, const dsm_real *w)
{
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t n = 0; n < WIDTH; n++) {
            dsm_real sum = 0;
            for (int64_t k = 0; k < DEPTH; k++)
                sum += x[r * DEPTH + k] * w[n * DEPTH + k];
            y[r * WIDTH + n] = sum;
        }
}

/* f32 is f32, however the products are made: no variant errs more than twice as much as plain
 * sums. */
static void test_f32_precision(void **state)
{
    static const unsigned sets[] = {DSM_CPU_AVX2, DSM_CPU_AVX2 | DSM_CPU_AVX512,
                                    DSM_CPU_AVX2 | DSM_CPU_AVX512 | DSM_CPU_AVX512_VNNI |
                                        DSM_CPU_AVX512_BF16 | DSM_CPU_AMX};
    (void)state;
    dsm_real *y = lab_random(ROWS * WIDTH, 1, 9);
    for (int wide = 0; wide < 2; wide++) {
        dsm_real *x = wide ? wide_random(ROWS * DEPTH, 1) : lab_random(ROWS * DEPTH, 1, 1);
        dsm_real *w = wide ? wide_random(WIDTH * DEPTH, 3) : lab_random(WIDTH * DEPTH, 1, 3);
        plain_sums(y, x, w);
        double plain = error_of(y, x, w);
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
            if ((dsm_cpu_flags() & sets[i]) != sets[i]) continue;
            run_with(sets[i], DSM_COMPUTE_F32, false, y, x, w);
            double error = error_of(y, x, w);
            print_message("%s values, flags %#x: error %.3f of f32 rounding, plain sums %.3f\n",
                          wide ? "wide" : "even", sets[i], error, plain);
            if (!(error <= 2 * plain)) fail_msg("flags %#x: %g against %g", sets[i], error, plain);
        }
    }
    lab_release();
}

static dsm_real *rounded_to_bf16(const dsm_real *v, int64_t n)
{
    dsm_real *out = lab_random(n, 1, 1);
    for (int64_t i = 0; i < n; i++) {
        float f = (float)v[i];
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        bits = (bits + 0x8000u) & 0xFFFF0000u; /* ties away from zero */
        memcpy(&f, &bits, sizeof f);
        out[i] = (dsm_real)f;
    }
    return out;
}

/* bf16 is the f32 product of rounded operands, and not for those who want f32. */
static void test_bf16_precision(void **state)
{
    const unsigned flags = dsm_cpu_flags();
    dsm_kernels k;
    dsm_err err;
    (void)state;
    dsm_kernels_init(&k, 0);
    assert_fails(dsm_kernels_set_compute(&k, 0, DSM_COMPUTE_BF16, &err), DSM_EUSAGE, "no AMX");
    if (!(flags & DSM_CPU_AMX)) {
        print_message("this CPU has no AMX: compute precision bf16 is refused here\n");
        return;
    }
    dsm_real *x = lab_random(ROWS * DEPTH, 1, 1), *w = lab_random(WIDTH * DEPTH, 1, 2);
    dsm_real *y = lab_random(ROWS * WIDTH, 1, 3), *f32 = lab_random(ROWS * WIDTH, 1, 4);
    run_with(flags, DSM_COMPUTE_BF16, false, y, x, w);
    double error = error_of(y, rounded_to_bf16(x, ROWS * DEPTH), rounded_to_bf16(w, WIDTH * DEPTH));
    assert_true(error < 10);
    assert_true(error_of(y, x, w) > 10 * error);
    run_with(flags, DSM_COMPUTE_BF16, true, y, x, w);
    run_with(flags, DSM_COMPUTE_F32, false, f32, x, w);
    assert_memory_equal(y, f32, sizeof *y * ROWS * WIDTH);
    lab_release();
}

/* ---- quantised weights ---------------------------------------------------------------------- */

enum { Q_ROWS = 40, Q_WIDTH = 33, Q_DEPTH = 1024 };

/* Root mean square of error / sqrt(Σ (x w)²): what rounding each product by a part of itself that
 * size, at random, would give. `rows` rows of x against the decoded weights. */
static double stored_error(unsigned flags, dsm_dtype t, int32_t rows)
{
    const int32_t begin[] = {0, rows};
    dsm_real *x = lab_random(Q_ROWS * Q_DEPTH, 1, 1), *w = lab_random(Q_WIDTH * Q_DEPTH, 1, 2);
    dsm_real *y = lab_random(Q_ROWS * Q_WIDTH, 1, 3);
    void *stored = lab_bytes(dsm_dtype_bytes(t, Q_WIDTH * Q_DEPTH));
    const dsm_mat mat = {stored, t, Q_WIDTH, Q_DEPTH};
    dsm_kernels k;
    dsm_exec exec;
    dsm_err err;
    dsm_dtype_store(stored, t, w, Q_WIDTH * Q_DEPTH);
    dsm_dtype_load(w, stored, t, Q_WIDTH * Q_DEPTH);
    dsm_kernels_init(&k, flags);
    assert_ok(dsm_exec_init(&exec, &k, 1, &err));
    k.linear(&exec, &(dsm_linear){.n_groups = 1,
                                  .begin = begin,
                                  .N = Q_WIDTH,
                                  .K = Q_DEPTH,
                                  .w = &mat,
                                  .x = x,
                                  .x_rs = Q_DEPTH,
                                  .y = y,
                                  .y_rs = Q_WIDTH});
    dsm_exec_free(&exec);
    double sum = 0;
    for (int32_t r = 0; r < rows; r++)
        for (int64_t n = 0; n < Q_WIDTH; n++) {
            double want = 0, size = 0;
            for (int64_t i = 0; i < Q_DEPTH; i++) {
                double product = (double)x[r * Q_DEPTH + i] * (double)w[n * Q_DEPTH + i];
                want += product;
                size += product * product;
            }
            sum += pow((double)y[r * Q_WIDTH + n] - want, 2) / size;
        }
    return sqrt(sum / (double)(rows * Q_WIDTH));
}

/* The bounds that docs/kernels.md states. x even in [-1, 1): an int8 step of 1/127 errs by 1/440 in
 * the mean square, against a mean square of 1/√3: 0.0039; a bf16 by 2^-9.6 of itself, twice. */
static void test_stored_precision(void **state)
{
    enum { avx512 = DSM_CPU_AVX2 | DSM_CPU_AVX512, vnni = avx512 | DSM_CPU_AVX512_VNNI };
    static const struct {
        const char *name;
        unsigned flags;
        int32_t rows;
        double most;
    } kernels[] = {
        {"truth", 0, 3, 1e-6},
        {"avx2, few rows: int8", DSM_CPU_AVX2, 3, 0.0045},
        {"vnni, few rows: int8", vnni, 3, 0.0045},
        {"avx2, many rows: int8", DSM_CPU_AVX2, Q_ROWS, 0.0045},
        {"avx2 vnni, many rows: int8", DSM_CPU_AVX2 | DSM_CPU_AVX_VNNI, Q_ROWS, 0.0045},
        {"vnni, many rows: int8", vnni, Q_ROWS, 0.0045},
        {"amx, many rows: bf16", vnni | DSM_CPU_AVX512_BF16 | DSM_CPU_AMX, Q_ROWS, 0.0025}};
    (void)state;
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        double most = 0;
        if ((dsm_cpu_flags() & kernels[i].flags) != kernels[i].flags) continue;
        for (dsm_dtype t = DSM_Q8_0; t <= DSM_Q6_K; t++) {
            const double error = stored_error(kernels[i].flags, t, kernels[i].rows);
            if (error > most) most = error;
            if (!(error <= kernels[i].most))
                fail_msg("%s, %s: error %g, expected at most %g", kernels[i].name,
                         dsm_dtype_name(t), error, kernels[i].most);
            lab_release();
        }
        print_message("%s: error %.2g of a product\n", kernels[i].name, most);
    }
}

/* Weights of 16 bits are exact, and with compute f32 so are products. */
static void test_plain_precision(void **state)
{
    enum { avx512 = DSM_CPU_AVX2 | DSM_CPU_AVX512 };
    static const unsigned sets[] = {
        DSM_CPU_AVX2, avx512, avx512 | DSM_CPU_AVX512_VNNI | DSM_CPU_AVX512_BF16 | DSM_CPU_AMX};
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        for (dsm_dtype t = DSM_BF16; t <= DSM_F16; t++) {
            if ((dsm_cpu_flags() & sets[i]) != sets[i]) continue;
            const double error = stored_error(sets[i], t, Q_ROWS);
            lab_release();
            if (!(error <= 2e-6))
                fail_msg("flags %#x, %s: error %g", sets[i], dsm_dtype_name(t), error);
        }
}

/* Blocks of the largest values that bits can hold, with scales of 1: products of pairs, which AVX2
 * sums in 16 bits, come as near to overflow as they can. */
static void fill_extreme(unsigned char *block, dsm_dtype t)
{
    static const unsigned char one[] = {0x00, 0x3C}; /* f16 */
    const bool two = t == DSM_Q4_1 || t == DSM_Q4_K || t == DSM_Q5_K;
    memset(block, t == DSM_Q8_0 ? 0x80 : 0xFF, dsm_dtype_size(t));
    memcpy(block + (t == DSM_Q6_K ? dsm_dtype_size(t) - 2 : 0), one, 2);
    if (two) memcpy(block + 2, one, 2);
}

static void test_extremes(void **state)
{
    enum { extreme_rows = 13, width = 35, depth = 512 };
    (void)state;
    for (dsm_dtype t = DSM_Q8_0; t <= DSM_Q6_K; t++) {
        const shape s = {1, {extreme_rows}, width, depth, 0, false, false, t};
        ctx c = {0};
        const int64_t R = make_ctx(&c, &s), n = R * c.op.y_rs;
        unsigned char *w = lab_bytes(dsm_dtype_bytes(t, width * depth));
        dsm_real *x = lab_random(R * depth, 1, 1);
        for (int64_t b = 0; b < width * depth / dsm_dtype_block(t); b++)
            fill_extreme(w + (size_t)b * dsm_dtype_size(t), t);
        for (int64_t i = 0; i < R * depth; i++)
            x[i] = i / depth % 2 ? -1 : 1;
        c.w[0].data = w;
        c.op.x = x;
        c.op.x_rows = NULL;
        lab_case k = {.op = "linear", .run = run_forward, .ctx = &c, .n_out = 1, .coarse = true};
        k.out[0] = (lab_out){"y", n, NULL, 0, 1e-2, false};
        name_case(&k, &s);
        lab_check(&k);
        lab_release();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_input),
        cmocka_unit_test(test_weight),
        cmocka_unit_test(test_f32_precision),
        cmocka_unit_test(test_bf16_precision),
        cmocka_unit_test(test_stored_precision),
        cmocka_unit_test(test_plain_precision),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests_name("linear", tests, lab_open, lab_close);
}
