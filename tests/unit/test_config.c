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
    c.rope.kind = DSM_ROPE_LINEAR, c.rope.factor = 2.25;
    return c;
}

/* The same for the keys that V2 and V3 add. */
static dsm_model_config unusual_latent(const char *model_type)
{
    dsm_model_config c;
    dsm_err err;
    assert_int_equal(dsm_model_config_defaults_of(&c, model_type, "test", &err), DSM_OK);
    c.num_attention_heads = c.num_key_value_heads = 6;
    c.q_lora_rank = 20, c.kv_lora_rank = 12, c.v_head_dim = 7;
    c.qk_nope_head_dim = 9, c.qk_rope_head_dim = 4, c.head_dim = 13;
    c.n_routed_experts = 12, c.num_experts_per_tok = 3, c.n_group = 4, c.topk_group = 2;
    c.num_nextn_predict_layers = 0, c.rope_interleave = strcmp(model_type, "deepseek_v3") != 0;
    c.max_position_embeddings = 640;
    c.rope = (dsm_rope_scaling){.kind = DSM_ROPE_YARN,
                                .original_max_position_embeddings = 64,
                                .factor = 10,
                                .beta_fast = 31,
                                .beta_slow = 2,
                                .mscale = 0.707,
                                .mscale_all_dim = 0.5,
                                .attention_factor = 1.5,
                                .low_freq_factor = 1,
                                .high_freq_factor = 4};
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
    c.router = DSM_ROUTER_EXPERT_CHOICE, c.num_experts_per_tok = 4, c.capacity_factor = 0;
    c.renormalize = c.random_second = false;
    c.chunk = 96, c.shuffle = true;
    assert_round_trip(&c);
    c.router = DSM_ROUTER_STABLE, c.num_experts_per_tok = 1, c.chunk = 0, c.shuffle = false;
    c.distilled_width = 12;
    assert_round_trip(&c);
}

static void every_latent_key_survives(void **state)
{
    (void)state;
    dsm_model_config c = unusual_latent("deepseek_v3");
    assert_round_trip(&c);
    c = unusual_latent("deepseek_v2");
    c.topk_method = DSM_TOPK_GROUP_LIMITED;
    assert_round_trip(&c);
    c.topk_method = DSM_TOPK_GREEDY, c.n_group = c.topk_group = 0;
    c.q_lora_rank = 0; /* null is not "missing" */
    c.rope.attention_factor = 0;
    assert_round_trip(&c);
}

static void every_rotary_scaling_survives(void **state)
{
    (void)state;
    dsm_model_config c = unusual();
    c.rope.kind = DSM_ROPE_DYNAMIC, c.rope.original_max_position_embeddings = 77;
    assert_round_trip(&c);
    c.rope.kind = DSM_ROPE_LLAMA3, c.rope.original_max_position_embeddings = 50;
    c.rope.low_freq_factor = 1.5, c.rope.high_freq_factor = 3;
    assert_round_trip(&c);
}

#define LATENT(type, K, groups, kept)                                                              \
    "\"model_type\":\"deepseek_" type "\",\"num_attention_heads\":3,\"moe_intermediate_size\":5,"  \
    "\"n_routed_experts\":8,\"num_experts_per_tok\":" #K ",\"n_group\":" #groups                   \
    ",\"topk_group\":" #kept
#define V2 LATENT("v2", 2, 4, 2)
#define V3 LATENT("v3", 2, 4, 2)

static void families_have_their_own_defaults(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_err err;
    assert_int_equal(read_text(&c, V2, &err), DSM_OK);
    assert_true(dsm_model_config_is_mla(&c) && c.topk_method == DSM_TOPK_GREEDY);
    assert_true(c.q_lora_rank == 1536 && c.kv_lora_rank == 512 && c.head_dim == 192);
    assert_true(c.router == DSM_ROUTER_SOFTMAX && c.bias == DSM_BIAS_NONE && !c.norm_topk_prob);
    assert_true(dsm_model_config_q_width(&c) == 576 && dsm_model_config_o_width(&c) == 384);
    assert_true(dsm_model_config_rope_dim(&c) == 64 && dsm_model_config_v_dim(&c) == 128);
    assert_int_equal(read_text(&c, V2 ",\"q_lora_rank\":null", &err), DSM_OK);
    assert_int_equal(c.q_lora_rank, 0);
    assert_int_equal(read_text(&c, V3, &err), DSM_OK);
    assert_true(c.router == DSM_ROUTER_SIGMOID && c.bias == DSM_BIAS_ADDITIVE);
    assert_true(c.topk_method == DSM_TOPK_NOAUX_TC && c.norm_topk_prob);
    assert_true(c.routed_scaling_factor == 2.5 && c.first_k_dense_replace == 3);
    assert_int_equal(read_text(&c, MOE, &err), DSM_OK);
    assert_true(!dsm_model_config_is_mla(&c) && c.q_lora_rank == 0);
    assert_int_equal(dsm_model_config_o_width(&c), 12);
}

#define YARN "\"factor\":40,\"original_max_position_embeddings\":64,\"mscale\":0.707}"

static void rotary_scaling_has_an_old_and_a_new_form(void **state)
{
    (void)state;
    static const char *const forms[] = {
        V2 ",\"rope_theta\":500,\"rope_scaling\":{\"type\":\"yarn\"," YARN,
        V2 ",\"rope_theta\":500,\"rope_scaling\":{\"rope_type\":\"yarn\"," YARN,
        V2 ",\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":500," YARN,
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        dsm_model_config c;
        dsm_err err = {0};
        if (read_text(&c, forms[i], &err) != DSM_OK) fail_msg("%s", err.msg);
        assert_true(c.rope.kind == DSM_ROPE_YARN && c.rope_theta == 500 && c.rope.factor == 40);
        assert_true(c.rope.mscale == 0.707 && c.rope.mscale_all_dim == 0);
        assert_true(c.rope.beta_fast == 32 && c.rope.beta_slow == 1);
        assert_int_equal(c.rope.original_max_position_embeddings, 64);
    }
}

static void fp8_blocks_are_read(void **state)
{
    (void)state;
    dsm_model_config c;
    dsm_err err = {0};
    assert_int_equal(read_text(&c,
                               V3 ",\"quantization_config\":{\"quant_method\":\"fp8\","
                                  "\"fmt\":\"e4m3\",\"weight_block_size\":[128,64]}",
                               &err),
                     DSM_OK);
    assert_true(c.fp8_block_rows == 128 && c.fp8_block_cols == 64);
    assert_int_equal(read_text(&c, V3, &err), DSM_OK);
    assert_int_equal(c.fp8_block_rows, 0);
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
        {"\"model_type\":\"gpt2\"", "model_type: found gpt2", "llama, deepseek, deepseek_v2",
         DSM_EFORMAT},
        {"", "model_type: missing", "expected", DSM_EFORMAT},
        {MOE ",\"rope_theta\":\"x\"", "rope_theta: found string", "expected number", DSM_EFORMAT},
        {MOE ",\"num_key_value_heads\":2", "num_key_value_heads: found 2", "divisor", DSM_ESHAPE},
        {MOE ",\"head_dim\":5", "head_dim: found 5", "even", DSM_ESHAPE},
        {MOE ",\"moe_layer_freq\":0", "moe_layer_freq: found 0", "expected 1", DSM_ERANGE},
        {MOE ",\"rms_norm_eps\":-1", "rms_norm_eps: found -1", "expected 0", DSM_ERANGE},
        {MOE ",\"topk_method\":\"noaux_tc\"", "topk_method: found noaux_tc", "deepseek does not",
         DSM_EFORMAT},
        {V2 ",\"topk_method\":\"best\"", "topk_method: found best", "group_limited", DSM_EFORMAT},
        {V2 ",\"num_key_value_heads\":1", "num_key_value_heads: found 1", "3 to 3", DSM_ERANGE},
        {V2 ",\"qk_rope_head_dim\":5", "qk_rope_head_dim: found 5", "even", DSM_ESHAPE},
        {LATENT("v2", 2, 3, 2) ",\"topk_method\":\"group_limited_greedy\"", "n_group: found 3",
         "divisor", DSM_ESHAPE},
        {LATENT("v2", 5, 4, 2) ",\"topk_method\":\"group_limited_greedy\"", "topk_group: found 2",
         "expected 3", DSM_ESHAPE},
        {LATENT("v3", 2, 8, 2), "n_group: found 8", "2 or more", DSM_ESHAPE},
        {LATENT("v3", 2, 4, 5), "topk_group: found 5", "n_group 4", DSM_ESHAPE},
        {V3 ",\"topk_method\":\"greedy\"", "topk_method: found greedy", "deepseek_v3", DSM_EFORMAT},
        {V3 ",\"scoring_func\":\"softmax\"", "scoring_func: found softmax", "sigmoid", DSM_EFORMAT},
        {V3 ",\"quantization_config\":{\"quant_method\":\"awq\"}", "found awq", "fp8", DSM_EFORMAT},
        {V3 ",\"quantization_config\":{\"quant_method\":\"fp8\"}", "weight_block_size", "two",
         DSM_EFORMAT},
        {MOE ",\"hidden_act\":\"gelu\"", "hidden_act: found gelu", "expected silu", DSM_EFORMAT},
        {MOE ",\"rope_scaling\":{\"type\":\"su\"}", "type: found su", "yarn", DSM_EFORMAT},
        {MOE ",\"rope_scaling\":{\"type\":\"linear\"}", "rope_scaling.factor", "linear",
         DSM_EFORMAT},
        {MOE ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":0.5}", "factor: found 0.5", "1 to",
         DSM_ERANGE},
        {MOE ",\"rope_scaling\":7", "rope_scaling: found integer", "object or null", DSM_EFORMAT},
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
        cmocka_unit_test(every_latent_key_survives),
        cmocka_unit_test(every_rotary_scaling_survives),
        cmocka_unit_test(families_have_their_own_defaults),
        cmocka_unit_test(rotary_scaling_has_an_old_and_a_new_form),
        cmocka_unit_test(fp8_blocks_are_read),
        cmocka_unit_test(golden_configs_are_read),
        cmocka_unit_test(token_ids_may_be_null_or_a_list),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
