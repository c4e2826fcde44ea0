/* SPDX-License-Identifier: MIT */
/* Causal attention, backward, on AMX (attn_amx.h).
 *
 *                     A, lanes × k                  B, lanes × k
 *   Sᵀ  = K Qᵀ        k by rows                     q by rows, transposed
 *   dPᵀ = V dOᵀ       v by rows                     dout by rows, transposed
 *   dV += Pᵀ dO       P: a row of scores            dout by pairs of rows
 *   dK += dSᵀ Q       dS: a row of scores           q by pairs of rows
 *   dQᵀ += Kᵀ dSᵀ     k transposed                  dS: two rows of scores
 *
 * Keys and queries are cut into chunks of equal length; the work is a row of passes, pass r taking
 * chunk c of the keys with chunk c + r of the queries. Within a pass no two of them share a
 * gradient, so an item is (sequence, key head, c), or, where heads are enough to keep all threads
 * busy, (sequence, key head) with all its passes. Either way a gradient is the sum over passes,
 * within them over query heads and blocks, in that order: the same bits for any number of threads.
 *
 * A pass goes through blocks of KEYS × QUERIES scores, key block by key block. Rows are packed when
 * the first block needs them and asked of memory a block earlier. The softmax of a block is taken
 * while the tiles multiply the one before and the one after. */
#include "kernels/x86/attn_amx.h"

enum {
    CHUNK = 512, /* keys or queries of a pass at most, */
    FEW = 256,   /* or where heads are few: more items to a pass */
    HEADS = 4,   /* that are not few */
    KEYS = 64,   /* of a block */
    QUERIES = 64,
    SCORES = KEYS * QUERIES,
    BLOCKS = SCORES / (WIDE * WIDE), /* of WIDE × WIDE scores, by key and query, in a block */
    AHEAD = 8,                       /* tensors a pass reads or writes */
    ITEMS = 4                        /* per thread: heads that are enough */
};

typedef struct bwd_job {
    const dsm_exec *x;
    const dsm_attention *op;
    int64_t chunk, chunks, pass;
} bwd_job;

/* A softmax block and what becomes of it. */
typedef struct bwd_block {
    float *s, *dp;       /* by WIDE × WIDE blocks, key by key */
    pair *p, *ds, *ds_t; /* A: lanes are keys; A; B: lanes are queries */
} bwd_block;

typedef struct bwd_scratch {
    pair *k, *k_t, *v;             /* of a key block; A: keys × Dk, dims × keys, keys × Dv */
    pair *q_t, *q, *dout_t, *dout; /* B: queries × Dk, dims × queries; Dv the same */
    float *dq, *dk, *dv; /* (queries / WIDE, Dk, WIDE); of a key block: (keys, wide rows) */
    float *lse, *delta;  /* of the queries, zeros up to whole blocks */
    bwd_block block[2];
} bwd_scratch;

static bwd_scratch carve(const dsm_attention *op, int64_t chunk, void *scratch, size_t *bytes)
{
    unsigned char *base = scratch, *at = base;
    const int64_t Dk = padded(op->Dk, WIDE), Dv = padded(op->Dv, WIDE);
    bwd_scratch w;
    w.k = take_strips(&at, KEYS, op->Dk);
    w.k_t = take_strips(&at, op->Dk, KEYS);
    w.v = take_strips(&at, KEYS, op->Dv);
    w.q_t = take_strips(&at, chunk, op->Dk);
    w.q = take_strips(&at, op->Dk, chunk);
    w.dout_t = take_strips(&at, chunk, op->Dv);
    w.dout = take_strips(&at, op->Dv, chunk);
    w.dq = take_floats(&at, chunk * Dk);
    w.dk = take_floats(&at, KEYS * Dk);
    w.dv = take_floats(&at, KEYS * Dv);
    w.lse = take_floats(&at, chunk);
    w.delta = take_floats(&at, chunk);
    for (int i = 0; i < 2; i++) {
        bwd_block *b = &w.block[i];
        b->s = take_floats(&at, SCORES);
        b->dp = take_floats(&at, SCORES);
        b->p = take_strips(&at, KEYS, QUERIES);
        b->ds = take_strips(&at, KEYS, QUERIES);
        b->ds_t = take_strips(&at, QUERIES, KEYS);
    }
    *bytes = (size_t)(at - base);
    return w;
}

/* ---- a pass: chunk j of the keys, chunk t of the queries ------------------------------------ */

typedef struct pass {
    const dsm_attention *op;
    const bwd_scratch *w;
    int64_t b, h, hk;
    dsm_range j, t;
    bool first_keys, first_queries; /* this pass is the first to add to dk and dv; to dq */
    rows_ahead ahead[AHEAD];
} pass;

/* ---- a stage: one block of scores ----------------------------------------------------------- */

typedef struct stage {
    int64_t j, keys, t, queries; /* in the chunks, counted in units of WIDE; 0 keys: none */
    int64_t turn;                /* which of the two bwd_blocks */
    bool first;                  /* of its key block */
} stage;

/* Query blocks t from which key block j, both of the chunks, is seen. */
static int64_t first_seeing(const pass *a, int64_t j)
{
    const int64_t t = (a->j.begin - a->t.begin) / WIDE + j;
    return t < 0 ? 0 : t;
}

static bool sees(const pass *a, const stage *st, int64_t i, int64_t q)
{
    return st->t + q >= first_seeing(a, st->j + i);
}

/* Number of key blocks of the stage that query block q sees: they are the first ones. */
static int64_t seen(const pass *a, const stage *st, int64_t q)
{
    int64_t n = 0;
    while (n < st->keys && sees(a, st, n, q))
        n++;
    return n;
}

/* The first stage of key block j from query block t on, or of the key blocks after it. */
static stage stage_at(const pass *a, int64_t j, int64_t t, int64_t turn)
{
    const int64_t keys = dsm_chunk_count(a->j.end - a->j.begin, WIDE);
    const int64_t queries = dsm_chunk_count(a->t.end - a->t.begin, WIDE);
    for (; j < keys; j += KEYS / WIDE, t = 0) {
        const int64_t first = first_seeing(a, j) / (QUERIES / WIDE) * (QUERIES / WIDE);
        if (t < first) t = first;
        if (t < queries)
            return (stage){j,    least(keys - j, KEYS / WIDE),
                           t,    least(queries - t, QUERIES / WIDE),
                           turn, t == first};
    }
    return (stage){0};
}

static stage stage_after(const pass *a, stage s)
{
    return stage_at(a, s.j, s.t + QUERIES / WIDE, 1 - s.turn);
}

/* Positions of a stage. */
static dsm_range keys_of(const pass *a, stage s)
{
    const int64_t first = a->j.begin + s.j * WIDE;
    return (dsm_range){first, least(first + s.keys * WIDE, a->j.end)};
}

static dsm_range queries_of(const pass *a, stage s)
{
    const int64_t first = a->t.begin + s.t * WIDE;
    return (dsm_range){first, least(first + s.queries * WIDE, a->t.end)};
}

/* ---- rows in and out ------------------------------------------------------------------------ */

static float dot(const float *a, const float *b, int64_t n)
{
    vec sum = vec_zero();
    for (int64_t i = 0; i < n; i += LANES) {
        const vec_mask m = vec_first(n - i);
        sum = vec_fma(vec_load_masked(a + i, m), vec_load_masked(b + i, m), sum);
    }
    return vec_sum(sum);
}

/* lse and delta of queries t; the first pass over them computes delta. */
static void load_rows(const pass *a, dsm_range t)
{
    const dsm_attention *op = a->op;
    const int64_t row = dsm_lse_at(op, a->b, a->h, 0);
    for (int64_t i = t.begin; i < t.begin + padded(t.end - t.begin, WIDE); i++) {
        const int64_t at = dsm_out_at(op, a->b, a->h, i);
        if (a->first_queries && i < t.end)
            op->delta[row + i] = dot(op->dout + at, op->out + at, op->Dv);
        a->w->lse[i - a->t.begin] = i < t.end ? op->lse[row + i] : 0;
        a->w->delta[i - a->t.begin] = i < t.end ? op->delta[row + i] : 0;
    }
}

/* What scores read. */
static void pack_for_scores(const pass *a, stage st)
{
    const dsm_attention *op = a->op;
    const dsm_range j = keys_of(a, st), t = queries_of(a, st);
    const int64_t keys = j.end - j.begin, queries = t.end - t.begin;
    const int64_t k = strip_pairs(op->Dk), v = strip_pairs(op->Dv);
    const float *row[KEYS];
    if (st.first) {
        point(row, op->k + dsm_k_at(op, a->b, a->hk, j.begin), op->k_rs, keys);
        for (int64_t i = 0; i < keys; i += STRIP)
            pack_by_rows(a->w->k + i / STRIP * k, row + i, least(keys - i, STRIP), op->Dk);
        point(row, op->v + dsm_v_at(op, a->b, a->hk, j.begin), op->v_rs, keys);
        for (int64_t i = 0; i < keys; i += STRIP)
            pack_by_rows(a->w->v + i / STRIP * v, row + i, least(keys - i, STRIP), op->Dv);
    }
    if (st.j == 0) {
        load_rows(a, t);
        pack_lanes(a->w->q_t + 2 * st.t * k, op->q + dsm_q_at(op, a->b, a->h, t.begin), op->q_rs,
                   queries, op->Dk);
        pack_lanes(a->w->dout_t + 2 * st.t * v, op->dout + dsm_out_at(op, a->b, a->h, t.begin),
                   op->out_rs, queries, op->Dv);
    }
}

/* What the products with P and dS read. */
static void pack_for_grads(const pass *a, stage st)
{
    const dsm_attention *op = a->op;
    const dsm_range j = keys_of(a, st), t = queries_of(a, st);
    const int64_t queries = strip_pairs(a->t.end - a->t.begin), at = st.t * SPLITS * TILE;
    const float *row[KEYS > QUERIES ? KEYS : QUERIES];
    if (st.first) {
        point(row, op->k + dsm_k_at(op, a->b, a->hk, j.begin), op->k_rs, j.end - j.begin);
        pack_columns(a->w->k_t, strip_pairs(KEYS), row, j.end - j.begin, op->Dk);
        memset(a->w->dk, 0, (size_t)(KEYS * padded(op->Dk, WIDE)) * sizeof(float));
        memset(a->w->dv, 0, (size_t)(KEYS * padded(op->Dv, WIDE)) * sizeof(float));
    }
    if (st.j == 0) {
        point(row, op->q + dsm_q_at(op, a->b, a->h, t.begin), op->q_rs, t.end - t.begin);
        pack_pairs(a->w->q + at, queries, row, t.end - t.begin, op->Dk);
        point(row, op->dout + dsm_out_at(op, a->b, a->h, t.begin), op->out_rs, t.end - t.begin);
        pack_pairs(a->w->dout + at, queries, row, t.end - t.begin, op->Dv);
    }
}

/* `to` (rows, columns) (=|+=) from. */
static void store_rows(float *to, int64_t to_rs, const float *from, int64_t rows, int64_t columns,
                       bool first)
{
    for (int64_t i = 0; i < rows; i++, to += to_rs, from += padded(columns, WIDE))
        for (int64_t d = 0; d < columns; d += LANES) {
            const vec_mask m = vec_first(columns - d);
            const vec v = vec_load(from + d);
            vec_store_masked(to + d, m, first ? v : vec_add(vec_load_masked(to + d, m), v));
        }
}

/* The gradients that stage `st` was the last of this pass to add to. */
static void store_finished(const pass *a, stage st)
{
    const dsm_attention *op = a->op;
    const dsm_range j = keys_of(a, st), t = queries_of(a, st);
    const int64_t Dk = padded(op->Dk, WIDE), next = st.j + KEYS / WIDE;
    if (t.end == a->t.end) {
        store_rows(op->dk + dsm_k_at(op, a->b, a->hk, j.begin), op->k_rs, a->w->dk, j.end - j.begin,
                   op->Dk, a->first_keys);
        store_rows(op->dv + dsm_v_at(op, a->b, a->hk, j.begin), op->v_rs, a->w->dv, j.end - j.begin,
                   op->Dv, a->first_keys);
    }
    if (j.end < a->j.end && first_seeing(a, next) < st.t + st.queries) return;
    for (int64_t i = t.begin; i < t.end; i += WIDE)
        store_transposed(op->dq + dsm_q_at(op, a->b, a->h, i), op->q_rs,
                         a->w->dq + (i - a->t.begin) * Dk, least(t.end - i, WIDE), op->Dk,
                         !a->first_queries);
}

/* Ask, during a stage, for the rows that the next ones read and write first. */
static void look_ahead(pass *a, stage st)
{
    const dsm_attention *op = a->op;
    const dsm_range j = keys_of(a, st), t = queries_of(a, st);
    const int64_t more_keys = least(a->j.end - j.end, KEYS);
    const int64_t more_queries = least(a->t.end - t.end, QUERIES);
    const int64_t k = dsm_k_at(op, a->b, a->hk, j.begin), v = dsm_v_at(op, a->b, a->hk, j.begin);
    const int64_t q = dsm_q_at(op, a->b, a->h, t.end), o = dsm_out_at(op, a->b, a->h, t.end);
    if (st.first) {
        a->ahead[0] = (rows_ahead){op->k + k + KEYS * op->k_rs, op->k_rs, op->Dk, more_keys};
        a->ahead[1] = (rows_ahead){op->v + v + KEYS * op->v_rs, op->v_rs, op->Dv, more_keys};
        a->ahead[2] = (rows_ahead){op->dk + k, op->k_rs, op->Dk, j.end - j.begin};
        a->ahead[3] = (rows_ahead){op->dv + v, op->v_rs, op->Dv, j.end - j.begin};
        a->ahead[4] = (rows_ahead){op->dq + dsm_q_at(op, a->b, a->h, t.begin), op->q_rs, op->Dk,
                                   t.end - t.begin};
    }
    if (st.j == 0) {
        a->ahead[5] = (rows_ahead){op->q + q, op->q_rs, op->Dk, more_queries};
        a->ahead[6] = (rows_ahead){op->dout + o, op->out_rs, op->Dv, more_queries};
        a->ahead[7] = (rows_ahead){op->out + o, op->out_rs, op->Dv, more_queries};
    }
}

/* ---- the products of a stage ---------------------------------------------------------------- */

static int64_t block_offset(int64_t i, int64_t q)
{
    return (i * (QUERIES / WIDE) + q) * WIDE * WIDE;
}

/* Products of the key block's rows and of the queries', D wide: Sᵀ or dPᵀ. */
static void score_products(const pass *a, stage st, float *s, const pair *keys, const pair *queries,
                           int64_t D, float hidden, side_work *side)
{
    const int64_t row = strip_pairs(D);
    for (int64_t i = 0; i < st.keys; i++)
        for (int64_t q = 0; q < st.queries; q++) {
            const int64_t key = a->j.begin + (st.j + i) * WIDE, t = a->t.begin + (st.t + q) * WIDE;
            float *at = s + block_offset(i, q);
            if (!sees(a, &st, i, q)) continue;
            product(step_count(D), operand_from(keys, row, 2 * i, 0),
                    operand_from(queries, row, 2 * (st.t + q), 0), at, WIDE, WIDE, WIDE, false,
                    side);
            if (needs_hiding(t, key, a->t.end)) hide(at, hidden, t, key, a->t.end);
        }
}

static void stage_scores(const pass *a, stage st, side_work *side)
{
    const bwd_scratch *w = a->w;
    const bwd_block *block = &w->block[st.turn];
    if (st.keys) pack_for_scores(a, st);
    tiles_meet_vectors();
    score_products(a, st, block->s, w->k, w->q_t, a->op->Dk, -INFINITY, side);
    score_products(a, st, block->dp, w->v, w->dout_t, a->op->Dv, 0, side);
}

/* to, rows of keys, += scores · rows of queries, D wide: dV or dK. */
static void key_products(const pass *a, stage st, float *to, const pair *scores,
                         const pair *queries, int64_t D, side_work *side)
{
    const int64_t across = strip_pairs(a->t.end - a->t.begin), rs = padded(D, WIDE);
    for (int64_t i = 0; i < st.keys; i++) {
        int64_t from = first_seeing(a, st.j + i) - st.t;
        if (from < 0) from = 0;
        for (int64_t d = 0; from < st.queries && d < D; d += WIDE)
            product(st.queries - from, operand_from(scores, strip_pairs(QUERIES), 2 * i, from),
                    operand_from(queries, across, d / STRIP, st.t + from), to + i * WIDE * rs + d,
                    rs, WIDE, D - d, true, side);
    }
}

/* What a stage's P and dS add to the gradients. */
static void stage_grads(const pass *a, stage st, side_work *side)
{
    const dsm_attention *op = a->op;
    const bwd_scratch *w = a->w;
    const bwd_block *block = &w->block[st.turn];
    const int64_t Dk = padded(op->Dk, WIDE), column = strip_pairs(KEYS);
    if (st.keys) pack_for_grads(a, st);
    tiles_meet_vectors();
    key_products(a, st, w->dv, block->p, w->dout, op->Dv, side);
    key_products(a, st, w->dk, block->ds, w->q, op->Dk, side);
    for (int64_t q = 0; q < st.queries; q++)
        for (int64_t d = 0; d < op->Dk; d += WIDE)
            product(seen(a, &st, q), operand_from(w->k_t, column, d / STRIP, 0),
                    operand_from(block->ds_t, column, 2 * q, 0),
                    w->dq + ((st.t + q) * Dk + d) * WIDE, WIDE, op->Dk - d, WIDE, st.j > 0, side);
    tiles_meet_vectors();
    if (st.keys) store_finished(a, st);
}

/* Groups of tile products in either half of a stage. */
static int64_t score_groups(const pass *a, stage st)
{
    const int64_t steps = step_count(a->op->Dk) + step_count(a->op->Dv);
    int64_t n = 0;
    for (int64_t q = 0; q < st.queries; q++)
        n += seen(a, &st, q);
    return n * steps * GROUPS;
}

static int64_t grad_groups(const pass *a, stage st)
{
    const int64_t once = step_count(a->op->Dk) + step_count(a->op->Dv);
    return score_groups(a, st) / once * (once + step_count(a->op->Dk));
}

/* ---- softmax and its gradient --------------------------------------------------------------- */

typedef struct grad_job {
    const bwd_block *block;
    rows_ahead *ahead;
    const float *lse, *delta; /* of the stage's first query */
    vec scale;
    int64_t n;                          /* blocks of WIDE × WIDE scores that are seen, */
    int16_t key[BLOCKS], query[BLOCKS]; /* and which they are */
} grad_job;

/* Rows `key` and `key` + 16 of a block of scores: P and dS, into their strips. */
static void grad_unit(void *arg, int64_t unit)
{
    const grad_job *g = arg;
    const int64_t i = g->key[unit / STRIP], q = g->query[unit / STRIP], r = unit % STRIP;
    const int64_t row = strip_pairs(QUERIES), column = strip_pairs(KEYS), step = SPLITS * TILE;
    const float *s = g->block->s + block_offset(i, q) + r * WIDE;
    const float *dp = g->block->dp + block_offset(i, q) + r * WIDE;
    vec p[2][2], ds[2][2]; /* [key][query strip] */
    for (int64_t n = 0; n < AHEAD; n++)
        ask_for_row(&g->ahead[n]);
#pragma GCC unroll 2
    for (int64_t c = 0; c < 2; c++) {
        const vec lse = vec_load(g->lse + q * WIDE + c * STRIP);
        const vec delta = vec_load(g->delta + q * WIDE + c * STRIP);
#pragma GCC unroll 2
        for (int64_t k = 0; k < 2; k++) {
            const int64_t at = k * STRIP * WIDE + c * STRIP;
            p[k][c] = vec_exp(vec_sub(vec_mul(vec_load(s + at), g->scale), lse));
            ds[k][c] = vec_mul(vec_mul(g->scale, p[k][c]), vec_sub(vec_load(dp + at), delta));
        }
    }
#pragma GCC unroll 2
    for (int64_t k = 0; k < 2; k++) {
        const int64_t at = (2 * i + k) * row + q * step + r * STRIP;
        store_splits(g->block->p + at, p[k][0], p[k][1]);
        store_splits(g->block->ds + at, ds[k][0], ds[k][1]);
        store_splits(g->block->ds_t + (2 * q + k) * column + i * step + r * STRIP, ds[0][k],
                     ds[1][k]);
    }
}

static grad_job stage_softmax(pass *a, stage st)
{
    grad_job g = {
        .block = &a->w->block[st.turn], .ahead = a->ahead, .scale = vec_set1(a->op->scale)};
    g.lse = a->w->lse + st.t * WIDE;
    g.delta = a->w->delta + st.t * WIDE;
    for (int64_t i = 0; i < st.keys; i++)
        for (int64_t q = 0; q < st.queries; q++)
            if (sees(a, &st, i, q)) {
                g.key[g.n] = (int16_t)i;
                g.query[g.n++] = (int16_t)q;
            }
    return g;
}

static void run_stages(pass *a)
{
    side_work none = {.groups = 1};
    stage before = {0}, now = stage_at(a, 0, 0, 0);
    stage_scores(a, now, &none);
    while (now.keys) {
        const stage after = stage_after(a, now);
        grad_job g = stage_softmax(a, now);
        look_ahead(a, after.keys ? after : now);
        side_work side = {.run = grad_unit, .arg = &g, .units = g.n * STRIP};
        side.groups = score_groups(a, after) + grad_groups(a, before);
        stage_grads(a, before, &side);
        stage_scores(a, after, &side);
        side_finish(&side);
        before = now;
        now = after;
    }
    stage_grads(a, before, &none);
    tiles_meet_vectors();
}

/* ---- items ---------------------------------------------------------------------------------- */

static void run_pass(const bwd_job *job, int64_t head, int64_t c, int64_t r, int worker)
{
    const dsm_attention *op = job->op;
    const int64_t group = op->H / op->Hk;
    size_t bytes;
    const bwd_scratch w = carve(op, job->chunk, dsm_exec_scratch(job->x, worker), &bytes);
    pass a = {.op = op, .w = &w, .b = head / op->Hk, .hk = head % op->Hk};
    a.j = dsm_chunk(op->T, job->chunk, c);
    a.t = dsm_chunk(op->T, job->chunk, c + r);
    a.first_queries = r == 0;
    for (int64_t i = 0; i < group; i++) {
        a.h = a.hk * group + i;
        a.first_keys = r == 0 && i == 0;
        run_stages(&a);
    }
}

static void backward_head(void *arg, int64_t head, int worker)
{
    const bwd_job *job = arg;
    open_tiles();
    for (int64_t r = 0; r < job->chunks; r++)
        for (int64_t c = 0; c + r < job->chunks; c++)
            run_pass(job, head, c, r, worker);
    _tile_release();
}

static void backward_chunk(void *arg, int64_t item, int worker)
{
    const bwd_job *job = arg;
    const int64_t n = job->chunks - job->pass;
    open_tiles();
    run_pass(job, item / n, item % n, job->pass, worker);
    _tile_release();
}

/* The longest chunk that fits the scratch; a matter of shape alone, as sums depend on it. */
static int64_t chunk_of(const dsm_exec *x, const dsm_attention *op)
{
    int64_t chunk = op->n_seq * op->Hk < HEADS ? FEW : CHUNK;
    size_t bytes = 0;
    while (carve(op, chunk, dsm_exec_scratch(x, 0), &bytes), bytes > x->scratch_bytes)
        chunk /= 2;
    assert(chunk >= KEYS && chunk >= QUERIES);
    return chunk;
}

void DSM_K(attention_bwd)(const dsm_exec *x, const dsm_attention *op)
{
    assert(op->past == 0 && op->lse && op->delta && op->H % op->Hk == 0);
    const int64_t heads = op->n_seq * op->Hk;
    bwd_job job = {.x = x, .op = op, .chunk = chunk_of(x, op)};
    job.chunks = dsm_chunk_count(op->T, job.chunk);
    if (heads >= ITEMS * dsm_pool_threads(x->pool)) {
        dsm_pool_run(x->pool, heads, backward_head, &job);
        return;
    }
    for (; job.pass < job.chunks; job.pass++)
        dsm_pool_run(x->pool, heads * (job.chunks - job.pass), backward_chunk, &job);
}
