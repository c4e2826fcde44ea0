/* SPDX-License-Identifier: MIT */
/* infer: conversations in a model's own format. One BOS whoever writes it, the token that ends a
 * turn, and only new tokens fed. */
#include "support/support.h"

#include "core/buf.h"
#include "core/fs.h"
#include "dsmoe/chat.h"
#include "dsmoe/dsmoe.h"
#include "dsmoe/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCAB = 300, CONTEXT = 256 };
static dsm_err err;

static int next_document(void *arg, const char **text, size_t *n, dsm_err *e)
{
    (void)e;
    int *left = arg;
    if ((*left)-- <= 0) return 0;
    *text = "the cat and the dog and the hen";
    *n = strlen(*text);
    return 1;
}

/* <bos> 0, <eos> 1, <turn> 2, <end> 3; add_bos as asked for. */
static void save_tokenizer(const char *dir, bool add_bos)
{
    static const char *const specials[] = {"<bos>", "<eos>", "<turn>", "<end>"};
    dsm_tokenizer_train_options o;
    dsm_tokenizer_train_defaults(&o);
    o.vocab_size = 280;
    o.specials = specials;
    o.n_specials = 4;
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
    char *path = dsm_fs_join(dir, "tokenizer_config.json");
    dsm_buf config = {0};
    dsm_buf_fmt(&config,
                "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", \"add_bos_token\": %s, "
                "\"bos_token\": \"<bos>\", \"eos_token\": {\"content\": \"<eos>\"}}",
                add_bos ? "true" : "false");
    assert_ok(dsm_fs_replace(path, config.data, config.len, &err));
    dsm_buf_free(&config);
    free(path);
}

/* A folder with a random model and, unless NULL, a chat template. */
static dsm_engine *make_engine(const char *dir, const char *template, bool add_bos)
{
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    strcpy(c.model_type, "deepseek");
    c.vocab_size = VOCAB;
    c.hidden_size = 32;
    c.intermediate_size = 40;
    c.moe_intermediate_size = 8;
    c.num_hidden_layers = 2;
    c.num_attention_heads = 4;
    c.num_key_value_heads = 2;
    c.head_dim = 8;
    c.max_position_embeddings = CONTEXT;
    c.n_routed_experts = 6;
    c.n_shared_experts = 1;
    c.num_experts_per_tok = 2;
    c.first_k_dense_replace = 1;
    c.initializer_range = 0.3;
    c.router = DSM_ROUTER_SOFTMAX;
    char *tokenizer = dsm_fs_join(dir, "tok"), *model = dsm_fs_join(dir, "m"),
         *config = dsm_fs_join(dir, "config.json");
    save_tokenizer(tokenizer, add_bos);
    assert_ok(dsm_model_config_write(&c, config, "f32", &err));
    const dsm_make_options o = {.config = config,
                                .out_dir = model,
                                .dtype = "f32",
                                .tokenizer = tokenizer,
                                .seed = 5,
                                .n_threads = 1};
    assert_ok(dsm_model_make(&o, &err));
    if (template) {
        char *path = dsm_fs_join(model, "chat_template.jinja");
        assert_ok(dsm_fs_replace(path, template, strlen(template), &err));
        free(path);
    }
    dsm_engine_options options;
    dsm_engine *e;
    dsm_engine_defaults(&options);
    options.cache_type = "f32"; /* logits do not depend on how a text was cut */
    options.n_threads = 1;
    options.cpu_flags = dsm_runtime_cpu_flags();
    assert_ok(dsm_engine_open(&e, model, &options, &err));
    free(tokenizer);
    free(model);
    free(config);
    return e;
}

static dsm_conversation *talk(const char *user)
{
    dsm_conversation *c;
    assert_ok(dsm_conversation_new(&c, &err));
    assert_ok(dsm_conversation_add(c, "user", user, strlen(user), &err));
    return c;
}

#define TURNS                                                                                      \
    "{% for m in messages %}<turn>{{ m.role }}: {{ m.content }}<end>{% endfor %}"                  \
    "{% if add_generation_prompt %}<turn>assistant: {% endif %}"

/* Templates that write no, one and two BOS; a tokenizer that puts one or none. */
static void test_one_bos(void **state)
{
    static const struct {
        const char *template;
        bool add_bos;
        size_t expected;
    } cases[] = {
        {TURNS, false, 0},
        {TURNS, true, 1},
        {"{{ bos_token }}" TURNS, false, 1},
        {"{{ bos_token }}" TURNS, true, 1},
        {"<bos>{{ bos_token }}" TURNS, true, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *dir = test_make_dir();
        dsm_engine *e = make_engine(dir, cases[i].template, cases[i].add_bos);
        dsm_chat_format *f;
        dsm_ids ids = {0};
        dsm_conversation *c = talk("the cat");
        assert_ok(dsm_chat_format_open(&f, e, NULL, &err));
        assert_ok(dsm_chat_encode(f, c, true, NULL, &ids, &err));
        size_t n = 0;
        for (size_t k = 0; k < ids.len; k++)
            n += ids.data[k] == 0;
        assert_int_equal(n, cases[i].expected);
        if (n) assert_int_equal(ids.data[0], 0);
        assert_int_equal(ids.data[n], 2);
        dsm_ids_free(&ids);
        dsm_conversation_free(c);
        dsm_chat_format_close(f);
        dsm_engine_close(e);
        test_remove_dir(dir);
    }
}

static void test_turn_end(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    dsm_engine *e = make_engine(dir, "{{ bos_token }}" TURNS, true);
    dsm_chat_format *f;
    const int32_t *ids;
    const char *const *stops;
    assert_ok(dsm_chat_format_open(&f, e, NULL, &err));
    assert_true(dsm_chat_format_own(f));
    assert_int_equal(dsm_chat_format_stop_ids(f, &ids), 1);
    assert_int_equal(ids[0], 3);
    assert_int_equal(dsm_chat_format_stops(f, &stops), 0);
    dsm_chat_format_close(f);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* Without a template: the plain format, which ends an answer by text. */
static void test_plain(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *text;
    size_t n;
    dsm_engine *e = make_engine(dir, NULL, true);
    dsm_chat_format *f;
    dsm_conversation *c = talk("Hi");
    const char *const *stops;
    assert_ok(dsm_conversation_set_system(c, "Be brief.", &err));
    assert_ok(dsm_conversation_add(c, "assistant", "Yes?", 4, &err));
    assert_ok(dsm_chat_format_open(&f, e, NULL, &err));
    assert_false(dsm_chat_format_own(f));
    assert_int_equal(dsm_chat_format_stops(f, &stops), 2);
    assert_ok(dsm_chat_render(f, c, true, &text, &n, &err));
    assert_string_equal(text, "<bos>Be brief.\n\nUser: Hi\n\nAssistant: Yes?\n\nAssistant:");
    free(text);
    dsm_conversation_free(c);
    dsm_chat_format_close(f);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* An answer as if drawn letter by letter: tokens that no tokenizer would cut its text into. All but
 * the last are fed, as dsm_session_generate leaves it. */
static void answer(const dsm_chat_format *f, dsm_session *s, const dsm_engine *e,
                   dsm_conversation *c, dsm_chat_trace *trace, const char *text)
{
    int32_t ids[32];
    const dsm_tokenizer *t = dsm_engine_tokenizer(e);
    dsm_generated g = {.text = (char *)text, .text_len = strlen(text), .tokens = ids};
    for (; text[g.n_tokens]; g.n_tokens++) {
        ids[g.n_tokens] = dsm_tokenizer_find(t, (const char[]){text[g.n_tokens], 0});
        assert_true(ids[g.n_tokens] >= 0);
    }
    assert_ok(dsm_session_feed(s, ids, g.n_tokens - 1, &err));
    assert_ok(dsm_chat_add_answer(f, c, trace, &g, &err));
}

/* A message; returns how many tokens were fed, of *all. */
static int64_t ask(const dsm_chat_format *f, dsm_session *s, dsm_conversation *c,
                   dsm_chat_trace *trace, const char *user, int64_t *all)
{
    dsm_ids ids = {0};
    int64_t fed;
    assert_ok(dsm_conversation_add(c, "user", user, strlen(user), &err));
    assert_ok(dsm_chat_encode(f, c, true, trace, &ids, &err));
    assert_ok(dsm_session_set(s, ids.data, (int64_t)ids.len, &fed, &err));
    *all = (int64_t)ids.len;
    dsm_ids_free(&ids);
    return fed;
}

static int64_t n_ids(const dsm_engine *e, const char *text)
{
    dsm_ids ids = {0};
    assert_ok(dsm_tokenizer_encode(dsm_engine_tokenizer(e), text, strlen(text), DSM_ENCODE_SPECIAL,
                                   &ids, &err));
    int64_t n = (int64_t)ids.len;
    dsm_ids_free(&ids);
    return n;
}

/* Of each prompt only the new part is fed, and the last drawn token, which was not yet. */
static void test_prefix(void **state)
{
    (void)state;
    static const char rest[] = "<end><turn>user: and the hen<end><turn>assistant: ";
    char *dir = test_make_dir();
    dsm_engine *e = make_engine(dir, "{{ bos_token }}" TURNS, true);
    dsm_chat_format *f;
    dsm_session *s;
    dsm_conversation *c;
    dsm_chat_trace trace = {0};
    int64_t all;
    assert_ok(dsm_chat_format_open(&f, e, NULL, &err));
    assert_ok(dsm_session_open(&s, e, 0, &err));
    assert_ok(dsm_conversation_new(&c, &err));
    int64_t fed = ask(f, s, c, &trace, "the cat", &all);
    assert_int_equal(fed, all);
    for (int i = 0; i < 3; i++) {
        int64_t before = all;
        answer(f, s, e, c, &trace, "thedog");
        fed = ask(f, s, c, &trace, "and the hen", &all);
        assert_int_equal(all, before + 6 + n_ids(e, rest));
        assert_int_equal(fed, 1 + n_ids(e, rest));
    }
    answer(f, s, e, c, &trace, "the");
    dsm_conversation_truncate(c, 3); /* another end: what is in common stays */
    fed = ask(f, s, c, &trace, "or the dog", &all);
    assert_true(fed < all && fed > 1);
    dsm_chat_trace_free(&trace);
    dsm_conversation_free(c);
    dsm_session_close(s);
    dsm_chat_format_close(f);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* "Assistant:" asks, "Assistant: " stands before an answer: the space the model writes first is the
 * format's, and the conversation goes on behind its tokens. */
static void test_leading_space(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    dsm_engine *e = make_engine(dir, NULL, false);
    dsm_chat_format *f;
    dsm_session *s;
    dsm_conversation *c;
    dsm_chat_trace trace = {0};
    int64_t all;
    assert_ok(dsm_chat_format_open(&f, e, NULL, &err));
    assert_ok(dsm_session_open(&s, e, 0, &err));
    assert_ok(dsm_conversation_new(&c, &err));
    ask(f, s, c, &trace, "the cat", &all);
    int32_t ids[] = {dsm_tokenizer_find(dsm_engine_tokenizer(e), "Ġthe")};
    dsm_generated g = {.text = (char *)" the", .text_len = 4, .tokens = ids, .n_tokens = 1};
    assert_true(ids[0] >= 0);
    assert_ok(dsm_chat_add_answer(f, c, &trace, &g, &err));
    assert_string_equal(dsm_conversation_text(c, 1), "the");
    int64_t fed = ask(f, s, c, &trace, "x", &all);
    assert_int_equal(fed, 1 + n_ids(e, "\n\nUser: x\n\nAssistant:"));
    dsm_chat_trace_free(&trace);
    dsm_conversation_free(c);
    dsm_session_close(s);
    dsm_chat_format_close(f);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

/* The same tokens, whole or behind what a session holds, give the same logits. */
static void test_session_set(void **state)
{
    (void)state;
    static const int32_t first[] = {0, 40, 41, 42, 43}, second[] = {0, 40, 41, 99, 100, 101};
    char *dir = test_make_dir();
    dsm_engine *e = make_engine(dir, NULL, true);
    dsm_session *a, *b;
    int64_t fed;
    assert_ok(dsm_session_open(&a, e, 0, &err));
    assert_ok(dsm_session_open(&b, e, 0, &err));
    assert_ok(dsm_session_set(a, first, 5, &fed, &err));
    assert_int_equal(fed, 5);
    assert_ok(dsm_session_set(a, first, 5, &fed, &err));
    assert_int_equal(fed, 1);
    assert_ok(dsm_session_set(a, first, 3, &fed, &err));
    assert_int_equal(fed, 1);
    assert_ok(dsm_session_set(a, second, 6, &fed, &err));
    assert_int_equal(fed, 3);
    assert_int_equal(dsm_session_length(a), 6);
    assert_ok(dsm_session_set(b, second, 6, &fed, &err));
    for (int i = 0; i < VOCAB; i++)
        assert_float_equal(dsm_session_logits(a)[i], dsm_session_logits(b)[i], 1e-4);
    dsm_session_close(a);
    dsm_session_close(b);
    dsm_engine_close(e);
    test_remove_dir(dir);
}

static bool stop_after(void *arg, int64_t fed, int64_t all)
{
    (void)all;
    return fed < *(int64_t *)arg;
}

/* A long prompt that is stopped between two chunks: what was fed stays, and is not fed again. */
static void test_interrupted(void **state)
{
    (void)state;
    enum { N = 60, CHUNK = 16 };
    char *dir = test_make_dir();
    dsm_engine_close(make_engine(dir, NULL, true));
    char *model = dsm_fs_join(dir, "m");
    dsm_engine_options o;
    dsm_engine *e;
    dsm_session *a, *b;
    int64_t stop = 2 * CHUNK, fed;
    int32_t ids[N];
    for (int i = 0; i < N; i++)
        ids[i] = 10 + i;
    dsm_engine_defaults(&o);
    o.n_threads = 1;
    o.cpu_flags = dsm_runtime_cpu_flags();
    o.chunk = CHUNK;
    assert_ok(dsm_engine_open(&e, model, &o, &err));
    assert_ok(dsm_session_open(&a, e, 0, &err));
    assert_ok(dsm_session_open(&b, e, 0, &err));
    dsm_session_watch(a, stop_after, &stop);
    assert_fails(dsm_session_set(a, ids, N, &fed, &err), DSM_EINTERRUPTED,
                 "stopped after 32 of 60");
    assert_int_equal(dsm_session_length(a), 2 * CHUNK);
    stop = N;
    assert_ok(dsm_session_set(a, ids, N, &fed, &err));
    assert_int_equal(fed, N - 2 * CHUNK);
    assert_ok(dsm_session_set(b, ids, N, &fed, &err));
    for (int i = 0; i < VOCAB; i++)
        assert_float_equal(dsm_session_logits(a)[i], dsm_session_logits(b)[i], 1e-4);
    dsm_session_close(a);
    dsm_session_close(b);
    dsm_engine_close(e);
    free(model);
    test_remove_dir(dir);
}

static void test_files(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = dsm_fs_join(dir, "c.json");
    static const char text[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\", \"x\": 1}, "
        "{\"role\": \"assistant\", \"content\": null}], \"tools\": []}";
    dsm_conversation *c;
    assert_ok(dsm_conversation_new(&c, &err));
    assert_ok(dsm_fs_replace(path, text, strlen(text), &err));
    assert_ok(dsm_conversation_read(c, path, &err));
    assert_int_equal(dsm_conversation_count(c), 2);
    assert_string_equal(dsm_conversation_text(c, 0), "a");
    assert_string_equal(dsm_conversation_text(c, 1), "");
    assert_ok(dsm_conversation_add(c, "user", "\xFFz", 2, &err));
    assert_string_equal(dsm_conversation_text(c, 2), "\xEF\xBF\xBDz");
    assert_ok(dsm_conversation_write(c, path, &err));
    assert_ok(dsm_conversation_read(c, path, &err));
    assert_int_equal(dsm_conversation_count(c), 3);
    static const char *const wrong[] = {"{}", "{\"messages\": 1}", "{\"messages\": [1]}", "[",
                                        "{\"messages\": [], \"tools\": 1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_ok(dsm_fs_replace(path, wrong[i], strlen(wrong[i]), &err));
        assert_fails(dsm_conversation_read(c, path, &err), DSM_EFORMAT, "c.json");
    }
    assert_int_equal(dsm_conversation_count(c), 3);
    dsm_conversation_free(c);
    free(path);
    test_remove_dir(dir);
}

static void test_wrong_template(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    dsm_engine *e = make_engine(dir, "a\n{% include 'x' %}", true);
    dsm_chat_format *f;
    assert_fails(dsm_chat_format_open(&f, e, NULL, &err), DSM_EFORMAT,
                 "chat template: line 2: the tag \"include\" is not supported");
    dsm_engine_close(e);
    test_remove_dir(dir);
}

static void expect_text(const dsm_engine *e, const char *template, const char *expected)
{
    dsm_chat_format *f;
    dsm_conversation *c = talk("Hi");
    char *text;
    size_t n;
    assert_ok(dsm_chat_format_open(&f, e, template, &err));
    assert_true(dsm_chat_format_own(f));
    assert_ok(dsm_chat_render(f, c, true, &text, &n, &err));
    assert_string_equal(text, expected);
    free(text);
    dsm_conversation_free(c);
    dsm_chat_format_close(f);
}

/* Several templates in a list, each in a file of its own, and one that is not the model's. */
static void test_named_templates(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *model = dsm_fs_join(dir, "m");
    dsm_engine *e = make_engine(dir, NULL, true);
    char *config = dsm_fs_join(model, "tokenizer_config.json");
    char *more = dsm_fs_join(model, "additional_chat_templates");
    char *rag = dsm_fs_join(more, "rag.jinja"), *file = dsm_fs_join(dir, "x.jinja");
    static const char list[] = "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"T\"},"
                               " {\"name\": \"default\", \"template\": \"D\"}]}";
    dsm_chat_format *f;
    assert_ok(dsm_fs_replace(config, list, strlen(list), &err));
    assert_ok(dsm_fs_make_dirs(more, &err));
    assert_ok(dsm_fs_replace(rag, "R", 1, &err));
    assert_ok(dsm_fs_replace(file, "F", 1, &err));
    expect_text(e, NULL, "D");
    expect_text(e, "default", "D");
    expect_text(e, "tool_use", "T");
    expect_text(e, "rag", "R");
    expect_text(e, file, "F");
    assert_fails(dsm_chat_format_open(&f, e, "other", &err), DSM_ENOTFOUND, "found \"other\"");
    assert_fails(dsm_chat_format_open(&f, e, "../rag", &err), DSM_ENOTFOUND, "found \"../rag\"");
    dsm_engine_close(e);
    free(file), free(rag), free(more), free(config), free(model);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_bos),        cmocka_unit_test(test_turn_end),
        cmocka_unit_test(test_plain),          cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_leading_space),  cmocka_unit_test(test_session_set),
        cmocka_unit_test(test_interrupted),    cmocka_unit_test(test_files),
        cmocka_unit_test(test_wrong_template), cmocka_unit_test(test_named_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
