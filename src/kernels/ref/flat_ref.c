/* SPDX-License-Identifier: MIT */
/* Passes over flat memory: y += a, Σ v², and AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101):
 *
 *   m = β1 m + (1-β1) g      v = β2 v + (1-β2) g²
 *   w -= lr · (m/bias1 / (sqrt(v/bias2) + ε) + decay · w) */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { CHUNK = 1 << 14, WAVE = 1024 }; /* elements of an item; items whose sums are held at once */

typedef struct add_args {
    dsm_real *y;
    const dsm_real *a;
    int64_t n;
} add_args;

static void add_chunk(void *arg, int64_t item, int worker)
{
    const add_args *a = arg;
    dsm_range c = dsm_chunk(a->n, CHUNK, item);
    dsm_real *restrict y = a->y;
    const dsm_real *restrict from = a->a;
    (void)worker;
    DSM_SIMD
    for (int64_t i = c.begin; i < c.end; i++)
        y[i] += from[i];
}

void DSM_K(add)(const dsm_exec *x, dsm_real *y, const dsm_real *a, int64_t n)
{
    add_args args = {y, a, n};
    dsm_pool_run(x->pool, dsm_chunk_count(n, CHUNK), add_chunk, &args);
}

typedef struct squares_args {
    double part[WAVE];
    const dsm_real *v;
    int64_t n, first; /* first chunk of this wave */
} squares_args;

static void squares_chunk(void *arg, int64_t item, int worker)
{
    squares_args *a = arg;
    dsm_range c = dsm_chunk(a->n, CHUNK, a->first + item);
    const dsm_real *v = a->v;
    double sum = 0;
    (void)worker;
    DSM_SIMD_SUM(sum)
    for (int64_t i = c.begin; i < c.end; i++)
        sum += (double)v[i] * (double)v[i];
    a->part[item] = sum;
}

double DSM_K(sum_squares)(const dsm_exec *x, const dsm_real *v, int64_t n, bool *finite)
{
    squares_args a = {.v = v, .n = n};
    int64_t chunks = dsm_chunk_count(n, CHUNK);
    double total = 0;
    for (a.first = 0; a.first < chunks; a.first += WAVE) {
        int64_t wave = chunks - a.first < WAVE ? chunks - a.first : WAVE;
        dsm_pool_run(x->pool, wave, squares_chunk, &a);
        for (int64_t i = 0; i < wave; i++)
            total += a.part[i];
    }
    *finite = isfinite(total); /* squares of finite floats cannot overflow a double sum */
    return total;
}

typedef struct adamw_args {
    dsm_real *w, *m, *v;
    const dsm_real *g;
    int64_t n;
    dsm_adamw p;
} adamw_args;

static void adamw_chunk(void *arg, int64_t item, int worker)
{
    const adamw_args *a = arg;
    dsm_range c = dsm_chunk(a->n, CHUNK, item);
    dsm_real *restrict w = a->w, *restrict m = a->m, *restrict v = a->v;
    const dsm_real *restrict g = a->g;
    dsm_adamw p = a->p;
    dsm_real step = p.lr / p.bias1, root = 1 / dsm_sqrt(p.bias2), keep = 1 - p.lr * p.decay;
    (void)worker;
    DSM_SIMD
    for (int64_t i = c.begin; i < c.end; i++) {
        dsm_real gi = g[i] * p.grad_scale;
        dsm_real mi = p.beta1 * m[i] + (1 - p.beta1) * gi;
        dsm_real vi = p.beta2 * v[i] + (1 - p.beta2) * gi * gi;
        m[i] = mi;
        v[i] = vi;
        w[i] = w[i] * keep - step * mi / (dsm_sqrt(vi) * root + p.eps);
    }
}

void DSM_K(adamw)(const dsm_exec *x, dsm_real *w, dsm_real *m, dsm_real *v, const dsm_real *g,
                  int64_t n, const dsm_adamw *p)
{
    adamw_args a = {w, m, v, g, n, *p};
    dsm_pool_run(x->pool, dsm_chunk_count(n, CHUNK), adamw_chunk, &a);
}
