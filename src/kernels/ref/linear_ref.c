/* SPDX-License-Identifier: MIT */
/* Grouped linear maps and their two gradients, as three sums.
 *
 *   forward  y[r][n]     = Σ_k x[row(r)][k] · w[g][n][k]
 *   input    dx[r][k]    = Σ_n dy[row(r)][n] · w[g][n][k]
 *   weight   dw[g][n][k] (=|+=) Σ_r dy[row(r)][n] · x[row(r)][k]       r over the rows of group g
 *
 * Items are rows (forward, input) or rows of a weight (weight). */
#include "kernels/groups.h"
#include "kernels/variant.h"

enum { PIECE = 256 }; /* weights of another dtype are converted this many at a time */

/* The group of row r: the last g with begin[g] <= r. */
static int group_of(const dsm_linear *op, int64_t r)
{
    int lo = 0, hi = op->n_groups - 1;
    while (lo < hi) {
        int mid = (lo + hi + 1) / 2;
        if (op->begin[mid] <= r)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

/* `n` weights of w from element `at` on as dsm_real: in place, or converted into buf (PIECE). */
static const dsm_real *weights(const dsm_mat *w, int64_t at, int64_t n, dsm_real *buf)
{
    if (w->dtype == DSM_REAL_DTYPE) return (const dsm_real *)w->data + at;
    const unsigned char *data = w->data;
    dsm_dtype_load(buf, data + dsm_dtype_bytes(w->dtype, at), w->dtype, n);
    return buf;
}

static dsm_acc dot(const dsm_real *a, const dsm_real *b, int64_t n)
{
    dsm_acc sum = 0;
    DSM_SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += (dsm_acc)a[i] * (dsm_acc)b[i];
    return sum;
}

static void forward_row(void *arg, int64_t r, int worker)
{
    const dsm_linear *op = arg;
    const dsm_mat *w = &op->w[group_of(op, r)];
    const dsm_real *x = dsm_x_row(op, r);
    dsm_real *y = op->y + r * op->y_rs, buf[PIECE];
    (void)worker;
    for (int64_t n = 0; n < op->N; n++) {
        dsm_acc sum = 0;
        for (int64_t k = 0; k < op->K; k += PIECE) {
            int64_t len = op->K - k < PIECE ? op->K - k : PIECE;
            sum += dot(x + k, weights(w, n * op->K + k, len, buf), len);
        }
        y[n] = op->accumulate ? (dsm_real)((dsm_acc)y[n] + sum) : (dsm_real)sum;
    }
}

void DSM_K(linear)(const dsm_exec *x, const dsm_linear *op)
{
    for (; op; op = op->next)
        dsm_pool_run(x->pool, op->begin[op->n_groups], forward_row, (void *)(uintptr_t)op);
}

static void input_row(void *arg, int64_t r, int worker)
{
    const dsm_linear *op = arg;
    const dsm_mat *w = &op->w[group_of(op, r)];
    const dsm_real *dy = dsm_dy_row(op, r);
    (void)worker;
    for (int64_t k = 0; k < op->K; k += PIECE) {
        int64_t len = op->K - k < PIECE ? op->K - k : PIECE;
        dsm_real *dx = op->dx + r * op->dx_rs + k, buf[PIECE];
        dsm_acc sum[PIECE] = {0};
        for (int64_t n = 0; n < op->N; n++) {
            const dsm_real *row = weights(w, n * op->K + k, len, buf);
            DSM_SIMD
            for (int64_t j = 0; j < len; j++)
                sum[j] += (dsm_acc)dy[n] * (dsm_acc)row[j];
        }
        for (int64_t j = 0; j < len; j++)
            dx[j] = op->accumulate ? (dsm_real)((dsm_acc)dx[j] + sum[j]) : (dsm_real)sum[j];
    }
}

void DSM_K(linear_input)(const dsm_exec *x, const dsm_linear *op)
{
    dsm_pool_run(x->pool, op->begin[op->n_groups], input_row, (void *)(uintptr_t)op);
}

static void weight_row(void *arg, int64_t item, int worker)
{
    const dsm_linear *op = arg;
    int64_t g = item / op->N, n = item % op->N;
    (void)worker;
    for (int64_t k = 0; k < op->K; k += PIECE) {
        int64_t len = op->K - k < PIECE ? op->K - k : PIECE;
        dsm_real *dw = op->dw[g] + n * op->K + k;
        dsm_acc sum[PIECE] = {0};
        for (int64_t r = op->begin[g]; r < op->begin[g + 1]; r++) {
            dsm_acc dy = (dsm_acc)dsm_dy_row(op, r)[n];
            const dsm_real *row = dsm_x_row(op, r) + k;
            DSM_SIMD
            for (int64_t j = 0; j < len; j++)
                sum[j] += dy * (dsm_acc)row[j];
        }
        for (int64_t j = 0; j < len; j++)
            dw[j] = (dsm_real)(op->first ? sum[j] : (dsm_acc)dw[j] + sum[j]);
    }
}

void DSM_K(linear_weight)(const dsm_exec *x, const dsm_linear *op)
{
    dsm_pool_run(x->pool, op->n_groups * op->N, weight_row, (void *)(uintptr_t)op);
}
