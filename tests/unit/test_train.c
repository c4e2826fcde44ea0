/* SPDX-License-Identifier: MIT */
/* The trainer end to end on a tiny model and a tiny language: it learns, gives the same bits on any
 * number of threads, goes on exactly after a stop, and says what is wrong. */
#include "support/support.h"

#include "core/fs.h"
#include "core/rng.h"
#include "dsmoe/dsmoe.h"
#include "formats/checkpoint.h"
#include "run/store.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *root; /* text, tokenizer, data, configs and runs of this program */

/* --- a tiny language -------------------------------------------------------------------------- */

static const char *const words[] = {"the",  "a",    "old",  "small", "cat",   "dog",
                                    "bird", "tree", "sees", "eats",  "likes", "under",
                                    "near", "with", "and",  "."};
enum { N_WORDS = sizeof words / sizeof *words, N_DOCUMENTS = 300, DOCUMENT_WORDS = 60 };

/* Each word is followed by one of three, so a model that learns gets far below the uniform loss. */
static void write_text(const char *path)
{
    const dsm_rng rng = {.seed = 5, .stream = DSM_STREAM_TEST};
    dsm_buf text = {0};
    for (uint64_t d = 0; d < N_DOCUMENTS; d++) {
        size_t w = d % N_WORDS;
        dsm_buf_str(&text, "{\"text\": \"");
        for (uint64_t i = 0; i < DOCUMENT_WORDS; i++) {
            dsm_buf_fmt(&text, " %s", words[w]);
            w = (w * 5 + 3 + (size_t)dsm_rng_below(&rng, d * DOCUMENT_WORDS + i, 3)) % N_WORDS;
        }
        dsm_buf_str(&text, "\"}\n");
    }
    test_write_file(path, text.data, text.len);
    dsm_buf_free(&text);
}

static dsm_tokenizer *make_tokenizer(const char *text, int32_t vocab_size)
{
    dsm_err err;
    dsm_corpus *corpus;
    dsm_corpus_options corpus_options;
    dsm_tokenizer *tokenizer;
    dsm_tokenizer_train_options options;
    dsm_corpus_defaults(&corpus_options);
    assert_ok(dsm_corpus_open(&corpus, &text, 1, &corpus_options, &err));
    dsm_tokenizer_train_defaults(&options);
    options.vocab_size = vocab_size;
    options.n_threads = 1;
    assert_ok(dsm_tokenizer_train(&tokenizer, &options, dsm_corpus_next, corpus, &err));
    dsm_corpus_close(corpus);
    return tokenizer;
}

/* root/data/{train,valid}, and in root/other a tokenizer that did not make them. */
static void make_data(void)
{
    dsm_err err;
    dsm_prepare_options prepare;
    dsm_data_info train, valid;
    dsm_corpus_stats stats;
    char *text = dsm_fs_join(root, "text.jsonl"), *data = dsm_fs_join(root, "data");
    const char *inputs[] = {text};
    write_text(text);
    dsm_tokenizer *tokenizer = make_tokenizer(text, 290), *other = make_tokenizer(text, 280);
    dsm_prepare_defaults(&prepare);
    prepare.out_dir = data;
    prepare.valid_fraction = 0.1;
    prepare.n_threads = 1;
    assert_ok(dsm_data_prepare(tokenizer, inputs, 1, &prepare, &train, &valid, &stats, &err));
    assert_ok(dsm_tokenizer_save(other, test_path(root, "other"), &err));
    dsm_tokenizer_close(tokenizer);
    dsm_tokenizer_close(other);
    free(text);
    free(data);
}

/* config.json of a model with one dense and one MoE layer; `extra` are more keys. */
static const char *make_config(const char *name, int picks, const char *extra)
{
    dsm_buf text = {0};
    dsm_buf_fmt(
        &text,
        "{\"model_type\": \"deepseek\", \"vocab_size\": 320, \"hidden_size\": 32,"
        " \"intermediate_size\": 48, \"moe_intermediate_size\": 16, \"num_hidden_layers\": 2,"
        " \"num_attention_heads\": 2, \"num_key_value_heads\": 2, \"n_shared_experts\": 1,"
        " \"n_routed_experts\": 8, \"num_experts_per_tok\": %d, \"first_k_dense_replace\": 1,"
        " \"max_position_embeddings\": 64, \"initializer_range\": 0.05%s}\n",
        picks, extra);
    const char *path = test_path(root, name);
    test_write_file(path, text.data, text.len);
    dsm_buf_free(&text);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    root = test_make_dir();
    make_data();
    make_config("softmax.json", 2, "");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_remove_dir(root);
    return 0;
}

/* --- recipes and runs ------------------------------------------------------------------------- */

static void put(char out[DSM_TEXT_MAX], const char *name)
{
    snprintf(out, DSM_TEXT_MAX, "%s/%s", root, name);
}

static dsm_recipe recipe(const char *config, const char *run, int64_t steps)
{
    dsm_recipe r;
    dsm_recipe_defaults(&r);
    put(r.run, run);
    put(r.model, config);
    put(r.data.train.item[0].dir, "data/train");
    r.data.train.item[0].weight = 1.0;
    r.data.train.n = 1;
    put(r.data.valid, "data/valid");
    r.data.seq_len = 24;
    r.batch.sequences = 8;
    r.batch.micro = 4;
    r.steps = steps;
    r.optimizer.peak_lr = 5e-3;
    r.schedule.warmup = 4;
    r.log.every = 1;
    r.eval.every = 0;
    r.eval.sequences = 16;
    r.checkpoint.every = 0;
    return r;
}

/* Callbacks that remember losses and stop after a step. */
typedef struct watch {
    double first_loss, last_loss, max_vio;
    int64_t stop_after; /* 0: never */
    volatile sig_atomic_t stop;
    int n_evals, n_samples;
    char sample[64];
} watch;

static void on_step(void *arg, const dsm_train_step *s)
{
    watch *w = arg;
    if (s->step == 1) w->first_loss = s->loss;
    w->last_loss = s->loss;
    w->max_vio = s->max_vio;
    if (s->step == w->stop_after) w->stop = 1;
}

static void on_eval(void *arg, const dsm_train_eval *e)
{
    watch *w = arg;
    w->n_evals++;
    assert_true(e->tokens == 16 * 24 && e->bytes > e->tokens && e->loss > 0);
    assert_true(fabs(e->perplexity - exp(e->loss)) < 1e-9 * e->perplexity);
    double bits = e->loss * (double)e->tokens / log(2.0) / (double)e->bytes;
    assert_true(fabs(e->bits_per_byte - bits) < 1e-9 * bits);
}

static char *echo(void *arg, struct dsm_model *model, const char *tokenizer_dir, const char *prompt,
                  int64_t max_tokens, double temperature, uint64_t seed, dsm_err *err)
{
    (void)arg, (void)seed, (void)temperature;
    assert_non_null(model);
    assert_true(dsm_fs_exists(test_path(tokenizer_dir, "tokenizer.json")));
    assert_int_equal(max_tokens, 64);
    if (*prompt == '\0') {
        dsm_fail(err, DSM_EUSAGE, "nothing to go on");
        return NULL;
    }
    return strdup(prompt);
}

static void on_sample(void *arg, int64_t step, const char *prompt, const char *text)
{
    (void)step, (void)prompt;
    watch *w = arg;
    w->n_samples++;
    snprintf(w->sample, sizeof w->sample, "%s", text);
}

static dsm_status finish(dsm_trainer *t, watch *w, dsm_train_result *result, dsm_err *err)
{
    const dsm_train_events events = {.arg = w,
                                     .step = on_step,
                                     .eval = on_eval,
                                     .generate = echo,
                                     .sample = on_sample,
                                     .stop = &w->stop};
    dsm_status status = dsm_trainer_run(t, &events, result, err);
    dsm_trainer_close(t);
    return status;
}

static dsm_train_options threads(int n)
{
    return (dsm_train_options){.n_threads = n, .cpu_flags = dsm_runtime_cpu_flags()};
}

static dsm_status start(const dsm_recipe *r, int n_threads, watch *w, dsm_train_result *result,
                        dsm_err *err)
{
    dsm_trainer *t;
    dsm_train_options o = threads(n_threads);
    DSM_TRY(dsm_trainer_open(&t, r, &o, err));
    return finish(t, w, result, err);
}

static dsm_status resume(const dsm_recipe *r, const char *set, watch *w, dsm_train_result *result,
                         dsm_err *err)
{
    dsm_trainer *t;
    dsm_train_options o = threads(2);
    DSM_TRY(dsm_trainer_resume(&t, r->run, &set, set != NULL, &o, err));
    return finish(t, w, result, err);
}

static void assert_same_file(const char *dir_a, const char *dir_b, const char *name)
{
    dsm_err err;
    dsm_map a, b;
    assert_ok(dsm_map_open(&a, test_path(dir_a, name), &err));
    assert_ok(dsm_map_open(&b, test_path(dir_b, name), &err));
    if (a.size != b.size || memcmp(a.data, b.data, a.size) != 0)
        fail_msg("%s differs between %s and %s", name, dir_a, dir_b);
    dsm_map_close(&a);
    dsm_map_close(&b);
}

static void assert_same_checkpoint(const dsm_train_result *a, const dsm_train_result *b)
{
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors",
                                        "trainer.json", "config.json", "tokenizer.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_same_file(a->checkpoint, b->checkpoint, files[i]);
}

/* --- learning --------------------------------------------------------------------------------- */

static double stored(const char *run, int64_t step, const char *key)
{
    dsm_err err;
    dsm_store *s;
    bool found;
    double value;
    assert_ok(dsm_store_open(&s, test_path(run, "runs.db"), &err));
    assert_ok(dsm_store_get(s, step, key, &found, &value, &err));
    dsm_store_close(s);
    if (!found) fail_msg("runs.db has no %s at step %lld", key, (long long)step);
    return value;
}

static int64_t count_rows(const char *run, const char *table)
{
    dsm_err err;
    dsm_store *s;
    int64_t rows;
    assert_ok(dsm_store_open(&s, test_path(run, "runs.db"), &err));
    assert_ok(dsm_store_count(s, table, &rows, &err));
    dsm_store_close(s);
    return rows;
}

static void it_learns_and_keeps_everything(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    dsm_recipe r = recipe("softmax.json", "learn", 60);
    r.eval.every = 30;
    r.sample.every = 30;
    r.sample.prompts.n = 2;
    strcpy(r.sample.prompts.item[1], "the cat");
    r.checkpoint.every = 20;
    r.checkpoint.keep = 2;
    assert_ok(start(&r, 2, &w, &result, &err));
    assert_true(fabs(w.first_loss - log(320.0)) < 0.5); /* a new model knows nothing */
    if (!(w.last_loss < w.first_loss - 2.5))
        fail_msg("loss went from %g to %g", w.first_loss, w.last_loss);
    assert_int_equal(w.n_evals, 2); /* the one at the end is the second */
    assert_true(result.valid.step == 60 && result.valid.loss < 3.5);
    assert_int_equal(w.n_samples, 4);
    assert_string_equal(w.sample, "the cat");
    assert_int_equal(count_rows(r.run, "samples"), 4);
    assert_int_equal(count_rows(r.run, "expert_load"), 60 * 8);
    assert_true(stored(r.run, 60, "loss") == w.last_loss);
    assert_true(stored(r.run, 60, "layer.1.max_vio") == w.max_vio); /* the only MoE layer */
    assert_true(stored(r.run, 3, "layer.1.entropy") > 0.5);
    assert_true(dsm_fs_exists(test_path(result.checkpoint, "tokenizer.json")));
    assert_false(dsm_fs_exists(test_path(r.run, "checkpoints/step-00000020")));
    assert_true(dsm_fs_exists(test_path(r.run, "checkpoints/step-00000040")));
    dsm_model *m; /* the run directory is a MODEL */
    assert_ok(dsm_checkpoint_open(&m, r.run, 0, NULL, &err));
    assert_int_equal(m->config.eos_token_id, 1);
    dsm_model_free(m);
}

/* Two micro-batches and one large batch are the same step up to rounding. */
static void accumulation_is_the_large_batch(void **state)
{
    (void)state;
    dsm_err err;
    double norm[3];
    static const int64_t micro[] = {8, 4, 3}; /* 3: the last one is smaller */
    for (int i = 0; i < 3; i++) {
        watch w = {0};
        dsm_train_result result;
        char name[32];
        snprintf(name, sizeof name, "micro%d", i);
        dsm_recipe r = recipe("softmax.json", name, 1);
        r.batch.micro = micro[i];
        assert_ok(start(&r, 2, &w, &result, &err));
        norm[i] = stored(r.run, 1, "grad_norm");
        assert_true(fabs(norm[i] - norm[0]) < 1e-4 * norm[0]);
    }
}

static void the_batch_ramps(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    dsm_recipe r = recipe("softmax.json", "ramp", 6);
    r.batch.ramp.from = 2;
    r.batch.micro = 2;
    r.batch.ramp.tokens = 24 * 12;
    assert_ok(start(&r, 1, &w, &result, &err));
    static const int64_t sequences[] = {2, 2, 4, 6, 8, 8}; /* 2 + 6·done/12, in twos */
    double tokens = 0;
    for (int64_t s = 0; s < 6; s++) {
        tokens += (double)sequences[s] * 24;
        assert_true(stored(r.run, s + 1, "tokens") == tokens);
    }
}

/* --- the same bits ---------------------------------------------------------------------------- */

static void threads_do_not_matter(void **state)
{
    (void)state;
    dsm_err err;
    dsm_train_result results[3];
    for (int n = 0; n < 3; n++) {
        watch w = {0};
        char name[32];
        snprintf(name, sizeof name, "threads%d", n + 1);
        dsm_recipe r = recipe("softmax.json", name, 5);
        assert_ok(start(&r, n + 1, &w, &results[n], &err));
        assert_same_checkpoint(&results[0], &results[n]);
    }
}

/* Stop after 4 of 9 steps, or kill after the checkpoint of step 3 and lose a step; go on; compare.
 */
typedef struct resume_case {
    const char *name;
    int picks;
    const char *config; /* more keys */
    double bias_rate;
    int bias_rule, dtype;
} resume_case;

static void resume_is_exact(resume_case it)
{
    dsm_err err;
    watch w = {0};
    dsm_train_result straight, resumed;
    char config[64], a[64], b[64];
    snprintf(config, sizeof config, "%s.json", it.name);
    snprintf(a, sizeof a, "%s-straight", it.name);
    snprintf(b, sizeof b, "%s-resumed", it.name);
    make_config(config, it.picks, it.config);
    dsm_recipe r = recipe(config, a, 9);
    r.balance.bias_rate = it.bias_rate;
    r.balance.bias_rule = it.bias_rule;
    r.balance.stable.until = 0.67; /* stage two begins at step 6, after the stop */
    r.checkpoint.dtype = it.dtype;
    r.eval.every = 2;
    assert_ok(start(&r, 1, &w, &straight, &err));

    put(r.run, b);
    w = (watch){.stop_after = 4};
    assert_fails(start(&r, 3, &w, &resumed, &err), DSM_EINTERRUPTED, "stopped after step 4");
    assert_true(dsm_fs_exists(test_path(r.run, "checkpoints/step-00000004")));
    w = (watch){0};
    assert_ok(resume(&r, NULL, &w, &resumed, &err));
    assert_same_checkpoint(&straight, &resumed);
    assert_true(straight.valid.loss == resumed.valid.loss);
    assert_int_equal(count_rows(r.run, "metrics"), count_rows(test_path(root, a), "metrics"));
    assert_int_equal(count_rows(r.run, "evals"), count_rows(test_path(root, a), "evals"));
}

static void resume_softmax(void **state)
{
    (void)state;
    resume_is_exact((resume_case){"exact", 2, "", 0, 0, DSM_SAVE_F32});
}

static void resume_bf16_checkpoint(void **state)
{
    (void)state;
    resume_is_exact((resume_case){"bf16", 2, "", 0, 0, DSM_SAVE_BF16});
}

#define LOSS_FREE(router, bias)                                                                    \
    ", \"dsmoe\": {\"router\": \"" router "\", \"selection_bias\": \"" bias "\"}"
#define SIGMOID ", \"scoring_func\": \"sigmoid\""

/* Every variant of Loss-Free Balancing. */
static const resume_case loss_free[] = {
    {"sigmoid-sign", 2, SIGMOID LOSS_FREE("sigmoid", "additive"), 1e-2, DSM_BIAS_SIGN,
     DSM_SAVE_F16},
    {"sigmoid-proportional", 2, SIGMOID LOSS_FREE("sigmoid", "additive"), 1e-2,
     DSM_BIAS_PROPORTIONAL, DSM_SAVE_F32},
    {"sigmoid-multiplicative", 2, SIGMOID LOSS_FREE("sigmoid", "multiplicative"), 1e-2,
     DSM_BIAS_SIGN, DSM_SAVE_F32},
    {"softmax-sign", 2, LOSS_FREE("softmax", "additive"), 3e-3, DSM_BIAS_SIGN, DSM_SAVE_F32},
    {"softmax-proportional", 2, LOSS_FREE("softmax", "additive"), 3e-3, DSM_BIAS_PROPORTIONAL,
     DSM_SAVE_BF16},
    {"softmax-multiplicative", 2, LOSS_FREE("softmax", "multiplicative"), 1e-2,
     DSM_BIAS_PROPORTIONAL, DSM_SAVE_F32},
};
enum { N_LOSS_FREE = sizeof loss_free / sizeof *loss_free };

static void resume_loss_free(void **state)
{
    (void)state;
    for (int i = 0; i < N_LOSS_FREE; i++)
        resume_is_exact(loss_free[i]);
}

static void resume_other_routers(void **state)
{
    (void)state;
    const resume_case cases[] = {
        {"gshard", 2,
         ", \"dsmoe\": {\"router\": \"gshard\", \"random_second\": true, "
         "\"capacity_factor\": 1.25}",
         0, 0, DSM_SAVE_F32},
        {"switch", 1, ", \"dsmoe\": {\"router\": \"switch\", \"jitter\": 0.01}", 0, 0,
         DSM_SAVE_F32},
        {"hash", 1, ", \"dsmoe\": {\"router\": \"hash\", \"hash\": \"balanced\"}", 0, 0,
         DSM_SAVE_F32},
        {"choice", 2,
         ", \"dsmoe\": {\"router\": \"expert_choice\", \"chunk\": 16, \"shuffle\": true}", 0, 0,
         DSM_SAVE_F32},
        {"stable", 1, ", \"dsmoe\": {\"router\": \"stable\", \"distilled_width\": 10}", 0, 0,
         DSM_SAVE_BF16},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        resume_is_exact(cases[i]);
}

/* Mean of max_vio over the last steps of a run without balance losses. */
static double imbalance(const resume_case *it, double bias_rate)
{
    enum { STEPS = 60, LAST = 20 };
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    char config[64], run[64];
    double sum = 0;
    snprintf(config, sizeof config, "%s.json", it->name);
    snprintf(run, sizeof run, "%s-levels-%d", it->name, bias_rate > 0);
    make_config(config, it->picks, it->config);
    dsm_recipe r = recipe(config, run, STEPS);
    r.balance.expert = 0;
    r.balance.bias_rate = bias_rate;
    r.balance.bias_rule = it->bias_rule;
    assert_ok(start(&r, 2, &w, &result, &err));
    if (!(w.last_loss < w.first_loss - 2)) fail_msg("%s: loss %g", it->name, w.last_loss);
    for (int64_t s = STEPS - LAST + 1; s <= STEPS; s++)
        sum += stored(r.run, s, "max_vio") / LAST;
    return sum;
}

/* Each variant learns, and evens the load that nothing else evens. */
static void loss_free_variants_level_the_load(void **state)
{
    (void)state;
    for (int i = 0; i < N_LOSS_FREE; i++) {
        double without = imbalance(&loss_free[i], 0);
        double with = imbalance(&loss_free[i], 3 * loss_free[i].bias_rate);
        printf("%s: MaxVio %.3f, steered %.3f\n", loss_free[i].name, without, with);
        if (!(with < 0.75 * without))
            fail_msg("%s: MaxVio %g with the bias, %g without", loss_free[i].name, with, without);
    }
}

/* StableMoE: the distilled router learns what the first stage picks, then rests. */
static void stable_distils_its_routing(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    make_config("stable.json", 1, ", \"dsmoe\": {\"router\": \"stable\"}");
    dsm_recipe r = recipe("stable.json", "distils", 80);
    r.balance.expert = 0.3;
    r.balance.stable.until = 0.75;
    assert_ok(start(&r, 2, &w, &result, &err));
    if (!(w.last_loss < w.first_loss - 2)) fail_msg("loss %g", w.last_loss);
    assert_true(fabs(stored(r.run, 1, "distill") - log(8.0)) < 0.05); /* knows nothing yet */
    double learned = stored(r.run, 60, "distill");
    if (!(learned < 0.9 * log(8.0))) fail_msg("distillation loss %g", learned);
    assert_true(stored(r.run, 61, "distill") == 0);
}

static void more_steps_can_be_added(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result straight, resumed;
    dsm_recipe r = recipe("softmax.json", "long", 8);
    r.schedule.kind = DSM_SCHEDULE_CONSTANT;
    assert_ok(start(&r, 1, &w, &straight, &err));
    put(r.run, "longer");
    r.steps = 5;
    assert_ok(start(&r, 1, &w, &resumed, &err));
    assert_ok(resume(&r, "steps=8", &w, &resumed, &err));
    assert_same_checkpoint(&straight, &resumed);
    assert_ok(resume(&r, NULL, &w, &resumed, &err)); /* nothing left to do: still an answer */
    assert_int_equal(resumed.step, 8);
    assert_true(resumed.valid.tokens > 0);
}

/* A run that died before its first checkpoint starts over; half a checkpoint is not taken for one.
 */
static void death_before_a_checkpoint(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result straight, resumed;
    dsm_recipe r = recipe("softmax.json", "whole", 3);
    assert_ok(start(&r, 1, &w, &straight, &err));
    put(r.run, "dead");
    dsm_trainer *t;
    dsm_train_options o = threads(1);
    assert_ok(dsm_trainer_open(&t, &r, &o, &err));
    dsm_trainer_close(t);
    char *half = dsm_fs_join(r.run, "checkpoints/step-00000002.99.tmp");
    assert_ok(dsm_fs_make_dirs(half, &err));
    assert_ok(resume(&r, NULL, &w, &resumed, &err));
    assert_same_checkpoint(&straight, &resumed);
    assert_false(dsm_fs_exists(half));
    free(half);
}

/* --- loss-free bias --------------------------------------------------------------------------- */

static void bias_moves_by_its_rate(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    make_config("steer.json", 2,
                ", \"dsmoe\": {\"router\": \"sigmoid\", \"selection_bias\": \"additive\"}");
    dsm_recipe r = recipe("steer.json", "steer", 1);
    r.balance.bias_rate = 0.25;
    assert_ok(start(&r, 2, &w, &result, &err));
    dsm_model *m;
    assert_ok(dsm_checkpoint_open(&m, result.checkpoint, DSM_MODEL_VALUES, NULL, &err));
    const float *bias = m->layers[1].moe.bias;
    int moved = 0;
    for (int e = 0; e < 8; e++) {
        assert_true(bias[e] == 0.25f || bias[e] == -0.25f || bias[e] == 0.0f);
        moved += bias[e] != 0.0f;
    }
    assert_true(moved > 0);
    dsm_model_free(m);
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static void infinities_stop_with_a_name(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    dsm_recipe r = recipe("softmax.json", "blow", 50);
    r.optimizer.peak_lr = 1e30;
    r.optimizer.weight_decay = 0;
    r.schedule.warmup = 0;
    r.checkpoint.every = 1;
    assert_fails(start(&r, 2, &w, &result, &err), DSM_ENONFINITE, "is not finite; first seen in");
    assert_true(test_contains(err.msg, "layer") || test_contains(err.msg, "model."));
    assert_true(test_contains(err.msg, "last checkpoint: step"));
    assert_true(dsm_fs_exists(test_path(r.run, "checkpoints/latest/model.safetensors")));
}

static void a_run_is_not_overwritten(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    dsm_recipe r = recipe("softmax.json", "once", 1);
    assert_ok(start(&r, 1, &w, &result, &err));
    assert_fails(start(&r, 1, &w, &result, &err), DSM_EUSAGE, "holds a run already");
    assert_true(test_contains(err.msg, "--resume"));
}

/* The recipe's mistakes that only the model and the data can show; none leaves a run directory. */
static void misfits_are_named(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    const dsm_recipe good = recipe("softmax.json", "misfit", 1);
    dsm_recipe r = good;
    put(r.data.train.item[0].dir, "nowhere");
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ENOTFOUND, "nowhere");
    r = good;
    put(r.model, "nowhere.json");
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ENOTFOUND, "nowhere.json");
    r = good;
    r.data.seq_len = 65;
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ERANGE, "max_position_embeddings");
    r = good;
    r.data.seq_len = 1 << 20;
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ESHAPE, "seq_len");
    r = good;
    r.balance.bias_rate = 0.1;
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ERANGE, "no selection bias");
    r = good;
    r.batch.micro = 9; /* filled in by a program, checked like a file */
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ERANGE, "batch.micro: found 9");
    r = good;
    r.data.seq_len = -1;
    assert_fails(start(&r, 1, &w, &result, &err), DSM_EFORMAT, "data.seq_len: found \"-1\"");
    r = good;
    r.balance.devices = 3;
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ERANGE, "divisor of the 8 routed experts");
    r = good;
    put(r.model, "tiny-vocabulary.json");
    const char text[] = "{\"model_type\": \"llama\", \"vocab_size\": 16, \"hidden_size\": 32,"
                        " \"intermediate_size\": 48, \"num_hidden_layers\": 1,"
                        " \"num_attention_heads\": 2, \"max_position_embeddings\": 64}";
    test_write_file(r.model, text, sizeof text - 1);
    assert_fails(start(&r, 1, &w, &result, &err), DSM_ESHAPE, "a vocabulary of 290 tokens");
    assert_false(dsm_fs_exists(good.run));
}

static void damage_is_named(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    dsm_recipe r = recipe("softmax.json", "damage", 2);
    assert_ok(start(&r, 1, &w, &result, &err));
    char *optimizer = dsm_fs_join(result.checkpoint, "optimizer.safetensors");
    char *json = dsm_fs_join(result.checkpoint, "trainer.json");
    dsm_buf good = {0};
    assert_ok(dsm_fs_read(&good, json, 1 << 20, &err));
    test_write_file(json, "{\"format\": 1, \"step\": -3}", 25);
    assert_fails(resume(&r, NULL, &w, &result, &err), DSM_ERANGE, "trainer.json: step: found -3");
    test_write_file(json, "{\"format\": 1", 12);
    assert_fails(resume(&r, NULL, &w, &result, &err), DSM_EFORMAT, "trainer.json");
    test_write_file(json, good.data, good.len);
    assert_int_equal(truncate(optimizer, 5000), 0);
    assert_fails(resume(&r, NULL, &w, &result, &err), DSM_EFORMAT, "optimizer.safetensors");
    assert_int_equal(unlink(optimizer), 0);
    assert_fails(resume(&r, NULL, &w, &result, &err), DSM_ENOTFOUND, "optimizer.safetensors");
    free(optimizer);
    free(json);
    dsm_buf_free(&good);
}

/* A checkpoint whose optimiser is of another shape. */
static void another_shape_is_named(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result a, b;
    make_config("wider.json", 1,
                ", \"dsmoe\": {\"router\": \"switch\"}, \"tie_word_embeddings\": true");
    dsm_recipe r = recipe("softmax.json", "shape-a", 1);
    assert_ok(start(&r, 1, &w, &a, &err));
    put(r.model, "wider.json");
    put(r.run, "shape-b");
    assert_ok(start(&r, 1, &w, &b, &err));
    char *from = dsm_fs_join(a.checkpoint, "optimizer.safetensors");
    char *to = dsm_fs_join(b.checkpoint, "optimizer.safetensors");
    assert_ok(dsm_fs_copy(to, from, &err));
    assert_fails(resume(&r, NULL, &w, &b, &err), DSM_ESHAPE, "of another model?");
    free(from);
    free(to);
}

/* A checkpoint as the model of another run: values are taken over, moments are not. */
static void a_checkpoint_can_be_continued(void **state)
{
    (void)state;
    dsm_err err;
    watch w = {0};
    dsm_train_result result;
    dsm_recipe r = recipe("softmax.json", "first", 40);
    assert_ok(start(&r, 2, &w, &result, &err));
    double reached = w.last_loss;
    put(r.run, "second");
    snprintf(r.model, sizeof r.model, "%s", result.checkpoint);
    r.steps = 1;
    assert_ok(start(&r, 2, &w, &result, &err));
    assert_true(w.first_loss < reached + 0.5);
    put(r.run, "third"); /* ids would mean other text */
    char *to = dsm_fs_join(r.model, "tokenizer.json");
    assert_ok(dsm_fs_copy(to, test_path(root, "other/tokenizer.json"), &err));
    assert_fails(start(&r, 2, &w, &result, &err), DSM_ESHAPE, "another tokenizer than that of");
    free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_learns_and_keeps_everything),
        cmocka_unit_test(accumulation_is_the_large_batch),
        cmocka_unit_test(the_batch_ramps),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(resume_softmax),
        cmocka_unit_test(resume_bf16_checkpoint),
        cmocka_unit_test(resume_loss_free),
        cmocka_unit_test(resume_other_routers),
        cmocka_unit_test(loss_free_variants_level_the_load),
        cmocka_unit_test(stable_distils_its_routing),
        cmocka_unit_test(more_steps_can_be_added),
        cmocka_unit_test(death_before_a_checkpoint),
        cmocka_unit_test(bias_moves_by_its_rate),
        cmocka_unit_test(infinities_stop_with_a_name),
        cmocka_unit_test(a_run_is_not_overwritten),
        cmocka_unit_test(misfits_are_named),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(another_shape_is_named),
        cmocka_unit_test(a_checkpoint_can_be_continued),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
