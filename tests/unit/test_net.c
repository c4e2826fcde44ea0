/* SPDX-License-Identifier: MIT */
/* The network as its callers see it: the same bits for any number of threads, feeding in any chunks
 * equals the whole sequence, non-finite values are named, ids and sizes are checked, memory is
 * measured. */
#include "support/support.h"

#include "core/rng.h"
#include "model/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 3, T = 20, V = 50 };

static dsm_kernels kernels;
static int32_t tokens[B * T], firsts[B * T], targets[B * T];

/* MoE with a dense layer first, two shared and eight routed experts, grouped queries. */
static dsm_model_config config(void)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = V, c.hidden_size = 32, c.intermediate_size = 40, c.moe_intermediate_size = 12;
    c.num_hidden_layers = 3, c.num_attention_heads = 4, c.num_key_value_heads = 2, c.head_dim = 8;
    c.n_shared_experts = 2, c.n_routed_experts = 8, c.num_experts_per_tok = 3;
    c.first_k_dense_replace = 1, c.initializer_range = 0.2, c.max_position_embeddings = 64;
    return c;
}

/* The same with latent attention, with or without a latent of the queries. */
static dsm_model_config latent_config(int64_t q_lora_rank)
{
    dsm_model_config c = config();
    strcpy(c.model_type, "deepseek_v2");
    c.num_key_value_heads = 4, c.q_lora_rank = q_lora_rank, c.kv_lora_rank = 24;
    c.qk_nope_head_dim = 12, c.qk_rope_head_dim = 8, c.head_dim = 20, c.v_head_dim = 10;
    return c;
}

static int set_up(void **state)
{
    (void)state;
    dsm_rng rng = {3, DSM_STREAM_TEST, 0};
    dsm_kernels_init(&kernels, dsm_cpu_flags());
    for (int i = 0; i < B * T; i++) {
        tokens[i] = (int32_t)dsm_rng_below(&rng, (uint64_t)i, V);
        firsts[i] = (tokens[i] + i) % V;
        targets[i] = i % 7 ? (int32_t)dsm_rng_below(&rng, (uint64_t)i + 1000, V) : -1;
    }
    return 0;
}

typedef struct fixture {
    dsm_exec exec;
    dsm_model *model;
    dsm_net *net;
} fixture;

static void open_with(fixture *f, const dsm_model_config *c, int threads, const dsm_net_options *o)
{
    dsm_err err;
    assert_ok(dsm_exec_init(&f->exec, &kernels, threads, &err));
    assert_ok(dsm_model_create(&f->model, c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err));
    dsm_model_init_random(f->model, &f->exec, 1);
    assert_ok(dsm_net_open(&f->net, f->model, &f->exec, o, &err));
}

static dsm_net_options options(bool training)
{
    return (dsm_net_options){
        .max_sequences = B,
        .seq_len = T,
        .training = training,
        .balance = {.expert = 0.01, .z = 0.001, .distill = 0.5, .per_sequence = true}};
}

static void open_fixture(fixture *f, const dsm_model_config *c, int threads, bool training)
{
    const dsm_net_options o = options(training);
    open_with(f, c, threads, &o);
}

static void close_fixture(fixture *f)
{
    dsm_net_close(f->net);
    dsm_model_free(f->model);
    dsm_exec_free(&f->exec);
}

/* --- determinism ------------------------------------------------------------------------- */

/* Losses and gradients of two steps, one after the other; the caller frees the gradients. */
static dsm_real *steps_with(const dsm_model_config *c, int threads, const dsm_net_options *o,
                            dsm_losses *losses)
{
    fixture f;
    dsm_err err;
    dsm_route_mode mode = {.training = true, .seed = 8, .step = 4};
    open_with(&f, c, threads, o);
    *losses = (dsm_losses){0};
    size_t n = (size_t)f.model->n_elements, bytes = n * sizeof(dsm_real);
    dsm_real *grads = malloc(2 * bytes);
    for (int step = 0; step < 2; step++, mode.step++) {
        /* whatever gradients hold, a whole step must not see it */
        memset(f.model->grads, o->whole_step ? 0xff : 0, bytes);
        assert_ok(dsm_net_step(f.net, step ? tokens : firsts, targets, B, &mode, 1.0, losses, NULL,
                               NULL, &err));
        memcpy(grads + (size_t)step * n, f.model->grads, bytes);
    }
    close_fixture(&f);
    return grads;
}

static size_t gradient_bytes(const dsm_model_config *c)
{
    dsm_model *m;
    dsm_err err;
    assert_ok(dsm_model_create(&m, c, 0, &err));
    size_t bytes = sizeof(dsm_real) * (size_t)m->n_elements;
    dsm_model_free(m);
    return bytes;
}

/* The model of config() with each router, and what it does in training alone. */
static dsm_model_config config_of(int router)
{
    dsm_model_config c = config();
    c.router = (dsm_router_kind)router;
    c.num_experts_per_tok = dsm_router_picks(&c);
    if (router == DSM_ROUTER_SWITCH) c.jitter = 0.1, c.capacity_factor = 1;
    if (router == DSM_ROUTER_GSHARD) c.random_second = true;
    if (router == DSM_ROUTER_EXPERT_CHOICE) c.chunk = 13, c.shuffle = true;
    if (router == DSM_ROUTER_STABLE) c.distilled_width = 5;
    return c;
}

static void check_same(const dsm_model_config *c, const dsm_net_options *o, int threads,
                       const dsm_real *expected, const dsm_losses *losses)
{
    dsm_losses again;
    dsm_real *grads = steps_with(c, threads, o, &again);
    assert_memory_equal(losses, &again, sizeof again);
    assert_memory_equal(expected, grads, 2 * gradient_bytes(c));
    free(grads);
}

/* A model by number: with each router, then with latent attention. */
enum { N_MODELS = DSM_N_ROUTERS + 2 };

static dsm_model_config model_of(int i)
{
    return i < DSM_N_ROUTERS ? config_of(i) : latent_config(i == DSM_N_ROUTERS ? 28 : 0);
}

/* Tokens are dropped where the router knows affinities. */
static void drop_tokens(dsm_net_options *o, const dsm_model_config *c)
{
    bool scored = c->router == DSM_ROUTER_SOFTMAX || c->router == DSM_ROUTER_SIGMOID;
    if (scored) o->balance.drop = (dsm_drop){.factor = 0.8, .spared = 0.3, .devices = 2};
}

static void threads_do_not_change_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_MODELS; i++) {
        dsm_net_options o = options(true);
        dsm_model_config c = model_of(i / 2);
        if (i % 2) drop_tokens(&o, &c);
        dsm_losses one;
        dsm_real *first = steps_with(&c, 1, &o, &one);
        for (int threads = 2; threads <= 3; threads++)
            check_same(&c, &o, threads, first, &one);
        free(first);
    }
}

/* What is computed again, and what lives in memory of gradients, changes memory and nothing else.
 */
static void memory_does_not_change_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * N_MODELS; i++) {
        dsm_model_config c = model_of(i / 2);
        dsm_net_options o = options(true);
        dsm_losses one;
        c.num_hidden_layers = 5;
        c.tie_word_embeddings = i % 2;
        if (i % 2) drop_tokens(&o, &c);
        dsm_real *first = steps_with(&c, 1, &o, &one);
        for (int policy = 0; policy < DSM_N_RECOMPUTE; policy++)
            for (int whole = 0; whole < 2; whole++) {
                o.recompute = (dsm_recompute)policy;
                o.whole_step = whole;
                check_same(&c, &o, 2, first, &one);
            }
        free(first);
    }
}

/* Evaluations between steps leave no trace either. */
static void evaluation_between_steps_changes_nothing(void **state)
{
    (void)state;
    dsm_model_config c = config();
    dsm_net_options o = options(true);
    dsm_losses losses;
    const dsm_route_mode training = {.training = true, .seed = 8, .step = 4}, plain = {0};
    dsm_real *expected = steps_with(&c, 2, &o, &losses);
    fixture f;
    dsm_err err;
    o.whole_step = true;
    open_with(&f, &c, 2, &o);
    assert_true(dsm_net_holds(f.net).lent > 0);
    assert_ok(dsm_net_step(f.net, tokens, targets, B, &plain, 1, &losses, NULL, NULL, &err));
    assert_ok(dsm_net_step(f.net, firsts, targets, B, &training, 1, &losses, NULL, NULL, &err));
    assert_memory_equal(expected, f.model->grads, gradient_bytes(&c));
    free(expected);
    close_fixture(&f);
}

/* A batch in one micro-batch, or in three: the same gradient up to rounding. */
static void micro_batches_add_up(void **state)
{
    (void)state;
    dsm_model_config c = config();
    fixture f;
    dsm_err err;
    dsm_losses whole = {0}, parts = {0};
    int32_t all_targets[B * T]; /* equally many targets in every sequence */
    for (int i = 0; i < B * T; i++)
        all_targets[i] = i % T == 0 ? -1 : tokens[B * T - 1 - i];
    open_fixture(&f, &c, 2, true);
    size_t n = (size_t)f.model->n_elements;
    dsm_route_mode mode = {.training = true};
    assert_ok(dsm_net_step(f.net, tokens, all_targets, B, &mode, 1.0, &whole, NULL, NULL, &err));
    dsm_real *grads = malloc(n * sizeof *grads);
    memcpy(grads, f.model->grads, n * sizeof *grads);
    memset(f.model->grads, 0, n * sizeof *grads);
    for (int b = 0; b < B; b++) {
        mode.first_token = b * T;
        assert_ok(dsm_net_step(f.net, tokens + b * T, all_targets + b * T, 1, &mode, 1.0 / B,
                               &parts, NULL, NULL, &err));
    }
    assert_true(fabs(whole.lm - parts.lm) < 1e-5 * whole.lm);
    assert_int_equal(whole.targets, parts.targets);
    /* balance losses are means over sequences: the three parts sum to three means */
    assert_true(fabs(whole.balance.expert - parts.balance.expert / B) < 1e-7);
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += pow((double)grads[i] - (double)f.model->grads[i], 2);
        size += pow((double)grads[i], 2);
    }
    assert_true(sqrt(difference / size) < 1e-6);
    free(grads);
    close_fixture(&f);
}

/* --- generation -------------------------------------------------------------------------- */

/* Feed tokens 0 … T-1 in chunks of `chunk`, with logits of every position. */
static void feed_in_chunks(fixture *f, int64_t chunk, dsm_real *logits)
{
    dsm_cache *cache;
    dsm_err err;
    dsm_net_expect(f->net, T);
    assert_ok(dsm_cache_open(&cache, f->model, T + 3, DSM_F32, &err));
    for (int64_t at = 0; at < T; at += chunk) {
        int64_t n = T - at < chunk ? T - at : chunk;
        assert_ok(dsm_net_feed(f->net, cache, tokens + at, n, logits + at * V, n, &err));
        assert_int_equal(dsm_cache_length(cache), at + n);
    }
    dsm_cache_close(cache);
}

static void assert_near(const dsm_real *a, const dsm_real *b, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance))
            fail_msg("element %d: %g and %g", (int)i, (double)a[i], (double)b[i]);
}

/* The loss of a step is that of the logits fed at once, and feeding in chunks of any size changes
 * nothing but rounding: sums over D = 32 and two layers of values near one, so 1e-5 is a hundred
 * roundings. */
static void check_chunks(const dsm_model_config *c)
{
    static const int64_t chunks[] = {1, 2, 3, 7, 19};
    static dsm_real whole[T * V], part[T * V], token_loss[B * T];
    fixture f;
    dsm_err err;
    open_fixture(&f, c, 2, false);
    feed_in_chunks(&f, T, whole);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        feed_in_chunks(&f, chunks[i], part);
        assert_near(whole, part, T * V, 1e-5);
    }
    dsm_losses losses = {0};
    assert_ok(dsm_net_step(f.net, tokens, targets, B, &(dsm_route_mode){0}, 1.0, &losses, NULL,
                           token_loss, &err));
    for (int t = 0; t < T; t++) {
        double sum = 0;
        for (int v = 0; v < V; v++)
            sum += exp((double)whole[t * V + v]);
        double loss = targets[t] < 0 ? 0 : log(sum) - (double)whole[t * V + targets[t]];
        assert_true(fabs(loss - (double)token_loss[t]) < 1e-5);
    }
    close_fixture(&f);
}

static void chunks_of_any_size_equal_the_whole(void **state)
{
    (void)state;
    dsm_model_config c = config();
    check_chunks(&c);
    c = latent_config(0);
    check_chunks(&c);
    c = latent_config(28);
    check_chunks(&c);
    c = config();
    c.rope.kind = DSM_ROPE_DYNAMIC;
    c.rope.factor = 4;
    c.rope.original_max_position_embeddings = c.max_position_embeddings = T / 3;
    assert_int_equal(dsm_model_config_context(&c), T / 3 * 4);
    check_chunks(&c);
}

/* Rotary scaling of type dynamic: a longer text turns slower, what is cached stays as it was, and
 * that is the same whether the rest comes token by token or not only if the length is known. */
static void dynamic_scaling_looks_at_the_length(void **state)
{
    (void)state;
    static dsm_real whole[T * V], part[T * V];
    fixture f;
    dsm_model_config c = config();
    dsm_cache *cache;
    dsm_err err;
    c.rope.kind = DSM_ROPE_DYNAMIC;
    c.rope.factor = 4;
    c.rope.original_max_position_embeddings = c.max_position_embeddings = T / 3;
    open_fixture(&f, &c, 2, false);
    feed_in_chunks(&f, T, whole);
    assert_ok(dsm_cache_open(&cache, f.model, T, DSM_F32, &err));
    dsm_net_expect(f.net, 0);
    for (int64_t t = 0; t < T; t++)
        assert_ok(dsm_net_feed(f.net, cache, tokens + t, 1, part + t * V, 1, &err));
    assert_true(fabs((double)(whole[T * V - 1] - part[T * V - 1])) > 1e-4);
    dsm_cache_close(cache);
    close_fixture(&f);
}

/* Logits from a cache of another type, fed in chunks of any size; how far from f32 may be expected:
 * f16 rounds each stored value by 2^-12 of it, q8_0 by 2^-8 of the largest of 32. */
static void check_cache_type(const dsm_model_config *c, dsm_dtype dtype, double tolerance)
{
    enum { LONG = 1200, LAST = 4 };
    static int32_t text[LONG];
    static dsm_real exact[LAST * V], rounded[LAST * V];
    static const int64_t cuts[][4] = {{LONG}, {1100, 100}, {600, 597, 1, 2}};
    const dsm_net_options o = {.max_sequences = 1, .seq_len = LONG};
    fixture f;
    dsm_err err;
    for (int i = 0; i < LONG; i++)
        text[i] = tokens[i * 11 % (B * T)];
    open_with(&f, c, 2, &o);
    for (size_t i = 0; i <= sizeof cuts / sizeof *cuts; i++) {
        dsm_cache *cache;
        const int64_t *cut = cuts[i > 0 ? i - 1 : 0];
        assert_ok(dsm_cache_open(&cache, f.model, LONG, i > 0 ? dtype : DSM_F32, &err));
        for (int64_t at = 0, k = 0; at < LONG; at += cut[k++]) {
            int64_t n = cut[k], kept = at + n - (LONG - LAST);
            kept = kept < 0 ? 0 : kept < n ? kept : n;
            assert_ok(dsm_net_feed(f.net, cache, text + at, n,
                                   (i ? rounded : exact) + (at + n - kept - (LONG - LAST)) * V,
                                   kept, &err));
        }
        if (i > 0) assert_near(exact, rounded, LAST * V, tolerance);
        dsm_cache_close(cache);
    }
    close_fixture(&f);
}

static void caches_may_be_of_other_types(void **state)
{
    (void)state;
    dsm_cache *cache;
    dsm_err err;
    fixture f;
    dsm_model_config plain = config(), latent = latent_config(28);
    open_fixture(&f, &plain, 1, false);
    assert_fails(dsm_cache_open(&cache, f.model, 8, DSM_BF16, &err), DSM_EUSAGE,
                 "expected f32, f16");
    assert_fails(dsm_cache_open(&cache, f.model, 8, DSM_Q8_0, &err), DSM_EUSAGE, "multiples of 8");
    assert_true(dsm_cache_bytes(f.model, 4096, DSM_F16) < dsm_cache_bytes(f.model, 4096, DSM_F32));
    close_fixture(&f);
    plain.head_dim = 32, plain.max_position_embeddings = 2000;
    latent.kv_lora_rank = 64, latent.qk_rope_head_dim = 32, latent.head_dim = 44;
    latent.max_position_embeddings = 2000;
    const dsm_model_config *models[] = {&plain, &latent};
    /* a pick that rounding changes would be a jump */
    plain.n_routed_experts = latent.n_routed_experts = 0;
    for (int i = 0; i < 2; i++) {
        check_cache_type(models[i], DSM_F32, 2e-5);
        check_cache_type(models[i], DSM_F16, 2e-3);
        check_cache_type(models[i], DSM_Q8_0, 4e-2);
    }
}

/* Latent attention: a whole text in the naive form; the same with a past of several chunks of
 * expanded positions; and the last tokens in the absorbed form. */
static void latent_forms_are_equal(void **state)
{
    (void)state;
    enum { LONG = 1300, LAST = 6 };
    static int32_t text[LONG];
    static dsm_real whole[LAST * V], parts[LAST * V];
    const dsm_net_options o = {.max_sequences = 1, .seq_len = LONG};
    dsm_model_config c = latent_config(28);
    fixture f;
    dsm_err err;
    for (int i = 0; i < LONG; i++)
        text[i] = tokens[i * 7 % (B * T)];
    c.max_position_embeddings = LONG;
    open_with(&f, &c, 2, &o);
    static const int64_t cuts[][4] = {{LONG}, {1100, 200}, {550, 700, 50}, {LONG - LAST, 1, 1, 4}};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        dsm_cache *cache;
        dsm_real *out = i == 0 ? whole : parts;
        assert_ok(dsm_cache_open(&cache, f.model, LONG, DSM_F32, &err));
        for (int64_t at = 0, k = 0; at < LONG; at += cuts[i][k++]) {
            int64_t n = cuts[i][k], kept = at + n - (LONG - LAST);
            kept = kept < 0 ? 0 : kept < n ? kept : n;
            assert_ok(dsm_net_feed(f.net, cache, text + at, n,
                                   out + (at + n - kept - (LONG - LAST)) * V, kept, &err));
        }
        assert_near(whole, out, LAST * V, 1e-5);
        dsm_cache_close(cache);
    }
    close_fixture(&f);
}

/* A net that keeps all activations and one that shares them compute the same. */
static void check_memory(const dsm_model_config *c, double tolerance)
{
    static dsm_real a[T * V], b[T * V];
    fixture f, g;
    open_fixture(&f, c, 1, false);
    open_fixture(&g, c, 1, true);
    feed_in_chunks(&f, T, a);
    feed_in_chunks(&g, T, b);
    assert_memory_equal(a, b, sizeof a);
    feed_in_chunks(&f, 7, a);
    feed_in_chunks(&g, 7, b);
    assert_near(a, b, T * V, tolerance);
    close_fixture(&f);
    close_fixture(&g);
}

/* A net that trains has no room to expand a latent past, and takes the other form. */
static void training_and_inference_memory_agree(void **state)
{
    (void)state;
    dsm_model_config c = config();
    check_memory(&c, 0);
    c = latent_config(28);
    check_memory(&c, 1e-5);
}

/* Round the values to bf16 and return them as a file would hold them, in row order; caller frees.
 */
static uint16_t *store_as_bf16(dsm_model *m)
{
    uint16_t *file = malloc(sizeof *file * (size_t)m->n_elements);
    assert_non_null(file);
    for (int64_t i = 0; i < m->n_elements; i++) {
        file[i] = dsm_f32_to_bf16(m->values[i]);
        m->values[i] = dsm_bf16_to_f32(file[i]);
    }
    return file;
}

/* Weights left in a file's bf16 give the logits of the same numbers as f32. */
static void check_file_type(const dsm_model_config *config)
{
    static dsm_real in_f32[T * V], in_bf16[T * V];
    dsm_model_config c = *config;
    fixture f, g;
    dsm_err err;
    open_fixture(&f, &c, 2, false);
    open_fixture(&g, &c, 2, false);
    uint16_t *file = store_as_bf16(f.model);
    dsm_model_free(g.model);
    assert_ok(dsm_model_create(&g.model, &c, 0, &err));
    for (int64_t i = 0; i < g.model->n_params; i++) {
        dsm_mat *mat = &g.model->params[i].mat;
        mat->data = file + f.model->params[i].offset;
        mat->dtype = DSM_BF16;
    }
    assert_ok(dsm_model_bind(g.model, &err));
    dsm_net_close(g.net);
    const dsm_net_options o = {.max_sequences = 1, .seq_len = T};
    assert_ok(dsm_net_open(&g.net, g.model, &g.exec, &o, &err));
    feed_in_chunks(&f, T, in_f32);
    feed_in_chunks(&g, T, in_bf16);
    assert_near(in_f32, in_bf16, T * V, 1e-5);
    feed_in_chunks(&g, 1, in_bf16);
    assert_near(in_f32, in_bf16, T * V, 1e-5);
    free(file);
    close_fixture(&f);
    close_fixture(&g);
}

static void weights_may_stay_in_their_file_type(void **state)
{
    (void)state;
    dsm_model_config plain = config(), latent = latent_config(28);
    check_file_type(&plain);
    check_file_type(&latent);
}

/* Weights in q8_0 blocks: the absorbed form, whose keys are f16, against the naive one. By the true
 * kernels, which round no activations, all that differs is 2^-12 of those keys, which three layers
 * of large weights make a thousandth of the logits. */
static void quantised_latents_have_both_forms(void **state)
{
    (void)state;
    static dsm_real many[T * V], few[T * V];
    dsm_model_config c = latent_config(64);
    c.hidden_size = 64, c.kv_lora_rank = 32, c.qk_nope_head_dim = 12, c.v_head_dim = 16;
    c.intermediate_size = 64, c.n_routed_experts = c.n_shared_experts = 0;
    fixture f, g;
    dsm_err err;
    dsm_kernels_init(&kernels, 0);
    open_fixture(&f, &c, 2, false);
    open_fixture(&g, &c, 2, false);
    dsm_model_free(g.model);
    assert_ok(dsm_model_create(&g.model, &c, 0, &err));
    unsigned char *file = malloc(sizeof(float) * (size_t)f.model->n_elements), *at = file;
    for (int64_t i = 0; i < g.model->n_params; i++) {
        dsm_param *p = &g.model->params[i];
        p->mat.dtype = p->ndim == 2 ? DSM_Q8_0 : DSM_F32;
        p->mat.data = at;
        dsm_dtype_store(at, p->mat.dtype, f.model->values + f.model->params[i].offset,
                        p->rows * p->cols);
        at += dsm_dtype_bytes(p->mat.dtype, p->rows * p->cols);
    }
    assert_ok(dsm_model_bind(g.model, &err));
    assert_non_null(g.model->layers[0].attn.mla.key_down[0].data);
    dsm_net_close(g.net);
    const dsm_net_options o = {.max_sequences = 1, .seq_len = T};
    assert_ok(dsm_net_open(&g.net, g.model, &g.exec, &o, &err));
    feed_in_chunks(&g, T, many);
    feed_in_chunks(&g, 1, few);
    assert_near(many, few, T * V, 1e-2);
    free(file);
    close_fixture(&f);
    close_fixture(&g);
    dsm_kernels_init(&kernels, dsm_cpu_flags());
}

static void truncating_forgets(void **state)
{
    (void)state;
    static dsm_real first[V], again[V];
    dsm_model_config c = config();
    fixture f;
    dsm_cache *cache;
    dsm_err err;
    open_fixture(&f, &c, 1, false);
    assert_ok(dsm_cache_open(&cache, f.model, T, DSM_F32, &err));
    assert_ok(dsm_net_feed(f.net, cache, tokens, 10, first, 1, &err));
    assert_ok(dsm_net_feed(f.net, cache, tokens + 10, 5, NULL, 0, &err));
    dsm_cache_truncate(cache, 9);
    assert_ok(dsm_net_feed(f.net, cache, tokens + 9, 1, again, 1, &err));
    assert_near(first, again, V, 1e-5);
    assert_fails(dsm_net_feed(f.net, cache, tokens, 11, NULL, 0, &err), DSM_ELIMIT,
                 "found 21 tokens, expected at most 20");
    dsm_cache_close(cache);
    close_fixture(&f);
}

/* --- mistakes ---------------------------------------------------------------------------- */

static void non_finite_values_are_named(void **state)
{
    (void)state;
    const struct {
        const char *parameter, *expected;
        float value;
    } cases[] = {
        {"model.layers.1.self_attn.v_proj.weight", "parameter model.layers.1.self_attn.v_proj",
         NAN},
        {"model.layers.2.mlp.gate.weight", "layer 2: router logits", 3e38f},
        {"model.layers.0.self_attn.q_proj.weight", "layer 0: queries, keys and values", 3e38f},
        {"lm_head.weight", "logits", 3e38f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dsm_model_config c = config();
        fixture f;
        dsm_err err;
        dsm_losses losses = {0};
        open_fixture(&f, &c, 2, true);
        const dsm_param *p = dsm_model_find(f.model, cases[i].parameter);
        for (int64_t j = 0; j < p->rows * p->cols; j++)
            f.model->values[p->offset + j] = cases[i].value;
        assert_fails(dsm_net_step(f.net, tokens, targets, B, &(dsm_route_mode){.training = true},
                                  1.0, &losses, NULL, NULL, &err),
                     DSM_ENONFINITE, cases[i].expected);
        close_fixture(&f);
    }
}

static void bad_calls_are_refused(void **state)
{
    (void)state;
    dsm_model_config c = config();
    fixture f;
    dsm_err err;
    dsm_losses losses = {0};
    const dsm_route_mode plain = {0}, training = {.training = true}, many = {.active = 4};
    int32_t bad[B * T];
    open_fixture(&f, &c, 1, false);
    memcpy(bad, tokens, sizeof bad);
    bad[5] = V;
    assert_fails(dsm_net_step(f.net, bad, targets, B, &plain, 1, &losses, NULL, NULL, &err),
                 DSM_ERANGE, "token 5: found id 50, expected 0 to 49");
    bad[5] = -2;
    assert_fails(dsm_net_step(f.net, tokens, bad, B, &plain, 1, &losses, NULL, NULL, &err),
                 DSM_ERANGE, "target 5: found id -2");
    assert_fails(dsm_net_step(f.net, tokens, targets, B + 1, &plain, 1, &losses, NULL, NULL, &err),
                 DSM_ERANGE, "found 4 sequences");
    assert_fails(dsm_net_step(f.net, tokens, targets, B, &training, 1, &losses, NULL, NULL, &err),
                 DSM_EUSAGE, "opened for evaluation");
    assert_fails(dsm_net_step(f.net, tokens, targets, B, &many, 1, &losses, NULL, NULL, &err),
                 DSM_ERANGE, "active experts: found 4, the network was opened for at most 3");
    close_fixture(&f);
}

/* --- inside ------------------------------------------------------------------------------ */

static void routing_can_be_read(void **state)
{
    (void)state;
    dsm_model_config c = config();
    fixture f;
    dsm_err err;
    int64_t count[3][8], K;
    dsm_load loads[3] = {
        {.E = 8, .count = count[0]}, {.E = 8, .count = count[1]}, {.E = 8, .count = count[2]}};
    dsm_losses losses = {0};
    const int32_t *pick;
    const dsm_real *gate;
    open_fixture(&f, &c, 1, false);
    for (int l = 0; l < 3; l++)
        dsm_load_clear(&loads[l]);
    assert_ok(dsm_net_step(f.net, tokens, targets, B, &(dsm_route_mode){.active = 2}, 1, &losses,
                           loads, NULL, &err));
    assert_int_equal(dsm_net_routing(f.net, 0, &pick, &gate, &K), 0); /* dense */
    assert_int_equal(loads[0].tokens, 0);
    for (int l = 1; l < 3; l++) { /* layers share memory here, but not their picks */
        int64_t again[8] = {0};
        assert_int_equal(dsm_net_routing(f.net, l, &pick, &gate, &K), B * T);
        assert_int_equal(K, 2);
        for (int i = 0; i < B * T * 2; i++)
            again[pick[i]]++;
        assert_memory_equal(again, loads[l].count, sizeof again);
        assert_int_equal(loads[l].tokens, B * T);
    }
    close_fixture(&f);
}

/* Loss of the tokens in a mode, of a network with memory for max_active picks. */
static double loss_in(const dsm_model_config *c, const dsm_route_mode *mode, int64_t max_active)
{
    fixture f;
    dsm_err err;
    dsm_losses losses = {0};
    dsm_net_options o = options(false);
    o.max_active = max_active;
    open_with(&f, c, 2, &o);
    assert_ok(dsm_net_step(f.net, tokens, targets, B, mode, 1, &losses, NULL, NULL, &err));
    close_fixture(&f);
    return losses.lm;
}

/* More or fewer experts, and none shared: the bits of a model whose config says so. Weights are a
 * function of their names, so both models have the same. */
static void an_analysis_equals_a_model_made_so(void **state)
{
    (void)state;
    dsm_model_config c = config(), other = config();
    const dsm_route_mode plain = {0};
    double unchanged = loss_in(&c, &plain, 0);
    for (int K = 1; K <= 8; K++) {
        other.num_experts_per_tok = K;
        double expected = loss_in(&other, &plain, 0);
        assert_true(loss_in(&c, &(dsm_route_mode){.active = K}, 8) == expected);
        assert_true((expected == unchanged) == (K == 3));
    }
    other.n_shared_experts = 0, other.num_experts_per_tok = 5;
    assert_true(loss_in(&c, &(dsm_route_mode){.active = 5, .drop_shared = true}, 5) ==
                loss_in(&other, &plain, 0));
}

/* Training memory grows with layers, that of inference with their kinds; nothing is allocated to
 * measure. */
static void memory_is_measured(void **state)
{
    (void)state;
    dsm_model_config c = config();
    dsm_net_memory four, eight;
    dsm_err err;
    size_t bytes[2][2];
    for (int training = 0; training < 2; training++)
        for (int deep = 0; deep < 2; deep++) {
            const dsm_net_options o = {.max_sequences = B, .seq_len = T, .training = training};
            dsm_model *m;
            c.num_hidden_layers = deep ? 8 : 4;
            assert_ok(dsm_model_create(&m, &c, 0, &err));
            dsm_net_measure(m, &o, deep ? &eight : &four);
            const dsm_net_memory *n = deep ? &eight : &four;
            bytes[training][deep] = n->activations + n->scratch;
            dsm_model_free(m);
        }
    assert_true(bytes[1][1] > 15 * bytes[1][0] / 10);
    assert_true(bytes[0][1] < 11 * bytes[0][0] / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_bits),
        cmocka_unit_test(memory_does_not_change_bits),
        cmocka_unit_test(evaluation_between_steps_changes_nothing),
        cmocka_unit_test(micro_batches_add_up),
        cmocka_unit_test(chunks_of_any_size_equal_the_whole),
        cmocka_unit_test(dynamic_scaling_looks_at_the_length),
        cmocka_unit_test(latent_forms_are_equal),
        cmocka_unit_test(caches_may_be_of_other_types),
        cmocka_unit_test(training_and_inference_memory_agree),
        cmocka_unit_test(weights_may_stay_in_their_file_type),
        cmocka_unit_test(quantised_latents_have_both_forms),
        cmocka_unit_test(truncating_forgets),
        cmocka_unit_test(non_finite_values_are_named),
        cmocka_unit_test(bad_calls_are_refused),
        cmocka_unit_test(routing_can_be_read),
        cmocka_unit_test(an_analysis_equals_a_model_made_so),
        cmocka_unit_test(memory_is_measured),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
