/* SPDX-License-Identifier: MIT */
/* Attention of a few positions over stored keys and values against the truth: every element type of
 * a cache, lengths around blocks and chunks, shared key heads, values that are part of their keys.
 */
#include "support/support.h"

#include "support/lab.h"

#include <stdio.h>

typedef struct shape {
    int64_t T, past, H, Hk, Dk, Dv, chunk;
    bool shared; /* values are the first part of keys */
} shape;

static const shape shapes[] = {
    {1, 0, 1, 1, 32, 32, 64, false},       {1, 1, 2, 2, 64, 64, 64, false},
    {1, 63, 2, 2, 32, 64, 64, false},      {1, 64, 4, 2, 64, 32, 64, false},
    {1, 130, 16, 16, 128, 128, 64, false}, {3, 200, 4, 2, 64, 64, 128, false},
    {4, 1000, 8, 1, 96, 64, 256, false},   {1, 300, 16, 1, 576, 512, 128, true},
    {2, 700, 16, 1, 160, 128, 256, true},  {4, 2, 3, 1, 96, 64, 64, true},
    {1, 513, 40, 1, 96, 32, 256, true},
};

static const dsm_dtype dtypes[] = {DSM_F32, DSM_F16, DSM_Q8_0};

static void run_decode(const dsm_exec *x, const void *ctx, dsm_real *const *out)
{
    dsm_decode op = *(const dsm_decode *)ctx;
    op.out = out[0];
    x->kernels->decode(x, &op);
}

/* Rows of keys, then of values, as a cache stores them. */
static unsigned char *store(const shape *s, dsm_dtype t, size_t *row_bytes)
{
    const int64_t width = s->Hk * (s->Dk + (s->shared ? 0 : s->Dv)), S = s->past + s->T;
    *row_bytes = dsm_dtype_bytes(t, width);
    unsigned char *rows = lab_bytes(*row_bytes * (size_t)S);
    dsm_dtype_store(rows, t, lab_random(S * width, 1, 2), S * width);
    return rows;
}

static void check_decode(const shape *s, dsm_dtype t)
{
    const int64_t S = s->past + s->T, chunks = (S + s->chunk - 1) / s->chunk;
    dsm_decode op = {.T = s->T,
                     .past = s->past,
                     .H = s->H,
                     .Hk = s->Hk,
                     .Dk = s->Dk,
                     .Dv = s->Dv,
                     .dtype = t,
                     .chunk = s->chunk};
    op.scale = (dsm_real)(1 / sqrt((double)s->Dk));
    op.q_rs = s->H * s->Dk + 3;
    op.out_rs = s->H * s->Dv;
    op.q = lab_random(s->T * op.q_rs, 1, 1);
    op.k = store(s, t, &op.rs);
    op.v = s->shared ? op.k : (const unsigned char *)op.k + dsm_dtype_bytes(t, s->Hk * s->Dk);
    op.work = lab_random(dsm_decode_work(s->T, s->H, s->Dv, chunks), 1, 3);
    lab_case c = {.op = "decode", .run = run_decode, .ctx = &op, .n_out = 1};
    snprintf(c.shape, sizeof c.shape, "%s T=%d past=%d H=%d Hk=%d Dk=%d Dv=%d chunk=%d",
             dsm_dtype_name(t), (int)s->T, (int)s->past, (int)s->H, (int)s->Hk, (int)s->Dk,
             (int)s->Dv, (int)s->chunk);
    /* as in test_attention.c: an error of a score changes what it weighs, at most 1, by its share
     */
    double score = lab_sum_tol(s->Dk, 1) / sqrt((double)s->Dk) + 16 * (double)DSM_REAL_EPS;
    c.out[0] =
        (lab_out){"out", s->T * op.out_rs, NULL, 2 * score + lab_sum_tol(S, 1) / 8, 0, false};
    lab_check(&c);
    lab_release();
}

static void test_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t t = 0; t < sizeof dtypes / sizeof *dtypes; t++)
            check_decode(&shapes[i], dtypes[t]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_decode)};
    return cmocka_run_group_tests_name("decode", tests, lab_open, lab_close);
}
