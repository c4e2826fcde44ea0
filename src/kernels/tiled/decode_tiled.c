/* SPDX-License-Identifier: MIT */
/* Attention of a few positions over stored keys, cut along the keys ("flash decoding").
 *
 * An item is (key head, some of its rows, chunk of keys): it walks its chunk BLOCK keys at a time,
 * turned to f32 in cache, with a running maximum per row, and leaves its sums. A second pass over
 * rows joins the chunks in order. A row is one query; the more share a key head (latent attention:
 * all heads), the more is done with each key that was read. */
#include "kernels/decode_at.h"
#include "kernels/tiled/tiled.h"

#include "core/quant.h"

#include <assert.h>

enum {
    BLOCK = 64,     /* keys */
    ROWS = 16,      /* of an item */
    TILE_LEAST = 4, /* rows from which on values are packed into panels */
    JOIN = 8        /* rows of an item of the second pass */
};

typedef struct decode_job {
    const dsm_exec *x;
    const dsm_decode *op;
    int64_t rows, row_blocks, chunks; /* of one key head */
} decode_job;

typedef struct decode_scratch {
    float *keys, *values; /* (BLOCK, Dk), (BLOCK, Dv) as f32 */
    float *s;             /* (ROWS, BLOCK) */
    float *panel;         /* of values */
} decode_scratch;

static float *take(float **at, int64_t n)
{
    float *p = *at;
    *at += dsm_chunk_count(n, 16) * 16;
    return p;
}

static decode_scratch carve(const decode_job *j, int worker)
{
    const dsm_decode *op = j->op;
    float *base = dsm_exec_scratch(j->x, worker), *at = base;
    decode_scratch w;
    w.keys = take(&at, BLOCK * (op->Dk + TILE->lanes));
    w.values = take(&at, BLOCK * (op->Dv + TILE->lanes));
    w.s = take(&at, ROWS * BLOCK);
    w.panel = take(&at, BLOCK * DSM_TILE_MAX_VECTORS * TILE->lanes);
    assert((size_t)(at - base) * sizeof *at <= j->x->scratch_bytes);
    return w;
}

/* ---- stored rows as f32 --------------------------------------------------------------------- */

typedef struct float_rows {
    const float *at;
    int64_t rs;
} float_rows;

static void load_q8_0(float *restrict to, const dsm_q8_0 *b, int64_t n)
{
    for (; n > 0; n -= DSM_Q_VALUES, b++, to += DSM_Q_VALUES) {
        const float d = dsm_f16_to_f32(b->d);
        DSM_SIMD
        for (int i = 0; i < DSM_Q_VALUES; i++)
            to[i] = d * (float)b->q[i];
    }
}

/* Ask for n rows of `width` values from p on. Rows of one head lie a whole position apart, mostly
 * on a page each, where the processor does not look ahead by itself. */
static void ask_rows(const void *p, const dsm_decode *op, int64_t n, int64_t width)
{
    const size_t bytes = dsm_dtype_bytes(op->dtype, width);
    for (int64_t i = 0; i < n; i++)
        for (size_t b = 0; b < bytes; b += DSM_ALIGN)
            __builtin_prefetch((const char *)p + (size_t)i * op->rs + b);
}

/* n rows of `width` values from p on: where they are, or in `room`. */
static float_rows load_rows(float *room, const void *p, const dsm_decode *op, int64_t n,
                            int64_t width)
{
    if (op->dtype == DSM_F32) return (float_rows){p, (int64_t)(op->rs / sizeof(float))};
    const int64_t rs = dsm_chunk_count(width, TILE->lanes) * TILE->lanes;
    if (op->dtype == DSM_Q8_0)
        for (int64_t i = 0; i < n; i++)
            load_q8_0(room + i * rs, (const void *)((const char *)p + (size_t)i * op->rs), width);
    else
        TILE->pack_rows(room, rs, p, op->dtype, (int64_t)(op->rs / sizeof(uint16_t)), NULL, width,
                        n);
    return (float_rows){room, rs};
}

/* ---- one chunk ------------------------------------------------------------------------------ */

typedef struct decode_part {
    const decode_job *j;
    int64_t hk, first, m, chunk; /* rows first … first + m - 1 */
    decode_scratch w;
} decode_part;

static float *part_of(const decode_part *p, int64_t i)
{
    return dsm_decode_part(p->j->op, p->hk, p->first + i, p->chunk);
}

static void scale_row(float *v, float c, int64_t n)
{
    DSM_SIMD
    for (int64_t d = 0; d < n; d++)
        v[d] *= c;
}

static void add_scaled(float *restrict o, const float *restrict v, float p, int64_t n)
{
    DSM_SIMD
    for (int64_t d = 0; d < n; d++)
        o[d] += p * v[d];
}

/* Scores of n keys against the rows. */
static void score_block(const decode_part *p, float_rows k, int64_t n)
{
    const dsm_decode *op = p->j->op;
    const float *q[DSM_DOT_MAX_ROWS];
    for (int64_t i = 0; i < p->m; i += DSM_DOT_MAX_ROWS) {
        int64_t some = p->m - i < DSM_DOT_MAX_ROWS ? p->m - i : DSM_DOT_MAX_ROWS;
        for (int64_t r = 0; r < some; r++)
            q[r] = dsm_decode_q(op, p->hk, p->first + i + r);
        TILE->dot[some - 1](op->Dk, q, k.at, DSM_F32, k.rs, n, p->w.s + i * BLOCK, BLOCK, false);
    }
}

/* Row i of n scores, of which it sees some: exponentials against the new running maximum. */
static void soften_row(const decode_part *p, int64_t i, int64_t n, int64_t seen)
{
    const dsm_decode *op = p->j->op;
    float *s = p->w.s + i * BLOCK, *o = part_of(p, i), *top = o + op->Dv, *sum = top + 1;
    if (seen > 0) {
        float now = op->scale * TILE->row_max(s, seen);
        if (now > *top) {
            float shrink = expf(*top - now);
            *sum *= shrink;
            if (*sum > 0) scale_row(o, shrink, op->Dv);
            *top = now;
        }
        *sum += TILE->row_exp(s, s, seen, op->scale, *top);
    }
    if (seen < n) memset(s + seen, 0, (size_t)(n - seen) * sizeof *s);
}

/* Σ p v, by panels of values or key by key. */
static void add_block(const decode_part *p, float_rows v, int64_t n)
{
    const int64_t Dv = p->j->op->Dv;
    const int64_t o_rs = part_of(p, 1) - part_of(p, 0);
    const float *s[DSM_TILE_MAX_ROWS];
    if (p->m < TILE_LEAST) {
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < p->m; i++)
                add_scaled(part_of(p, i), v.at + k * v.rs, p->w.s[i * BLOCK + k], Dv);
        return;
    }
    for (int64_t c = 0; c < dsm_panel_count(TILE, Dv); c++) {
        dsm_range columns = dsm_panel(TILE, Dv, c);
        int64_t width = dsm_panel_width(TILE, columns), some = columns.end - columns.begin;
        TILE->pack_rows(p->w.panel, width, v.at + columns.begin, DSM_F32, v.rs, NULL, some, n);
        for (int64_t i = 0; i < p->m; i += TILE->rows) {
            int rows = p->m - i < TILE->rows ? (int)(p->m - i) : TILE->rows;
            for (int r = 0; r < rows; r++)
                s[r] = p->w.s + (i + r) * BLOCK;
            TILE->by_rows[width / TILE->lanes - 1][rows - 1](
                n, s, p->w.panel, part_of(p, i) + columns.begin, o_rs, some, true);
        }
    }
}

/* Keys at … at + n - 1, which have been asked for, and then the values; `ahead` keys come next. */
static void run_block(const decode_part *p, int64_t at, int64_t n, int64_t ahead)
{
    const dsm_decode *op = p->j->op;
    const bool latent = op->v == op->k && op->Hk == 1; /* keys begin with the values */
    if (!latent) ask_rows(dsm_decode_value(op, p->hk, at), op, n, op->Dv);
    const float_rows k = load_rows(p->w.keys, dsm_decode_key(op, p->hk, at), op, n, op->Dk);
    score_block(p, k, n);
    ask_rows(dsm_decode_key(op, p->hk, at + n), op, ahead, op->Dk);
    const float_rows v =
        latent ? k : load_rows(p->w.values, dsm_decode_value(op, p->hk, at), op, n, op->Dv);
    for (int64_t i = 0; i < p->m; i++) {
        int64_t seen = dsm_decode_seen(op, p->first + i, at + n) - at;
        soften_row(p, i, n, seen > 0 ? seen : 0);
    }
    add_block(p, v, n);
}

static int64_t block_at(dsm_range keys, int64_t at)
{
    return keys.end - at < BLOCK ? keys.end - at : BLOCK;
}

static void run_chunk(void *arg, int64_t item, int worker)
{
    const decode_job *j = arg;
    const dsm_decode *op = j->op;
    const dsm_range rows = dsm_chunk(j->rows, ROWS, item / j->chunks % j->row_blocks);
    const dsm_range keys = dsm_chunk(op->past + op->T, op->chunk, item % j->chunks);
    const decode_part p = {j,
                           item / (j->chunks * j->row_blocks),
                           rows.begin,
                           rows.end - rows.begin,
                           item % j->chunks,
                           carve(j, worker)};
    for (int64_t i = 0; i < p.m; i++) {
        float *o = part_of(&p, i);
        memset(o, 0, (size_t)op->Dv * sizeof *o);
        o[op->Dv] = -INFINITY;
        o[op->Dv + 1] = 0;
    }
    int64_t n = block_at(keys, keys.begin);
    ask_rows(dsm_decode_key(op, p.hk, keys.begin), op, n, op->Dk);
    for (int64_t at = keys.begin; at < keys.end; at += n) {
        n = block_at(keys, at);
        run_block(&p, at, n, block_at(keys, at + n));
    }
}

/* ---- joining chunks ------------------------------------------------------------------------- */

static void join_row(const decode_job *j, int64_t hk, int64_t i)
{
    const dsm_decode *op = j->op;
    const int64_t Dv = op->Dv;
    const float *part = dsm_decode_part(op, hk, i, 0);
    float *out = dsm_decode_out(op, hk, i), top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < j->chunks; c++)
        top = part[c * (Dv + 2) + Dv] > top ? part[c * (Dv + 2) + Dv] : top;
    memset(out, 0, (size_t)Dv * sizeof *out);
    for (int64_t c = 0; c < j->chunks; c++) {
        const float *from = part + c * (Dv + 2);
        float weight = expf(from[Dv] - top);
        if (from[Dv + 1] == 0) continue; /* a chunk that this row does not see */
        add_scaled(out, from, weight, Dv);
        sum += weight * from[Dv + 1];
    }
    scale_row(out, 1 / sum, Dv);
}

static void join_rows(void *arg, int64_t item, int worker)
{
    const decode_job *j = arg;
    const dsm_range rows = dsm_chunk(j->op->Hk * j->rows, JOIN, item);
    (void)worker;
    for (int64_t i = rows.begin; i < rows.end; i++)
        join_row(j, i / j->rows, i % j->rows);
}

void DSM_K(decode_join)(const dsm_exec *x, const dsm_decode *op)
{
    decode_job j = {x, op, dsm_decode_rows(op), 0, dsm_decode_chunks(op)};
    dsm_pool_run(x->pool, dsm_chunk_count(op->Hk * j.rows, JOIN), join_rows, &j);
}

void DSM_K(decode_tiled)(const dsm_exec *x, const dsm_decode *op)
{
    decode_job j = {x, op, dsm_decode_rows(op), 0, dsm_decode_chunks(op)};
    j.row_blocks = dsm_chunk_count(j.rows, ROWS);
    assert(op->H % op->Hk == 0 && op->chunk % BLOCK == 0);
    dsm_pool_run(x->pool, op->Hk * j.row_blocks * j.chunks, run_chunk, &j);
    DSM_K(decode_join)(x, op);
}
