/* SPDX-License-Identifier: MIT */
#include "model/block.h"

dsm_block_act dsm_block_carve(dsm_arena *a, const dsm_block_shape *g, bool is_moe, dsm_real *stream,
                              const dsm_block_act *like)
{
    dsm_block_act s = {0};
    int64_t size = g->R * g->config->hidden_size;
    if (like) {
        s = *like;
    } else {
        s.x = g->training ? dsm_take_reals(a, size) : stream;
        s.h = g->training ? dsm_take_reals(a, size) : stream;
        s.x_norm = dsm_take_reals(a, size);
        s.h_norm = g->training ? dsm_take_reals(a, size) : s.x_norm;
        s.x_rstd = dsm_take_reals(a, g->R);
        s.h_rstd = dsm_take_reals(a, g->R);
        s.attn = dsm_attention_of(g->config)->carve(a, g->config, g->R, g->training);
        if (!is_moe) s.ffn = dsm_ffn_carve(a, g->R, g->config->intermediate_size);
    }
    if (is_moe)
        s.moe = dsm_moe_carve(a, g->config, g->balance, g->n_seq, g->R, g->training,
                              like ? &like->moe : NULL);
    return s;
}

dsm_block_scratch dsm_block_carve_scratch(dsm_arena *a, const dsm_block_shape *g)
{
    const dsm_model_config *c = g->config;
    dsm_block_scratch w = {.moe = dsm_moe_carve_scratch(a, c, g->R, g->training)};
    if (!g->training) return w;
    w.attn = dsm_attention_of(c)->carve_scratch(a, c, g->R);
    w.dnorm = dsm_take_reals(a, g->R * c->hidden_size);
    return w;
}

void dsm_block_forward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                       const dsm_block_scratch *w, dsm_real *out)
{
    const int32_t all[2] = {0, (int32_t)c->R};
    int64_t size = c->R * c->config->hidden_size;
    dsm_norm_forward(c, &p->attn_norm, s->x_norm, s->x_rstd, s->x, c->R);
    dsm_watch(c, "attention norm", s->x_norm, size);
    dsm_copy(c, s->h, s->x, size);
    dsm_attention_of(c->config)->forward(c, &p->attn, s->attn, s->h, s->x_norm);
    dsm_watch(c, "stream after attention", s->h, size);

    dsm_norm_forward(c, &p->ffn_norm, s->h_norm, s->h_rstd, s->h, c->R);
    dsm_watch(c, "FFN norm", s->h_norm, size);
    dsm_copy(c, out, s->h, size);
    if (p->is_moe) {
        dsm_moe_forward(c, &p->moe, &s->moe, &w->moe, out, s->h_norm);
    } else {
        dsm_ffn_forward(c, &p->ffn, &s->ffn, &(dsm_rows){1, all, NULL, NULL, NULL}, out, true,
                        s->h_norm);
        dsm_lap(c, DSM_PART_DENSE);
    }
    dsm_watch(c, "stream after FFN", out, size);
}

/* out = h + FFN(norm2(h)):  dh = dout + norm2'(FFN'(dout)), and the same for attention: each norm's
 * backward adds to the stream's gradient, which carries the residual. */
void dsm_block_backward(const dsm_ctx *c, const dsm_layer_params *p, dsm_block_act *s,
                        const dsm_block_scratch *w, dsm_real *dstream)
{
    const int32_t all[2] = {0, (int32_t)c->R};
    if (p->is_moe) {
        dsm_moe_backward(c, &p->moe, &s->moe, &w->moe, w->dnorm, dstream, s->h_norm);
    } else {
        dsm_ffn_backward(c, &p->ffn, &s->ffn, &(dsm_rows){1, all, NULL, NULL, NULL}, w->dnorm,
                         false, dstream, s->h_norm);
        dsm_lap(c, DSM_PART_DENSE);
    }
    dsm_norm_backward(c, &p->ffn_norm, dstream, w->dnorm, s->h, s->h_rstd, c->R);

    dsm_attention_of(c->config)->backward(c, &p->attn, s->attn, w->attn, w->dnorm, dstream,
                                          s->x_norm);
    dsm_norm_backward(c, &p->attn_norm, dstream, w->dnorm, s->x, s->x_rstd, c->R);
}
