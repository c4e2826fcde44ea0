/* SPDX-License-Identifier: MIT */
/* The experts' rows are sorted by expert once; every step between is one grouped kernel over all of
 * them. Buffers are carved at the worst case of P = R·K rows (dsm_router_pairs). Sums per token run
 * over k in ascending order. */
#include "model/moe.h"

static int64_t shared_width(const dsm_model_config *c)
{
    return c->n_shared_experts * c->moe_intermediate_size;
}

static int64_t slots(const dsm_shape *g)
{
    return g->R * dsm_router_slots(g->config, g->K);
}

static int64_t pairs(const dsm_shape *g)
{
    return dsm_router_pairs(g->config, g->K, g->R);
}

static void carve_routing(dsm_moe_act *s, dsm_arena *a, const dsm_shape *g)
{
    int64_t E = g->config->n_routed_experts;
    if (E == 0) return;
    s->route.logit = dsm_take_reals(a, g->R * E);
    s->route.score = dsm_take_reals(a, g->R * E);
    s->distill = dsm_distill_carve(a, g);
    if (g->config->router == DSM_ROUTER_STABLE) s->route.distilled = dsm_take_reals(a, g->R * E);
    s->dispatch = dsm_dispatch_carve(a, slots(g), pairs(g), E);
    s->balance = dsm_balance_carve(a, g->balance, g->n_seq, g->R, E);
}

static dsm_ffn_act carve_beside(dsm_arena *a, const dsm_shape *g)
{
    const int64_t F = shared_width(g->config), R = g->R < DSM_MOE_FEW ? g->R : DSM_MOE_FEW;
    if (g->training) return (dsm_ffn_act){0};
    return (dsm_ffn_act){.gu = dsm_take_reals(a, R * 2 * F), .act = dsm_take_reals(a, R * F)};
}

dsm_moe_act dsm_moe_carve_shared(dsm_arena *a, const dsm_shape *g, const dsm_ffn_act *ffn)
{
    dsm_moe_act s = {.experts = *ffn, .shared = *ffn, .beside = carve_beside(a, g)};
    if (!g->keep.stream) carve_routing(&s, a, g);
    return s;
}

dsm_moe_act dsm_moe_carve(const dsm_homes *at, const dsm_shape *g, const dsm_moe_act *shared)
{
    const dsm_model_config *c = g->config;
    dsm_moe_act s = *shared;
    int64_t rows = c->n_shared_experts > 0 ? g->R : 0;
    s.shared = dsm_ffn_carve(at->kept, rows, shared_width(c), g->keep.ffn, &shared->shared);
    s.experts = dsm_ffn_carve(at->kept, pairs(g), c->moe_intermediate_size, g->keep.experts,
                              &shared->experts);
    if (g->keep.stream) carve_routing(&s, at->kept, g);
    s.route.pick = dsm_take_ints(at->stay, slots(g));
    s.route.gate = dsm_take_reals(at->stay, slots(g));
    return s;
}

dsm_moe_scratch dsm_moe_carve_scratch(dsm_arena *a, const dsm_shape *g)
{
    const dsm_model_config *c = g->config;
    int64_t R = g->R, E = c->n_routed_experts, P = pairs(g), D = c->hidden_size;
    dsm_moe_scratch w = {.work = dsm_take_reals(a, R * E), .rows = dsm_take_reals(a, P * D)};
    if (dsm_router_of(c->router)->by_expert) w.order = dsm_take_ints(a, R);
    if (!g->training) return w;
    w.drow_gate = dsm_take_reals(a, P);
    w.dgate = dsm_take_reals(a, slots(g));
    w.dscore = dsm_take_reals(a, R * E);
    w.dlogit = dsm_take_reals(a, R * E);
    if (c->jitter > 0) w.seen = dsm_take_reals(a, R * D);
    if (c->jitter > 0) w.dseen = dsm_take_reals(a, R * D);
    if (c->router == DSM_ROUTER_STABLE) w.dfeature = dsm_take_reals(a, R * c->distilled_width);
    return w;
}

/* --- forward ----------------------------------------------------------------------------- */

/* What the router sees: x, or in training x with noise. */
static const dsm_real *router_input(const dsm_ctx *c, const dsm_moe_scratch *w, const dsm_real *x)
{
    if (!w->seen || !c->mode->training) return x;
    dsm_jitter_forward(c, w->seen, x);
    return w->seen;
}

static void describe_route(const dsm_ctx *c, const dsm_moe_params *p, dsm_moe_act *s,
                           const dsm_moe_scratch *w)
{
    dsm_route *r = &s->route;
    r->config = c->config;
    r->mode = c->mode;
    r->layer = c->layer;
    r->T = c->R;
    r->E = c->config->n_routed_experts;
    r->active = dsm_route_picks(c->mode, c->config);
    r->K = dsm_route_by_expert(c->config, c->mode) ? r->E : r->active;
    r->seq_len = c->T;
    r->tokens = c->tokens;
    r->hash = p->hash;
    r->bias = p->bias;
    r->work = w->work;
    r->order = w->order;
}

static void route(const dsm_ctx *c, const dsm_moe_params *p, dsm_moe_act *s,
                  const dsm_moe_scratch *w, const dsm_real *x)
{
    const dsm_router *router = dsm_router_of(c->config->router);
    describe_route(c, p, s, w);
    if (router->has_weight) {
        dsm_linear_forward(c, &p->router, s->route.logit, s->route.E, false, router_input(c, w, x),
                           c->R);
        dsm_watch(c, "router logits", s->route.logit, c->R * s->route.E);
    }
    dsm_distill_forward(c, &p->distilled, &s->distill, &s->route);
    router->forward(c->exec, &s->route);
    dsm_distill_loss(c, &s->distill, &s->route);
    if (c->balance) dsm_drop_apply(c->exec, &c->balance->drop, &s->route);
    if (c->balance)
        dsm_balance_forward(c->exec, c->balance, &s->route, &s->balance, c->balance_loss);
    dsm_lap(c, DSM_PART_ROUTER);
}

static dsm_rows expert_rows(const dsm_moe_act *s, const dsm_moe_scratch *w)
{
    return (dsm_rows){(int)s->route.E, s->dispatch.begin, s->dispatch.rows, s->dispatch.gate,
                      w->drow_gate};
}

/* The routed experts, and with them the shared ones if `shared` is not NULL. */
static void experts_forward(const dsm_ctx *c, const dsm_moe_params *p, const dsm_moe_act *s,
                            const dsm_moe_scratch *w, const dsm_ffn *shared, dsm_real *y,
                            const dsm_real *x)
{
    dsm_rows at = expert_rows(s, w);
    dsm_ffn ffn[2] = {{&p->experts, &s->experts, &at, w->rows, false}};
    if (shared) ffn[1] = *shared;
    dsm_dispatch_sort(&s->dispatch, &s->route);
    dsm_lap(c, DSM_PART_DISPATCH);
    dsm_ffn_forward_all(c, ffn, shared ? 2 : 1, x);
    dsm_watch(c, "expert outputs", w->rows, at.begin[at.n_groups] * p->experts.D);
    dsm_lap(c, DSM_PART_EXPERTS);
    c->k->combine(c->exec, y, w->rows, s->dispatch.pos, c->R, s->route.K, p->experts.D);
    dsm_lap(c, DSM_PART_DISPATCH);
}

void dsm_moe_forward(const dsm_ctx *c, const dsm_moe_params *p, dsm_moe_act *s,
                     const dsm_moe_scratch *w, dsm_real *y, const dsm_real *x)
{
    const int32_t all[2] = {0, (int32_t)c->R};
    const dsm_rows rows = {.n_groups = 1, .begin = all};
    const bool has_shared = p->shared.n_groups > 0 && !c->mode->drop_shared;
    const bool together =
        has_shared && p->experts.n_groups > 0 && c->R <= DSM_MOE_FEW && s->beside.gu;
    const dsm_ffn shared = {&p->shared, together ? &s->beside : &s->shared, &rows, y, true};
    if (has_shared && !together) {
        dsm_ffn_forward_all(c, &shared, 1, x);
        dsm_lap(c, DSM_PART_SHARED);
    }
    if (p->experts.n_groups == 0) return;
    route(c, p, s, w, x);
    if (c->observer) c->observer->moe(c->observer->arg, c, p, &s->route, x);
    experts_forward(c, p, s, w, together ? &shared : NULL, y, x);
}

/* Each expert's row of token t receives dy_t, and its backward gives dx_tk and dgate_tk; dx_t +=
 * Σ_k dx_tk. The router adds W_rᵀ dlogit_t, where dlogit comes from dgate and the balance losses;
 * picks are constants. */

static void router_backward(const dsm_ctx *c, const dsm_moe_params *p, const dsm_moe_act *s,
                            const dsm_moe_scratch *w, dsm_real *dx, const dsm_real *x)
{
    const dsm_router *router = dsm_router_of(c->config->router);
    if (!router->has_weight) return;
    dsm_balance_backward(c->exec, c->balance, &s->route, &s->balance, c->weight, w->dscore,
                         w->dlogit);
    router->backward(c->exec, &s->route, w->dlogit, w->dgate, w->dscore);
    dsm_distill_backward(c, &p->distilled, &s->distill, &s->route, w->dscore, w->dfeature);
    const dsm_real *seen = router_input(c, w, x);
    if (seen == x) {
        dsm_linear_backward(c, &p->router, dx, true, w->dlogit, s->route.E, x, c->R);
    } else {
        dsm_linear_backward(c, &p->router, w->dseen, false, w->dlogit, s->route.E, seen, c->R);
        dsm_jitter_backward(c, dx, w->dseen);
    }
    dsm_lap(c, DSM_PART_ROUTER);
}

static void experts_backward(const dsm_ctx *c, const dsm_moe_params *p, const dsm_moe_act *s,
                             const dsm_moe_scratch *w, dsm_real *dx, const dsm_real *dy,
                             const dsm_real *x)
{
    dsm_rows at = expert_rows(s, w);
    dsm_ffn_backward(c, &p->experts, &s->experts, &at, w->rows, false, dy, x);
    dsm_lap(c, DSM_PART_EXPERTS);
    c->k->combine(c->exec, dx, w->rows, s->dispatch.pos, c->R, s->route.K, p->experts.D);
    dsm_dispatch_unsort(&s->dispatch, &s->route, w->dgate, w->drow_gate);
    dsm_lap(c, DSM_PART_DISPATCH);
}

void dsm_moe_backward(const dsm_ctx *c, const dsm_moe_params *p, const dsm_moe_act *s,
                      const dsm_moe_scratch *w, dsm_real *dx, const dsm_real *dy, const dsm_real *x)
{
    const int32_t all[2] = {0, (int32_t)c->R};
    if (p->shared.n_groups > 0) {
        dsm_ffn_backward(c, &p->shared, &s->shared, &(dsm_rows){.n_groups = 1, .begin = all}, dx,
                         false, dy, x);
        dsm_lap(c, DSM_PART_SHARED);
    } else {
        dsm_clear(c, dx, c->R * c->config->hidden_size);
    }
    if (p->experts.n_groups == 0) return;
    experts_backward(c, p, s, w, dx, dy, x);
    router_backward(c, p, s, w, dx, x);
}
