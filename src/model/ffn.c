/* SPDX-License-Identifier: MIT */
#include "model/ffn.h"

dsm_ffn_act dsm_ffn_carve(dsm_arena *a, int64_t R, int64_t F)
{
    return (dsm_ffn_act){.gu = dsm_take_reals(a, R * 2 * F), .act = dsm_take_reals(a, R * F)};
}

/* The map from x (D) to one half of gu (F). */
static dsm_linear inner(const dsm_ffn_params *p, const dsm_rows *at, const dsm_mat *w,
                        dsm_real *const *dw, const dsm_real *x, dsm_real *y)
{
    return (dsm_linear){.n_groups = at->n_groups, .begin = at->begin, .N = p->F, .K = p->D, .w = w,
                        .x = x, .x_rs = p->D, .x_rows = at->rows, .y = y, .y_rs = 2 * p->F,
                        .dx_rs = p->D, .dw = dw};
}

/* The map from act (F) to y (D). */
static dsm_linear outer(const dsm_ffn_params *p, const dsm_rows *at, const dsm_real *act, dsm_real *y)
{
    return (dsm_linear){.n_groups = at->n_groups, .begin = at->begin, .N = p->D, .K = p->F,
                        .w = p->down, .x = act, .x_rs = p->F, .y = y, .y_rs = p->D,
                        .dx_rs = p->F, .dw = p->ddown};
}

void dsm_ffn_forward(const dsm_ctx *c, const dsm_ffn_params *p, const dsm_ffn_act *s,
                     const dsm_rows *at, dsm_real *y, bool accumulate, const dsm_real *x)
{
    dsm_linear gate = inner(p, at, p->gate, p->dgate, x, s->gu);
    dsm_linear up = inner(p, at, p->up, p->dup, x, s->gu + p->F);
    dsm_linear down = outer(p, at, s->act, y);
    down.accumulate = accumulate;
    c->k->linear(c->exec, &gate);
    c->k->linear(c->exec, &up);
    c->k->swiglu(c->exec, s->act, s->gu, s->gu + p->F, 2 * p->F, at->begin[at->n_groups], p->F);
    c->k->linear(c->exec, &down);
}

/* h = silu(g) ⊙ u, y = W_down h:
 *   dh = W_downᵀ dy,  dW_down += dy hᵀ
 *   du = dh ⊙ silu(g),  dg = dh ⊙ u ⊙ silu'(g)      (written over g and u)
 *   dx = W_gateᵀ dg + W_upᵀ du,  dW_gate += dg xᵀ,  dW_up += du xᵀ */
void dsm_ffn_backward(const dsm_ctx *c, const dsm_ffn_params *p, const dsm_ffn_act *s,
                      const dsm_rows *at, dsm_real *dx, bool accumulate, const dsm_real *dy,
                      const dsm_real *x, dsm_real *dact)
{
    dsm_linear down = outer(p, at, s->act, (dsm_real *)(uintptr_t)dy);
    dsm_real *g = s->gu, *u = s->gu + p->F;
    down.dx = dact;
    c->k->linear_weight(c->exec, &down);
    c->k->linear_input(c->exec, &down);
    c->k->swiglu_bwd(c->exec, g, u, dact, g, u, 2 * p->F, at->begin[at->n_groups], p->F);

    dsm_linear gate = inner(p, at, p->gate, p->dgate, x, g);
    dsm_linear up = inner(p, at, p->up, p->dup, x, u);
    gate.dx = up.dx = dx;
    gate.accumulate = accumulate;
    up.accumulate = true;
    c->k->linear_weight(c->exec, &gate);
    c->k->linear_weight(c->exec, &up);
    c->k->linear_input(c->exec, &gate);
    c->k->linear_input(c->exec, &up);
}
