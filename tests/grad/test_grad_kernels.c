/* SPDX-License-Identifier: MIT */
/* Each backward slot against its forward by directional derivatives, in double.
 *
 * For a random cotangent c the loss is <c, forward(inputs)>. Along a random direction δ of one
 * input, (loss(+hδ) - loss(-hδ)) / 2h must equal <gradient, δ>, with an error of order h² and
 * eps/h. */
#include "support/support.h"

#include "support/lab.h"

#include <math.h>
#include <string.h>

enum { MAX_INPUTS = 4 };

typedef struct pair {
    const char *name, *input_name[MAX_INPUTS];
    int64_t n_in[MAX_INPUTS], n_out;
    int inputs;
    void (*forward)(const struct pair *p, dsm_real *out, dsm_real *const *in);
    /* grad[i] arrives zeroed: kernels that accumulate and kernels that overwrite both fit */
    void (*backward)(const struct pair *p, dsm_real *const *grad, const dsm_real *dout,
                     dsm_real *const *in);
    double amp;
} pair;

static const dsm_exec *X;
#define OPS (X->kernels)

static double inner(const dsm_real *a, const dsm_real *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double loss_at(const pair *p, dsm_real *const *in, int moved, const dsm_real *delta,
                      double h, const dsm_real *c)
{
    dsm_real *at[MAX_INPUTS], *out = lab_random(p->n_out, 1, 0);
    memset(out, 0, (size_t)p->n_out * sizeof *out);
    for (int i = 0; i < p->inputs; i++) {
        at[i] = lab_bytes((size_t)p->n_in[i] * sizeof *at[i]);
        memcpy(at[i], in[i], (size_t)p->n_in[i] * sizeof *at[i]);
    }
    for (int64_t j = 0; j < p->n_in[moved]; j++)
        at[moved][j] += (dsm_real)h * delta[j];
    p->forward(p, out, at);
    return inner(c, out, p->n_out);
}

static void check_pair(const pair *p)
{
    dsm_real *in[MAX_INPUTS], *grad[MAX_INPUTS], *c = lab_random(p->n_out, 1, 100);
    for (int i = 0; i < p->inputs; i++) {
        in[i] = lab_random(p->n_in[i], p->amp, (unsigned)i + 1);
        grad[i] = lab_bytes((size_t)p->n_in[i] * sizeof *grad[i]);
    }
    p->backward(p, grad, c, in);
    for (int i = 0; i < p->inputs; i++) {
        const double h = 1e-5;
        dsm_real *delta = lab_random(p->n_in[i], 1, (unsigned)i + 50);
        double numeric =
            (loss_at(p, in, i, delta, h, c) - loss_at(p, in, i, delta, -h, c)) / (2 * h);
        double exact = inner(grad[i], delta, p->n_in[i]);
        double error = fabs(numeric - exact) / fmax(1e-3, fabs(exact));
        if (!(error < 1e-6) || exact == 0)
            fail_msg("%s, d%s: numeric %.12g, kernel %.12g, relative error %.2g", p->name,
                     p->input_name[i], numeric, exact, error);
    }
    lab_release();
}

/* ---- linear: two groups and an empty one, gathered rows ------------------------------------- */

enum { LIN_N = 5, LIN_K = 4, LIN_G = 3, LIN_R = 6, LIN_POOL = 5 };
static const int32_t lin_begin[LIN_G + 1] = {0, 2, 2, LIN_R};
static const int32_t lin_rows[LIN_R] = {4, 0, 2, 2, 1, 3};

static dsm_linear linear_op(dsm_mat *w, dsm_real *const *in)
{
    for (int g = 0; g < LIN_G; g++)
        w[g] = (dsm_mat){in[1] + g * LIN_N * LIN_K, DSM_REAL_DTYPE, LIN_N, LIN_K};
    return (dsm_linear){.n_groups = LIN_G,
                        .begin = lin_begin,
                        .N = LIN_N,
                        .K = LIN_K,
                        .w = w,
                        .x = in[0],
                        .x_rs = LIN_K,
                        .x_rows = lin_rows,
                        .y_rs = LIN_N,
                        .dx_rs = LIN_K};
}

static void linear_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    dsm_mat w[LIN_G];
    dsm_linear op = linear_op(w, in);
    (void)p;
    op.y = out;
    OPS->linear(X, &op);
}

static void linear_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                            dsm_real *const *in)
{
    dsm_mat w[LIN_G];
    dsm_linear op = linear_op(w, in);
    dsm_real *dw[LIN_G], dx[LIN_R * LIN_K];
    (void)p;
    for (int g = 0; g < LIN_G; g++)
        dw[g] = grad[1] + g * LIN_N * LIN_K;
    op.y = (dsm_real *)(uintptr_t)dout;
    op.dw = dw;
    OPS->linear_weight(X, &op);
    op.dx = dx;
    OPS->linear_input(X, &op);
    OPS->gather_bwd(X, grad[0], dx, lin_rows, LIN_R, LIN_K); /* rows of x that were used twice */
}

/* ---- rows ----------------------------------------------------------------------------------- */

enum { ROWS = 5, WIDTH = 6 };

static void norm_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    (void)p;
    OPS->rmsnorm(X, out, NULL, in[0], in[1], ROWS, WIDTH, (dsm_real)1e-3);
}

static void norm_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                          dsm_real *const *in)
{
    dsm_real y[ROWS * WIDTH], rstd[ROWS];
    (void)p;
    OPS->rmsnorm(X, y, rstd, in[0], in[1], ROWS, WIDTH, (dsm_real)1e-3);
    OPS->rmsnorm_bwd(X, grad[0], grad[1], dout, in[0], in[1], rstd, ROWS, WIDTH);
}

static const dsm_real *rope_table(void)
{
    static dsm_real table[8 * WIDTH];
    for (int i = 0; i < 4 * WIDTH; i++) {
        table[2 * i] = dsm_cos((dsm_real)(0.3 * i));
        table[2 * i + 1] = dsm_sin((dsm_real)(0.3 * i));
    }
    return table;
}

/* Two heads side by side. */
static void rotate(const pair *p, dsm_real *v, int sign)
{
    OPS->rope(X, &(dsm_rope){v, 2 * WIDTH, WIDTH, ROWS, 3, 2, WIDTH, rope_table(), sign,
                             strcmp(p->name, "adjacent rope") == 0});
}

static void rope_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    memcpy(out, in[0], (size_t)p->n_out * sizeof *out);
    rotate(p, out, 1);
}

static void rope_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                          dsm_real *const *in)
{
    (void)in;
    memcpy(grad[0], dout, (size_t)p->n_out * sizeof *dout);
    rotate(p, grad[0], -1);
}

static void swiglu_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    OPS->swiglu(X, out, in[0], in[1], WIDTH, p->inputs > 2 ? in[2] : NULL, ROWS, WIDTH);
}

static void swiglu_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                            dsm_real *const *in)
{
    dsm_real dh[ROWS * WIDTH], h[ROWS * WIDTH];
    bool gated = p->inputs > 2;
    memcpy(dh, dout, sizeof dh);
    OPS->swiglu_bwd(X, grad[0], grad[1], gated ? grad[2] : NULL, dh, in[0], in[1], WIDTH,
                    gated ? in[2] : NULL, ROWS, WIDTH);
    swiglu_forward(p, h, in);
    assert_memory_equal(dh, h, sizeof h); /* backward leaves h again */
}

static const int32_t xent_target[ROWS] = {0, 5, -1, 3, 3};

static void xent_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    dsm_real logits[ROWS * WIDTH];
    (void)p;
    memcpy(logits, in[0], sizeof logits);
    OPS->xent(X, logits, WIDTH, xent_target, out, ROWS, WIDTH, 0);
}

/* The kernel gives each row the same weight; the cotangent's weights come on top. */
static void xent_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                          dsm_real *const *in)
{
    dsm_real loss[ROWS];
    (void)p;
    memcpy(grad[0], in[0], ROWS * WIDTH * sizeof *grad[0]);
    OPS->xent(X, grad[0], WIDTH, xent_target, loss, ROWS, WIDTH, (dsm_real)0.5);
    for (int i = 0; i < ROWS * WIDTH; i++)
        grad[0][i] *= dout[i / WIDTH] / (dsm_real)0.5;
}

/* ---- combine: three tokens, two choices, one dropped ---------------------------------------- */

enum { TOKENS = 3, CHOICES = 2 };
static const int32_t combine_pos[TOKENS * CHOICES] = {3, 0, 4, -1, 1, 2};
static const int32_t combine_token[] = {0, 2, 2, 0, 1}; /* of each row that is used */

static void combine_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    (void)p;
    OPS->combine(X, out, in[0], combine_pos, TOKENS, CHOICES, WIDTH);
}

static void combine_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                             dsm_real *const *in)
{
    dsm_mat dy = {dout, DSM_REAL_DTYPE, TOKENS, WIDTH};
    (void)p, (void)in;
    OPS->gather(X, grad[0], &dy, combine_token, sizeof combine_token / sizeof *combine_token);
}

/* ---- gather: rows used twice ---------------------------------------------------------------- */

static void gather_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    dsm_mat table = {in[0], DSM_REAL_DTYPE, LIN_POOL, WIDTH};
    (void)p;
    OPS->gather(X, out, &table, lin_rows, LIN_R);
}

static void gather_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                            dsm_real *const *in)
{
    (void)p, (void)in;
    OPS->gather_bwd(X, grad[0], dout, lin_rows, LIN_R, WIDTH);
}

/* ---- attention: two sequences, shared key heads, Dk != Dv ----------------------------------- */

enum { SEQ = 2, T = 7, H = 4, HK = 2, DK = 3, DV = 5 };

static dsm_attention attention_op(dsm_real *const *in)
{
    return (dsm_attention){.n_seq = SEQ,
                           .T = T,
                           .k_seq = T,
                           .H = H,
                           .Hk = HK,
                           .Dk = DK,
                           .Dv = DV,
                           .scale = (dsm_real)0.7,
                           .q = in[0],
                           .k = in[1],
                           .v = in[2],
                           .q_rs = H * DK,
                           .k_rs = HK * DK,
                           .v_rs = HK * DV,
                           .out_rs = H * DV};
}

static void attention_forward(const pair *p, dsm_real *out, dsm_real *const *in)
{
    dsm_attention op = attention_op(in);
    (void)p;
    op.out = out;
    OPS->attention(X, &op);
}

static void attention_backward(const pair *p, dsm_real *const *grad, const dsm_real *dout,
                               dsm_real *const *in)
{
    dsm_real out[SEQ * T * H * DV], lse[SEQ * H * T], delta[SEQ * H * T];
    dsm_attention op = attention_op(in);
    (void)p;
    op.out = out;
    op.lse = lse;
    OPS->attention(X, &op);
    op.dout = dout;
    op.dq = grad[0];
    op.dk = grad[1];
    op.dv = grad[2];
    op.delta = delta;
    OPS->attention_bwd(X, &op);
}

static const pair pairs[] = {
    {"linear",
     {"x", "w"},
     {LIN_POOL * LIN_K, LIN_G *LIN_N *LIN_K},
     LIN_R *LIN_N,
     2,
     linear_forward,
     linear_backward,
     1},
    {"rmsnorm", {"x", "w"}, {ROWS * WIDTH, WIDTH}, ROWS *WIDTH, 2, norm_forward, norm_backward, 1},
    {"rope", {"v"}, {ROWS * 2 * WIDTH}, ROWS * 2 * WIDTH, 1, rope_forward, rope_backward, 1},
    {"adjacent rope",
     {"v"},
     {ROWS * 2 * WIDTH},
     ROWS * 2 * WIDTH,
     1,
     rope_forward,
     rope_backward,
     1},
    {"swiglu",
     {"g", "u"},
     {ROWS * WIDTH, ROWS *WIDTH},
     ROWS *WIDTH,
     2,
     swiglu_forward,
     swiglu_backward,
     3},
    {"gated swiglu",
     {"g", "u", "gate"},
     {ROWS * WIDTH, ROWS *WIDTH, ROWS},
     ROWS *WIDTH,
     3,
     swiglu_forward,
     swiglu_backward,
     3},
    {"xent", {"logits"}, {ROWS * WIDTH}, ROWS, 1, xent_forward, xent_backward, 3},
    {"combine",
     {"rows"},
     {TOKENS * CHOICES * WIDTH},
     TOKENS *WIDTH,
     1,
     combine_forward,
     combine_backward,
     1},
    {"gather", {"table"}, {LIN_POOL * WIDTH}, LIN_R *WIDTH, 1, gather_forward, gather_backward, 1},
    {"attention",
     {"q", "k", "v"},
     {SEQ * T * H * DK, SEQ *T *HK *DK, SEQ *T *HK *DV},
     SEQ *T *H *DV,
     3,
     attention_forward,
     attention_backward,
     1},
};

static void test_pairs(void **state)
{
    (void)state;
    X = lab_truth();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        check_pair(&pairs[i]);
}

/* AdamW's first step on a quadratic must go downhill by about lr in every coordinate. */
static void test_adamw_first_step(void **state)
{
    dsm_real w[3] = {1, -2, 3}, m[3] = {0}, v[3] = {0}, g[3] = {0.5, -0.25, 4};
    dsm_adamw p = {.lr = (dsm_real)0.01,
                   .beta1 = (dsm_real)0.9,
                   .beta2 = (dsm_real)0.95,
                   .eps = (dsm_real)1e-12,
                   .decay = (dsm_real)0.1,
                   .bias1 = (dsm_real)0.1,
                   .bias2 = (dsm_real)0.05,
                   .grad_scale = 2};
    (void)state;
    lab_truth()->kernels->adamw(lab_truth(), w, m, v, g, 3, &p);
    const double expected[3] = {1 - 0.01 * (1 + 0.1), -2 + 0.01 * (1 + 0.2), 3 - 0.01 * (1 + 0.3)};
    for (int i = 0; i < 3; i++)
        if (fabs((double)w[i] - expected[i]) > 1e-9)
            fail_msg("w[%d] = %.12g, expected %.12g", i, (double)w[i], expected[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_adamw_first_step),
    };
    return cmocka_run_group_tests_name("grad_kernels", tests, lab_open, lab_close);
}
