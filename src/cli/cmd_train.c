/* SPDX-License-Identifier: MIT */
/* dsmoe train: a recipe, or a run that goes on. */
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "dsmoe/dsmoe.h"
#include "dsmoe/engine.h"
#include "dsmoe/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dsmoe train RECIPE.yaml [--set key=value]...\n"
    "       dsmoe train --resume RUN_DIR [--set key=value]...\n"
    "       dsmoe train --keys\n"
    "\n"
    "Trains what a recipe says and keeps it in the recipe's run directory: recipe.yaml "
    "(resolved),\n"
    "runs.db (SQLite: metrics, expert_load, evals, samples) and checkpoints/, each a Hugging Face\n"
    "folder that generate, eval and others take as MODEL. A run that was stopped or killed goes "
    "on\n"
    "with --resume from its newest checkpoint, bit for bit as if it had not been.\n"
    "\n"
    "  --resume RUN_DIR           go on with a run; --set may change what does not decide its "
    "past\n"
    "  --keys                     list every key of a recipe with its default\n"
    "  --set key=value            over the recipe's key, the value in YAML (repeatable)\n"
    "  --seed N                   the same as --set seed=N\n"
    "  --json                     one line per logged step with step, loss, lr, grad_norm,\n"
    "                             tokens_per_s, max_vio; the last line has valid_loss,\n"
    "                             valid_bits_per_byte, checkpoint\n"
    "\n"
    "Ctrl-C finishes the step, writes a checkpoint and stops; a second one stops at once.\n";

static const char on_stop[] =
    "\ndsmoe train: finishing this step and saving; once more stops at once\n";

/* --- telling ---------------------------------------------------------------------------------- */

typedef struct teller {
    const dsm_cli *cli;
    dsm_train_info info;
    dsm_progress bar;
    double valid_loss; /* of the last evaluation; 0: none yet */
    dsm_status status; /* of writing to stdout */
    dsm_err *err;
} teller;

static void tell_start(const dsm_cli *cli, const dsm_train_info *i)
{
    double memory = (double)(i->memory.weights + i->memory.gradients + i->memory.moments +
                             i->memory.activations);
    if (cli->quiet) return;
    if (i->first_step > 0)
        fprintf(stderr, "resume   %s after step %lld\n", i->run_dir, (long long)i->first_step);
    fprintf(stderr, "model    %s parameters, %s active per token, %sFLOP per token\n",
            dsm_print_count((double)i->params), dsm_print_count((double)i->active_params),
            dsm_print_count(i->flops_per_token));
    fprintf(stderr, "data     %s tokens; %lld steps of %s tokens are %.2f epochs\n",
            dsm_print_count((double)i->data_tokens), (long long)i->steps,
            dsm_print_count((double)i->batch_tokens),
            (double)i->total_tokens / (double)i->data_tokens);
    fprintf(stderr, "memory   %sB: weights %sB, gradients %sB, moments %sB, ",
            dsm_print_count(memory), dsm_print_count((double)i->memory.weights),
            dsm_print_count((double)i->memory.gradients),
            dsm_print_count((double)i->memory.moments));
    fprintf(stderr, "activations %sB\n", dsm_print_count((double)i->memory.activations));
    fprintf(stderr, "runs on  %d thread%s, matrix kernel %s\n", i->threads,
            i->threads == 1 ? "" : "s", i->gemm);
}

static void on_tick(void *arg, const dsm_train_step *s)
{
    teller *t = arg;
    char suffix[128], valid[32] = "";
    if (t->valid_loss > 0) snprintf(valid, sizeof valid, "  valid %.3f", t->valid_loss);
    snprintf(suffix, sizeof suffix, "loss %.3f  MaxVio %.2f%s  %s tok/s", s->loss, s->max_vio,
             valid, dsm_print_count(s->tokens_per_s));
    dsm_progress_update(&t->bar, (double)s->step, (double)t->info.steps, suffix);
}

/* Keep the first failure of writing to stdout; training itself goes on. */
static void put_json(teller *t, json_t *o)
{
    dsm_status status = dsm_print_json(o, t->status == DSM_OK ? t->err : NULL);
    if (t->status == DSM_OK) t->status = status;
}

static void on_step(void *arg, const dsm_train_step *s)
{
    teller *t = arg;
    if (!t->cli->json) return;
    put_json(t, json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "step",
                          (json_int_t)s->step, "loss", dsm_json_number(s->loss), "lr",
                          dsm_json_number(s->lr), "grad_norm", dsm_json_number(s->grad_norm),
                          "tokens_per_s", dsm_json_number(s->tokens_per_s), "max_vio",
                          dsm_json_number(s->max_vio), "balance", dsm_json_number(s->balance),
                          "entropy", dsm_json_number(s->entropy), "dead", (json_int_t)s->dead,
                          "tokens", (json_int_t)s->tokens));
}

static void on_eval(void *arg, const dsm_train_eval *e)
{
    teller *t = arg;
    t->valid_loss = e->loss;
    if (t->cli->quiet) return;
    dsm_progress_hide();
    fprintf(stderr, "step %lld: valid loss %.4f, perplexity %.2f, %.4f bits per byte\n",
            (long long)e->step, e->loss, e->perplexity, e->bits_per_byte);
}

static void on_sample(void *arg, int64_t step, const char *prompt, const char *text)
{
    const teller *t = arg;
    if (t->cli->quiet) return;
    dsm_progress_hide();
    fprintf(stderr, "step %lld: %s|%s\n", (long long)step, prompt, text);
}

/* --- sampling --------------------------------------------------------------------------------- */

static dsm_status continue_text(dsm_engine *e, const char *prompt, const dsm_generate_options *o,
                                char **text, dsm_err *err)
{
    dsm_ids ids = {0};
    dsm_session *session = NULL;
    dsm_generated made = {0};
    dsm_status status = dsm_engine_encode(e, prompt, strlen(prompt), &ids, err);
    if (status == DSM_OK)
        status = dsm_session_open(&session, e, (int64_t)ids.len + o->max_tokens, err);
    if (status == DSM_OK) status = dsm_session_feed(session, ids.data, (int64_t)ids.len, err);
    if (status == DSM_OK) status = dsm_session_generate(session, o, &made, err);
    if (status == DSM_OK) *text = strdup(made.text);
    dsm_generated_free(&made);
    dsm_session_close(session);
    dsm_ids_free(&ids);
    return status;
}

static char *on_generate(void *arg, struct dsm_model *model, const char *tokenizer_dir,
                         const char *prompt, int64_t max_tokens, double temperature, uint64_t seed,
                         dsm_err *err)
{
    const teller *t = arg;
    dsm_engine *engine = NULL;
    dsm_engine_options options;
    dsm_generate_options generate;
    char *text = NULL;
    dsm_engine_defaults(&options);
    options.n_threads = t->cli->threads;
    options.cpu_flags = t->cli->cpu_flags;
    dsm_generate_defaults(&generate);
    generate.max_tokens = max_tokens;
    generate.sampling.temperature = temperature;
    generate.sampling.seed = seed;
    if (dsm_engine_borrow(&engine, model, tokenizer_dir, &options, err) == DSM_OK)
        (void)continue_text(engine, prompt, &generate, &text, err);
    dsm_engine_close(engine);
    return text;
}

/* --- the command ------------------------------------------------------------------------------ */

static dsm_status tell_end(const dsm_cli *cli, const dsm_train_result *r, dsm_err *err)
{
    const dsm_train_eval *v = &r->valid;
    bool evaluated = v->tokens > 0;
    if (cli->json)
        return dsm_print_json(
            json_pack("{s:I, s:o, s:o, s:o, s:s}", "step", (json_int_t)r->step, "valid_loss",
                      evaluated ? dsm_json_number(v->loss) : json_null(), "valid_perplexity",
                      evaluated ? dsm_json_number(v->perplexity) : json_null(),
                      "valid_bits_per_byte",
                      evaluated ? dsm_json_number(v->bits_per_byte) : json_null(), "checkpoint",
                      r->checkpoint),
            err);
    if (evaluated)
        printf("valid loss %.4f, perplexity %.2f, %.4f bits per byte\n", v->loss, v->perplexity,
               v->bits_per_byte);
    printf("checkpoint %s\n", r->checkpoint);
    return DSM_OK;
}

static dsm_status train(const dsm_cli *cli, dsm_trainer *trainer, dsm_err *err)
{
    teller t = {.cli = cli, .err = err};
    const dsm_train_events events = {
        .arg = &t,
        .tick = on_tick,
        .step = on_step,
        .eval = on_eval,
        .generate = on_generate,
        .sample = on_sample,
        .stop = dsm_interrupt_flag(),
    };
    dsm_train_result result;
    dsm_trainer_info(trainer, &t.info);
    tell_start(cli, &t.info);
    dsm_interrupt_catch(on_stop);
    dsm_progress_begin(&t.bar, "train", "steps", (double)t.info.first_step, cli->quiet);
    dsm_status status = dsm_trainer_run(trainer, &events, &result, err);
    dsm_progress_end(&t.bar, NULL);
    DSM_TRY(status);
    DSM_TRY(t.status);
    return tell_end(cli, &result, err);
}

static dsm_status open_trainer(dsm_trainer **out, const char *recipe, const char *resume,
                               const char *const *sets, int n_sets, const dsm_cli *cli,
                               dsm_err *err)
{
    const dsm_train_options options = {.n_threads = cli->threads, .cpu_flags = cli->cpu_flags};
    if (resume) return dsm_trainer_resume(out, resume, sets, n_sets, &options, err);
    dsm_recipe *r = malloc(sizeof *r);
    if (!r) return dsm_fail(err, DSM_ENOMEM, "recipe: out of memory");
    dsm_status status = dsm_recipe_read(r, recipe, sets, n_sets, err);
    if (status == DSM_OK) status = dsm_trainer_open(out, r, &options, err);
    free(r);
    return status;
}

/* --seed is one more --set, after the others. */
static dsm_status with_seed(const dsm_cli *cli, const char *recipe, const char *resume,
                            dsm_err *err)
{
    char seed[32];
    dsm_trainer *trainer = NULL;
    int n_sets = cli->n_sets + cli->has_seed;
    const char **sets = calloc((size_t)n_sets + 1, sizeof *sets);
    if (!sets) return dsm_fail(err, DSM_ENOMEM, "settings: out of memory");
    for (int i = 0; i < cli->n_sets; i++)
        sets[i] = cli->sets[i];
    snprintf(seed, sizeof seed, "seed=%llu", (unsigned long long)cli->seed);
    if (cli->has_seed) sets[cli->n_sets] = seed;
    dsm_status status = open_trainer(&trainer, recipe, resume, sets, n_sets, cli, err);
    free(sets);
    if (status == DSM_OK) status = train(cli, trainer, err);
    dsm_trainer_close(trainer);
    return status;
}

static dsm_status print_keys(dsm_err *err)
{
    char *keys = dsm_recipe_keys();
    if (!keys) return dsm_fail(err, DSM_ENOMEM, "out of memory");
    fputs(keys, stdout);
    free(keys);
    return DSM_OK;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    const char *resume = NULL;
    bool keys = false;
    const dsm_opt opts[] = {
        {"resume", DSM_OPT_STRING, &resume, 0, 0, ""},
        {"keys", DSM_OPT_FLAG, &keys, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (keys) return print_keys(err);
    if (resume && n > 0)
        return dsm_fail(err, DSM_EUSAGE,
                        "found --resume and %s; a resumed run has its own recipe (change it with "
                        "--set)",
                        argv[0]);
    if (!resume && n != 1)
        return dsm_fail(err, DSM_EUSAGE,
                        "found %d recipes, expected one RECIPE.yaml or --resume RUN_DIR", n);
    return with_seed(cli, resume ? NULL : argv[0], resume, err);
}

const dsm_command dsm_cmd_train = {
    .name = "train",
    .summary = "train a model from a recipe, or go on with a run",
    .help = help,
    .run = run,
    .takes_sets = true,
};
