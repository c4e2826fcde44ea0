/* SPDX-License-Identifier: MIT */
/* The rows that need exp (attention, softmax, cross entropy, SwiGLU); over the names of
 * vec_<isa>.h. */
#ifndef DSMOE_KERNELS_X86_EXP_BODY_H
#define DSMOE_KERNELS_X86_EXP_BODY_H

#include "kernels/x86/vec_exp.h"

#include <stdbool.h>
#include <stddef.h>

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

static inline __attribute__((always_inline)) float
row_exp_body(bool store, float *e, const float *s, int64_t n, float scale, float top)
{
    vec c = vec_set1(scale), t = vec_set1(-top), sum = vec_zero();
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vec v = vec_exp(vec_fma(vec_load(s + j), c, t));
        if (store) vec_store(e + j, v);
        sum = vec_add(sum, v);
    }
    if (j < n) {
        vec_mask m = vec_first(n - j);
        vec v = vec_keep(vec_exp(vec_fma(vec_load_masked(s + j, m), c, t)), m);
        if (store) vec_store_masked(e + j, m, v);
        sum = vec_add(sum, v);
    }
    return vec_sum(sum);
}

static float row_exp(float *e, const float *s, int64_t n, float scale, float top)
{
    return e ? row_exp_body(true, e, s, n, scale, top)
             : row_exp_body(false, NULL, s, n, scale, top);
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

static inline vec sigmoid(vec g)
{
    vec one = vec_set1(1);
    return vec_div(one, vec_add(one, vec_exp(vec_sub(vec_zero(), g))));
}

static inline vec swiglu(vec g, vec u, vec gate)
{
    return vec_mul(gate, vec_mul(vec_mul(g, sigmoid(g)), u));
}

static void row_swiglu(float *h, const float *g, const float *u, float gate, int64_t n)
{
    vec c = vec_set1(gate);
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES)
        vec_store(h + j, swiglu(vec_load(g + j), vec_load(u + j), c));
    if (j < n) {
        vec_mask m = vec_first(n - j);
        vec_store_masked(h + j, m, swiglu(vec_load_masked(g + j, m), vec_load_masked(u + j, m), c));
    }
}

/* g, u and dh become dg, du and h; returns sum + dh ⊙ h / gate. */
static inline vec swiglu_grad(vec *g, vec *u, vec *dh, vec gate, vec sum)
{
    vec s = sigmoid(*g), one = vec_set1(1), silu = vec_mul(*g, s), p = vec_mul(silu, *u);
    vec slope = vec_mul(s, vec_fma(*g, vec_sub(one, s), one)), d = vec_mul(gate, *dh);
    sum = vec_fma(*dh, p, sum);
    *g = vec_mul(vec_mul(d, *u), slope);
    *u = vec_mul(d, silu);
    *dh = vec_mul(gate, p);
    return sum;
}

static float row_swiglu_bwd(float *dg, float *du, float *dh, const float *g, const float *u,
                            float gate, int64_t n)
{
    vec c = vec_set1(gate), sum = vec_zero();
    int64_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vec gv = vec_load(g + j), uv = vec_load(u + j), hv = vec_load(dh + j);
        sum = swiglu_grad(&gv, &uv, &hv, c, sum);
        vec_store(dg + j, gv);
        vec_store(du + j, uv);
        vec_store(dh + j, hv);
    }
    if (j < n) {
        vec_mask m = vec_first(n - j);
        vec gv = vec_load_masked(g + j, m), uv = vec_load_masked(u + j, m);
        vec hv = vec_load_masked(dh + j, m);
        sum = swiglu_grad(&gv, &uv, &hv, c, sum); /* masked elements are 0 and add 0 */
        vec_store_masked(dg + j, m, gv);
        vec_store_masked(du + j, m, uv);
        vec_store_masked(dh + j, m, hv);
    }
    return vec_sum(sum);
}

#endif
