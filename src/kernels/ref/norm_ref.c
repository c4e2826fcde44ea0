/* SPDX-License-Identifier: MIT */
/* RMSNorm (Zhang & Sennrich 2019, arXiv 1910.07467), forward and backward.
 *
 *   y = w ⊙ x · s,  s = 1/sqrt(mean x² + eps)
 *   dx = s · (w ⊙ dy) - x · s³/D · Σ_d w_d dy_d x_d          dw_d = Σ_r dy_rd x_rd s_r
 *
 * dw is summed by column blocks, each over all rows in order, so no partial sums need a home. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { ROWS = 16, COLUMNS = 64 };

typedef struct norm_args {
    dsm_real *y, *rstd_out, *dx, *dw;
    const dsm_real *in, *w, *dy, *rstd;
    int64_t R, D;
    dsm_real eps;
} norm_args;

static void forward_rows(void *arg, int64_t item, int worker)
{
    const norm_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *x = a->in + r * a->D, *w = a->w;
        dsm_real *y = a->y + r * a->D;
        dsm_acc sum = 0;
        DSM_SIMD_SUM(sum)
        for (int64_t d = 0; d < a->D; d++)
            sum += (dsm_acc)x[d] * (dsm_acc)x[d];
        dsm_acc mean = sum / (dsm_acc)a->D + (dsm_acc)a->eps;
        dsm_real s = (dsm_real)(1 / sqrt((double)mean));
        DSM_SIMD
        for (int64_t d = 0; d < a->D; d++)
            y[d] = w[d] * (x[d] * s);
        if (a->rstd_out) a->rstd_out[r] = s;
    }
}

void DSM_K(rmsnorm)(const dsm_exec *x, dsm_real *y, dsm_real *rstd, const dsm_real *in,
                    const dsm_real *w, int64_t R, int64_t D, dsm_real eps)
{
    norm_args a = {.y = y, .rstd_out = rstd, .in = in, .w = w, .R = R, .D = D, .eps = eps};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), forward_rows, &a);
}

static void input_rows(void *arg, int64_t item, int worker)
{
    const norm_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++) {
        const dsm_real *x = a->in + r * a->D, *dy = a->dy + r * a->D, *w = a->w;
        dsm_real *dx = a->dx + r * a->D;
        dsm_acc sum = 0, s = (dsm_acc)a->rstd[r];
        DSM_SIMD_SUM(sum)
        for (int64_t d = 0; d < a->D; d++)
            sum += (dsm_acc)w[d] * (dsm_acc)dy[d] * (dsm_acc)x[d];
        dsm_acc c = sum * s * s * s / (dsm_acc)a->D;
        DSM_SIMD
        for (int64_t d = 0; d < a->D; d++)
            dx[d] += (dsm_real)(s * (dsm_acc)w[d] * (dsm_acc)dy[d] - (dsm_acc)x[d] * c);
    }
}

static void weight_columns(void *arg, int64_t item, int worker)
{
    const norm_args *a = arg;
    dsm_range columns = dsm_chunk(a->D, COLUMNS, item);
    int64_t n = columns.end - columns.begin;
    dsm_acc total[COLUMNS] = {0};
    (void)worker;
    for (int64_t c = 0; c < dsm_chunk_count(a->R, ROWS); c++) {
        dsm_range rows = dsm_chunk(a->R, ROWS, c);
        dsm_acc part[COLUMNS] = {0};
        for (int64_t r = rows.begin; r < rows.end; r++) {
            const dsm_real *x = a->in + r * a->D + columns.begin;
            const dsm_real *dy = a->dy + r * a->D + columns.begin;
            dsm_acc s = (dsm_acc)a->rstd[r];
            DSM_SIMD
            for (int64_t d = 0; d < n; d++)
                part[d] += (dsm_acc)dy[d] * (dsm_acc)x[d] * s;
        }
        for (int64_t d = 0; d < n; d++)
            total[d] += part[d];
    }
    for (int64_t d = 0; d < n; d++)
        a->dw[columns.begin + d] = (dsm_real)((dsm_acc)a->dw[columns.begin + d] + total[d]);
}

void DSM_K(rmsnorm_bwd)(const dsm_exec *x, dsm_real *dx, dsm_real *dw, const dsm_real *dy,
                        const dsm_real *in, const dsm_real *w, const dsm_real *rstd, int64_t R,
                        int64_t D)
{
    norm_args a = {.dx = dx, .dw = dw, .dy = dy, .in = in, .w = w, .rstd = rstd, .R = R, .D = D};
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), input_rows, &a);
    dsm_pool_run(x->pool, dsm_chunk_count(D, COLUMNS), weight_columns, &a);
}
