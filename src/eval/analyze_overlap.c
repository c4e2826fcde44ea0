/* SPDX-License-Identifier: MIT */
#include "eval/analyze_overlap.h"

#include "model/ffn.h"

#include <math.h>
#include <stdlib.h>

enum {
    WEIGHTS = 1 << 14, /* of each expert that are compared at a time */
    TOKENS = 16        /* that all experts run on at a time */
};

double dsm_overlap_mean(const double *matrix, int64_t E)
{
    double sum = 0;
    for (int64_t i = 0; i < E; i++)
        for (int64_t j = 0; j < i; j++)
            sum += matrix[i * E + j];
    return E > 1 ? sum / (double)(E * (E - 1) / 2) : 0;
}

/* --- weights ---------------------------------------------------------------------------------- */

/* Rows first … first+n-1 of one matrix of every expert, as reals. */
typedef struct slice {
    const dsm_mat *w; /* (E) */
    int64_t first, n;
    dsm_real *values; /* (E, n·cols) */
} slice;

static void load_slice(void *arg, int64_t e, int worker)
{
    const slice *s = arg;
    const dsm_mat *w = &s->w[e];
    size_t skip = dsm_dtype_bytes(w->dtype, s->first * w->cols);
    (void)worker;
    dsm_dtype_load(s->values + e * s->n * w->cols, (const char *)w->data + skip, w->dtype,
                   s->n * w->cols);
}

/* gram (E, E) += values · valuesᵀ; part (E, E) is scratch. */
static void add_products(double *gram, dsm_real *part, const slice *s, int64_t E, const dsm_exec *x)
{
    const int32_t all[2] = {0, (int32_t)E};
    const dsm_mat w = {s->values, DSM_REAL_DTYPE, E, s->n * s->w->cols};
    const dsm_linear product = {.n_groups = 1,
                                .begin = all,
                                .N = E,
                                .K = w.cols,
                                .w = &w,
                                .x = s->values,
                                .x_rs = w.cols,
                                .y = part,
                                .y_rs = E,
                                .exact = true};
    x->kernels->linear(x, &product);
    for (int64_t i = 0; i < E * E; i++)
        gram[i] += (double)part[i];
}

static int64_t rows_at_a_time(const dsm_mat *w)
{
    int64_t n = WEIGHTS / w->cols;
    return n < 1 ? 1 : n < w->rows ? n : w->rows;
}

static void add_matrix(double *gram, dsm_real *part, dsm_real *values, const dsm_mat *w, int64_t E,
                       const dsm_exec *x)
{
    slice s = {.w = w, .values = values};
    for (; s.first < w->rows; s.first += s.n) {
        s.n = rows_at_a_time(w);
        if (s.n > w->rows - s.first) s.n = w->rows - s.first;
        dsm_pool_run(x->pool, E, load_slice, &s);
        add_products(gram, part, &s, E, x);
    }
}

/* Products to cosines; a vector of zeros is like nothing but itself. */
static void normalise(double *gram, int64_t E)
{
    for (int64_t i = 0; i < E; i++)
        for (int64_t j = 0; j < i; j++) {
            double norms = sqrt(gram[i * E + i]) * sqrt(gram[j * E + j]);
            gram[i * E + j] = gram[j * E + i] = norms > 0 ? gram[i * E + j] / norms : 0;
        }
    for (int64_t i = 0; i < E; i++)
        gram[i * E + i] = 1;
}

dsm_status dsm_overlap_weights(double *cosine, const dsm_ffn_params *p, const dsm_exec *x,
                               dsm_err *err)
{
    const dsm_mat *const parts[] = {p->gate, p->up, p->down};
    int64_t E = p->n_groups, most = 0;
    for (int i = 0; i < 3; i++)
        if (rows_at_a_time(parts[i]) * parts[i]->cols > most)
            most = rows_at_a_time(parts[i]) * parts[i]->cols;
    dsm_real *part = malloc(sizeof *part * (size_t)(E * E + E * most));
    if (!part) return dsm_fail(err, DSM_ENOMEM, "comparing weights: out of memory");
    memset(cosine, 0, sizeof *cosine * (size_t)(E * E));
    for (int i = 0; i < 3; i++)
        add_matrix(cosine, part, part + E * E, parts[i], E, x);
    normalise(cosine, E);
    free(part);
    return DSM_OK;
}

/* --- outputs ---------------------------------------------------------------------------------- */

static void carve(dsm_overlap *o, dsm_arena *a, const dsm_model_config *c)
{
    int64_t F = c->moe_intermediate_size, R = o->E * TOKENS;
    o->begin = dsm_take_ints(a, o->E + 1);
    o->rows = dsm_take_ints(a, R);
    o->gu = dsm_take_reals(a, R * 2 * F);
    o->act = dsm_take_reals(a, R * F);
    o->out = dsm_take_reals(a, R * o->D);
    o->norm = dsm_arena_take(a, sizeof *o->norm * (size_t)R);
}

dsm_status dsm_overlap_open(dsm_overlap *o, const dsm_model_config *c, dsm_err *err)
{
    dsm_arena measure = {0};
    *o = (dsm_overlap){.E = c->n_routed_experts, .D = c->hidden_size};
    carve(o, &measure, c);
    DSM_TRY(dsm_arena_init(&o->memory, measure.used, "comparing outputs", err));
    carve(o, &o->memory, c);
    return DSM_OK;
}

void dsm_overlap_close(dsm_overlap *o)
{
    dsm_arena_free(&o->memory);
    memset(o, 0, sizeof *o);
}

/* Outputs of all experts for the same n tokens, expert after expert. */
typedef struct answers {
    const dsm_overlap *o;
    int64_t n;
    double *sum;
} answers;

static double product(const dsm_real *a, const dsm_real *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void measure_expert(void *arg, int64_t e, int worker)
{
    const answers *a = arg;
    (void)worker;
    for (int64_t r = e * a->n; r < (e + 1) * a->n; r++) {
        const dsm_real *out = a->o->out + r * a->o->D;
        a->o->norm[r] = sqrt(product(out, out, a->o->D));
    }
}

/* Expert i against those before it. */
static void compare_expert(void *arg, int64_t i, int worker)
{
    const answers *a = arg;
    const dsm_overlap *o = a->o;
    (void)worker;
    for (int64_t j = 0; j < i; j++)
        for (int64_t t = 0; t < a->n; t++) {
            int64_t p = i * a->n + t, q = j * a->n + t;
            double norms = o->norm[p] * o->norm[q];
            if (norms > 0)
                a->sum[i * o->E + j] += product(o->out + p * o->D, o->out + q * o->D, o->D) / norms;
        }
}

static void ask_experts(dsm_overlap *o, const dsm_ctx *c, const dsm_ffn_params *p,
                        const dsm_real *x, const int32_t *tokens, int64_t n)
{
    const dsm_ffn_act act = {.gu = o->gu, .act = o->act};
    const dsm_rows at = {.n_groups = (int)o->E, .begin = o->begin, .rows = o->rows};
    for (int64_t e = 0; e <= o->E; e++)
        o->begin[e] = (int32_t)(e * n);
    for (int64_t r = 0; r < o->E * n; r++)
        o->rows[r] = tokens[r % n];
    dsm_ffn_forward(c, p, &act, &at, o->out, false, x);
}

void dsm_overlap_add(dsm_overlap *o, double *sum, const dsm_ctx *c, const dsm_ffn_params *p,
                     const dsm_real *x, const int32_t *tokens, int64_t n)
{
    for (int64_t i = 0; i < n; i += TOKENS) {
        answers a = {o, n - i < TOKENS ? n - i : TOKENS, sum};
        ask_experts(o, c, p, x, tokens + i, a.n);
        dsm_pool_run(c->exec->pool, o->E, measure_expert, &a);
        dsm_pool_run(c->exec->pool, o->E, compare_expert, &a);
    }
    for (int64_t i = 0; i < o->E; i++)
        for (int64_t j = 0; j < i; j++)
            sum[j * o->E + i] = sum[i * o->E + j];
}
