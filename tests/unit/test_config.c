/* SPDX-License-Identifier: MIT */
/* config.json: defaults, every key written and read back, one message per kind of mistake. */
#include "support/support.h"

#include "dsmoe/config.h"

#include <stdio.h>
#include <string.h>

/* A small valid DeepSeekMoE config with `extra` members in front. */
static dsm_status read_text(dsm_model_config *c, const char *extra, dsm_err *err)
{
    char text[2048];
    char *dir = test_make_dir();
    snprintf(text, sizeof text,
             "{%s%s\"vocab_size\":40,\"hidden_size\":12,\"intermediate_size\":20,"
             "\"num_hidden_layers\":2}",
             extra, *extra ? "," : "");
    test_write_file(test_path(dir, "config.json"), text, strlen(text));
    dsm_status status = dsm_model_config_read(c, dir, err);
    test_remove_dir(dir);
    return status;
}

#define MOE                                                                                        \
    "\"model_type\":\"deepseek\",\"num_attention_heads\":3,\"moe_intermediate_size\":5,"           \
    "\"n_routed_experts\":8,\"num_experts_per_tok\":2,\"first_k_dense_replace\":1"

static void missing_keys_take_release_defaults(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_err err;
    assert_int_equal(read_text(&c, MOE, &err), DSM_OK);
    assert_int_equal(c.num_key_value_heads, 3);
    assert_int_equal(c.head_dim, 4);
    assert_int_equal(c.moe_layer_freq, 1);
    assert_int_equal(c.n_shared_experts, 0);
    assert_true(c.seq_aux && !c.norm_topk_prob);
    assert_true(c.router == DSM_ROUTER_SOFTMAX && c.rope_theta == 10000.0);
    assert_false(dsm_model_config_is_moe(&c, 0));
    assert_true(dsm_model_config_is_moe(&c, 1));
}

static void layers_are_moe_by_first_and_frequency(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    c.n_routed_experts = 4;
    c.first_k_dense_replace = 2;
    c.moe_layer_freq = 3;
    for (int l = 0; l < 10; l++)
        assert_int_equal(dsm_model_config_is_moe(&c, l), l >= 2 && l % 3 == 0);
    c.n_routed_experts = 0;
    assert_false(dsm_model_config_is_moe(&c, 3));
    c.n_shared_experts = 2; /* dense as always-on experts */
    assert_true(dsm_model_config_is_moe(&c, 3));
}

/* Every field set away from its default. */
static dsm_model_config unusual(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = 41, c.hidden_size = 24, c.intermediate_size = 21, c.moe_intermediate_size = 7;
    c.num_hidden_layers = 5, c.num_attention_heads = 6, c.num_key_value_heads = 2, c.head_dim = 10;
    c.max_position_embeddings = 77, c.n_shared_experts = 3, c.n_routed_experts = 9;
    c.num_experts_per_tok = 4, c.first_k_dense_replace = 2, c.moe_layer_freq = 2;
    c.norm_topk_prob = true, c.routed_scaling_factor = 2.5, c.aux_loss_alpha = 0.003;
    c.seq_aux = false, c.rms_norm_eps = 1e-5, c.rope_theta = 50000, c.initializer_range = 0.006;
    c.tie_word_embeddings = c.attention_bias = true;
    c.bos_token_id = 1, c.eos_token_id = 2, c.pad_token_id = 3;
    c.router = DSM_ROUTER_SIGMOID, c.bias = DSM_BIAS_MULTIPLICATIVE;
    c.hash = DSM_HASH_BALANCED, c.hash_seed = 12345;
    return c;
}

static void assert_round_trip(const dsm_model_config *c)
{
    dsm_model_config back;
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "config.json");
    assert_int_equal(dsm_model_config_write(c, path, "bf16", &err), DSM_OK);
    assert_int_equal(dsm_model_config_read(&back, path, &err), DSM_OK);
    assert_memory_equal(&back, c, sizeof back);
    test_remove_dir(dir);
}

static void every_key_survives(void **state)
{
    (void)state;
    dsm_model_config c = unusual();
    assert_round_trip(&c);
    c.router = DSM_ROUTER_SWITCH, c.bias = DSM_BIAS_NONE, c.num_experts_per_tok = 1;
    c.jitter = 0.01, c.capacity_factor = 1.25;
    assert_round_trip(&c);
    c.router = DSM_ROUTER_GSHARD, c.num_experts_per_tok = 2, c.jitter = 0;
    c.renormalize = c.random_second = true;
    assert_round_trip(&c);
}

static void golden_configs_are_read(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "dense_mha",     "dense_experts",         "softmax", "gshard_full", "switch_full",
        "hash_balanced", "sigmoid_multiplicative"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        dsm_model_config c;
        dsm_err err = {0};
        snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s", cases[i]);
        if (dsm_model_config_read(&c, path, &err) != DSM_OK) fail_msg("%s", err.msg);
        assert_round_trip(&c);
    }
}

static void token_ids_may_be_null_or_a_list(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_err err;
    assert_int_equal(read_text(&c, MOE ",\"bos_token_id\":null,\"eos_token_id\":[7,8]", &err),
                     DSM_OK);
    assert_int_equal(c.bos_token_id, -1);
    assert_int_equal(c.eos_token_id, 7);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *extra, *part1, *part2;
        dsm_status code;
    } cases[] = {
        {"\"model_type\":\"gpt2\"", "model_type: found gpt2", "llama or deepseek", DSM_EFORMAT},
        {"\"model_type\":\"deepseek_v2\"", "found deepseek_v2", "expected", DSM_EFORMAT},
        {"", "model_type: missing", "expected", DSM_EFORMAT},
        {MOE ",\"rope_theta\":\"x\"", "rope_theta: found string", "expected number", DSM_EFORMAT},
        {MOE ",\"num_key_value_heads\":2", "num_key_value_heads: found 2", "divisor", DSM_ESHAPE},
        {MOE ",\"head_dim\":5", "head_dim: found 5", "even", DSM_ESHAPE},
        {MOE ",\"moe_layer_freq\":0", "moe_layer_freq: found 0", "expected 1", DSM_ERANGE},
        {MOE ",\"rms_norm_eps\":-1", "rms_norm_eps: found -1", "expected 0", DSM_ERANGE},
        {MOE ",\"topk_method\":\"noaux_tc\"", "topk_method: found noaux_tc", "greedy", DSM_EFORMAT},
        {MOE ",\"hidden_act\":\"gelu\"", "hidden_act: found gelu", "expected silu", DSM_EFORMAT},
        {MOE ",\"rope_scaling\":{\"type\":\"yarn\"}", "rope_scaling", "yarn", DSM_EFORMAT},
        {MOE ",\"dsmoe\":3", "dsmoe: found integer", "expected an object", DSM_EFORMAT},
        {MOE ",\"dsmoe\":{\"jiter\":0.1}", "dsmoe.jiter: unknown key", "jitter?", DSM_EFORMAT},
        {MOE ",\"dsmoe\":{\"router\":\"x\"}", "router: found x", "gshard, hash", DSM_EFORMAT},
        {MOE ",\"dsmoe\":{\"router\":\"switch\"}", "num_experts_per_tok: found 2", "switch",
         DSM_ESHAPE},
        {MOE ",\"dsmoe\":{\"jitter\":0.1}", "dsmoe.jitter", "expected switch", DSM_EUSAGE},
        {MOE ",\"scoring_func\":\"softmax\",\"dsmoe\":{\"router\":\"sigmoid\"}",
         "dsmoe.router: found sigmoid", "scoring_func softmax", DSM_EFORMAT},
        {"\"model_type\":\"deepseek\",\"num_attention_heads\":3,\"n_routed_experts\":4,"
         "\"num_experts_per_tok\":5",
         "num_experts_per_tok: found 5", "n_routed_experts 4", DSM_ESHAPE},
        {"\"model_type\":\"llama\",\"num_attention_heads\":5", "num_attention_heads: found 5",
         "divisor of hidden_size 12", DSM_ESHAPE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_model_config c;
        dsm_err err = {0};
        dsm_status status = read_text(&c, cases[i].extra, &err);
        if (status != cases[i].code || !test_contains(err.msg, cases[i].part1) ||
            !test_contains(err.msg, cases[i].part2))
            fail_msg("%s: status %d, message: %s", cases[i].extra, (int)status, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_keys_take_release_defaults),
        cmocka_unit_test(layers_are_moe_by_first_and_frequency),
        cmocka_unit_test(every_key_survives),
        cmocka_unit_test(golden_configs_are_read),
        cmocka_unit_test(token_ids_may_be_null_or_a_list),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
