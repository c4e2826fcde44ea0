/* SPDX-License-Identifier: MIT */
#include "model/block.h"

/* --- memory ------------------------------------------------------------------------------ */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Activations of the largest FFN: among dense and shared ones, among routed experts. */
static int64_t largest(const dsm_shape *g, bool plain, bool routed)
{
    const dsm_model_config *c = g->config;
    int64_t size = 0, F = c->moe_intermediate_size;
    for (int64_t l = 0; l < c->num_hidden_layers; l++) {
        bool is_moe = dsm_model_config_is_moe(c, l);
        int64_t width = is_moe ? c->n_shared_experts * F : c->intermediate_size;
        if (plain) size = larger(size, g->R * width);
        if (routed && is_moe && g->K > 0) size = larger(size, dsm_router_pairs(c, g->K, g->R) * F);
    }
    return size;
}

/* FFN and attention take turns in one memory; returns the bytes it has to have. */
static size_t lay_out_turns(dsm_block_scratch *w, const dsm_shape *g, dsm_arena *stay, void *base,
                            size_t bytes)
{
    dsm_arena ffn = dsm_arena_over(base, bytes), attn = ffn;
    w->shared.ffn.act = dsm_take_reals(&ffn, largest(g, true, true));
    w->moe = dsm_moe_carve_scratch(&ffn, g);
    if (g->training)
        w->attn = dsm_attention_of(g->config)->carve_scratch(stay, &attn, g->config, g->R);
    return ffn.used > attn.used ? ffn.used : attn.used;
}

/* What layers do not keep. Gate and up of a layer's FFNs are used one after the other. */
static void carve_shared(dsm_block_act *s, dsm_arena *a, const dsm_shape *g)
{
    const dsm_keep *keep = &g->keep;
    int64_t size = g->R * g->config->hidden_size;
    if (!keep->stream) s->x = s->h = dsm_take_reals(a, size);
    if (keep->stream && !keep->attention) s->h = dsm_take_reals(a, size);
    if (!keep->attention)
        s->attn = dsm_attention_of(g->config)->carve(a, a, g->config, g->R, g->training);
    s->ffn.gu = dsm_take_reals(a, 2 * largest(g, !keep->ffn, !keep->experts));
    s->again = s->ffn.again = g->training;
    s->moe = dsm_moe_carve_shared(a, g, &s->ffn);
}

dsm_block_scratch dsm_block_carve_scratch(dsm_arena *a, const dsm_shape *g)
{
    int64_t size = g->R * g->config->hidden_size;
    dsm_block_scratch w = {.norm = dsm_take_reals(a, size), .rstd = dsm_take_reals(a, g->R)};
    dsm_arena none = {0};
    size_t bytes = lay_out_turns(&w, g, &none, NULL, 0); /* measure */
    lay_out_turns(&w, g, a, dsm_arena_take(a, bytes), bytes);
    carve_shared(&w.shared, a, g);
    if (g->training) w.dnorm = dsm_take_reals(a, size);
    return w;
}

dsm_block_act dsm_block_carve(const dsm_homes *at, const dsm_shape *g, bool is_moe,
                              const dsm_block_scratch *w)
{
    const dsm_model_config *c = g->config;
    dsm_block_act s = w->shared;
    int64_t size = g->R * c->hidden_size;
    if (g->keep.stream) s.x = dsm_take_reals(at->kept, size);
    if (g->keep.attention) {
        s.h = dsm_take_reals(at->kept, size);
        s.attn = dsm_attention_of(c)->carve(at->stay, at->kept, c, g->R, g->training);
        s.again = false;
    }
    if (is_moe)
        s.moe = dsm_moe_carve(at, g, &w->shared.moe);
    else
        s.ffn = dsm_ffn_carve(at->kept, g->R, c->intermediate_size, g->keep.ffn, &w->shared.ffn);
    return s;
}

/* --- forward ----------------------------------------------------------------------------- */

static void norm(const dsm_ctx *c, const dsm_vector *weight, const dsm_block_scratch *w,
                 const dsm_real *x)
{
    dsm_norm_forward(c, weight, w->norm, w->rstd, x, c->R);
}

/* h = x + Attention(norm1(x)) */
static void attention_forward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                              const dsm_block_scratch *w)
{
    int64_t size = c->R * c->config->hidden_size;
    norm(c, &p->attn_norm, w, s->x);
    dsm_watch(c, "attention norm", w->norm, size);
    dsm_copy(c, s->h, s->x, size);
    dsm_attention_of(c->config)->forward(c, &p->attn, s->attn, s->h, w->norm);
    dsm_watch(c, "stream after attention", s->h, size);
}

void dsm_block_forward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                       const dsm_block_scratch *w, dsm_real *out)
{
    const int32_t all[2] = {0, (int32_t)c->R};
    int64_t size = c->R * c->config->hidden_size;
    attention_forward(c, p, s, w);
    norm(c, &p->ffn_norm, w, s->h);
    dsm_watch(c, "FFN norm", w->norm, size);
    dsm_copy(c, out, s->h, size);
    if (p->is_moe) {
        dsm_moe_forward(c, &p->moe, &s->moe, &w->moe, out, w->norm);
    } else {
        dsm_ffn_forward(c, &p->ffn, &s->ffn, &(dsm_rows){.n_groups = 1, .begin = all}, out, true,
                        w->norm);
        dsm_lap(c, DSM_PART_DENSE);
    }
    dsm_watch(c, "stream after FFN", out, size);
}

/* --- backward ---------------------------------------------------------------------------- */

/* out = h + FFN(norm2(h)):  dh = dout + norm2'(FFN'(dout)), and the same for attention: each norm's
 * backward adds to the stream's gradient, which carries the residual. Normed streams are computed
 * again by the call that made them, so they are the same bits. */
void dsm_block_backward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                        const dsm_block_scratch *w, dsm_real *dstream)
{
    const int32_t all[2] = {0, (int32_t)c->R};
    if (s->again) attention_forward(c, p, s, w);
    norm(c, &p->ffn_norm, w, s->h);
    if (p->is_moe) {
        dsm_moe_backward(c, &p->moe, &s->moe, &w->moe, w->dnorm, dstream, w->norm);
    } else {
        dsm_ffn_backward(c, &p->ffn, &s->ffn, &(dsm_rows){.n_groups = 1, .begin = all}, w->dnorm,
                         false, dstream, w->norm);
        dsm_lap(c, DSM_PART_DENSE);
    }
    dsm_norm_backward(c, &p->ffn_norm, dstream, w->dnorm, s->h, w->rstd, c->R);

    norm(c, &p->attn_norm, w, s->x);
    dsm_attention_of(c->config)->backward(c, &p->attn, s->attn, w->attn, w->dnorm, dstream,
                                          w->norm);
    dsm_norm_backward(c, &p->attn_norm, dstream, w->dnorm, s->x, w->rstd, c->R);
}
