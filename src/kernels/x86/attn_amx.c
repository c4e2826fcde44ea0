/* SPDX-License-Identifier: MIT */
/* Causal attention, forward, on AMX (attn_amx.h): the running maximum of attn_tiled.c, transposed.
 *
 *                    A, lanes × k          B, lanes × k
 *   Sᵀ = K Qᵀ        k by rows             q by rows, transposed
 *   Oᵀ += Vᵀ Pᵀ      v transposed          P, as the exponential leaves it
 *
 * An item is (sequence, query head, block of queries). It packs KEYS keys and values at a time and
 * takes WIDE queries at a time across them, DEPTH keys between two looks at their maximum. A
 * query's sums run over keys in blocks counted from key 0, so results do not depend on the cut into
 * items. Few queries (decoding) are left to attn_tiled.c. */
#include "kernels/x86/attn_amx.h"

#include <math.h>

enum {
    KEYS = 512,        /* packed at a time */
    DEPTH = 128,       /* keys that share one look at the maximum */
    QUERIES = 1024,    /* of an item at most, */
    QUERIES_MIN = 128, /* and at least where the cut into items is not enough */
    AHEAD = 4,         /* tensors read or written */
    ITEMS = 4          /* per thread, before cutting stops */
};

dsm_attention_fn dsm_attention_tiled_avx512;

typedef struct fwd_job {
    const dsm_exec *x;
    const dsm_attention *op;
    int64_t queries, blocks; /* of an item; items of a head */
} fwd_job;

typedef struct fwd_scratch {
    pair *k, *v, *q;      /* keys, values, a group's queries */
    pair *p[2];           /* exponentials and */
    float *s[2];          /* scores of two stages, (DEPTH, WIDE) */
    float *o, *top, *sum; /* per group: (Dv, WIDE), (WIDE), (WIDE) */
    int64_t o_floats;     /* of a group */
} fwd_scratch;

static fwd_scratch carve_forward(const fwd_job *a, int worker)
{
    const dsm_attention *op = a->op;
    unsigned char *base = dsm_exec_scratch(a->x, worker), *at = base;
    fwd_scratch f;
    f.o_floats = padded(op->Dv, STRIP) * WIDE;
    f.k = take_strips(&at, KEYS, op->Dk);
    f.v = take_strips(&at, op->Dv, KEYS);
    f.q = take_strips(&at, WIDE, op->Dk);
    for (int i = 0; i < 2; i++) {
        f.p[i] = take_strips(&at, WIDE, DEPTH);
        f.s[i] = take_floats(&at, DEPTH * WIDE);
    }
    f.o = take_floats(&at, padded(a->queries, WIDE) / WIDE * f.o_floats);
    f.top = take_floats(&at, padded(a->queries, WIDE));
    f.sum = take_floats(&at, padded(a->queries, WIDE));
    assert((size_t)(at - base) <= a->x->scratch_bytes);
    return f;
}

/* ---- softmax -------------------------------------------------------------------------------- */

/* Two strips of queries side by side. */
typedef struct lanes {
    vec at[2];
} lanes;

static inline lanes load_lanes(const float *p)
{
    return (lanes){{vec_load(p), vec_load(p + STRIP)}};
}

static inline void store_lanes(float *p, lanes v)
{
    vec_store(p, v.at[0]);
    vec_store(p + STRIP, v.at[1]);
}

static inline lanes max_lanes(lanes a, lanes b)
{
    return (lanes){{vec_max(a.at[0], b.at[0]), vec_max(a.at[1], b.at[1])}};
}

static void scale_columns(float *o, lanes c, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++, o += WIDE) {
        vec_store(o, vec_mul(vec_load(o), c.at[0]));
        vec_store(o + STRIP, vec_mul(vec_load(o + STRIP), c.at[1]));
    }
}

/* The largest score of each query, at least `top`. */
static lanes column_max(const float *s, int64_t rows, lanes top)
{
    lanes m[4] = {top, top, top, top};
    for (int64_t i = 0; i < rows; i += 4)
#pragma GCC unroll 4
        for (int64_t j = 0; j < 4; j++)
            m[j] = max_lanes(m[j], load_lanes(s + (i + j) * WIDE));
    return max_lanes(max_lanes(m[0], m[1]), max_lanes(m[2], m[3]));
}

/* The exponentials of a stage on their way into strips. */
typedef struct exp_job {
    rows_ahead *ahead;
    pair *p;
    const float *s;
    vec scale;
    lanes top, sum; /* scaled */
} exp_job;

/* Two rows of scores, the pairs of unit i. */
static void exp_unit(void *arg, int64_t i)
{
    exp_job *e = arg;
    const float *lo = e->s + (i / STRIP * STEP + i % STRIP) * WIDE, *hi = lo + STRIP * WIDE;
    pair *out = e->p + i / STRIP * SPLITS * TILE + i % STRIP * STRIP;
    for (int64_t n = 0; n < AHEAD; n++)
        ask_for_row(&e->ahead[n]);
#pragma GCC unroll 2
    for (int64_t q = 0; q < 2; q++) {
        vec a = vec_exp(vec_sub(vec_mul(vec_load(lo + q * STRIP), e->scale), e->top.at[q]));
        vec b = vec_exp(vec_sub(vec_mul(vec_load(hi + q * STRIP), e->scale), e->top.at[q]));
        e->sum.at[q] = vec_add(e->sum.at[q], vec_add(a, b));
        store_splits(out + q * strip_pairs(DEPTH), a, b);
    }
}

/* ---- stages --------------------------------------------------------------------------------- */

/* What an item does with one chunk of packed keys is a row of stages: (group of queries, DEPTH
 * keys). While the exponentials of a stage are taken, the tiles multiply those of the stage before
 * with their values, and sum the scores of the stage after. */
typedef struct stage {
    int64_t g;           /* group of queries; */
    int64_t from, steps; /* steps of packed keys; 0 steps: none */
    int64_t turn;        /* which of the two buffers of s and p */
} stage;

typedef struct sweep {
    const fwd_scratch *f;
    const dsm_attention *op;
    int64_t b, h;
    dsm_range t, keys;
    int64_t packed; /* of the keys, as stages need them */
    rows_ahead ahead[AHEAD];
} sweep;

static dsm_range group_rows(const sweep *w, int64_t g)
{
    const int64_t first = w->t.begin + g * WIDE;
    return (dsm_range){first, least(first + WIDE, w->t.end)};
}

/* The stage of group g from step `from` on, or of the next group that sees any of these keys. */
static stage stage_at(const sweep *w, int64_t g, int64_t from, int64_t turn)
{
    for (; w->t.begin + g * WIDE < w->t.end; g++, from = 0) {
        const int64_t last = least(w->op->past + group_rows(w, g).end, w->keys.end);
        const int64_t steps = last > w->keys.begin ? step_count(last - w->keys.begin) : 0;
        if (from < steps) return (stage){g, from, least(steps - from, DEPTH / STEP), turn};
    }
    return (stage){0};
}

static stage stage_after(const sweep *w, stage s)
{
    return stage_at(w, s.g, s.from + s.steps, 1 - s.turn);
}

/* Keys and values from w->packed up to `end`; the next ones are asked for. */
static void pack_keys(sweep *w, int64_t end)
{
    const fwd_scratch *f = w->f;
    const dsm_attention *op = w->op;
    const int64_t hk = w->h / (op->H / op->Hk), from = w->packed, n = w->keys.end - w->keys.begin;
    const float *row[DEPTH], *k = op->k + dsm_k_at(op, w->b, hk, w->keys.begin);
    const float *v = op->v + dsm_v_at(op, w->b, hk, w->keys.begin);
    point(row, k + from * op->k_rs, op->k_rs, end - from);
    for (int64_t i = from; i < end; i += STRIP)
        pack_by_rows(f->k + i / STRIP * strip_pairs(op->Dk), row + i - from, least(end - i, STRIP),
                     op->Dk);
    point(row, v + from * op->v_rs, op->v_rs, end - from);
    pack_columns(f->v + from / STEP * SPLITS * TILE, strip_pairs(n), row, end - from, op->Dv);
    w->packed = end;
    w->ahead[0] = (rows_ahead){k + end * op->k_rs, op->k_rs, op->Dk, least(n - end, DEPTH)};
    w->ahead[1] = (rows_ahead){v + end * op->v_rs, op->v_rs, op->Dv, least(n - end, DEPTH)};
}

/* The queries of group g; the next ones are asked for, and where the results will go. */
static void pack_queries(sweep *w, int64_t g)
{
    const dsm_attention *op = w->op;
    const dsm_range t = group_rows(w, g);
    const float *q = op->q + dsm_q_at(op, w->b, w->h, t.begin);
    pack_lanes(w->f->q, q, op->q_rs, t.end - t.begin, op->Dk);
    w->ahead[2] =
        (rows_ahead){q + WIDE * op->q_rs, op->q_rs, op->Dk, least(w->t.end - t.end, WIDE)};
    w->ahead[3] = (rows_ahead){op->out + dsm_out_at(op, w->b, w->h, t.begin), op->out_rs, op->Dv,
                               t.end - t.begin};
}

static void stage_scores(sweep *w, stage st, side_work *side)
{
    const fwd_scratch *f = w->f;
    const dsm_attention *op = w->op;
    const dsm_range t = group_rows(w, st.g);
    const int64_t row = strip_pairs(op->Dk), at = op->past + t.begin;
    const int64_t end = least((st.from + st.steps) * STEP, w->keys.end - w->keys.begin);
    if (w->packed < end) pack_keys(w, end);
    if (st.from == 0) pack_queries(w, st.g);
    tiles_meet_vectors();
    for (int64_t i = 0; i < st.steps; i++) {
        float *s = f->s[st.turn] + i * WIDE * WIDE;
        const int64_t key = w->keys.begin + (st.from + i) * STEP;
        product(step_count(op->Dk), operand_from(f->k, row, 2 * (st.from + i), 0),
                (operand){f->q, row}, s, WIDE, WIDE, WIDE, false, side);
        if (needs_hiding(at, key, INT64_MAX)) hide(s, -INFINITY, at, key, INT64_MAX);
    }
}

static void stage_values(const sweep *w, stage st, side_work *side)
{
    const fwd_scratch *f = w->f;
    const int64_t Dv = w->op->Dv, row = strip_pairs(w->keys.end - w->keys.begin);
    tiles_meet_vectors();
    for (int64_t d = 0; st.steps > 0 && d < Dv; d += WIDE)
        product(st.steps, operand_from(f->v, row, d / STRIP, st.from),
                (operand){f->p[st.turn], strip_pairs(DEPTH)}, f->o + st.g * f->o_floats + d * WIDE,
                WIDE, Dv - d, WIDE, true, side);
}

/* The new maximum of a stage's queries: what the exponentials are taken against. Returns by how
 * much those taken so far shrink. */
static lanes stage_look(sweep *w, stage st, exp_job *e)
{
    const fwd_scratch *f = w->f;
    float *top = f->top + st.g * WIDE;
    const lanes old = load_lanes(top), now = column_max(f->s[st.turn], st.steps * STEP, old);
    lanes shrink;
    *e = (exp_job){
        .ahead = w->ahead, .p = f->p[st.turn], .s = f->s[st.turn], .scale = vec_set1(w->op->scale)};
    for (int64_t q = 0; q < 2; q++) {
        e->top.at[q] = vec_mul(now.at[q], e->scale);
        shrink.at[q] = vec_exp(vec_sub(vec_mul(old.at[q], e->scale), e->top.at[q]));
    }
    store_lanes(top, now);
    return shrink;
}

static void add_sums(float *sum, lanes shrink, lanes more)
{
    lanes s = load_lanes(sum);
    for (int64_t q = 0; q < 2; q++)
        s.at[q] = vec_fma(s.at[q], shrink.at[q], more.at[q]);
    store_lanes(sum, s);
}

static bool shrinks(lanes c)
{
    const vec one = vec_set1(1);
    return _mm512_cmp_ps_mask(c.at[0], one, _CMP_NEQ_UQ) |
           _mm512_cmp_ps_mask(c.at[1], one, _CMP_NEQ_UQ);
}

static void sweep_stages(sweep *w)
{
    const fwd_scratch *f = w->f;
    side_work none = {.groups = 1};
    stage before = {0}, now = stage_at(w, 0, 0, 0);
    if (now.steps) stage_scores(w, now, &none);
    while (now.steps) {
        const stage after = stage_after(w, now);
        exp_job e;
        tiles_meet_vectors();
        const lanes shrink = stage_look(w, now, &e);
        side_work side = {.run = exp_unit, .arg = &e, .units = now.steps * STRIP};
        side.groups = GROUPS * (before.steps * dsm_chunk_count(w->op->Dv, WIDE) +
                                after.steps * step_count(w->op->Dk));
        stage_values(w, before, &side);
        tiles_meet_vectors();
        if (shrinks(shrink)) scale_columns(f->o + now.g * f->o_floats, shrink, w->op->Dv);
        if (after.steps) stage_scores(w, after, &side);
        side_finish(&side);
        add_sums(f->sum + now.g * WIDE, shrink, e.sum);
        before = now;
        now = after;
    }
    stage_values(w, before, &none);
    tiles_meet_vectors();
}

/* ---- items ---------------------------------------------------------------------------------- */

static void finish_group(const fwd_scratch *f, const dsm_attention *op, int64_t b, int64_t h,
                         int64_t g, dsm_range t)
{
    const int64_t first = t.begin + g * WIDE, rows = least(t.end - first, WIDE);
    float *o = f->o + g * f->o_floats, *top = f->top + g * WIDE, *sum = f->sum + g * WIDE;
    lanes c = load_lanes(sum);
    c.at[0] = vec_div(vec_set1(1), c.at[0]);
    c.at[1] = vec_div(vec_set1(1), c.at[1]);
    scale_columns(o, c, op->Dv);
    store_transposed(op->out + dsm_out_at(op, b, h, first), op->out_rs, o, rows, op->Dv, false);
    for (int64_t i = 0; op->lse && i < rows; i++)
        op->lse[dsm_lse_at(op, b, h, first + i)] = op->scale * top[i] + logf(sum[i]);
}

static void forward_item(void *arg, int64_t item, int worker)
{
    const fwd_job *a = arg;
    const dsm_attention *op = a->op;
    const int64_t b = item / (op->H * a->blocks), h = item / a->blocks % op->H;
    const dsm_range t = dsm_chunk(op->T, a->queries, a->blocks - 1 - item % a->blocks);
    const int64_t groups = dsm_chunk_count(t.end - t.begin, WIDE), S = dsm_keys_seen(op, t.end);
    fwd_scratch f = carve_forward(a, worker);
    memset(f.o, 0, (size_t)(groups * f.o_floats) * sizeof *f.o);
    for (int64_t i = 0; i < groups * WIDE; i++) {
        f.top[i] = -INFINITY;
        f.sum[i] = 0;
    }
    open_tiles();
    for (int64_t j = 0; j < S; j += KEYS) {
        const dsm_range keys = {j, least(j + KEYS, S)};
        sweep_stages(&(sweep){.f = &f, .op = op, .b = b, .h = h, .t = t, .keys = keys});
    }
    _tile_release();
    for (int64_t g = 0; g < groups; g++)
        finish_group(&f, op, b, h, g, t);
}

void DSM_K(attention)(const dsm_exec *x, const dsm_attention *op)
{
    assert(op->H % op->Hk == 0);
    if (op->T < STRIP) {
        dsm_attention_tiled_avx512(x, op);
        return;
    }
    fwd_job a = {x, op, QUERIES, 0};
    const int64_t heads = op->n_seq * op->H, wanted = ITEMS * dsm_pool_threads(x->pool);
    while (a.queries > QUERIES_MIN && heads * dsm_chunk_count(op->T, a.queries) < wanted)
        a.queries /= 2;
    a.blocks = dsm_chunk_count(op->T, a.queries);
    dsm_pool_run(x->pool, heads * a.blocks, forward_item, &a);
}
