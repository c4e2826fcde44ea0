/* SPDX-License-Identifier: MIT */
/* infer: a session fed piece by piece predicts what one whole forward predicts; what ends a
 * generation; and what is said when a model cannot be run. */
#include "support/support.h"

#include "core/buf.h"
#include "core/fs.h"
#include "dsmoe/dsmoe.h"
#include "dsmoe/engine.h"
#include "dsmoe/eval.h"
#include "dsmoe/model.h"
#include "infer/engine_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 300, CONTEXT = 48, CHUNK = 5 };

static dsm_model_config config_of(dsm_router_kind router)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = VOCAB;
    c.hidden_size = 32;
    c.intermediate_size = 40;
    c.moe_intermediate_size = 8;
    c.num_hidden_layers = 3;
    c.num_attention_heads = 4;
    c.num_key_value_heads = 2;
    c.head_dim = 8;
    c.max_position_embeddings = CONTEXT;
    c.n_routed_experts = 6;
    c.n_shared_experts = 1;
    c.num_experts_per_tok = router == DSM_ROUTER_HASH || router == DSM_ROUTER_SWITCH ? 1 : 2;
    c.first_k_dense_replace = 1;
    c.initializer_range = 0.3; /* far from uniform logits */
    c.router = router;
    return c;
}

static int next_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    (void)err;
    int *left = arg;
    if ((*left)-- <= 0) return 0;
    *text = "the cat and the dog and the hen";
    *n = strlen(*text);
    return 1;
}

/* A byte-level tokenizer of `entries`, the first two of them special. */
static void save_tokenizer(const char *dir, int32_t entries)
{
    dsm_err err;
    static const char *const specials[] = {"<bos>", "<eos>"};
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = entries;
    o.specials = specials;
    o.n_specials = 2;
    o.bos = specials[0];
    o.eos = specials[1];
    o.pad = NULL;
    o.n_threads = 1;
    dsm_tokenizer *t;
    int documents = 1;
    assert_ok(dsm_tokenizer_train(&t, &o, next_document, &documents, &err));
    assert_ok(dsm_fs_make_dirs(dir, &err));
    assert_ok(dsm_tokenizer_save(t, dir, &err));
    dsm_tokenizer_close(t);
}

/* A folder with a random model and a tokenizer of 262 of its 300 rows. */
static char *make_model(const dsm_model_config *c)
{
    dsm_err err;
    char *dir = test_make_dir(), *tokenizer = dsm_fs_join(dir, "tok"),
         *model = dsm_fs_join(dir, "m");
    char *config = dsm_fs_join(dir, "config.json");
    save_tokenizer(tokenizer, 262);
    assert_ok(dsm_model_config_write(c, config, "f32", &err));
    const dsm_make_options o = {.config = config,
                                .out_dir = model,
                                .dtype = "f32",
                                .tokenizer = tokenizer,
                                .seed = 5,
                                .n_threads = 1};
    assert_ok(dsm_model_make(&o, &err));
    free(tokenizer);
    free(model);
    free(config);
    return dir;
}

static dsm_engine *open_engine(const char *dir, int64_t chunk)
{
    dsm_err err;
    dsm_engine *e;
    dsm_engine_options o;
    dsm_engine_defaults(&o);
    o.cache_type = "f32"; /* as exact as what it is compared with */
    o.n_threads = 1;
    o.cpu_flags = dsm_runtime_cpu_flags();
    o.chunk = chunk;
    assert_ok(dsm_engine_open(&e, test_path(dir, "m"), &o, &err));
    return e;
}

static void some_tokens(int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((i * 37 + i * i) % VOCAB);
}

static double loss_of(const float *logits, int32_t target)
{
    double max = (double)logits[0], sum = 0;
    for (int i = 1; i < VOCAB; i++)
        max = fmax(max, (double)logits[i]);
    for (int i = 0; i < VOCAB; i++)
        sum += exp((double)logits[i] - max);
    return max + log(sum) - (double)logits[target];
}

/* Losses of one whole forward of CONTEXT tokens. */
static void whole_forward(const dsm_engine *e, const int32_t *tokens, dsm_real *losses)
{
    dsm_err err;
    dsm_net *net;
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = CONTEXT};
    const dsm_route_mode mode = {0};
    dsm_losses sum = {0};
    assert_ok(dsm_net_open(&net, e->loaded.model, &e->loaded.exec, &shape, &err));
    assert_ok(dsm_net_step(net, tokens, tokens + 1, 1, &mode, 1, &sum, NULL, losses, &err));
    dsm_net_close(net);
}

/* Feed in pieces of `piece`, compare where a piece ends. Both compute the same sums over at most 48
 * keys and 40 inputs in another order; losses are of order 5, so a few hundred roundings of 2^-24.
 */
static void expect_same_losses(dsm_engine *e, const int32_t *tokens, const dsm_real *losses,
                               int piece)
{
    dsm_err err;
    dsm_session *s;
    assert_ok(dsm_session_open(&s, e, 0, &err));
    for (int i = 0; i < CONTEXT; i += piece) {
        int n = CONTEXT - i < piece ? CONTEXT - i : piece;
        assert_ok(dsm_session_feed(s, tokens + i, n, &err));
        double found = loss_of(dsm_session_logits(s), tokens[i + n]);
        double expected = (double)losses[i + n - 1];
        if (!(fabs(found - expected) <= 1e-4))
            fail_msg("pieces of %d, token %d: loss %.7f, whole forward %.7f", piece, i + n, found,
                     expected);
    }
    assert_int_equal(dsm_session_length(s), CONTEXT);
    assert_fails(dsm_session_feed(s, tokens, 1, &err), DSM_ELIMIT, "the context holds 48 tokens");
    dsm_session_close(s);
}

static void a_session_equals_one_whole_forward(void **state)
{
    (void)state;
    for (int router = 0; router <= DSM_ROUTER_HASH; router++) {
        dsm_model_config c = config_of((dsm_router_kind)router);
        char *dir = make_model(&c);
        dsm_engine *e = open_engine(dir, CHUNK);
        int32_t tokens[CONTEXT + 1];
        dsm_real losses[CONTEXT];
        some_tokens(tokens, CONTEXT + 1);
        whole_forward(e, tokens, losses);
        static const int pieces[] = {1, 3, CHUNK, CHUNK + 1, 17, CONTEXT};
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
            expect_same_losses(e, tokens, losses, pieces[i]);
        dsm_engine_close(e);
        test_remove_dir(dir);
    }
}

static void truncation_forgets(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = config_of(DSM_ROUTER_SOFTMAX);
    char *dir = make_model(&c);
    dsm_engine *e = open_engine(dir, 64);
    dsm_session *a, *b;
    int32_t tokens[30];
    some_tokens(tokens, 30);
    assert_ok(dsm_session_open(&a, e, 0, &err));
    assert_ok(dsm_session_open(&b, e, 20, &err));
    assert_int_equal(dsm_session_context(b), 20);
    assert_ok(dsm_session_feed(a, tokens + 7, 23, &err));
    dsm_session_truncate(a, 0);
    assert_ok(dsm_session_feed(a, tokens, 9, &err));
    assert_ok(dsm_session_feed(b, tokens, 9,
                               &err)); /* sessions of one engine do not disturb each other */
    assert_memory_equal(dsm_session_logits(a), dsm_session_logits(b), VOCAB * sizeof(float));
    assert_fails(dsm_session_feed(b, tokens, 12, &err), DSM_ELIMIT, "found 9, and 12 more");
    assert_int_equal(dsm_session_length(b), 9);
    dsm_session_close(a);
    dsm_session_close(b);
    dsm_session *none;
    assert_fails(dsm_session_open(&none, e, CONTEXT + 1, &err), DSM_ERANGE, "made for 48");
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* --- generation ------------------------------------------------------------------------------- */

static void generate(dsm_engine *e, const char *prompt, const dsm_generate_options *o,
                     dsm_generated *g)
{
    dsm_err err;
    dsm_session *s;
    dsm_ids ids = {0};
    assert_ok(dsm_engine_encode(e, prompt, strlen(prompt), &ids, &err));
    assert_ok(dsm_session_open(&s, e, 0, &err));
    assert_ok(dsm_session_feed(s, ids.data, (int64_t)ids.len, &err));
    assert_ok(dsm_session_generate(s, o, g, &err));
    dsm_session_close(s);
    dsm_ids_free(&ids);
}

static bool collect(void *arg, const char *text, size_t n)
{
    dsm_buf_add(arg, text, n);
    return true;
}

static bool refuse(void *arg, const char *text, size_t n)
{
    (void)arg, (void)text, (void)n;
    return false;
}

static void generation_is_reproducible_and_ends(void **state)
{
    (void)state;
    dsm_model_config c = config_of(DSM_ROUTER_SOFTMAX);
    char *dir = make_model(&c);
    dsm_engine *e = open_engine(dir, 64), *other = open_engine(dir, 2);
    dsm_generate_options o;
    dsm_generated a, b;
    dsm_buf seen = {0};
    dsm_generate_defaults(&o);
    o.ignore_eos = true;
    o.max_tokens = 20;
    o.emit = collect;
    o.emit_arg = &seen;
    generate(e, "the cat", &o, &a);
    assert_int_equal(a.n_tokens, 20);
    assert_int_equal(a.finish, DSM_FINISH_LENGTH);
    assert_string_equal(seen.data, a.text);
    assert_int_equal(dsm_utf8_valid_prefix(a.text, a.text_len), a.text_len);
    for (int64_t i = 0; i < a.n_tokens; i++)
        assert_in_range(a.tokens[i], 0, 261); /* rows beyond the tokenizer are padding */
    generate(e, "the cat", &o, &b);
    assert_memory_equal(a.tokens, b.tokens, 20 * sizeof *a.tokens);
    dsm_generated_free(&b);
    o.sampling.temperature = 0; /* greedy: the same from a prompt fed in pieces of 2 */
    o.emit = NULL;
    dsm_generated_free(&a);
    generate(e, "the cat", &o, &a);
    generate(other, "the cat", &o, &b);
    assert_memory_equal(a.tokens, b.tokens, 20 * sizeof *a.tokens);
    dsm_generated_free(&a);
    dsm_generated_free(&b);
    o.max_tokens = 0; /* until the context is full: one token may follow its last */
    generate(e, "", &o, &a);
    assert_int_equal(a.n_tokens, CONTEXT);
    assert_int_equal(a.finish, DSM_FINISH_LENGTH);
    dsm_generated_free(&a);
    o.emit = refuse;
    generate(e, "the cat", &o, &a);
    assert_int_equal(a.finish, DSM_FINISH_CANCELLED);
    assert_true(a.n_tokens < 8);
    dsm_generated_free(&a);
    dsm_buf_free(&seen);
    dsm_engine_close(e);
    dsm_engine_close(other);
    test_remove_dir(dir);
}

static void stop_strings_and_eos_end_it(void **state)
{
    (void)state;
    dsm_model_config c = config_of(DSM_ROUTER_SOFTMAX);
    char *dir = make_model(&c);
    dsm_engine *e = open_engine(dir, 64);
    dsm_generate_options o;
    dsm_generated whole, g;
    dsm_generate_defaults(&o);
    o.ignore_eos = true;
    o.max_tokens = 40;
    o.sampling.temperature = 1;
    generate(e, "the", &o, &whole);
    /* Stop at a letter of what it says: the text before its first one is all there is. */
    size_t at = 1;
    while (at < whole.text_len && (whole.text[at] < 'a' || whole.text[at] > 'z'))
        at++;
    assert_true(at < whole.text_len);
    const char stop[2] = {whole.text[at], '\0'};
    const char *const stops[] = {"never said", stop};
    o.stops = stops;
    o.n_stops = 2;
    size_t first = (size_t)(strstr(whole.text, stop) - whole.text);
    generate(e, "the", &o, &g);
    assert_int_equal(g.finish, DSM_FINISH_STOP);
    assert_string_equal(g.stop, stop);
    assert_int_equal(g.text_len, first);
    assert_memory_equal(g.text, whole.text, first);
    dsm_generated_free(&g);
    /* Every token ends the text: the first drawn does, and is not part of it. */
    o.n_stops = 0;
    o.ignore_eos = false;
    e->eos[0] = whole.tokens[0];
    e->n_eos = 1;
    generate(e, "the", &o, &g);
    assert_int_equal(g.finish, DSM_FINISH_EOS);
    assert_int_equal(g.n_tokens, 0);
    assert_string_equal(g.text, "");
    dsm_generated_free(&g);
    dsm_generated_free(&whole);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* --- evaluation of text ----------------------------------------------------------------------- */

/* Windows over one file: the whole as one window, disjoint windows, and overlapping ones. */
static void windows_score_every_token_once(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = config_of(DSM_ROUTER_SOFTMAX);
    char *dir = make_model(&c);
    dsm_engine *e = open_engine(dir, 64);
    static const char text[] =
        "a hen, a dog: 47 cats"; /* no merges of the tokenizer in it but a few */
    char *file = dsm_fs_join(dir, "x.txt");
    test_write_file(file, text, sizeof text - 1);
    dsm_ids ids = {0};
    assert_ok(dsm_ids_push(&ids, dsm_tokenizer_bos(dsm_engine_tokenizer(e)), &err));
    assert_ok(dsm_tokenizer_encode(dsm_engine_tokenizer(e), text, sizeof text - 1, 0, &ids, &err));
    int n = (int)ids.len - 1;
    static const struct {
        int seq_len, stride;
    } cases[] = {{0, 0}, {4, 0}, {5, 2}, {7, 7}, {1, 1}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int T = cases[k].seq_len ? cases[k].seq_len : CONTEXT;
        int step = cases[k].stride ? cases[k].stride : T;
        double expected = 0;
        int counted =
            0; /* tokens scored so far; the windows one after another, by a session each */
        for (int begin = 0; counted < n; begin += step) {
            dsm_session *s;
            assert_ok(dsm_session_open(&s, e, 0, &err));
            for (int i = begin; i < begin + T && i < n; i++) {
                assert_ok(dsm_session_feed(s, &ids.data[i], 1, &err));
                if (i < counted) continue;
                expected += loss_of(dsm_session_logits(s), ids.data[i + 1]);
                counted++;
            }
            dsm_session_close(s);
        }
        const dsm_eval_options o = {.n_threads = 1,
                                    .cpu_flags = dsm_runtime_cpu_flags(),
                                    .seq_len = cases[k].seq_len,
                                    .stride = cases[k].stride};
        dsm_eval_result r;
        const char *const files[] = {file};
        assert_ok(dsm_eval_text(&r, test_path(dir, "m"), files, 1, &o, &err));
        assert_int_equal(r.tokens, n);
        assert_int_equal(r.bytes, sizeof text - 1);
        if (fabs(r.loss - expected / n) > 1e-4)
            fail_msg("window %d, stride %d: loss %.6f, expected %.6f", T, step, r.loss,
                     expected / n);
        assert_true(fabs(r.bits_per_byte - r.loss * n / log(2.0) / (double)(sizeof text - 1)) <
                    1e-9);
        dsm_eval_result_free(&r);
    }
    dsm_ids_free(&ids);
    free(file);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* --- models that cannot be run ---------------------------------------------------------------- */

static void says_why_a_model_cannot_run(void **state)
{
    (void)state;
    dsm_err err;
    dsm_model_config c = config_of(DSM_ROUTER_SOFTMAX);
    char *dir = make_model(&c), *model = dsm_fs_join(dir, "m");
    char *tokenizer = dsm_fs_join(model, "tokenizer.json");
    dsm_engine *e;
    dsm_engine_options o;
    dsm_engine_defaults(&o);
    o.n_threads = 1;
    save_tokenizer(model, VOCAB); /* fits exactly */
    assert_ok(dsm_engine_open(&e, model, &o, &err));
    dsm_engine_close(e);
    assert_int_equal(remove(tokenizer), 0);
    assert_fails(dsm_engine_open(&e, model, &o, &err), DSM_ENOTFOUND, "found no tokenizer.json");
    assert_null(e);
    test_write_file(tokenizer, "{", 1);
    assert_fails(dsm_engine_open(&e, model, &o, &err), DSM_EFORMAT, "tokenizer.json");
    c.vocab_size = 261; /* one row less than the tokenizer needs */
    assert_ok(dsm_model_config_write(&c, test_path(dir, "config.json"), "f32", &err));
    char *config = dsm_fs_join(dir, "config.json"), *tok = dsm_fs_join(dir, "tok");
    const dsm_make_options make = {
        .config = config, .out_dir = "never", .dtype = "f32", .tokenizer = tok};
    assert_fails(dsm_model_make(&make, &err), DSM_ESHAPE,
                 "vocabulary has 262 entries, the model's vocab_size is 261");
    assert_false(dsm_fs_exists("never"));
    free(config);
    free(tok);
    free(tokenizer);
    free(model);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_equals_one_whole_forward),
        cmocka_unit_test(truncation_forgets),
        cmocka_unit_test(generation_is_reproducible_and_ends),
        cmocka_unit_test(stop_strings_and_eos_end_it),
        cmocka_unit_test(windows_score_every_token_once),
        cmocka_unit_test(says_why_a_model_cannot_run),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
