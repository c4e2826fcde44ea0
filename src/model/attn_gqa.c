/* SPDX-License-Identifier: MIT */
/* Multi-head and grouped-query attention (MHA is Hk = H).
 *
 *   q, k, v = W_q x + b_q, W_k x + b_k, W_v x + b_v;  q, k rotated by position;
 *   o_h = Σ_j softmax_j(q_h · k_h' / √Dh) v_h',  h' = h / (H/Hk);   y += W_o o + b_o
 *
 * q, k and v of a row lie side by side in one buffer (R, (H + 2·Hk)·Dh). A cache keeps k and v of
 * each position, 2·Hk·Dh values: of its own element type they are written straight into its rows,
 * else stored from the buffer. A few queries read what is stored as it is; many read it in place,
 * or a chunk of the past at a time as dsm_real. */
#include "model/attention.h"

typedef struct gqa_act {
    dsm_real *qkv; /* (R, (H + 2 Hk) Dh), rotated */
    dsm_real *out; /* (R, H Dh) */
    dsm_real *lse; /* (n_seq, H, T) */
    /* With a cache of another element type; NULL when training */
    dsm_real *stored; /* (R + DSM_CACHE_PAST, 2 Hk Dh) */
    dsm_past past;
} gqa_act;

typedef struct gqa_scratch {
    dsm_real *dqkv;  /* as qkv */
    dsm_real *dout;  /* as out */
    dsm_real *delta; /* as lse */
} gqa_scratch;

static int64_t kv_width(const dsm_model_config *c)
{
    return c->num_key_value_heads * c->head_dim;
}

static int64_t cache_width(const dsm_model_config *c)
{
    return 2 * kv_width(c);
}

static int64_t head_dim(const dsm_model_config *c)
{
    return c->head_dim;
}

static void *carve(dsm_arena *stay, dsm_arena *a, const dsm_model_config *c, int64_t R,
                   bool training)
{
    gqa_act *act = dsm_arena_take(stay, sizeof *act);
    gqa_act s = {
        .qkv = dsm_take_reals(a, R * (dsm_model_config_q_width(c) + 2 * kv_width(c))),
        .out = dsm_take_reals(a, R * dsm_model_config_q_width(c)),
        .lse = dsm_take_reals(a, R * c->num_attention_heads),
    };
    if (!training) {
        s.stored = dsm_take_reals(a, (R + DSM_CACHE_PAST) * 2 * kv_width(c));
        s.past.part = dsm_take_reals(a, R * dsm_model_config_q_width(c));
        s.past.part_lse = dsm_take_reals(a, R * c->num_attention_heads);
    }
    if (act) *act = s;
    return act;
}

static void *carve_scratch(dsm_arena *stay, dsm_arena *a, const dsm_model_config *c, int64_t R)
{
    gqa_scratch *scratch = dsm_arena_take(stay, sizeof *scratch);
    gqa_scratch s = {
        .dqkv = dsm_take_reals(a, R * (dsm_model_config_q_width(c) + 2 * kv_width(c))),
        .dout = dsm_take_reals(a, R * dsm_model_config_q_width(c)),
        .delta = dsm_take_reals(a, R * c->num_attention_heads),
    };
    if (scratch) *scratch = s;
    return scratch;
}

/* Are k and v written straight into the cache? */
static bool in_place(const dsm_ctx *c)
{
    return c->cache && dsm_cache_is_real(c->cache);
}

/* Where this pass's q, k, v rows are. */
typedef struct places {
    dsm_real *q, *k, *v;
    int64_t q_rs, kv_rs, pos0;
} places;

static places find_places(const dsm_ctx *c, dsm_real *qkv)
{
    int64_t nq = dsm_model_config_q_width(c->config), nk = kv_width(c->config);
    places p = {.q = qkv, .k = qkv + nq, .v = qkv + nq + nk, .q_rs = nq + 2 * nk};
    p.kv_rs = p.q_rs;
    if (in_place(c)) {
        p.pos0 = c->cache->length;
        p.kv_rs = c->cache->width;
        p.k = dsm_cache_row(c->cache, c->layer, p.pos0);
        p.v = p.k + nk;
    }
    return p;
}

static void rotate_heads(const dsm_ctx *c, dsm_real *v, int64_t rs, int64_t n_heads, int sign)
{
    int64_t width = c->config->head_dim;
    c->k->rope(c->exec,
               &(dsm_rope){v, rs, width, c->R, c->T, n_heads, width, c->rope, sign, false});
}

static void rotate(const dsm_ctx *c, const places *p, int sign)
{
    int64_t heads = c->config->num_attention_heads, kv_heads = c->config->num_key_value_heads;
    if (p->k ==
        p->q + dsm_model_config_q_width(c->config)) { /* side by side: as one row of heads */
        rotate_heads(c, p->q, p->q_rs, heads + kv_heads, sign);
        return;
    }
    rotate_heads(c, p->q, p->q_rs, heads, sign);
    rotate_heads(c, p->k, p->kv_rs, kv_heads, sign);
}

/* One product where the weights and the rows of q, k, v lie together, else three in one call. */
static bool is_merged(const dsm_ctx *c, const dsm_attn_params *p)
{
    return p->gqa.qkv.w.rows > 0 && !in_place(c);
}

static void project(const dsm_ctx *c, const dsm_attn_params *p, const places *at, const dsm_real *x)
{
    if (is_merged(c, p)) {
        dsm_linear_forward(c, &p->gqa.qkv, at->q, at->q_rs, false, x, c->R);
    } else {
        const dsm_linear_map maps[] = {{&p->gqa.q, at->q, at->q_rs},
                                       {&p->gqa.k, at->k, at->kv_rs},
                                       {&p->gqa.v, at->v, at->kv_rs}};
        dsm_linear_forward_all(c, maps, 3, x, c->R);
    }
    dsm_bias_forward(c, &p->gqa.bq, at->q, at->q_rs, c->R);
    dsm_bias_forward(c, &p->gqa.bk, at->k, at->kv_rs, c->R);
    dsm_bias_forward(c, &p->gqa.bv, at->v, at->kv_rs, c->R);
}

static void project_backward(const dsm_ctx *c, const dsm_attn_params *p, const places *grad,
                             dsm_real *dx, const dsm_real *x)
{
    if (is_merged(c, p)) {
        dsm_linear_backward(c, &p->gqa.qkv, dx, false, grad->q, grad->q_rs, x, c->R);
    } else {
        dsm_linear_backward(c, &p->gqa.q, dx, false, grad->q, grad->q_rs, x, c->R);
        dsm_linear_backward(c, &p->gqa.k, dx, true, grad->k, grad->kv_rs, x, c->R);
        dsm_linear_backward(c, &p->gqa.v, dx, true, grad->v, grad->kv_rs, x, c->R);
    }
    dsm_bias_backward(c, &p->gqa.bq, grad->q, grad->q_rs, c->R);
    dsm_bias_backward(c, &p->gqa.bk, grad->k, grad->kv_rs, c->R);
    dsm_bias_backward(c, &p->gqa.bv, grad->v, grad->kv_rs, c->R);
}

static dsm_attention describe(const dsm_ctx *c, const places *p, const gqa_act *act)
{
    const dsm_model_config *g = c->config;
    return (dsm_attention){
        .n_seq = c->n_seq,
        .T = c->T,
        .past = p->pos0,
        .k_seq = in_place(c) ? c->cache->capacity : c->T,
        .H = g->num_attention_heads,
        .Hk = g->num_key_value_heads,
        .Dk = g->head_dim,
        .Dv = g->head_dim,
        .scale = 1 / dsm_sqrt((dsm_real)g->head_dim),
        .q = p->q,
        .k = p->k - p->pos0 * p->kv_rs,
        .v = p->v - p->pos0 * p->kv_rs,
        .q_rs = p->q_rs,
        .k_rs = p->kv_rs,
        .v_rs = p->kv_rs,
        .out = act->out,
        .out_rs = dsm_model_config_q_width(g),
        .lse = act->lse,
    };
}

/* --- over a cache -------------------------------------------------------------------------- */

/* Queries in groups of a few, straight from what is stored. */
static void attend_few(const dsm_ctx *c, const places *at, const gqa_act *act)
{
    const dsm_model_config *g = c->config;
    const int64_t D = g->head_dim, out_rs = dsm_model_config_q_width(g);
    const unsigned char *k = dsm_cache_row(c->cache, c->layer, 0);
    for (int64_t t = 0; t < c->R; t += DSM_CACHE_FEW)
        dsm_attend_stored(c, &(dsm_decode){.T = c->R - t < DSM_CACHE_FEW ? c->R - t : DSM_CACHE_FEW,
                                           .past = c->cache->length + t,
                                           .H = g->num_attention_heads,
                                           .Hk = g->num_key_value_heads,
                                           .Dk = D,
                                           .Dv = D,
                                           .scale = 1 / dsm_sqrt((dsm_real)D),
                                           .q = at->q + t * at->q_rs,
                                           .q_rs = at->q_rs,
                                           .k = k,
                                           .v = k + dsm_dtype_bytes(c->cache->dtype, kv_width(g)),
                                           .out = act->out + t * out_rs,
                                           .out_rs = out_rs});
}

static void show_stored(const dsm_ctx *c, void *arg, int64_t begin, int64_t end)
{
    const dsm_cache *cache = c->cache;
    dsm_real *to = arg;
    c->k->load_rows(c->exec, to, cache->width, dsm_cache_row(cache, c->layer, begin), cache->dtype,
                    cache->row_bytes, end - begin, cache->width);
}

static void attend_past(const dsm_ctx *c, dsm_attention op, const gqa_act *act)
{
    op.k = act->stored;
    op.v = act->stored + kv_width(c->config);
    op.k_rs = op.v_rs = c->cache->width;
    op.lse = act->lse;
    dsm_attend_past(c, &op, &act->past, show_stored, act->stored);
}

static void attend(const dsm_ctx *c, const places *at, const gqa_act *act)
{
    const dsm_cache *cache = c->cache;
    bool stored = cache && !in_place(c);
    dsm_attention op = describe(c, at, act);
    if (stored)
        c->k->store_rows(c->exec, dsm_cache_row(cache, c->layer, cache->length), cache->dtype,
                         cache->row_bytes, at->k, at->kv_rs, c->R, cache->width);
    if (cache && (c->R <= DSM_CACHE_FEW || (stored && cache->length > 0 && !act->stored)))
        attend_few(c, at, act);
    else if (stored && cache->length > 0)
        attend_past(c, op, act);
    else
        c->k->attention(c->exec, &op);
    dsm_lap(c, DSM_PART_ATTENTION);
}

/* --- forward and backward -------------------------------------------------------------------- */

static void forward(const dsm_ctx *c, const dsm_attn_params *p, void *state, dsm_real *y,
                    const dsm_real *x)
{
    const gqa_act *act = state;
    places at = find_places(c, act->qkv);
    int64_t d = c->config->hidden_size;
    project(c, p, &at, x);
    rotate(c, &at, +1);
    dsm_watch(c, "queries, keys and values", act->qkv, c->cache ? 0 : c->R * at.q_rs);
    dsm_lap(c, DSM_PART_PROJECT);

    attend(c, &at, act);
    dsm_watch(c, "attention output", act->out, c->R * dsm_model_config_q_width(c->config));

    dsm_linear_forward(c, &p->o, y, d, true, act->out, c->R);
    dsm_bias_forward(c, &p->bo, y, d, c->R);
    dsm_lap(c, DSM_PART_PROJECT);
}

/* With do = W_oᵀ dy the kernel gives dq, dk, dv of the rotated rows; a rotation's transpose is the
 * rotation by the negative angle; then dx = W_qᵀ dq + W_kᵀ dk + W_vᵀ dv. */
static void backward(const dsm_ctx *c, const dsm_attn_params *p, void *state, void *scratch,
                     dsm_real *dx, const dsm_real *dy, const dsm_real *x)
{
    const gqa_act *act = state;
    const gqa_scratch *s = scratch;
    places at = find_places(c, act->qkv), grad = find_places(c, s->dqkv);
    int64_t d = c->config->hidden_size;
    dsm_linear_backward(c, &p->o, s->dout, false, dy, d, act->out, c->R);
    dsm_bias_backward(c, &p->bo, dy, d, c->R);
    dsm_lap(c, DSM_PART_PROJECT);

    dsm_attention op = describe(c, &at, act);
    op.dout = s->dout;
    op.dq = grad.q;
    op.dk = grad.k;
    op.dv = grad.v;
    op.delta = s->delta;
    c->k->attention_bwd(c->exec, &op);
    dsm_lap(c, DSM_PART_ATTENTION);

    rotate(c, &grad, -1);
    project_backward(c, p, &grad, dx, x);
    dsm_lap(c, DSM_PART_PROJECT);
}

const dsm_attention_kind dsm_attention_gqa = {
    .name = "gqa",
    .cache_width = cache_width,
    .cache_unit = head_dim,
    .decode_width = head_dim,
    .carve = carve,
    .carve_scratch = carve_scratch,
    .forward = forward,
    .backward = backward,
};
