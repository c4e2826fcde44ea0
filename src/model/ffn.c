/* SPDX-License-Identifier: MIT */
#include "model/ffn.h"

dsm_ffn_act dsm_ffn_carve(dsm_arena *a, int64_t R, int64_t F, bool keep, const dsm_ffn_act *shared)
{
    if (!keep) return *shared;
    return (dsm_ffn_act){.gu = dsm_take_reals(a, R * 2 * F), .act = shared->act};
}

/* The maps from x (D) to gu (2F): one if gate and up lie together, else one for each half. */
typedef struct inner_maps {
    dsm_linear map[2];
    int n;
} inner_maps;

static dsm_linear inner_map(const dsm_ffn_params *p, const dsm_rows *at, int64_t N,
                            const dsm_mat *w, dsm_real *const *dw, const dsm_real *x, dsm_real *y)
{
    return (dsm_linear){.n_groups = at->n_groups,
                        .begin = at->begin,
                        .N = N,
                        .K = p->D,
                        .w = w,
                        .x = x,
                        .x_rs = p->D,
                        .x_rows = at->rows,
                        .y = y,
                        .y_rs = 2 * p->F,
                        .dx_rs = p->D,
                        .dw = dw};
}

static inner_maps inner(const dsm_ffn_params *p, const dsm_rows *at, const dsm_real *x,
                        dsm_real *gu)
{
    if (p->merged)
        return (inner_maps){{inner_map(p, at, 2 * p->F, p->gate_up, p->dgate, x, gu)}, 1};
    return (inner_maps){{inner_map(p, at, p->F, p->gate, p->dgate, x, gu),
                         inner_map(p, at, p->F, p->up, p->dup, x, gu + p->F)},
                        2};
}

/* The map from act (F) to y (D). */
static dsm_linear outer(const dsm_ffn_params *p, const dsm_rows *at, const dsm_real *act,
                        dsm_real *y)
{
    return (dsm_linear){.n_groups = at->n_groups,
                        .begin = at->begin,
                        .N = p->D,
                        .K = p->F,
                        .w = p->down,
                        .x = act,
                        .x_rs = p->F,
                        .y = y,
                        .y_rs = p->D,
                        .dx_rs = p->F,
                        .dw = p->ddown};
}

/* Maps that do not wait for each other are one call. */
static void inner_forward(const dsm_ctx *c, inner_maps *in, int n)
{
    const dsm_linear *next = NULL;
    while (n-- > 0)
        for (int m = in[n].n - 1; m >= 0; m--) {
            in[n].map[m].next = next;
            next = &in[n].map[m];
        }
    c->k->linear(c->exec, next);
}

void dsm_ffn_forward_all(const dsm_ctx *c, const dsm_ffn *f, int n, const dsm_real *x)
{
    inner_maps in[DSM_FFNS];
    dsm_linear down[DSM_FFNS] = {{0}};
    for (int i = 0; i < n; i++) {
        in[i] = inner(f[i].p, f[i].at, x, f[i].s->gu);
        down[i] = outer(f[i].p, f[i].at, f[i].s->act, f[i].y);
        down[i].accumulate = f[i].accumulate;
        down[i].next = i + 1 < n ? &down[i + 1] : NULL;
    }
    inner_forward(c, in, n);
    for (int i = 0; i < n; i++) {
        const int64_t F = f[i].p->F;
        c->k->swiglu(c->exec, f[i].s->act, f[i].s->gu, f[i].s->gu + F, 2 * F, f[i].at->gate,
                     f[i].at->begin[f[i].at->n_groups], F);
    }
    c->k->linear(c->exec, down);
}

void dsm_ffn_forward(const dsm_ctx *c, const dsm_ffn_params *p, const dsm_ffn_act *s,
                     const dsm_rows *at, dsm_real *y, bool accumulate, const dsm_real *x)
{
    dsm_ffn_forward_all(c, &(dsm_ffn){p, s, at, y, accumulate}, 1, x);
}

/* h = γ silu(g) ⊙ u, y = W_down h:
 *   dh = W_downᵀ dy
 *   dγ = <dh, silu(g) ⊙ u>,  du = γ dh ⊙ silu(g),  dg = γ dh ⊙ u ⊙ silu'(g)
 *   dW_down += dy hᵀ
 *   dx = W_gateᵀ dg + W_upᵀ du,  dW_gate += dg xᵀ,  dW_up += du xᵀ
 * The second line is one pass that writes dg, du over g, u and h, which was not kept, over dh. */
void dsm_ffn_backward(const dsm_ctx *c, const dsm_ffn_params *p, const dsm_ffn_act *s,
                      const dsm_rows *at, dsm_real *dx, bool accumulate, const dsm_real *dy,
                      const dsm_real *x)
{
    inner_maps in = inner(p, at, x, s->gu);
    dsm_linear down = outer(p, at, s->act, (dsm_real *)(uintptr_t)dy);
    dsm_real *g = s->gu, *u = s->gu + p->F;
    if (s->again) inner_forward(c, &in, 1);
    down.dx = s->act;
    down.dy_rows = at->rows;
    down.first = c->first_gradients;
    c->k->linear_input(c->exec, &down);
    c->k->swiglu_bwd(c->exec, g, u, at->dgate, s->act, g, u, 2 * p->F, at->gate,
                     at->begin[at->n_groups], p->F);
    c->k->linear_weight(c->exec, &down);
    for (int i = 0; i < in.n; i++) {
        in.map[i].dx = dx;
        in.map[i].first = c->first_gradients;
        in.map[i].accumulate = accumulate || i > 0;
        c->k->linear_weight(c->exec, &in.map[i]);
        c->k->linear_input(c->exec, &in.map[i]);
    }
}
