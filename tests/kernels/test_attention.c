/* SPDX-License-Identifier: MIT */
/* Causal attention against the truth: lengths around the block sizes, past positions, a cache longer
 * than its contents, shared key heads, unequal and odd widths, strides, extreme scores. */
#include "support/support.h"

#include "support/lab.h"

#include <stdio.h>

typedef struct shape {
    int64_t n_seq, T, past, k_seq, H, Hk, Dk, Dv, pad;
    double amp; /* of q and k: large ones make softmax pick one key */
    bool lse;
} shape;

static const shape forward_shapes[] = {
    {1, 1, 0, 1, 1, 1, 1, 1, 0, 1, true},
    {1, 1, 0, 4, 2, 2, 16, 16, 0, 1, false},
    {2, 5, 0, 5, 2, 1, 7, 5, 1, 1, true},
    {1, 16, 0, 16, 1, 1, 64, 64, 0, 1, true},
    {1, 97, 0, 97, 2, 2, 64, 64, 0, 1, true},
    {2, 128, 0, 128, 2, 1, 32, 48, 0, 1, false},
    {1, 129, 0, 140, 1, 1, 33, 17, 3, 1, true},
    {1, 300, 0, 300, 1, 1, 24, 100, 0, 1, true},
    {1, 70, 0, 70, 2, 2, 64, 64, 0, 30, true},
    /* around steps of 16 and 32, wide and odd heads, longer than a chunk of keys or of queries */
    {1, 31, 0, 31, 1, 1, 40, 40, 0, 1, true},
    {2, 33, 0, 33, 2, 1, 192, 128, 1, 1, true},
    {1, 161, 0, 161, 3, 1, 128, 128, 0, 1, true},
    {1, 545, 0, 550, 1, 1, 64, 64, 0, 1, true},
    {1, 1100, 0, 1100, 2, 1, 8, 20, 0, 2, true},
    {1, 17, 600, 620, 2, 2, 40, 64, 0, 1, true},
    {2, 100, 471, 571, 4, 2, 16, 16, 0, 1, false},
    /* past: decoding one or a few tokens, a prompt after a prefix */
    {1, 1, 200, 256, 4, 4, 64, 64, 0, 1, false},
    {3, 1, 33, 64, 8, 2, 40, 24, 2, 1, true},
    {1, 3, 500, 512, 4, 2, 64, 64, 0, 1, true},
    {1, 8, 9, 17, 2, 2, 16, 16, 0, 40, true},
    {2, 20, 95, 130, 2, 2, 48, 64, 0, 1, true},
    {1, 140, 77, 217, 2, 1, 64, 64, 0, 1, true},
    {1, 1, 1000, 1001, 1, 1, 128, 128, 0, 1, false},
    {1, 2, 70, 80, 16, 1, 80, 64, 0, 1, true}, /* one key head for many queries */
};

/* Values among other things, so many elements apart; only so many keys. */
static const struct {
    shape s;
    int64_t gap, limit;
} cut_shapes[] = {
    {{2, 20, 0, 20, 2, 2, 24, 16, 0, 1, true}, 8, 0},
    {{1, 40, 96, 96, 2, 2, 48, 32, 0, 1, true}, 24, 96},
    {{1, 3, 640, 640, 2, 2, 24, 16, 0, 1, true}, 0, 640},
    {{1, 150, 1024, 1024, 1, 1, 192, 128, 0, 1, true}, 128, 1024},
};

static const shape backward_shapes[] = {
    {1, 1, 0, 1, 1, 1, 1, 1, 0, 1, true},
    {2, 5, 0, 5, 2, 1, 7, 5, 1, 1, true},
    {1, 40, 0, 40, 4, 2, 16, 16, 0, 1, true},
    {1, 97, 0, 97, 2, 2, 64, 64, 0, 1, true},
    {2, 128, 0, 128, 2, 1, 32, 48, 0, 1, true},
    {1, 130, 0, 130, 1, 1, 33, 17, 3, 1, true},
    {1, 300, 0, 300, 1, 1, 24, 100, 0, 1, true},
    {1, 70, 0, 70, 2, 2, 64, 64, 0, 8, true},
    /* around steps of 16 and 32, wide and odd heads, chunks of keys and queries: few heads, many */
    {1, 31, 0, 31, 1, 1, 40, 40, 0, 1, true},
    {2, 33, 0, 33, 2, 1, 192, 128, 1, 1, true},
    {1, 161, 0, 161, 3, 1, 128, 128, 0, 1, true},
    {1, 600, 0, 600, 2, 1, 40, 24, 0, 1, true},
    {1, 1030, 0, 1030, 4, 4, 8, 16, 0, 1, true},
};

static const struct {
    shape s;
    int64_t gap;
} gap_shapes[] = {
    {{2, 40, 0, 40, 3, 3, 24, 16, 0, 1, true}, 8},
    {{1, 100, 0, 100, 2, 2, 192, 128, 0, 1, true}, 128},
};

static dsm_attention make_op(const shape *s, int64_t gap, int64_t limit)
{
    dsm_attention op = {.n_seq = s->n_seq, .T = s->T, .past = s->past, .k_seq = s->k_seq, .H = s->H,
                        .Hk = s->Hk, .Dk = s->Dk, .Dv = s->Dv};
    op.scale = (dsm_real)(1 / sqrt((double)s->Dk));
    op.q_rs = s->H * s->Dk + s->pad;
    op.k_rs = s->Hk * s->Dk + s->pad;
    op.v_rs = s->Hk * (s->Dv + gap) + s->pad;
    op.v_hs = gap ? s->Dv + gap : 0;
    op.limit = limit;
    op.out_rs = s->H * s->Dv + s->pad;
    op.q = lab_random(s->n_seq * s->T * op.q_rs, s->amp, 1);
    op.k = lab_random(s->n_seq * s->k_seq * op.k_rs, s->amp, 2);
    op.v = lab_random(s->n_seq * s->k_seq * op.v_rs, 1, 3);
    return op;
}

/* A score is a sum of Dk products scaled by 1/sqrt(Dk); an error e of it changes p by the factor
 * 1 + e, and what p weighs is at most 1 (forward) or a dp of up to about Dv. */
static double score_tol(const shape *s)
{
    return lab_sum_tol(s->Dk, s->amp * s->amp) / sqrt((double)s->Dk) +
           8 * (double)DSM_REAL_EPS * (1 + s->amp * s->amp * sqrt((double)s->Dk));
}

static void name_case(lab_case *c, const shape *s)
{
    snprintf(c->shape, sizeof c->shape, "n_seq=%d T=%d past=%d k_seq=%d H=%d Hk=%d Dk=%d Dv=%d amp=%g",
             (int)s->n_seq, (int)s->T, (int)s->past, (int)s->k_seq, (int)s->H, (int)s->Hk,
             (int)s->Dk, (int)s->Dv, s->amp);
}

static void run_forward(const dsm_exec *x, const void *ctx, dsm_real *const *out)
{
    dsm_attention op = *(const dsm_attention *)ctx;
    op.out = out[0];
    op.lse = out[1];
    x->kernels->attention(x, &op);
}

static void check_forward(const shape *s, int64_t gap, int64_t limit)
{
    dsm_attention op = make_op(s, gap, limit);
    double tol = score_tol(s) * 2 + lab_sum_tol(s->past + s->T, 1) / 8;
    lab_case c = {.op = "attention", .run = run_forward, .ctx = &op, .n_out = s->lse ? 2 : 1};
    c.out[0] = (lab_out){"out", s->n_seq * s->T * op.out_rs, NULL, tol, 0, false};
    c.out[1] = (lab_out){"lse", s->n_seq * s->H * s->T, NULL, tol, 4 * (double)DSM_REAL_EPS, false};
    name_case(&c, s);
    lab_check(&c);
    lab_release();
}

static void test_forward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forward_shapes / sizeof *forward_shapes; i++)
        check_forward(&forward_shapes[i], 0, 0);
    for (size_t i = 0; i < sizeof cut_shapes / sizeof *cut_shapes; i++)
        check_forward(&cut_shapes[i].s, cut_shapes[i].gap, cut_shapes[i].limit);
}

static void run_backward(const dsm_exec *x, const void *ctx, dsm_real *const *out)
{
    dsm_attention op = *(const dsm_attention *)ctx;
    op.dq = out[0];
    op.dk = out[1];
    op.dv = out[2];
    op.delta = out[3];
    x->kernels->attention_bwd(x, &op);
}

static void check_backward(const shape *s, int64_t gap)
{
    dsm_attention op = make_op(s, gap, 0);
    int64_t rows = s->n_seq * s->T, n_out = rows * op.out_rs, n_lse = rows * s->H;
    op.out = lab_random(n_out, 1, 4);
    op.lse = lab_random(n_lse, 1, 5);
    lab_truth()->kernels->attention(lab_truth(), &op); /* the forward whose gradient this is */
    op.dout = lab_random(n_out, 1, 6);

    double dp = sqrt((double)s->Dv), group = (double)(s->H / s->Hk);
    double weight = group * sqrt((double)s->T); /* terms of a dk or dv that add up */
    double tol = score_tol(s) * dp * weight + lab_sum_tol(s->T * s->H / s->Hk, 1) * dp;
    const dsm_real *before = gap ? lab_random(rows * op.v_rs, 1, 7) : NULL; /* between the heads */
    lab_case c = {.op = "attention_bwd", .run = run_backward, .ctx = &op, .n_out = 4};
    c.out[0] = (lab_out){"dq", rows * op.q_rs, NULL, tol * s->amp, 0, false};
    c.out[1] = (lab_out){"dk", rows * op.k_rs, NULL, tol * s->amp, 0, false};
    c.out[2] = (lab_out){"dv", rows * op.v_rs, before, tol, 0, false};
    c.out[3] = (lab_out){"delta", n_lse, NULL, lab_sum_tol(s->Dv, 1), 0, false};
    name_case(&c, s);
    lab_check(&c);
    lab_release();
}

static void test_backward(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof backward_shapes / sizeof *backward_shapes; i++)
        check_backward(&backward_shapes[i], 0);
    for (size_t i = 0; i < sizeof gap_shapes / sizeof *gap_shapes; i++)
        check_backward(&gap_shapes[i].s, gap_shapes[i].gap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
    };
    return cmocka_run_group_tests_name("attention", tests, lab_open, lab_close);
}
