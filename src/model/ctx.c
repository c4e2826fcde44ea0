/* SPDX-License-Identifier: MIT */
#include "model/ctx.h"

#include "core/clock.h"

#include <stdio.h>
#include <stdlib.h>

void dsm_lap(const dsm_ctx *c, dsm_part part)
{
    double now = dsm_clock();
    c->watch->seconds[part] += now - c->watch->last;
    c->watch->last = now;
}

void dsm_watch(const dsm_ctx *c, const char *tensor, const dsm_real *v, int64_t n)
{
    bool finite = true;
    if (!c->probe || c->probe->where[0]) return;
    c->k->sum_squares(c->exec, v, n, &finite);
    if (finite) return;
    if (c->layer < 0)
        snprintf(c->probe->where, sizeof c->probe->where, "%s", tensor);
    else
        snprintf(c->probe->where, sizeof c->probe->where, "layer %d: %s", c->layer, tensor);
}

/* --- copies ------------------------------------------------------------------------------ */

enum { CHUNK = 1 << 15 }; /* elements */

typedef struct copy_job {
    dsm_real *dst;
    const dsm_real *src; /* NULL: zeros */
    int64_t n;
} copy_job;

static void copy_chunk(void *arg, int64_t item, int worker)
{
    (void)worker;
    const copy_job *job = arg;
    int64_t begin = item * CHUNK, n = job->n - begin < CHUNK ? job->n - begin : CHUNK;
    if (job->src)
        memcpy(job->dst + begin, job->src + begin, sizeof(dsm_real) * (size_t)n);
    else
        memset(job->dst + begin, 0, sizeof(dsm_real) * (size_t)n);
}

static void run_copy(const dsm_ctx *c, copy_job job)
{
    dsm_pool_run(c->exec->pool, (job.n + CHUNK - 1) / CHUNK, copy_chunk, &job);
}

void dsm_copy(const dsm_ctx *c, dsm_real *dst, const dsm_real *src, int64_t n)
{
    if (dst != src) run_copy(c, (copy_job){dst, src, n});
}

void dsm_clear(const dsm_ctx *c, dsm_real *dst, int64_t n)
{
    run_copy(c, (copy_job){dst, NULL, n});
}

/* --- plain linear maps ------------------------------------------------------------------- */

/* begin: {0, rows} */
static dsm_linear forward_map(const dsm_weight *w, const int32_t *begin, dsm_real *y, int64_t y_rs,
                              const dsm_real *x)
{
    return (dsm_linear){.n_groups = 1,
                        .begin = begin,
                        .N = w->w.rows,
                        .K = w->w.cols,
                        .w = &w->w,
                        .x = x,
                        .x_rs = w->w.cols,
                        .y = y,
                        .y_rs = y_rs,
                        .exact = w->exact};
}

void dsm_linear_forward(const dsm_ctx *c, const dsm_weight *w, dsm_real *y, int64_t y_rs,
                        bool accumulate, const dsm_real *x, int64_t rows)
{
    const int32_t begin[2] = {0, (int32_t)rows};
    dsm_linear op = forward_map(w, begin, y, y_rs, x);
    op.accumulate = accumulate;
    c->k->linear(c->exec, &op);
}

void dsm_linear_forward_all(const dsm_ctx *c, const dsm_linear_map *map, int n, const dsm_real *x,
                            int64_t rows)
{
    const int32_t begin[2] = {0, (int32_t)rows};
    dsm_linear op[DSM_MAPS];
    for (int i = 0; i < n; i++) {
        op[i] = forward_map(map[i].w, begin, map[i].y, map[i].y_rs, x);
        op[i].next = i + 1 < n ? &op[i + 1] : NULL;
    }
    c->k->linear(c->exec, op);
}

void dsm_linear_backward(const dsm_ctx *c, const dsm_weight *w, dsm_real *dx, bool accumulate,
                         const dsm_real *dy, int64_t y_rs, const dsm_real *x, int64_t rows)
{
    const int32_t begin[2] = {0, (int32_t)rows};
    dsm_linear op = {.n_groups = 1,
                     .first = c->first_gradients,
                     .begin = begin,
                     .N = w->w.rows,
                     .K = w->w.cols,
                     .w = &w->w,
                     .x = x,
                     .x_rs = w->w.cols,
                     .y = (dsm_real *)(uintptr_t)dy,
                     .y_rs = y_rs,
                     .dx = dx,
                     .dx_rs = w->w.cols,
                     .dw = &w->dw,
                     .accumulate = accumulate,
                     .exact = w->exact};
    if (dx) c->k->linear_input(c->exec, &op);
    if (w->dw) c->k->linear_weight(c->exec, &op);
}

static dsm_weight as_weight(const dsm_vector *b)
{
    return (dsm_weight){{b->w, DSM_REAL_DTYPE, b->n, 1}, b->dw, .exact = true};
}

void dsm_bias_forward(const dsm_ctx *c, const dsm_vector *b, dsm_real *y, int64_t y_rs,
                      int64_t rows)
{
    dsm_weight w = as_weight(b);
    if (b->n > 0) dsm_linear_forward(c, &w, y, y_rs, true, c->ones, rows);
}

void dsm_bias_backward(const dsm_ctx *c, const dsm_vector *b, const dsm_real *dy, int64_t y_rs,
                       int64_t rows)
{
    dsm_weight w = as_weight(b);
    if (b->n > 0) dsm_linear_backward(c, &w, NULL, false, dy, y_rs, c->ones, rows);
}
