/* SPDX-License-Identifier: MIT */
/* Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1).
 *
 *   c_q = norm(W_qa x),  q_h = [q^C ; q^R]_h = W_qb,h c_q        (without q_lora: W_q,h x)
 *   [c ; k^R] = W_kva x, c = norm(c)                              k^R: one for all heads
 *   [k^C ; v]_h = W_kvb,h c,  k_h = [k^C_h ; k^R]                 q^R, k^R rotated by position
 *   o_h = Σ_j softmax_j(scale q_h · k_h,j) v_h,j;   y += W_o o
 *
 * The cache keeps (c, k^R) of each position: kv_lora + Dr values for all heads together. What the
 * queries meet then takes two forms, equal up to rounding (docs/math.md):
 *
 *   naive      expand k and v of all positions, as above: for many queries, the past a chunk of
 *              DSM_CACHE_PAST positions at a time, each chunk's result joined to that of the others
 *   absorbed   k^C_h,j = W_UK,h c_j, so q^C · k^C = (W_UKᵀ q^C) · c_j, and Σ_j p_j v_j = W_UV Σ_j
 * p_j c_j: one key head as wide as a row of the cache, whose values are its first part; for a
 * DSM_CACHE_FEW queries, for which expanding every position would cost more */
#include "model/attention.h"
#include "model/rope.h"

static const dsm_real LATENT_EPS = (dsm_real)1e-6; /* whatever rms_norm_eps is */

typedef struct mla_act {
    dsm_real *low;                               /* (R, q_lora + kv_lora + Dr) W_qa x, W_kva x */
    dsm_real *q_low, *q_latent, *q_rstd;         /* (R, q_lora) before and after the norm, (R) */
    dsm_real *latent_low, *latent, *latent_rstd; /* (R, kv_lora) the same of c, (R) */
    dsm_real *shared;                            /* (R, Dr) k^R, rotated */
    dsm_real *q;                                 /* (R, H·Dk) q^R rotated */
    dsm_real *kv;                                /* (R, H·(Dn + Dv)) */
    dsm_real *k;                                 /* (R, H·Dk) */
    dsm_real *out;                               /* (R, H·Dv) */
    dsm_real *lse;                               /* (n_seq, H, T) */
    /* With a cache; kv and k have room for DSM_CACHE_PAST rows more. NULL when training. */
    dsm_real *past_latent, *past_shared; /* (DSM_CACHE_PAST, kv_lora), (DSM_CACHE_PAST, Dr) */
    dsm_past past;
    /* Of the absorbed form */
    int32_t *heads; /* (H + 1) 0, 1, … */
    dsm_real *q_absorbed,
        *o_latent; /* (DSM_CACHE_FEW, H, kv_lora + Dr), (DSM_CACHE_FEW, H, kv_lora) */
} mla_act;

typedef struct mla_scratch {
    dsm_real *dout, *delta;         /* as out, lse */
    dsm_real *dq, *dk, *dkv;        /* as q, k, kv */
    dsm_real *dshared;              /* as shared */
    dsm_real *dlatent, *dq_latent;  /* by a norm's output */
    dsm_real *dlatent_low, *dq_low; /* by its input */
    dsm_real *dlow;                 /* as low */
} mla_scratch;

/* Widths that have no name in the config. */
static int64_t kv_width(const dsm_model_config *c)
{
    return c->num_attention_heads * (c->qk_nope_head_dim + c->v_head_dim);
}

static int64_t low_width(const dsm_model_config *c)
{
    return c->q_lora_rank + c->kv_lora_rank + c->qk_rope_head_dim;
}

static int64_t cache_width(const dsm_model_config *c)
{
    return c->kv_lora_rank + c->qk_rope_head_dim;
}

/* The greatest common divisor of its two parts. */
static int64_t cache_unit(const dsm_model_config *c)
{
    int64_t a = c->kv_lora_rank, b = c->qk_rope_head_dim;
    while (b > 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static int64_t decode_width(const dsm_model_config *c)
{
    return c->kv_lora_rank;
}

/* --- memory ------------------------------------------------------------------------------ */

static void carve_cached(mla_act *s, dsm_arena *a, const dsm_model_config *c, int64_t R)
{
    s->past_latent = dsm_take_reals(a, DSM_CACHE_PAST * c->kv_lora_rank);
    s->past_shared = dsm_take_reals(a, DSM_CACHE_PAST * c->qk_rope_head_dim);
    s->past.part = dsm_take_reals(a, R * dsm_model_config_o_width(c));
    s->past.part_lse = dsm_take_reals(a, R * c->num_attention_heads);
}

static void carve_absorbed(mla_act *s, dsm_arena *a, const dsm_model_config *c)
{
    const int64_t H = c->num_attention_heads;
    s->q_absorbed = dsm_take_reals(a, DSM_CACHE_FEW * H * cache_width(c));
    s->o_latent = dsm_take_reals(a, DSM_CACHE_FEW * H * c->kv_lora_rank);
    s->heads = dsm_take_ints(a, H + 1);
    for (int64_t h = 0; s->heads && h <= H; h++)
        s->heads[h] = (int32_t)h;
}

static void *carve(dsm_arena *stay, dsm_arena *a, const dsm_model_config *c, int64_t R,
                   bool training)
{
    const int64_t rows = R + (training ? 0 : DSM_CACHE_PAST);
    mla_act *act = dsm_arena_take(stay, sizeof *act);
    mla_act s = {
        .low = dsm_take_reals(a, R * low_width(c)),
        .q_low = dsm_take_reals(a, R * c->q_lora_rank),
        .q_latent = dsm_take_reals(a, R * c->q_lora_rank),
        .q_rstd = dsm_take_reals(a, R),
        .latent_low = dsm_take_reals(a, R * c->kv_lora_rank),
        .latent = dsm_take_reals(a, R * c->kv_lora_rank),
        .latent_rstd = dsm_take_reals(a, R),
        .shared = dsm_take_reals(a, R * c->qk_rope_head_dim),
        .q = dsm_take_reals(a, R * dsm_model_config_q_width(c)),
        .kv = dsm_take_reals(a, rows * kv_width(c)),
        .k = dsm_take_reals(a, rows * dsm_model_config_q_width(c)),
        .out = dsm_take_reals(a, R * dsm_model_config_o_width(c)),
        .lse = dsm_take_reals(a, R * c->num_attention_heads),
    };
    if (!training) carve_cached(&s, a, c, R);
    carve_absorbed(&s, stay, c);
    if (act) *act = s;
    return act;
}

static void *carve_scratch(dsm_arena *stay, dsm_arena *a, const dsm_model_config *c, int64_t R)
{
    mla_scratch *scratch = dsm_arena_take(stay, sizeof *scratch);
    mla_scratch s = {
        .dout = dsm_take_reals(a, R * dsm_model_config_o_width(c)),
        .delta = dsm_take_reals(a, R * c->num_attention_heads),
        .dq = dsm_take_reals(a, R * dsm_model_config_q_width(c)),
        .dk = dsm_take_reals(a, R * dsm_model_config_q_width(c)),
        .dkv = dsm_take_reals(a, R * kv_width(c)),
        .dshared = dsm_take_reals(a, R * c->qk_rope_head_dim),
        .dlatent = dsm_take_reals(a, R * c->kv_lora_rank),
        .dlatent_low = dsm_take_reals(a, R * c->kv_lora_rank),
        .dq_latent = dsm_take_reals(a, R * c->q_lora_rank),
        .dq_low = dsm_take_reals(a, R * c->q_lora_rank),
        .dlow = dsm_take_reals(a, R * low_width(c)),
    };
    if (scratch) *scratch = s;
    return scratch;
}

/* --- pieces of both directions ----------------------------------------------------------- */

/* The rotated parts of n_heads heads, head_rs apart. */
static void rotate(const dsm_ctx *c, dsm_real *v, int64_t rs, int64_t head_rs, int64_t n_heads,
                   int sign)
{
    const dsm_rope op = {v,
                         rs,
                         head_rs,
                         c->R,
                         c->T,
                         n_heads,
                         c->config->qk_rope_head_dim,
                         c->rope,
                         sign,
                         c->config->rope_interleave};
    c->k->rope(c->exec, &op);
}

static void rotate_both(const dsm_ctx *c, dsm_real *q, dsm_real *shared, int sign)
{
    const dsm_model_config *g = c->config;
    rotate(c, q + g->qk_nope_head_dim, dsm_model_config_q_width(g), g->head_dim,
           g->num_attention_heads, sign);
    rotate(c, shared, g->qk_rope_head_dim, g->qk_rope_head_dim, 1, sign);
}

static dsm_keys describe_keys(const dsm_ctx *c, int64_t rows, dsm_real *k, dsm_real *kv,
                              dsm_real *shared)
{
    const dsm_model_config *g = c->config;
    return (dsm_keys){.R = rows,
                      .H = g->num_attention_heads,
                      .Dn = g->qk_nope_head_dim,
                      .Dr = g->qk_rope_head_dim,
                      .k = k,
                      .kv = kv,
                      .kv_rs = kv_width(g),
                      .kv_hs = g->qk_nope_head_dim + g->v_head_dim,
                      .shared = shared};
}

static dsm_real score_scale(const dsm_model_config *g)
{
    return (dsm_real)(dsm_rope_score_factor(g) / sqrt((double)g->head_dim));
}

/* Of R queries over the expanded rows k, kv, `past` of which stand before the first query. */
static dsm_attention describe(const dsm_ctx *c, const mla_act *act, int64_t past)
{
    const dsm_model_config *g = c->config;
    return (dsm_attention){
        .n_seq = c->n_seq,
        .T = c->T,
        .past = past,
        .k_seq = c->T,
        .H = g->num_attention_heads,
        .Hk = g->num_attention_heads,
        .Dk = g->head_dim,
        .Dv = g->v_head_dim,
        .scale = score_scale(g),
        .q = act->q,
        .k = act->k,
        .v = act->kv + g->qk_nope_head_dim,
        .q_rs = dsm_model_config_q_width(g),
        .k_rs = dsm_model_config_q_width(g),
        .v_rs = kv_width(g),
        .v_hs = g->qk_nope_head_dim + g->v_head_dim,
        .out = act->out,
        .out_rs = dsm_model_config_o_width(g),
        .lse = act->lse,
    };
}

/* --- projections ------------------------------------------------------------------------- */

/* Columns of low: those of the queries' latent come first. */
static void take_columns(const dsm_ctx *c, dsm_real *to, const dsm_real *low, int64_t first,
                         int64_t n)
{
    c->k->columns(c->exec, to, n, low + first, low_width(c->config), c->R, n);
}

static void put_columns(const dsm_ctx *c, dsm_real *low, const dsm_real *from, int64_t first,
                        int64_t n)
{
    c->k->columns(c->exec, low + first, low_width(c->config), from, n, c->R, n);
}

/* x (R, D) to low, and to q if queries have no latent: one product where the weights lie together,
 * else two in one call. */
static void project_inputs(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act,
                           const dsm_real *x)
{
    const int64_t rs = low_width(c->config), lq = c->config->q_lora_rank;
    const dsm_linear_map low = {p->a.w.rows > 0 ? &p->a : &p->kv_a,
                                p->a.w.rows > 0 ? act->low : act->low + lq, rs};
    const dsm_linear_map queries = {&p->q, act->q, dsm_model_config_q_width(c->config)};
    const dsm_linear_map maps[] = {low, lq > 0 ? (dsm_linear_map){&p->q_a, act->low, rs} : queries};
    dsm_linear_forward_all(c, maps, lq > 0 && p->a.w.rows > 0 ? 1 : 2, x, c->R);
    dsm_bias_forward(c, &p->bq_a, act->low, rs, c->R);
    dsm_bias_forward(c, &p->bkv_a, act->low + lq, rs, c->R);
}

static void project_low_backward(const dsm_ctx *c, const dsm_mla_params *p, dsm_real *dx,
                                 bool accumulate, const dsm_real *dlow, const dsm_real *x)
{
    const int64_t rs = low_width(c->config), lq = c->config->q_lora_rank;
    if (p->a.w.rows > 0) {
        dsm_linear_backward(c, &p->a, dx, accumulate, dlow, rs, x, c->R);
    } else {
        if (lq > 0) dsm_linear_backward(c, &p->q_a, dx, accumulate, dlow, rs, x, c->R);
        dsm_linear_backward(c, &p->kv_a, dx, accumulate || lq > 0, dlow + lq, rs, x, c->R);
    }
    dsm_bias_backward(c, &p->bq_a, dlow, rs, c->R);
    dsm_bias_backward(c, &p->bkv_a, dlow + lq, rs, c->R);
}

static void norm_latent(const dsm_ctx *c, const dsm_vector *w, dsm_real *y, dsm_real *rstd,
                        const dsm_real *x)
{
    c->k->rmsnorm(c->exec, y, rstd, x, w->w, c->R, w->n, LATENT_EPS);
}

/* dx (R, n) = by the norm's input, from dy. */
static void norm_latent_backward(const dsm_ctx *c, const dsm_vector *w, dsm_real *dx,
                                 const dsm_real *dy, const dsm_real *x, const dsm_real *rstd)
{
    dsm_clear(c, dx, c->R * w->n);
    c->k->rmsnorm_bwd(c->exec, dx, w->dw, dy, x, w->w, rstd, c->R, w->n);
}

/* Rotated queries, the normed latent and the rotated shared key of this pass's rows. */
static void project(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act,
                    const dsm_real *x)
{
    const dsm_model_config *g = c->config;
    const int64_t lq = g->q_lora_rank, lk = g->kv_lora_rank, nq = dsm_model_config_q_width(g);
    project_inputs(c, p, act, x);
    take_columns(c, act->latent_low, act->low, lq, lk);
    take_columns(c, act->shared, act->low, lq + lk, g->qk_rope_head_dim);
    norm_latent(c, &p->kv_norm, act->latent, act->latent_rstd, act->latent_low);
    if (lq > 0) {
        take_columns(c, act->q_low, act->low, 0, lq);
        norm_latent(c, &p->q_a_norm, act->q_latent, act->q_rstd, act->q_low);
        dsm_linear_forward(c, &p->q, act->q, nq, false, act->q_latent, c->R);
    }
    rotate_both(c, act->q, act->shared, +1);
    dsm_watch(c, "queries", act->q, c->R * nq);
    dsm_watch(c, "latent keys and values", act->latent, c->R * lk);
    dsm_lap(c, DSM_PART_PROJECT);
}

/* k, kv of `rows` rows from their latents, written from row `at` on. */
static void expand(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act, int64_t at,
                   const dsm_real *latent, dsm_real *shared, int64_t rows)
{
    dsm_real *kv = act->kv + at * kv_width(c->config);
    dsm_real *k = act->k + at * dsm_model_config_q_width(c->config);
    const dsm_keys op = describe_keys(c, rows, k, kv, shared);
    if (rows == 0) return;
    dsm_linear_forward(c, &p->kv_b, kv, kv_width(c->config), false, latent, rows);
    c->k->keys(c->exec, &op);
    dsm_lap(c, DSM_PART_PROJECT);
}

/* --- the naive form ---------------------------------------------------------------------- */

static void attend_fresh(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act)
{
    dsm_attention op = describe(c, act, 0);
    expand(c, p, act, 0, act->latent, act->shared, c->R);
    c->k->attention(c->exec, &op);
    dsm_lap(c, DSM_PART_ATTENTION);
}

typedef struct naive {
    const dsm_mla_params *p;
    const mla_act *act;
} naive;

/* Cached positions from `begin` on as k, kv from row 0 on; those of this pass are at hand. */
static void show_expanded(const dsm_ctx *c, void *arg, int64_t begin, int64_t end)
{
    const naive *n = arg;
    const mla_act *act = n->act;
    const dsm_cache *cache = c->cache;
    const int64_t lk = c->config->kv_lora_rank, dr = c->config->qk_rope_head_dim;
    const int64_t past = (end < cache->length ? end : cache->length) - begin;
    const unsigned char *rows = dsm_cache_row(cache, c->layer, begin);
    c->k->load_rows(c->exec, act->past_latent, lk, rows, cache->dtype, cache->row_bytes, past, lk);
    c->k->load_rows(c->exec, act->past_shared, dr, rows + dsm_dtype_bytes(cache->dtype, lk),
                    cache->dtype, cache->row_bytes, past, dr);
    expand(c, n->p, act, 0, act->past_latent, act->past_shared, past);
    if (end > cache->length) expand(c, n->p, act, past, act->latent, act->shared, c->R);
}

static void attend_past(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act)
{
    dsm_attention op = describe(c, act, 0);
    dsm_attend_past(c, &op, &act->past, show_expanded, &(naive){p, act});
}

/* --- the absorbed form ------------------------------------------------------------------- */

/* One map per head: rows of `in` (H, K) and `out` (H, N) are the heads of one token. */
static dsm_linear head_maps(const dsm_ctx *c, const mla_act *act, const dsm_mat *w)
{
    return (dsm_linear){.n_groups = (int)c->config->num_attention_heads,
                        .begin = act->heads,
                        .N = w->rows,
                        .K = w->cols,
                        .w = w};
}

/* The queries of token t: W_UKᵀ q^C for q^C, by whichever matrix can be multiplied. */
static void absorb_queries(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act, int64_t t,
                           dsm_real *to)
{
    const dsm_model_config *g = c->config;
    dsm_real *q = act->q + t * dsm_model_config_q_width(g);
    bool transposed = p->key_down[0].data != NULL;
    dsm_linear op = head_maps(c, act, transposed ? p->key_down : p->key_up);
    op.x = op.y = q;
    op.x_rs = op.y_rs = g->head_dim;
    if (transposed) {
        op.y = to;
        op.y_rs = cache_width(g);
        c->k->linear(c->exec, &op);
    } else {
        op.dx = to;
        op.dx_rs = cache_width(g);
        c->k->linear_input(c->exec, &op);
    }
    c->k->columns(c->exec, to + g->kv_lora_rank, cache_width(g), q + g->qk_nope_head_dim,
                  g->head_dim, g->num_attention_heads, g->qk_rope_head_dim);
}

/* The outputs of token t: W_UV applied to Σ p c. */
static void release_values(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act, int64_t t,
                           const dsm_real *from)
{
    dsm_linear op = head_maps(c, act, p->value_up);
    op.x = from;
    op.x_rs = c->config->kv_lora_rank;
    op.y = act->out + t * dsm_model_config_o_width(c->config);
    op.y_rs = c->config->v_head_dim;
    c->k->linear(c->exec, &op);
}

/* n <= DSM_CACHE_FEW tokens from row t on. */
static void attend_few(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act, int64_t t,
                       int64_t n)
{
    const dsm_model_config *g = c->config;
    const int64_t H = g->num_attention_heads, width = cache_width(g), lk = g->kv_lora_rank;
    const unsigned char *rows = dsm_cache_row(c->cache, c->layer, 0);
    for (int64_t i = 0; i < n; i++)
        absorb_queries(c, p, act, t + i, act->q_absorbed + i * H * width);
    dsm_lap(c, DSM_PART_PROJECT);
    dsm_attend_stored(c, &(dsm_decode){.T = n,
                                       .past = c->cache->length + t,
                                       .H = H,
                                       .Hk = 1,
                                       .Dk = width,
                                       .Dv = lk,
                                       .scale = score_scale(g),
                                       .q = act->q_absorbed,
                                       .q_rs = H * width,
                                       .k = rows,
                                       .v = rows,
                                       .out = act->o_latent,
                                       .out_rs = H * lk});
    for (int64_t i = 0; i < n; i++)
        release_values(c, p, act, t + i, act->o_latent + i * H * lk);
    dsm_lap(c, DSM_PART_PROJECT);
}

static void attend_absorbed(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act)
{
    for (int64_t t = 0; t < c->R; t += DSM_CACHE_FEW)
        attend_few(c, p, act, t, c->R - t < DSM_CACHE_FEW ? c->R - t : DSM_CACHE_FEW);
}

/* --- forward ----------------------------------------------------------------------------- */

static void store_latents(const dsm_ctx *c, const mla_act *act)
{
    const dsm_cache *to = c->cache;
    const int64_t lk = c->config->kv_lora_rank, dr = c->config->qk_rope_head_dim;
    unsigned char *rows = dsm_cache_row(to, c->layer, to->length);
    c->k->store_rows(c->exec, rows, to->dtype, to->row_bytes, act->latent, lk, c->R, lk);
    c->k->store_rows(c->exec, rows + dsm_dtype_bytes(to->dtype, lk), to->dtype, to->row_bytes,
                     act->shared, dr, c->R, dr);
}

static void attend(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act)
{
    bool fresh = !c->cache || c->cache->length == 0;
    if (c->cache) store_latents(c, act);
    if (fresh && (c->R > DSM_CACHE_FEW || !c->cache))
        attend_fresh(c, p, act);
    else if (c->R <= DSM_CACHE_FEW || !act->past_latent)
        attend_absorbed(c, p, act);
    else
        attend_past(c, p, act);
}

static void forward(const dsm_ctx *c, const dsm_attn_params *p, void *state, dsm_real *y,
                    const dsm_real *x)
{
    const mla_act *act = state;
    const int64_t d = c->config->hidden_size;
    project(c, &p->mla, act, x);
    attend(c, &p->mla, act);
    dsm_watch(c, "attention output", act->out, c->R * dsm_model_config_o_width(c->config));
    dsm_linear_forward(c, &p->o, y, d, true, act->out, c->R);
    dsm_bias_forward(c, &p->bo, y, d, c->R);
    dsm_lap(c, DSM_PART_PROJECT);
}

/* --- backward ---------------------------------------------------------------------------- */

/* From do the kernel gives dq, dk and dv; dv lies in dkv, where dk's first parts join it. dk^R is
 * the sum over heads; rotations turn back; c receives from keys and values at once, through W_kvb.
 */

static void attend_backward(const dsm_ctx *c, const mla_act *act, const mla_scratch *s)
{
    const dsm_model_config *g = c->config;
    const dsm_keys keys = describe_keys(c, c->R, s->dk, s->dkv, s->dshared);
    dsm_attention op = describe(c, act, 0);
    op.dout = s->dout;
    op.dq = s->dq;
    op.dk = s->dk;
    op.dv = s->dkv + g->qk_nope_head_dim;
    op.delta = s->delta;
    c->k->attention_bwd(c->exec, &op);
    c->k->keys_bwd(c->exec, &keys);
    rotate_both(c, s->dq, s->dshared, -1);
    dsm_lap(c, DSM_PART_ATTENTION);
}

/* dlow from the gradients of latents, queries and shared key; dx too, where queries have no latent.
 */
static void project_backward(const dsm_ctx *c, const dsm_mla_params *p, const mla_act *act,
                             const mla_scratch *s, dsm_real *dx, const dsm_real *x)
{
    const dsm_model_config *g = c->config;
    const int64_t lq = g->q_lora_rank, lk = g->kv_lora_rank, nq = dsm_model_config_q_width(g);
    dsm_linear_backward(c, &p->kv_b, s->dlatent, false, s->dkv, kv_width(g), act->latent, c->R);
    norm_latent_backward(c, &p->kv_norm, s->dlatent_low, s->dlatent, act->latent_low,
                         act->latent_rstd);
    put_columns(c, s->dlow, s->dlatent_low, lq, lk);
    put_columns(c, s->dlow, s->dshared, lq + lk, g->qk_rope_head_dim);
    if (lq > 0) {
        dsm_linear_backward(c, &p->q, s->dq_latent, false, s->dq, nq, act->q_latent, c->R);
        norm_latent_backward(c, &p->q_a_norm, s->dq_low, s->dq_latent, act->q_low, act->q_rstd);
        put_columns(c, s->dlow, s->dq_low, 0, lq);
    } else {
        dsm_linear_backward(c, &p->q, dx, false, s->dq, nq, x, c->R);
    }
    project_low_backward(c, p, dx, lq == 0, s->dlow, x);
}

static void backward(const dsm_ctx *c, const dsm_attn_params *p, void *state, void *scratch,
                     dsm_real *dx, const dsm_real *dy, const dsm_real *x)
{
    const mla_act *act = state;
    const mla_scratch *s = scratch;
    const int64_t d = c->config->hidden_size;
    dsm_linear_backward(c, &p->o, s->dout, false, dy, d, act->out, c->R);
    dsm_bias_backward(c, &p->bo, dy, d, c->R);
    dsm_lap(c, DSM_PART_PROJECT);
    attend_backward(c, act, s);
    project_backward(c, &p->mla, act, s, dx, x);
    dsm_lap(c, DSM_PART_PROJECT);
}

const dsm_attention_kind dsm_attention_mla = {
    .name = "mla",
    .cache_width = cache_width,
    .cache_unit = cache_unit,
    .decode_width = decode_width,
    .carve = carve,
    .carve_scratch = carve_scratch,
    .forward = forward,
    .backward = backward,
};
