/* SPDX-License-Identifier: MIT */
/* Causal attention in blocks: no T × T matrix, nothing above the diagonal but the rest of a tile.
 *
 * forward: an item is (sequence, query head, block of queries). It walks over blocks of keys with a
 * running maximum and sum per row (Milakov & Gimelshein 2018; Dao et al., "FlashAttention", 2022):
 * S = Q Kᵀ and O += P V are micro-kernel tiles, between them the rows are exponentiated in cache.
 * decode: when the queries of one key head are few, an item is (sequence, key head); scores are dot
 * products straight from the cache, which is read once for all query heads that share it.
 * backward: an item is (sequence, key head), so dq, dk and dv each have one owner, and sums run
 * over query heads, blocks of keys and blocks of queries in that order whatever the threads do:
 *
 *   P = exp(scale S - lse)      dP = dO Vᵀ      dS = scale P (dP - delta)
 *   dV += Pᵀ dO                 dK += dSᵀ Q     dQ += dS K
 */
#include "kernels/attn_at.h"
#include "kernels/tiled/tiled.h"

#include <assert.h>

enum {
    BLOCK_Q = 128,
    BLOCK_K = 192,
    ROW = BLOCK_K + 16 /* floats of a row of scores: room for the zeros behind the last one seen */
};

/* ---- small matrix products over tiles ------------------------------------------------------- */

/* Packed panels of a matrix of n columns and depth k, one after another. */
static void pack_all(bool transposed, float *panels, const float *src, int64_t rs, int64_t n,
                     int64_t k)
{
    for (int64_t p = 0; p < dsm_panel_count(TILE, n); p++) {
        dsm_range c = dsm_panel(TILE, n, p);
        int64_t width = dsm_panel_width(TILE, c);
        if (transposed)
            TILE->pack_transposed(panels, width, src + c.begin * rs, DSM_F32, rs, c.end - c.begin,
                                  k);
        else
            TILE->pack_rows(panels, width, src + c.begin, DSM_F32, rs, NULL, c.end - c.begin, k);
        panels += width * k;
    }
}

static int64_t padded(int64_t n, int64_t unit)
{
    return dsm_chunk_count(n, unit) * unit;
}

/* How far the lower triangle reaches: row i of a block sees the first reach + i (at least none, at
 * most n) of its keys. */
static int64_t seen(int64_t reach, int64_t i, int64_t n)
{
    int64_t s = reach + i;
    return s < 0 ? 0 : s < n ? s : n;
}

/* s (m, n) = a · panels for the tiles that touch the lower triangle; a (m, k) by rows. */
static void scores(float *s, int64_t s_rs, const float *a, int64_t a_rs, const float *panels,
                   int64_t m, int64_t n, int64_t k, int64_t reach)
{
    const float *row[DSM_TILE_MAX_ROWS];
    for (int64_t p = 0; p < dsm_panel_count(TILE, n); p++) {
        dsm_range c = dsm_panel(TILE, n, p);
        int64_t width = dsm_panel_width(TILE, c);
        for (int64_t i = 0; i < m; i += TILE->rows) {
            int rows = m - i < TILE->rows ? (int)(m - i) : TILE->rows;
            if (seen(reach, i + rows - 1, n) <= c.begin) continue;
            for (int r = 0; r < rows; r++)
                row[r] = a + (i + r) * a_rs;
            TILE->by_rows[width / TILE->lanes - 1][rows - 1](k, row, panels, s + i * s_rs + c.begin,
                                                             s_rs, c.end - c.begin, false);
        }
        panels += width * k;
    }
}

/* c (m, n) += a · panels, where row i of a has entries only for the keys it sees; depth is k. */
static void add_by_rows(float *c, int64_t c_rs, const float *a, int64_t a_rs, const float *panels,
                        int64_t m, int64_t n, int64_t k, int64_t reach)
{
    const float *row[DSM_TILE_MAX_ROWS];
    for (int64_t p = 0; p < dsm_panel_count(TILE, n); p++) {
        dsm_range cols = dsm_panel(TILE, n, p);
        int64_t width = dsm_panel_width(TILE, cols);
        for (int64_t i = 0; i < m; i += TILE->rows) {
            int rows = m - i < TILE->rows ? (int)(m - i) : TILE->rows;
            for (int r = 0; r < rows; r++)
                row[r] = a + (i + r) * a_rs;
            TILE->by_rows[width / TILE->lanes - 1][rows - 1](seen(reach, i + rows - 1, k), row,
                                                             panels, c + i * c_rs + cols.begin,
                                                             c_rs, cols.end - cols.begin, true);
        }
        panels += width * k;
    }
}

/* c (m, n) += aᵀ · panels; a, packed by columns, is (k, m), and its column j is zero in the rows
 * that do not see key j: those before row j + 1 - reach. */
static void add_by_columns(float *c, int64_t c_rs, const float *a, const float *panels, int64_t m,
                           int64_t n, int64_t k, int64_t reach)
{
    for (int64_t p = 0; p < dsm_panel_count(TILE, n); p++) {
        dsm_range cols = dsm_panel(TILE, n, p);
        int64_t width = dsm_panel_width(TILE, cols);
        for (int64_t j = 0; j < m; j += TILE->rows) {
            int rows = m - j < TILE->rows ? (int)(m - j) : TILE->rows;
            int64_t skip = seen(1 - reach, j, k);
            const float *from = a + j * k + skip * TILE->rows;
            TILE->by_panel[width / TILE->lanes - 1][rows - 1](
                k - skip, &from, panels + skip * width, c + j * c_rs + cols.begin, c_rs,
                cols.end - cols.begin, true);
        }
        panels += width * k;
    }
}

/* ---- rows of scores ------------------------------------------------------------------------- */

static void scale_row(float *to, const float *from, float c, int64_t n) /* may be in place */
{
    DSM_SIMD
    for (int64_t j = 0; j < n; j++)
        to[j] = from[j] * c;
}

/* Zeros behind the last key seen. A tile reads at most its other rows' worth beyond that. */
static void close_row(float *p, int64_t n_seen)
{
    memset(p + n_seen, 0, DSM_TILE_MAX_ROWS * sizeof *p);
}

/* ---- where things are ----------------------------------------------------------------------- */

typedef struct attn_job {
    const dsm_exec *x;
    const dsm_attention *op;
    int64_t group;  /* query heads per key head */
    int64_t blocks; /* of queries */
} attn_job;

/* n floats from the front of a worker's scratch, aligned. */
static float *take(float **at, int64_t n)
{
    float *p = *at;
    *at += padded(n, 16);
    return p;
}

/* Panels of n columns round each panel up to whole vectors. */
static int64_t panel_floats(int64_t n, int64_t k)
{
    return padded(n, TILE->lanes) * k;
}

/* ---- forward -------------------------------------------------------------------------------- */

typedef struct fwd_scratch {
    float *panels, *s, *o, *top, *sum;
} fwd_scratch;

static fwd_scratch carve_forward(const attn_job *a, int worker)
{
    const dsm_attention *op = a->op;
    int64_t D = op->Dk > op->Dv ? op->Dk : op->Dv;
    float *base = dsm_exec_scratch(a->x, worker), *at = base;
    fwd_scratch f;
    f.panels = take(&at, panel_floats(D, BLOCK_K) + panel_floats(BLOCK_K, D));
    f.s = take(&at, BLOCK_Q * ROW);
    f.o = take(&at, BLOCK_Q * op->Dv);
    f.top = take(&at, BLOCK_Q);
    f.sum = take(&at, BLOCK_Q);
    assert((size_t)(at - base) * sizeof *at <= a->x->scratch_bytes);
    return f;
}

/* Exponentiate row i of S against the new running maximum. */
static void soften_row(const fwd_scratch *f, const dsm_attention *op, int64_t i, int64_t n_seen)
{
    float *s = f->s + i * ROW;
    close_row(s, n_seen);
    if (n_seen == 0) return;
    float top = op->scale * TILE->row_max(s, n_seen);
    if (top > f->top[i]) {
        float shrink = expf(f->top[i] - top);
        f->sum[i] *= shrink;
        if (shrink > 0) scale_row(f->o + i * op->Dv, f->o + i * op->Dv, shrink, op->Dv);
        f->top[i] = top;
    }
    f->sum[i] += TILE->row_exp(s, s, n_seen, op->scale, f->top[i]);
}

static void forward_block(void *arg, int64_t item, int worker)
{
    const attn_job *a = arg;
    const dsm_attention *op = a->op;
    int64_t b = item / (op->H * a->blocks), h = item / a->blocks % op->H, hk = h / a->group;
    dsm_range t = dsm_chunk(op->T, BLOCK_Q, a->blocks - 1 - item % a->blocks); /* longest first */
    int64_t m = t.end - t.begin, S = dsm_keys_seen(op, t.end);
    fwd_scratch f = carve_forward(a, worker);
    memset(f.o, 0, (size_t)(m * op->Dv) * sizeof *f.o);
    for (int64_t i = 0; i < m; i++) {
        f.top[i] = -INFINITY;
        f.sum[i] = 0;
    }
    for (int64_t j = 0; j < S; j += BLOCK_K) {
        int64_t n = S - j < BLOCK_K ? S - j : BLOCK_K, reach = op->past + t.begin + 1 - j;
        pack_all(true, f.panels, op->k + dsm_k_at(op, b, hk, j), op->k_rs, n, op->Dk);
        scores(f.s, ROW, op->q + dsm_q_at(op, b, h, t.begin), op->q_rs, f.panels, m, n, op->Dk,
               reach);
        for (int64_t i = 0; i < m; i++)
            soften_row(&f, op, i, seen(reach, i, n));
        pack_all(false, f.panels, op->v + dsm_v_at(op, b, hk, j), op->v_rs, op->Dv, n);
        add_by_rows(f.o, op->Dv, f.s, ROW, f.panels, m, op->Dv, n, reach);
    }
    for (int64_t i = 0; i < m; i++) {
        scale_row(op->out + dsm_out_at(op, b, h, t.begin + i), f.o + i * op->Dv, 1 / f.sum[i],
                  op->Dv);
        if (op->lse) op->lse[dsm_lse_at(op, b, h, t.begin + i)] = f.top[i] + logf(f.sum[i]);
    }
}

/* ---- decode: few queries per key head ------------------------------------------------------- */

static void add_scaled(float *restrict o, const float *restrict v, float p, int64_t n)
{
    DSM_SIMD
    for (int64_t d = 0; d < n; d++)
        o[d] += p * v[d];
}

static void decode_head(void *arg, int64_t item, int worker)
{
    const attn_job *a = arg;
    const dsm_attention *op = a->op;
    int64_t b = item / op->Hk, hk = item % op->Hk, m = a->group * op->T,
            S = dsm_keys_seen(op, op->T);
    float *s = dsm_exec_scratch(a->x, worker), *o = s + m * S; /* (m, S), (m, Dv) */
    const float *q[DSM_DOT_MAX_ROWS] = {0}, *v = op->v + dsm_v_at(op, b, hk, 0);
    float sum[DSM_DOT_MAX_ROWS];
    for (int64_t i = 0; i < m; i++)
        q[i] = op->q + dsm_q_at(op, b, hk * a->group + i / op->T, i % op->T);
    TILE->dot[m - 1](op->Dk, q, op->k + dsm_k_at(op, b, hk, 0), DSM_F32, op->k_rs, S, s, S, false);
    for (int64_t i = 0; i < m; i++) {
        int64_t n = dsm_keys_seen(op, i % op->T + 1), h = hk * a->group + i / op->T;
        float top = op->scale * TILE->row_max(s + i * S, n);
        sum[i] = TILE->row_exp(s + i * S, s + i * S, n, op->scale, top);
        memset(s + i * S + n, 0, (size_t)(S - n) * sizeof *s);
        if (op->lse) op->lse[dsm_lse_at(op, b, h, i % op->T)] = top + logf(sum[i]);
    }
    memset(o, 0, (size_t)(m * op->Dv) * sizeof *o);
    for (int64_t j = 0; j < S; j++)
        for (int64_t i = 0; i < m; i++)
            add_scaled(o + i * op->Dv, v + j * op->v_rs, s[i * S + j], op->Dv);
    for (int64_t i = 0; i < m; i++)
        scale_row(op->out + dsm_out_at(op, b, hk * a->group + i / op->T, i % op->T), o + i * op->Dv,
                  1 / sum[i], op->Dv);
}

void DSM_K(attention_tiled)(const dsm_exec *x, const dsm_attention *op)
{
    assert(op->H % op->Hk == 0);
    attn_job a = {x, op, op->H / op->Hk, dsm_chunk_count(op->T, BLOCK_Q)};
    int64_t m = a.group * op->T, decode_floats = m * (op->past + op->T + op->Dv);
    if (m <= DSM_DOT_MAX_ROWS && (size_t)decode_floats * sizeof(float) <= x->scratch_bytes)
        dsm_pool_run(x->pool, op->n_seq * op->Hk, decode_head, &a);
    else
        dsm_pool_run(x->pool, op->n_seq * op->H * a.blocks, forward_block, &a);
}

/* ---- backward ------------------------------------------------------------------------------- */

typedef struct bwd_scratch {
    float *k_t, *v_t, *k_rows; /* panels of the key block: Kᵀ, Vᵀ, K */
    float *q_rows, *dout_rows; /* panels of the query block */
    float *s, *dp, *columns;   /* (BLOCK_Q, ROW): P, then dP and dS; either of them by columns */
} bwd_scratch;

static bwd_scratch carve_backward(const attn_job *a, int worker)
{
    const dsm_attention *op = a->op;
    float *base = dsm_exec_scratch(a->x, worker), *at = base;
    bwd_scratch w;
    w.k_t = take(&at, panel_floats(BLOCK_K, op->Dk));
    w.v_t = take(&at, panel_floats(BLOCK_K, op->Dv));
    w.k_rows = take(&at, panel_floats(op->Dk, BLOCK_K));
    w.q_rows = take(&at, panel_floats(op->Dk, BLOCK_Q));
    w.dout_rows = take(&at, panel_floats(op->Dv, BLOCK_Q));
    w.s = take(&at, BLOCK_Q * ROW);
    w.dp = take(&at, BLOCK_Q * ROW);
    w.columns = take(&at, BLOCK_Q * (BLOCK_K + DSM_TILE_MAX_ROWS));
    assert((size_t)(at - base) * sizeof *at <= a->x->scratch_bytes);
    return w;
}

/* Row i: S becomes P and dP becomes dS. */
static void score_grad_row(const dsm_attention *op, float *s, float *dp, int64_t n_seen,
                           int64_t row)
{
    if (n_seen > 0) TILE->row_exp_grad(s, dp, n_seen, op->scale, op->lse[row], op->delta[row]);
    close_row(s, n_seen);
    close_row(dp, n_seen);
}

/* The block of queries t against the packed block of n keys from j on. */
static void backward_block(const attn_job *a, const bwd_scratch *w, int64_t b, int64_t h,
                           dsm_range t, int64_t j, int64_t n)
{
    const dsm_attention *op = a->op;
    int64_t m = t.end - t.begin, reach = t.begin + 1 - j, hk = h / a->group;
    int64_t row = dsm_lse_at(op, b, h, t.begin);
    const float *q = op->q + dsm_q_at(op, b, h, t.begin);
    const float *dout = op->dout + dsm_out_at(op, b, h, t.begin);
    scores(w->s, ROW, q, op->q_rs, w->k_t, m, n, op->Dk, reach);
    scores(w->dp, ROW, dout, op->out_rs, w->v_t, m, n, op->Dv, reach);
    for (int64_t i = 0; i < m; i++)
        score_grad_row(op, w->s + i * ROW, w->dp + i * ROW, seen(reach, i, n), row + i);

    pack_all(false, w->dout_rows, dout, op->out_rs, op->Dv, m);
    TILE->pack_columns(w->columns, w->s, ROW, NULL, n, m);
    add_by_columns(op->dv + dsm_v_at(op, b, hk, j), op->v_rs, w->columns, w->dout_rows, n, op->Dv,
                   m, reach);
    pack_all(false, w->q_rows, q, op->q_rs, op->Dk, m);
    TILE->pack_columns(w->columns, w->dp, ROW, NULL, n, m);
    add_by_columns(op->dk + dsm_k_at(op, b, hk, j), op->k_rs, w->columns, w->q_rows, n, op->Dk, m,
                   reach);
    add_by_rows(op->dq + dsm_q_at(op, b, h, t.begin), op->q_rs, w->dp, ROW, w->k_rows, m, op->Dk, n,
                reach);
}

static float dot(const float *a, const float *b, int64_t n)
{
    float sum = 0;
    DSM_SIMD_SUM(sum)
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void begin_head(const dsm_attention *op, int64_t b, int64_t h)
{
    for (int64_t t = 0; t < op->T; t++) {
        int64_t o = dsm_out_at(op, b, h, t);
        op->delta[dsm_lse_at(op, b, h, t)] = dot(op->dout + o, op->out + o, op->Dv);
        memset(op->dq + dsm_q_at(op, b, h, t), 0, (size_t)op->Dk * sizeof *op->dq);
    }
}

static void backward_head(void *arg, int64_t item, int worker)
{
    const attn_job *a = arg;
    const dsm_attention *op = a->op;
    int64_t b = item / op->Hk, hk = item % op->Hk;
    bwd_scratch w = carve_backward(a, worker);
    for (int64_t j = 0; j < op->T; j++) {
        memset(op->dk + dsm_k_at(op, b, hk, j), 0, (size_t)op->Dk * sizeof *op->dk);
        memset(op->dv + dsm_v_at(op, b, hk, j), 0, (size_t)op->Dv * sizeof *op->dv);
    }
    for (int64_t h = hk * a->group; h < (hk + 1) * a->group; h++) {
        begin_head(op, b, h);
        for (int64_t j = 0; j < op->T; j += BLOCK_K) {
            int64_t n = op->T - j < BLOCK_K ? op->T - j : BLOCK_K;
            const float *k = op->k + dsm_k_at(op, b, hk, j), *v = op->v + dsm_v_at(op, b, hk, j);
            pack_all(true, w.k_t, k, op->k_rs, n, op->Dk);
            pack_all(true, w.v_t, v, op->v_rs, n, op->Dv);
            pack_all(false, w.k_rows, k, op->k_rs, op->Dk, n);
            for (int64_t i = j / BLOCK_Q; i < a->blocks; i++)
                backward_block(a, &w, b, h, dsm_chunk(op->T, BLOCK_Q, i), j, n);
        }
    }
}

void DSM_K(attention_bwd_tiled)(const dsm_exec *x, const dsm_attention *op)
{
    assert(op->past == 0 && op->lse && op->delta && op->H % op->Hk == 0);
    attn_job a = {x, op, op->H / op->Hk, dsm_chunk_count(op->T, BLOCK_Q)};
    dsm_pool_run(x->pool, op->n_seq * op->Hk, backward_head, &a);
}
