/* SPDX-License-Identifier: MIT */
/* Each forward/backward pair of src/model by itself, in double: the gradient by its input and by
 * each of its parameters, through the scalar <output, fixed weights>. test_grad_net.c covers their
 * composition. */
#include "support/derivative.h"
#include "support/support.h"

#include "core/clock.h"
#include "core/rng.h"
#include "model/block.h"
#include "model/ends.h"
#include "model/rope.h"

#include <stdio.h>
#include <string.h>

enum { B = 2, T = 5, R = B * T, V = 13, LAYER = 1, MAX = 4096 };
#define TOLERANCE 1e-8

/* Layer LAYER of a small model, its activations, and what a pair reads and writes. */
typedef struct bench {
    dsm_kernels kernels;
    dsm_exec exec;
    dsm_model *model;
    dsm_ctx ctx;
    dsm_route_mode mode;
    dsm_balance balance;
    dsm_recompute recompute;
    dsm_balance_loss loss;
    dsm_stopwatch watch;
    dsm_arena memory;
    dsm_block_act act;
    dsm_block_scratch scratch;
    dsm_loss_scratch head;
    dsm_real *rope;
    dsm_real ones[R * 8];
    int32_t tokens[R], targets[R];
    dsm_real x[MAX], dx[MAX], out[MAX], weight[MAX]; /* weight = gradient by out */
    int64_t n_x, n_out;
    void (*forward)(struct bench *b);
    void (*backward)(struct bench *b); /* dx and the parameters' gradients from weight */
} bench;

static const dsm_layer_params *layer(const bench *b)
{
    return &b->model->layers[LAYER];
}

static void fill(dsm_real *v, int64_t n, uint32_t step)
{
    dsm_rng rng = {5, DSM_STREAM_TEST, step};
    assert_true(n <= MAX);
    for (int64_t i = 0; i < n; i++)
        v[i] = (dsm_real)dsm_rng_normal(&rng, (uint64_t)i);
}

static dsm_model_config config(bool is_moe)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, is_moe ? "deepseek" : "llama");
    c.vocab_size = V, c.hidden_size = 8, c.intermediate_size = 7, c.moe_intermediate_size = 5;
    c.num_hidden_layers = 2, c.num_attention_heads = 4, c.num_key_value_heads = 2, c.head_dim = 6;
    c.n_shared_experts = is_moe ? 2 : 0, c.n_routed_experts = is_moe ? 6 : 0;
    c.num_experts_per_tok = is_moe ? 3 : 0, c.initializer_range = 0.5;
    return c;
}

static void carve(bench *b)
{
    const dsm_model_config *c = &b->model->config;
    int64_t K = c->num_experts_per_tok;
    dsm_shape g = {c, &b->balance, B, R, K, true, dsm_keep_of(true, b->recompute)};
    b->scratch = dsm_block_carve_scratch(&b->memory, &g);
    b->act =
        dsm_block_carve(&(dsm_homes){&b->memory, &b->memory}, &g, layer(b)->is_moe, &b->scratch);
    b->head = dsm_loss_carve(&b->memory, R, V);
    b->rope = dsm_take_reals(&b->memory, T * dsm_model_config_rope_dim(c));
}

static void describe_pass(bench *b)
{
    b->mode = (dsm_route_mode){.training = true, .seed = 9, .step = 1, .first_token = 30};
    b->watch.last = dsm_clock();
    b->ctx = (dsm_ctx){.exec = &b->exec,
                       .k = &b->kernels,
                       .config = &b->model->config,
                       .mode = &b->mode,
                       .n_seq = B,
                       .T = T,
                       .R = R,
                       .tokens = b->tokens,
                       .rope = b->rope,
                       .ones = b->ones,
                       .balance = &b->balance,
                       .balance_loss = &b->loss,
                       .weight = 1,
                       .layer = LAYER,
                       .watch = &b->watch};
}

static void open_bench(bench *b, const dsm_model_config *c, const dsm_balance *balance,
                       dsm_recompute recompute)
{
    dsm_err err;
    memset(b, 0, sizeof *b);
    b->balance = *balance;
    b->recompute = recompute;
    dsm_kernels_init(&b->kernels, 0);
    assert_ok(dsm_exec_init(&b->exec, &b->kernels, 1, &err));
    assert_ok(dsm_model_create(&b->model, c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err));
    dsm_model_init_random(b->model, &b->exec, 4);
    carve(b);
    size_t bytes = b->memory.used;
    assert_ok(dsm_arena_init(&b->memory, bytes, "bench", &err));
    carve(b);
    dsm_rope_fill(b->rope, 0, T, c, T);
    for (int i = 0; i < R * 8; i++)
        b->ones[i] = 1;
    for (int i = 0; i < R; i++) {
        b->tokens[i] = (i * 5 + 1) % V;
        b->targets[i] = i == 3 ? -1 : (i * 7 + 2) % V;
    }
    describe_pass(b);
    b->n_x = b->n_out = R * c->hidden_size;
    fill(b->x, MAX, 1);
    fill(b->weight, MAX, 2);
}

static void close_bench(bench *b)
{
    dsm_arena_free(&b->memory);
    dsm_model_free(b->model);
    dsm_exec_free(&b->exec);
}

static double scalar(void *arg)
{
    bench *b = arg;
    double sum = 0;
    b->loss = (dsm_balance_loss){0};
    b->forward(b);
    for (int64_t i = 0; i < b->n_out; i++)
        sum += (double)b->out[i] * (double)b->weight[i];
    return sum + b->loss.expert + b->loss.device + b->loss.communication + b->loss.z +
           b->loss.distill;
}

/* The input, and every parameter whose name contains `part`. */
static void check_pair(bench *b, const char *name, const char *part)
{
    static dsm_real grads[1 << 14], dx[MAX];
    char what[200];
    assert_true(b->model->n_elements <= (int64_t)(sizeof grads / sizeof *grads));
    memset(b->model->grads, 0, sizeof *grads * (size_t)b->model->n_elements);
    scalar(b);
    b->backward(b);
    memcpy(grads, b->model->grads, sizeof *grads * (size_t)b->model->n_elements);
    memcpy(dx, b->dx, sizeof dx);
    snprintf(what, sizeof what, "%s: input", name);
    if (b->n_x > 0) derivative_check(what, b->x, b->n_x, dx, scalar, b, TOLERANCE);
    int checked = 0;
    for (int64_t i = 0; i < b->model->n_params; i++) {
        const dsm_param *p = &b->model->params[i];
        if (p->offset < 0 || !part || !strstr(p->name, part)) continue;
        snprintf(what, sizeof what, "%s: %s", name, p->name);
        derivative_check(what, b->model->values + p->offset, p->rows * p->cols, grads + p->offset,
                         scalar, b, TOLERANCE);
        checked++;
    }
    if (part && checked == 0) fail_msg("%s: no parameter is called %s", name, part);
}

/* --- the plain sublayers ----------------------------------------------------------------- */

static void norm_forward(bench *b)
{
    dsm_norm_forward(&b->ctx, &layer(b)->attn_norm, b->out, b->scratch.rstd, b->x, R);
}

static void norm_backward(bench *b)
{
    memset(b->dx, 0, sizeof b->dx); /* it adds to the stream's gradient */
    dsm_norm_backward(&b->ctx, &layer(b)->attn_norm, b->dx, b->weight, b->x, b->scratch.rstd, R);
}

static void attention_forward(bench *b)
{
    memset(b->out, 0, sizeof b->out);
    dsm_attention_of(b->ctx.config)->forward(&b->ctx, &layer(b)->attn, b->act.attn, b->out, b->x);
}

static void attention_backward(bench *b)
{
    dsm_attention_of(b->ctx.config)
        ->backward(&b->ctx, &layer(b)->attn, b->act.attn, b->scratch.attn, b->dx, b->weight, b->x);
}

static const int32_t all_rows[2] = {0, R};
static const dsm_rows plain_rows = {.n_groups = 1, .begin = all_rows};

static void ffn_forward(bench *b)
{
    dsm_ffn_forward(&b->ctx, &layer(b)->ffn, &b->act.ffn, &plain_rows, b->out, false, b->x);
}

static void ffn_backward(bench *b)
{
    dsm_ffn_backward(&b->ctx, &layer(b)->ffn, &b->act.ffn, &plain_rows, b->dx, false, b->weight,
                     b->x);
}

static void embed_forward(bench *b)
{
    dsm_embed_forward(&b->ctx, &b->model->embed, b->out);
}

static void embed_backward(bench *b)
{
    dsm_embed_backward(&b->ctx, &b->model->embed, b->weight);
}

/* The loss pair: the scalar is 0.7 · Σ loss, so its weights are that constant. */
static void loss_forward(bench *b)
{
    dsm_loss_forward_backward(&b->ctx, &b->model->head, &b->head, b->x, b->targets, 0, NULL);
    memcpy(b->out, b->head.loss, sizeof(dsm_real) * R);
}

static void loss_backward(bench *b)
{
    dsm_loss_forward_backward(&b->ctx, &b->model->head, &b->head, b->x, b->targets, 0.7, b->dx);
}

static void plain_sublayers(void **state)
{
    (void)state;
    static bench b;
    dsm_model_config c = config(false);
    c.attention_bias = true;
    open_bench(&b, &c, &(dsm_balance){0}, DSM_RECOMPUTE_NONE);
    b.forward = norm_forward, b.backward = norm_backward;
    check_pair(&b, "norm", "layers.1.input_layernorm");
    b.forward = attention_forward, b.backward = attention_backward;
    check_pair(&b, "attention", "layers.1.self_attn");
    b.forward = ffn_forward, b.backward = ffn_backward;
    check_pair(&b, "ffn", "layers.1.mlp");
    b.forward = loss_forward, b.backward = loss_backward, b.n_out = R;
    for (int i = 0; i < R; i++)
        b.weight[i] = (dsm_real)0.7;
    check_pair(&b, "loss", "lm_head");
    fill(b.weight, MAX, 2);
    b.forward = embed_forward, b.backward = embed_backward;
    b.n_x = 0, b.n_out = R * c.hidden_size;
    check_pair(&b, "embedding", "embed_tokens");
    close_bench(&b);
}

static void latent_attention(void **state)
{
    (void)state;
    static bench b;
    for (int i = 0; i < 2; i++) {
        dsm_model_config c = config(false);
        strcpy(c.model_type, "deepseek_v2");
        c.num_key_value_heads = 4, c.q_lora_rank = i ? 6 : 0, c.kv_lora_rank = 5, c.v_head_dim = 3;
        c.qk_nope_head_dim = 3, c.qk_rope_head_dim = 4, c.head_dim = 7, c.attention_bias = i;
        open_bench(&b, &c, &(dsm_balance){0}, i ? DSM_RECOMPUTE_ALL : DSM_RECOMPUTE_NONE);
        b.forward = attention_forward, b.backward = attention_backward;
        check_pair(&b, i ? "latent attention" : "latent attention, plain queries",
                   "layers.1.self_attn");
        close_bench(&b);
    }
}

/* --- MoE layer and block ----------------------------------------------------------------- */

static void moe_forward(bench *b)
{
    memset(b->out, 0, sizeof b->out);
    dsm_moe_forward(&b->ctx, &layer(b)->moe, &b->act.moe, &b->scratch.moe, b->out, b->x);
}

static void moe_backward(bench *b)
{
    dsm_moe_backward(&b->ctx, &layer(b)->moe, &b->act.moe, &b->scratch.moe, b->dx, b->weight, b->x);
}

static void block_forward(bench *b)
{
    memcpy(b->act.x, b->x, sizeof(dsm_real) * (size_t)b->n_x);
    dsm_block_forward(&b->ctx, layer(b), &b->act, &b->scratch, b->out);
}

static void block_backward(bench *b)
{
    memcpy(b->dx, b->weight, sizeof(dsm_real) * (size_t)b->n_x);
    dsm_block_backward(&b->ctx, layer(b), &b->act, &b->scratch, b->dx);
}

static void check_moe(const char *name, const dsm_model_config *c, const dsm_balance *balance)
{
    static bench b;
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        open_bench(&b, c, balance, (dsm_recompute)i);
        b.forward = moe_forward, b.backward = moe_backward;
        check_pair(&b, name, "layers.1.mlp");
        close_bench(&b);
    }
}

static void moe_layer_of_every_router(void **state)
{
    (void)state;
    const dsm_balance all = {.expert = 1,
                             .device = 1,
                             .communication = 1,
                             .z = 1,
                             .devices = 3,
                             .device_limit = 2,
                             .per_sequence = true};
    dsm_model_config c = config(true);
    check_moe("moe, softmax", &c, &all);
    c.router = DSM_ROUTER_SIGMOID, c.norm_topk_prob = true;
    check_moe("moe, sigmoid", &c, &all);
    c = config(true);
    c.router = DSM_ROUTER_SWITCH, c.num_experts_per_tok = 1, c.jitter = 0.3, c.capacity_factor = 1;
    check_moe("moe, switch", &c, &all);
    c = config(true);
    c.router = DSM_ROUTER_GSHARD, c.num_experts_per_tok = 2, c.renormalize = true;
    c.random_second = true, c.capacity_factor = 1;
    check_moe("moe, gshard", &c, &all);
    c = config(true);
    c.router = DSM_ROUTER_HASH, c.num_experts_per_tok = 1, c.n_shared_experts = 0;
    check_moe("moe, hash", &c, &all);
    c = config(true);
    c.router = DSM_ROUTER_EXPERT_CHOICE;
    check_moe("moe, expert choice", &c, &all);
    c.chunk = 4, c.shuffle = true;
    check_moe("moe, expert choice, shuffled", &c, &all);
    c = config(true);
    c.router = DSM_ROUTER_STABLE, c.num_experts_per_tok = 1, c.distilled_width = 3;
    for (int per_sequence = 0; per_sequence < 2; per_sequence++)
        check_moe("moe, stable", &c,
                  &(dsm_balance){.expert = 1, .z = 1, .distill = 1, .per_sequence = per_sequence});
}

static void blocks(void **state)
{
    (void)state;
    static bench b;
    for (int i = 0; i < 2 * DSM_N_RECOMPUTE; i++) {
        bool is_moe = i % 2;
        dsm_model_config c = config(is_moe);
        open_bench(&b, &c, &(dsm_balance){.expert = 1, .per_sequence = true},
                   (dsm_recompute)(i / 2));
        b.forward = block_forward, b.backward = block_backward;
        check_pair(&b, is_moe ? "MoE block" : "dense block", "layers.1.");
        close_bench(&b);
    }
}

/* --- a router by itself: logits to gates and scores -------------------------------------- */

static dsm_route *route_of(bench *b)
{
    dsm_route *r = &b->act.moe.route;
    const dsm_model_config *c = b->ctx.config;
    r->config = c, r->mode = &b->mode, r->layer = LAYER, r->T = R, r->seq_len = T;
    r->E = c->n_routed_experts, r->K = dsm_router_slots(c, dsm_router_picks(c)),
    r->active = dsm_router_picks(c);
    r->work = b->scratch.moe.work, r->order = b->scratch.moe.order;
    return r;
}

/* out = gates (R, K), then scores (R, E). */
static void router_forward(bench *b)
{
    dsm_route *r = route_of(b);
    memcpy(r->logit, b->x, sizeof(dsm_real) * (size_t)(R * r->E));
    dsm_router_of(b->ctx.config->router)->forward(&b->exec, r);
    memcpy(b->out, r->gate, sizeof(dsm_real) * (size_t)(R * r->K));
    memcpy(b->out + R * r->K, r->score, sizeof(dsm_real) * (size_t)(R * r->E));
}

static void router_backward(bench *b)
{
    dsm_route *r = route_of(b);
    memset(b->dx, 0, sizeof b->dx);
    memcpy(b->scratch.moe.dscore, b->weight + R * r->K, sizeof(dsm_real) * (size_t)(R * r->E));
    dsm_router_of(b->ctx.config->router)
        ->backward(&b->exec, r, b->dx, b->weight, b->scratch.moe.dscore);
}

/* `seen` is what the router is told of the model, which is made of c: it sees no attention. */
static void check_router(const char *name, const dsm_model_config *c, const dsm_model_config *seen)
{
    static bench b;
    open_bench(&b, c, &(dsm_balance){0}, DSM_RECOMPUTE_NONE);
    b.model->config = *seen;
    b.forward = router_forward, b.backward = router_backward;
    b.n_x = R * c->n_routed_experts;
    b.n_out = R * (dsm_router_slots(c, dsm_router_picks(c)) + c->n_routed_experts);
    check_pair(&b, name, NULL);
    close_bench(&b);
}

static void routers(void **state)
{
    (void)state;
    for (int kind = 0; kind < DSM_N_ROUTERS; kind++)
        for (int normalised = 0; normalised < 2; normalised++) {
            dsm_model_config c = config(true);
            const dsm_router *router = dsm_router_of((dsm_router_kind)kind);
            if (!router->has_weight) continue;
            c.router = (dsm_router_kind)kind;
            if (router->picks) c.num_experts_per_tok = router->picks;
            c.norm_topk_prob = normalised;
            c.renormalize = normalised && kind == DSM_ROUTER_GSHARD;
            check_router(router->name, &c, &c);
        }
}

/* Gates of V2 and V3: scaled, normalised, both; picks within the best groups of experts. */
static void routers_with_groups(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool third = i / 2;
        dsm_model_config c = config(true);
        c.router = third ? DSM_ROUTER_SIGMOID : DSM_ROUTER_SOFTMAX;
        dsm_model_config seen = c;
        strcpy(seen.model_type, third ? "deepseek_v3" : "deepseek_v2");
        seen.norm_topk_prob = i % 2, seen.routed_scaling_factor = 1.7;
        seen.n_group = 3, seen.topk_group = 2;
        seen.topk_method = third ? DSM_TOPK_NOAUX_TC : DSM_TOPK_GROUP_LIMITED;
        check_router(third ? "router of V3" : "router of V2", &c, &seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_sublayers),
        cmocka_unit_test(latent_attention),
        cmocka_unit_test(moe_layer_of_every_router),
        cmocka_unit_test(blocks),
        cmocka_unit_test(routers),
        cmocka_unit_test(routers_with_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
