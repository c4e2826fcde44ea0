/* SPDX-License-Identifier: MIT */
/* The gradient of a whole tiny network, in double, by directional derivatives: every parameter by
 * name, for every router and option, every balance loss, grouped-query attention, biases, tied and
 * untied heads. Picks must not change under the differences (they are held fixed in the
 * derivative): that is checked too. */
#include "support/derivative.h"
#include "support/support.h"

#include "core/rng.h"
#include "model/net.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { B = 2, T = 6, V = 17, MAX_PICKS = 256 };
#define TOLERANCE 1e-8

typedef struct fixture {
    dsm_kernels kernels;
    dsm_exec exec;
    dsm_model *model;
    dsm_net *net;
    int32_t tokens[B * T], targets[B * T];
    int32_t picks[8][MAX_PICKS];
    bool picks_known;
    dsm_err err;
} fixture;

/* The smallest DeepSeekMoE with everything in it: a dense layer, then two of experts. */
static dsm_model_config base(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = V, c.hidden_size = 8, c.intermediate_size = 10, c.moe_intermediate_size = 5;
    c.num_hidden_layers = 3, c.num_attention_heads = 2, c.num_key_value_heads = 2, c.head_dim = 4;
    c.n_shared_experts = 1, c.n_routed_experts = 6, c.num_experts_per_tok = 2;
    c.first_k_dense_replace = 1, c.initializer_range = 0.4;
    return c;
}

static void fill_data(fixture *f)
{
    dsm_rng rng = {11, DSM_STREAM_TEST, 0};
    for (int i = 0; i < B * T; i++) {
        f->tokens[i] = (int32_t)dsm_rng_below(&rng, (uint64_t)i, V);
        f->targets[i] = i % 5 == 0 ? -1 : (int32_t)dsm_rng_below(&rng, (uint64_t)(100 + i), V);
    }
}

/* Norms and biases away from where they start, so that a factor forgotten shows. */
static void disturb_vectors(dsm_model *m)
{
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        dsm_rng rng = {7, DSM_STREAM_TEST, (uint32_t)i};
        if (p->offset < 0 || p->ndim == 2) continue;
        for (int64_t j = 0; j < p->cols; j++)
            m->values[p->offset + j] += (dsm_real)(0.2 * dsm_rng_normal(&rng, (uint64_t)j));
    }
}

static void open_fixture(fixture *f, const dsm_model_config *c, const dsm_balance *b)
{
    dsm_err err;
    memset(f, 0, sizeof *f);
    dsm_kernels_init(&f->kernels, 0);
    assert_ok(dsm_exec_init(&f->exec, &f->kernels, 1, &err));
    assert_ok(dsm_model_create(&f->model, c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err));
    dsm_model_init_random(f->model, &f->exec, 3);
    disturb_vectors(f->model);
    dsm_net_options o = {.max_sequences = B, .seq_len = T, .training = true, .balance = *b};
    assert_ok(dsm_net_open(&f->net, f->model, &f->exec, &o, &err));
    fill_data(f);
}

static void close_fixture(fixture *f)
{
    dsm_net_close(f->net);
    dsm_model_free(f->model);
    dsm_exec_free(&f->exec);
}

/* Remember the picks at first, later insist on them. */
static void check_picks(fixture *f)
{
    for (int64_t l = 0; l < f->model->config.num_hidden_layers; l++) {
        const int32_t *pick;
        const dsm_real *gate;
        int64_t K, rows = dsm_net_routing(f->net, l, &pick, &gate, &K);
        if (rows == 0) continue;
        assert_true(rows * K <= MAX_PICKS);
        if (f->picks_known && memcmp(f->picks[l], pick, sizeof *pick * (size_t)(rows * K)) != 0)
            fail_msg("layer %d: a difference changed a pick; choose another seed", (int)l);
        memcpy(f->picks[l], pick, sizeof *pick * (size_t)(rows * K));
    }
    f->picks_known = true;
}

static double loss(void *arg)
{
    fixture *f = arg;
    const dsm_route_mode mode = {.training = true, .seed = 5, .step = 2, .first_token = 24};
    dsm_losses l = {0};
    dsm_err err;
    assert_ok(dsm_net_step(f->net, f->tokens, f->targets, B, &mode, 1.0, &l, NULL, NULL, &err));
    check_picks(f);
    return l.lm / (double)l.targets + l.balance.expert + l.balance.device +
           l.balance.communication + l.balance.z + l.balance.distill;
}

static void check_config(const char *name, const dsm_model_config *c, const dsm_balance *b)
{
    fixture f;
    static dsm_real grads[1 << 16];
    open_fixture(&f, c, b);
    assert_true(f.model->n_elements <= (int64_t)(sizeof grads / sizeof *grads));
    loss(&f);
    memcpy(grads, f.model->grads, sizeof *grads * (size_t)f.model->n_elements);
    for (int64_t i = 0; i < f.model->n_params; i++) {
        const dsm_param *p = &f.model->params[i];
        char what[256];
        if (p->offset < 0) continue;
        snprintf(what, sizeof what, "%s: %s", name, p->name);
        derivative_check(what, f.model->values + p->offset, p->rows * p->cols, grads + p->offset,
                         loss, &f, TOLERANCE);
    }
    close_fixture(&f);
}

/* --- cases ------------------------------------------------------------------------------- */

static const dsm_balance no_balance = {0};

static void dense_and_grouped_query(void **state)
{
    (void)state;
    dsm_model_config c = base();
    strcpy(c.model_type, "llama");
    c.n_routed_experts = c.n_shared_experts = 0;
    check_config("dense", &c, &no_balance);
    c.hidden_size = 16, c.num_attention_heads = 4, c.num_key_value_heads = 2;
    c.tie_word_embeddings = c.attention_bias = true;
    check_config("dense, grouped queries, biases, tied head", &c, &no_balance);
    c = base();
    c.n_routed_experts = c.num_experts_per_tok = 0;
    c.n_shared_experts = 3;
    check_config("dense as three experts", &c, &no_balance);
}

static void softmax_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    check_config("softmax", &c, &no_balance);
    c.norm_topk_prob = true;
    c.num_experts_per_tok = 3;
    check_config("softmax, normalised gates", &c, &no_balance);
    c.norm_topk_prob = false;
    c.routed_scaling_factor = 2.5;
    c.n_shared_experts = 0;
    c.bias = DSM_BIAS_ADDITIVE;
    check_config("softmax, scaled gates, bias, no shared expert", &c, &no_balance);
}

static void sigmoid_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    c.router = DSM_ROUTER_SIGMOID;
    c.bias = DSM_BIAS_ADDITIVE;
    check_config("sigmoid", &c, &no_balance);
    c.norm_topk_prob = true;
    c.bias = DSM_BIAS_MULTIPLICATIVE;
    check_config("sigmoid, normalised gates", &c, &no_balance);
}

static void switch_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    c.router = DSM_ROUTER_SWITCH;
    c.num_experts_per_tok = 1;
    check_config("switch", &c, &no_balance);
    c.jitter = 0.2;
    c.capacity_factor = 1.2;
    check_config("switch, jitter and capacity", &c, &(dsm_balance){.expert = 0.3});
}

static void gshard_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    c.router = DSM_ROUTER_GSHARD;
    check_config("gshard", &c, &no_balance);
    c.renormalize = c.random_second = true;
    c.capacity_factor = 1.1;
    check_config("gshard, renormalised, random second, capacity", &c,
                 &(dsm_balance){.expert = 0.3});
}

static void hash_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    c.router = DSM_ROUTER_HASH;
    c.num_experts_per_tok = 1;
    check_config("hash", &c, &no_balance);
}

static void expert_choice_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    c.router = DSM_ROUTER_EXPERT_CHOICE;
    check_config("expert choice", &c, &no_balance);
    c.num_experts_per_tok = 3, c.chunk = 4, c.shuffle = true;
    check_config("expert choice, shuffled chunks", &c, &(dsm_balance){.z = 0.3});
}

static void stable_router(void **state)
{
    (void)state;
    dsm_model_config c = base();
    c.router = DSM_ROUTER_STABLE, c.num_experts_per_tok = 1, c.distilled_width = 3;
    check_config("stable", &c, &(dsm_balance){.expert = 0.3, .distill = 1});
    check_config("stable, by sequence", &c,
                 &(dsm_balance){.expert = 0.3, .distill = 0.5, .per_sequence = true});
}

/* The smallest V2 and V3. */
static dsm_model_config latent(const char *model_type)
{
    dsm_model_config c = base(), family;
    dsm_err err;
    assert_ok(dsm_model_config_defaults_of(&family, model_type, "test", &err));
    strcpy(c.model_type, model_type);
    c.q_lora_rank = 6, c.kv_lora_rank = 5, c.v_head_dim = 3;
    c.qk_nope_head_dim = 3, c.qk_rope_head_dim = 4, c.head_dim = 7;
    c.topk_method = family.topk_method, c.router = family.router, c.bias = family.bias;
    c.norm_topk_prob = family.norm_topk_prob;
    c.n_group = 3, c.topk_group = 2, c.routed_scaling_factor = 1.5;
    c.initializer_range = 0.5; /* latents of a few values, normed: smaller ones bend sharply */
    return c;
}

static void latent_attention(void **state)
{
    (void)state;
    dsm_model_config c = latent("deepseek_v2");
    check_config("V2", &c, &no_balance);
    c.attention_bias = true;
    c.rope.kind = DSM_ROPE_YARN, c.rope.original_max_position_embeddings = 4;
    c.rope.factor = 8, c.rope.mscale_all_dim = 0.707;
    check_config("V2, biases, YaRN", &c, &no_balance);
    c.q_lora_rank = 0;
    c.topk_method = DSM_TOPK_GROUP_LIMITED;
    check_config("V2, queries without latent, YaRN, groups", &c, &no_balance);
    c = latent("deepseek_v3");
    check_config("V3", &c, &no_balance);
    c.rope_interleave = false;
    check_config("V3, half-split pairs", &c, &no_balance);
}

/* Each loss by itself, so strong that it rules the router's gradient, over both scopes and score
 * kinds. */
static void every_balance_loss(void **state)
{
    (void)state;
    const struct {
        const char *name;
        dsm_balance b;
    } cases[] = {
        {"expert", {.expert = 20}},
        {"device", {.device = 20, .devices = 3}},
        {"communication", {.communication = 20, .devices = 3, .device_limit = 2}},
        {"z", {.z = 5}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int variant = 0; variant < 4; variant++) {
            char name[64];
            dsm_model_config c = base();
            dsm_balance b = cases[i].b;
            b.per_sequence = variant & 1;
            c.router = variant & 2 ? DSM_ROUTER_SIGMOID : DSM_ROUTER_SOFTMAX;
            snprintf(name, sizeof name, "%s loss, %s, %s", cases[i].name,
                     variant & 1 ? "sequence" : "batch", variant & 2 ? "sigmoid" : "softmax");
            check_config(name, &c, &b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_and_grouped_query), cmocka_unit_test(softmax_router),
        cmocka_unit_test(sigmoid_router),          cmocka_unit_test(switch_router),
        cmocka_unit_test(gshard_router),           cmocka_unit_test(hash_router),
        cmocka_unit_test(expert_choice_router),    cmocka_unit_test(stable_router),
        cmocka_unit_test(latent_attention),        cmocka_unit_test(every_balance_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
