/* SPDX-License-Identifier: MIT */
/* e^x on vectors, over the names of vec_<isa>.h, which is included first.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor polynomial of degree 7, whose remainder is
 * below a tenth of an ulp; then the exponent. -inf gives 0, NaN stays NaN. Error <= 2 ulp
 * (tests/kernels/test_kernel_rows.c). */
#ifndef DSMOE_KERNELS_X86_VEC_EXP_H
#define DSMOE_KERNELS_X86_VEC_EXP_H

static inline vec vec_exp(vec x)
{
    static const float taylor[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
    x = vec_max(vec_set1(-1e4f), x); /* -inf would make r NaN; this operand order keeps a NaN x */
    vec n = vec_round(vec_mul(x, vec_set1(1.44269504088896341f)));
    /* ln 2 in two parts: n times the first is exact */
    vec r = vec_fma(n, vec_set1(-0.693145751953125f), x);
    r = vec_fma(n, vec_set1(-1.42860682030941723e-6f), r);
    vec p = vec_set1(1.0f / 5040);
#pragma GCC unroll 8
    for (int i = 0; i < 7; i++)
        p = vec_fma(p, r, vec_set1(taylor[i]));
    return vec_scale2(p, n);
}

#endif
