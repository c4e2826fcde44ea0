/* SPDX-License-Identifier: MIT */
#include "model/distill.h"

dsm_distill_act dsm_distill_carve(dsm_arena *a, const dsm_shape *g)
{
    const dsm_model_config *c = g->config;
    if (c->router != DSM_ROUTER_STABLE) return (dsm_distill_act){0};
    return (dsm_distill_act){.feature = dsm_take_reals(a, g->R * c->distilled_width),
                             .loss = dsm_take_reals(a, g->R)};
}

/* Is this a pass of the first stage, in which the distilled router learns? */
static bool learns(const dsm_ctx *c, const dsm_distill_act *s)
{
    return s->feature && c->balance && c->balance->distill > 0 && c->mode->training &&
           !c->mode->distilled;
}

void dsm_distill_forward(const dsm_ctx *c, const dsm_distilled_params *p, const dsm_distill_act *s,
                         const dsm_route *r)
{
    bool decides = s->feature && !(c->mode->training && !c->mode->distilled);
    if (!decides && !learns(c, s)) return;
    c->k->gather(c->exec, s->feature, &p->embed.w, c->tokens, c->R);
    dsm_linear_forward(c, &p->centroid, r->distilled, r->E, false, s->feature, c->R);
    dsm_watch(c, "distilled router logits", r->distilled, c->R * r->E);
}

/* Cross entropy of the picks, in a copy of ẑ, which `scale` turns into its gradient. */
static void cross_entropy(const dsm_ctx *c, const dsm_distill_act *s, const dsm_route *r,
                          dsm_real *copy, double scale)
{
    dsm_copy(c, copy, r->distilled, c->R * r->E);
    c->k->xent(c->exec, copy, r->E, r->pick, s->loss, c->R, r->E, (dsm_real)scale);
}

void dsm_distill_loss(const dsm_ctx *c, const dsm_distill_act *s, const dsm_route *r)
{
    double sum = 0;
    if (!learns(c, s)) return;
    cross_entropy(c, s, r, r->work, 0);
    for (int64_t t = 0; t < c->R; t++)
        sum += (double)s->loss[t];
    c->balance_loss->distill += c->balance->distill * sum / (double)c->R;
}

/* dẑ_t = β/R (softmax(ẑ_t) - onehot(pick_t));   dÊ += Σ_t dẑ_t D[t]ᵀ;   dD[token_t] += Êᵀ dẑ_t */
void dsm_distill_backward(const dsm_ctx *c, const dsm_distilled_params *p, const dsm_distill_act *s,
                          const dsm_route *r, dsm_real *dlogit, dsm_real *dfeature)
{
    if (!learns(c, s)) return;
    cross_entropy(c, s, r, dlogit, c->weight * c->balance->distill / (double)c->R);
    dsm_linear_backward(c, &p->centroid, dfeature, false, dlogit, r->E, s->feature, c->R);
    if (p->embed.dw)
        c->k->gather_bwd(c->exec, p->embed.dw, dfeature, c->tokens, c->R, p->embed.w.cols);
}
