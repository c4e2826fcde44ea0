/* SPDX-License-Identifier: MIT */
/* e^x on vectors, and the rows of attention that need it; over the names of vec_<isa>.h.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, whose remainder is
 * below a tenth of an ulp; then the exponent. -inf gives 0, NaN stays NaN. Error <= 2 ulp
 * (tests/kernels/test_kernel_rows.c). */
#ifndef DSMOE_KERNELS_X86_EXP_BODY_H
#define DSMOE_KERNELS_X86_EXP_BODY_H

#include <math.h>

static inline vec vec_exp(vec x)
{
    static const float taylor[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    x = vec_max(vec_set1(-1e4f), x); /* -inf would make r NaN; this operand order keeps a NaN x */
    vec n = vec_round(vec_mul(x, vec_set1(1.44269504088896341f)));
    vec r = vec_fma(n, vec_set1(-0.693145751953125f), x); /* ln 2 in two parts, the first exact in n· */
    r = vec_fma(n, vec_set1(-1.42860682030941723e-6f), r);
    vec p = vec_set1(1.0f / 5040);
#pragma GCC unroll 8
    for (int i = 0; i < 7; i++)
        p = vec_fma(p, r, vec_set1(taylor[i]));
    return vec_scale2(p, n);
}

static float row_max(const float *s, int64_t n)
{
    vec top = vec_set1(s[0]);
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        top = vec_max(top, vec_load(s + j));
    float t = vec_top(top);
    for (; j < n; j++)
        t = s[j] > t ? s[j] : t;
    return t;
}

static float row_exp(float *p, int64_t n, float scale, float top)
{
    vec c = vec_set1(scale), t = vec_set1(-top), sum = vec_zero();
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vec e = vec_exp(vec_fma(vec_load(p + j), c, t));
        vec_store(p + j, e);
        sum = vec_add(sum, e);
    }
    if (j < n) {
        vec_mask m = vec_first(n - j);
        vec e = vec_keep(vec_exp(vec_fma(vec_load_masked(p + j, m), c, t)), m);
        vec_store_masked(p + j, m, e);
        sum = vec_add(sum, e);
    }
    return vec_sum(sum);
}

static inline void exp_grad(vec *s, vec *dp, vec scale, vec lse, vec delta)
{
    *s = vec_exp(vec_fma(*s, scale, lse));
    *dp = vec_mul(vec_mul(scale, *s), vec_sub(*dp, delta));
}

static void row_exp_grad(float *s, float *dp, int64_t n, float scale, float lse, float delta)
{
    vec c = vec_set1(scale), l = vec_set1(-lse), d = vec_set1(delta);
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vec sv = vec_load(s + j), dv = vec_load(dp + j);
        exp_grad(&sv, &dv, c, l, d);
        vec_store(s + j, sv);
        vec_store(dp + j, dv);
    }
    if (j < n) {
        vec_mask m = vec_first(n - j);
        vec sv = vec_load_masked(s + j, m), dv = vec_load_masked(dp + j, m);
        exp_grad(&sv, &dv, c, l, d);
        vec_store_masked(s + j, m, sv);
        vec_store_masked(dp + j, m, dv);
    }
}

#endif
