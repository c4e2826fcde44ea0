/* SPDX-License-Identifier: MIT */
/* Everything a recipe names, opened and checked before the first step, in an order that fails early
 * and leaves no run directory behind when it does. */
#include "formats/checkpoint.h"
#include "model/count.h"
#include "train/recipe.h"
#include "train/trainer.h"

#include "dsmoe/dsmoe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- data ------------------------------------------------------------------------------------- */

const char *dsm_trainer_tokenizer_dir(const dsm_trainer *t)
{
    return t->recipe.data.train.item[0].dir;
}

static dsm_status check_valid(const dsm_trainer *t, dsm_err *err)
{
    dsm_data_info train, valid;
    dsm_loader_get_info(t->train, &train);
    dsm_loader_get_info(t->valid, &valid);
    if (train.tokenizer_fingerprint == valid.tokenizer_fingerprint) return DSM_OK;
    return dsm_fail(err, DSM_ESHAPE, "data.valid: %s was made by another tokenizer than %s",
                    t->recipe.data.valid, dsm_trainer_tokenizer_dir(t));
}

static dsm_status open_data(dsm_trainer *t, dsm_err *err)
{
    const dsm_recipe *r = &t->recipe;
    dsm_source sources[DSM_LIST_MAX];
    for (int i = 0; i < r->data.train.n; i++)
        sources[i] = (dsm_source){r->data.train.item[i].dir, r->data.train.item[i].weight};
    DSM_TRY(dsm_loader_open(&t->train, sources, r->data.train.n, r->data.seq_len, (uint64_t)r->seed,
                            true, err));
    dsm_data_info info;
    dsm_loader_get_info(t->train, &info);
    t->state.data_tokens = info.tokens;
    t->state.tokenizer_fingerprint = info.tokenizer_fingerprint;
    if (!*r->data.valid) return DSM_OK;
    const dsm_source valid = {r->data.valid, 1.0};
    DSM_TRY(dsm_loader_open(&t->valid, &valid, 1, r->data.seq_len, 0, false, err));
    return check_valid(t, err);
}

static dsm_status open_batch(dsm_trainer *t, dsm_err *err)
{
    size_t n = (size_t)(t->recipe.batch.sequences * t->recipe.data.seq_len);
    t->tokens = malloc(n * sizeof *t->tokens);
    t->targets = malloc(n * sizeof *t->targets);
    if (!t->tokens || !t->targets)
        return dsm_fail(err, DSM_ENOMEM, "batch of %zu tokens: out of memory", n);
    return DSM_OK;
}

/* --- model ------------------------------------------------------------------------------------ */

/* What the recipe and the data decide about a new model's config. */
static dsm_status adjust_config(const dsm_trainer *t, dsm_model_config *c, dsm_err *err)
{
    dsm_tokenizer *tokenizer;
    if (t->recipe.init_std > 0) c->initializer_range = t->recipe.init_std;
    DSM_TRY(dsm_tokenizer_open(&tokenizer, dsm_trainer_tokenizer_dir(t), err));
    c->bos_token_id = dsm_tokenizer_bos(tokenizer);
    c->eos_token_id = dsm_tokenizer_eos(tokenizer);
    dsm_tokenizer_close(tokenizer);
    return DSM_OK;
}

/* Token frequencies of one epoch, for a hash router's balanced tables. */
static dsm_status balance_hash(dsm_trainer *t, dsm_err *err)
{
    const dsm_model_config *c = &t->model->config;
    const dsm_loader_state start = {0};
    if (c->router != DSM_ROUTER_HASH || c->hash != DSM_HASH_BALANCED) return DSM_OK;
    uint64_t *counts = calloc((size_t)c->vocab_size, sizeof *counts);
    if (!counts) return dsm_fail(err, DSM_ENOMEM, "token counts: out of memory");
    dsm_status status = DSM_OK;
    for (uint64_t s = dsm_loader_epoch_sequences(t->train); s > 0 && status == DSM_OK; s--) {
        status = dsm_loader_next(t->train, 1, t->tokens, t->targets, NULL, err);
        for (int64_t i = 0; status == DSM_OK && i < t->recipe.data.seq_len; i++)
            counts[t->tokens[i]]++;
    }
    if (status == DSM_OK) status = dsm_model_hash_balance(t->model, counts, err);
    free(counts);
    return status == DSM_OK ? dsm_loader_set_state(t->train, &start, err) : status;
}

static dsm_status check_fit(const dsm_trainer *t, const dsm_model_config *c, dsm_err *err)
{
    const dsm_recipe *r = &t->recipe;
    dsm_data_info data;
    dsm_loader_get_info(t->train, &data);
    if (data.vocab_size > c->vocab_size)
        return dsm_fail(err, DSM_ESHAPE, "%s: a vocabulary of %d tokens, %s has room for %lld",
                        dsm_trainer_tokenizer_dir(t), data.vocab_size, r->model,
                        (long long)c->vocab_size);
    if (r->data.seq_len > c->max_position_embeddings)
        return dsm_fail(err, DSM_ERANGE,
                        "data.seq_len: found %lld, expected at most max_position_embeddings of %s "
                        "(%lld)",
                        (long long)r->data.seq_len, r->model,
                        (long long)c->max_position_embeddings);
    if (r->balance.bias_rate > 0 && c->bias == DSM_BIAS_NONE)
        return dsm_fail(err, DSM_ERANGE,
                        "balance.bias_rate: found %g, but %s has no selection bias; give it "
                        "\"dsmoe\": {\"selection_bias\": \"additive\"}",
                        r->balance.bias_rate, r->model);
    if (r->balance.devices > 0 && c->n_routed_experts % r->balance.devices != 0)
        return dsm_fail(
            err, DSM_ERANGE,
            "balance.devices: found %lld, expected a divisor of the %lld routed experts",
            (long long)r->balance.devices, (long long)c->n_routed_experts);
    return DSM_OK;
}

enum { TRAINABLE = DSM_MODEL_VALUES | DSM_MODEL_GRADS };

static dsm_status new_model(dsm_trainer *t, dsm_err *err)
{
    dsm_model_config c;
    DSM_TRY(dsm_model_config_read(&c, t->recipe.model, err));
    DSM_TRY(check_fit(t, &c, err));
    DSM_TRY(adjust_config(t, &c, err));
    DSM_TRY(dsm_model_create(&t->model, &c, TRAINABLE, err));
    dsm_model_init_random(t->model, &t->x, (uint64_t)t->recipe.seed);
    return balance_hash(t, err);
}

/* Is the tokenizer that a checkpoint came with, if any, the one of the data? */
static dsm_status check_tokenizer(const dsm_trainer *t, const char *dir, dsm_err *err)
{
    char *path = dsm_fs_join(dir, "tokenizer.json");
    dsm_tokenizer *tokenizer = NULL;
    dsm_status status = path ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    if (status == DSM_OK && dsm_fs_exists(path)) {
        status = dsm_tokenizer_open(&tokenizer, path, err);
        if (status == DSM_OK &&
            dsm_tokenizer_fingerprint(tokenizer) != t->state.tokenizer_fingerprint)
            status = dsm_fail(err, DSM_ESHAPE,
                              "%s: another tokenizer than that of %s; prepare the data with the "
                              "model's own",
                              path, dsm_trainer_tokenizer_dir(t));
    }
    dsm_tokenizer_close(tokenizer);
    free(path);
    return status;
}

/* From `checkpoint`, else from what the recipe's model is: a folder with weights or a config.json.
 */
static dsm_status open_model(dsm_trainer *t, const char *checkpoint, dsm_err *err)
{
    char *dir = NULL;
    if (!checkpoint && !dsm_fs_is_dir(t->recipe.model)) return new_model(t, err);
    dsm_status status = dsm_checkpoint_open(&t->model, checkpoint ? checkpoint : t->recipe.model,
                                            TRAINABLE, &dir, err);
    if (status == DSM_OK) status = check_tokenizer(t, dir, err);
    free(dir);
    return status == DSM_OK ? check_fit(t, &t->model->config, err) : status;
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Where the recipe leaves them open, the devices are the model's groups of experts, and a token may
 * use as many as it picks from. */
static dsm_balance balance_of(const dsm_recipe *r, const dsm_model_config *c)
{
    bool limited = c->topk_method != DSM_TOPK_GREEDY;
    bool grouped = r->balance.devices == 0 && limited && c->n_group > 1;
    int64_t limit = r->balance.device_limit;
    int64_t devices = grouped ? c->n_group : r->balance.devices;
    return (dsm_balance){.expert = r->balance.expert,
                         .device = r->balance.device,
                         .communication = r->balance.communication,
                         .z = r->balance.z,
                         .distill = r->balance.stable.distill,
                         .devices = devices,
                         .device_limit = grouped && limit == 0 ? c->topk_group : limit,
                         .per_sequence = r->balance.scope == DSM_SCOPE_SEQUENCE,
                         .drop = {.factor = r->balance.drop,
                                  .spared = r->balance.spared,
                                  .devices = devices > 0 ? devices : 1}};
}

static dsm_stepper_options stepper_options(const dsm_recipe *r, const dsm_model_config *c)
{
    return (dsm_stepper_options){
        .seq_len = r->data.seq_len,
        .micro = r->batch.micro,
        .sequences = r->batch.sequences,
        .recompute = (dsm_recompute)r->recompute,
        .balance = balance_of(r, c),
        .bias_rate = r->balance.bias_rate,
        .bias_rule = (dsm_bias_rule)r->balance.bias_rule,
        .freeze = dsm_schedule_freeze(r),
        .adamw = r->optimizer,
        .seed = (uint64_t)r->seed,
    };
}

/* What training will take, and whether the machine has it. */
static dsm_status bill(dsm_trainer *t, const dsm_stepper_options *o, dsm_err *err)
{
    const dsm_net_options net = dsm_stepper_net(o);
    dsm_net_memory activations;
    dsm_net_measure(t->model, &net, &activations);
    size_t flat = sizeof(dsm_real) * (size_t)t->model->n_elements;
    t->info.memory.weights = t->info.memory.gradients = flat;
    t->info.memory.moments = 2 * flat;
    t->info.memory.activations = activations.activations + activations.scratch;
    double total = (double)(4 * flat + t->info.memory.activations);
    double machine = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (machine <= 0 || total <= machine) return DSM_OK;
    return dsm_fail(
        err, DSM_ENOMEM,
        "training needs %.1f GiB (weights, gradients and moments %.1f, activations %.1f), "
        "this machine has %.1f; lower batch.micro, data.seq_len or the model, or set recompute",
        total / 0x1p30, (double)(4 * flat) / 0x1p30, (double)t->info.memory.activations / 0x1p30,
        machine / 0x1p30);
}

static void fill_info(dsm_trainer *t)
{
    dsm_counts n = dsm_model_count(t->model);
    const dsm_recipe *r = &t->recipe;
    t->info.run_dir = t->dir.path;
    t->info.first_step = t->first_step = t->state.step;
    t->info.steps = r->steps;
    t->info.params = n.params;
    t->info.active_params = n.active;
    t->info.flops_per_token = dsm_model_train_flops(t->model, r->data.seq_len);
    t->info.batch_tokens = r->batch.sequences * r->data.seq_len;
    t->info.total_tokens = t->schedule.total_tokens;
    t->info.threads = t->x.pool ? dsm_pool_threads(t->x.pool) : 1;
    t->info.gemm = t->kernels.variant[DSM_SLOT_linear];
    t->info.data_tokens = t->state.data_tokens;
}

/* --- where a resumed run stands -----------------------------------------------------------------
 */

static dsm_status load_state(dsm_trainer *t, const char *checkpoint, dsm_err *err)
{
    dsm_train_state was = {0};
    DSM_TRY(dsm_state_load(&was, &t->stepper.optimizer, checkpoint, err));
    if (was.tokenizer_fingerprint != t->state.tokenizer_fingerprint ||
        was.data_tokens != t->state.data_tokens)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: was trained on %llu tokens, data.train has %llu now or another "
                        "tokenizer; put the data back or start a new run from this checkpoint "
                        "(model: %s)",
                        checkpoint, (unsigned long long)was.data_tokens,
                        (unsigned long long)t->state.data_tokens, checkpoint);
    t->state = was;
    t->saved_step = was.step;
    return dsm_loader_set_state(t->train, &was.data, err);
}

/* --- opening ---------------------------------------------------------------------------------- */

/* Everything but the run directory, which is locked already; checkpoint NULL: from the start. */
static dsm_status open_parts(dsm_trainer *t, const char *checkpoint, const dsm_train_options *o,
                             dsm_err *err)
{
    dsm_kernels_init(&t->kernels, o->cpu_flags);
    DSM_TRY(
        dsm_kernels_set_compute(&t->kernels, o->cpu_flags, (dsm_compute)t->recipe.compute, err));
    DSM_TRY(dsm_exec_init(&t->x, &t->kernels, o->n_threads, err));
    DSM_TRY(open_data(t, err));
    DSM_TRY(open_batch(t, err));
    DSM_TRY(open_model(t, checkpoint, err));
    dsm_stepper_options s = stepper_options(&t->recipe, &t->model->config);
    DSM_TRY(bill(t, &s, err));
    DSM_TRY(dsm_stepper_init(&t->stepper, t->model, &t->x, &s, err));
    t->state.seed = t->recipe.seed;
    t->saved_step = -1;
    if (checkpoint) DSM_TRY(load_state(t, checkpoint, err));
    dsm_schedule_init(&t->schedule, &t->recipe);
    fill_info(t);
    return DSM_OK;
}

/* The recipe makes the folder a run, so it is written when everything else is known to work. */
static dsm_status write_recipe(const dsm_trainer *t, dsm_err *err)
{
    char *text = dsm_recipe_text(&t->recipe), *path = dsm_fs_join(t->dir.path, "recipe.yaml");
    dsm_buf file = {0};
    dsm_buf_fmt(&file, "# resolved by dsmoe %s\n", dsm_version());
    if (text) dsm_buf_str(&file, text);
    dsm_status status = text && path ? dsm_buf_check(&file, "recipe.yaml", err)
                                     : dsm_fail(err, DSM_ENOMEM, "recipe.yaml: out of memory");
    if (status == DSM_OK) status = dsm_fs_replace(path, file.data, file.len, err);
    dsm_buf_free(&file);
    free(text);
    free(path);
    return status;
}

static dsm_status open_store(dsm_trainer *t, dsm_err *err)
{
    char *path = dsm_fs_join(t->dir.path, "runs.db");
    if (!path) return dsm_fail(err, DSM_ENOMEM, "runs.db: out of memory");
    dsm_status status = dsm_store_open(&t->store, path, err);
    free(path);
    if (status == DSM_OK) status = dsm_store_truncate(t->store, t->state.step, err);
    return status;
}

static dsm_status create(dsm_trainer *t, const dsm_train_options *o, dsm_err *err)
{
    DSM_TRY(dsm_rundir_create(&t->dir, t->recipe.run, err));
    DSM_TRY(open_parts(t, NULL, o, err));
    DSM_TRY(write_recipe(t, err));
    return open_store(t, err);
}

static dsm_status allocate(dsm_trainer **t, dsm_err *err)
{
    *t = calloc(1, sizeof **t);
    if (!*t) return dsm_fail(err, DSM_ENOMEM, "trainer: out of memory");
    return DSM_OK;
}

/* Take over a recipe by way of its own text, so that one filled in by a program is checked like a
 * file. */
static dsm_status take_recipe(dsm_trainer *t, const dsm_recipe *r, dsm_err *err)
{
    char *text = dsm_recipe_text(r);
    if (!text) return dsm_fail(err, DSM_ENOMEM, "recipe: out of memory");
    dsm_status status = dsm_recipe_parse(&t->recipe, text, strlen(text), "recipe", NULL, 0, err);
    free(text);
    return status;
}

dsm_status dsm_trainer_open(dsm_trainer **out, const dsm_recipe *r, const dsm_train_options *o,
                            dsm_err *err)
{
    dsm_trainer *t;
    *out = NULL;
    DSM_TRY(allocate(&t, err));
    dsm_status status = take_recipe(t, r, err);
    if (status == DSM_OK) status = create(t, o, err);
    if (status == DSM_OK)
        *out = t;
    else
        dsm_trainer_close(t);
    return status;
}

static dsm_status reopen(dsm_trainer *t, const char *const *sets, int n_sets,
                         const dsm_train_options *o, dsm_err *err)
{
    int64_t step;
    char *recipe = dsm_fs_join(t->dir.path, "recipe.yaml"), *checkpoint = NULL;
    dsm_status status = recipe ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "recipe.yaml: out of memory");
    if (status == DSM_OK) status = dsm_recipe_resume(&t->recipe, recipe, sets, n_sets, err);
    if (status == DSM_OK) status = dsm_rundir_newest(&t->dir, &step, &checkpoint, err);
    if (status == DSM_OK) status = open_parts(t, checkpoint, o, err);
    if (status == DSM_OK && n_sets > 0) status = write_recipe(t, err);
    if (status == DSM_OK) status = open_store(t, err);
    free(recipe);
    free(checkpoint);
    return status;
}

dsm_status dsm_trainer_resume(dsm_trainer **out, const char *run_dir, const char *const *sets,
                              int n_sets, const dsm_train_options *o, dsm_err *err)
{
    dsm_trainer *t;
    *out = NULL;
    DSM_TRY(allocate(&t, err));
    dsm_status status = dsm_rundir_open(&t->dir, run_dir, err);
    if (status == DSM_OK) status = reopen(t, sets, n_sets, o, err);
    if (status == DSM_OK)
        *out = t;
    else
        dsm_trainer_close(t);
    return status;
}

void dsm_trainer_close(dsm_trainer *t)
{
    if (!t) return;
    dsm_store_close(t->store);
    dsm_stepper_free(&t->stepper);
    dsm_model_free(t->model);
    dsm_loader_close(t->train);
    dsm_loader_close(t->valid);
    dsm_exec_free(&t->x);
    dsm_rundir_discard(&t->dir);
    free(t->tokens);
    free(t->targets);
    free(t);
}

void dsm_trainer_info(const dsm_trainer *t, dsm_train_info *info)
{
    *info = t->info;
}
