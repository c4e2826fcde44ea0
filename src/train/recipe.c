/* SPDX-License-Identifier: MIT */
/* Recipes: the table of keys, and what must hold between them. */
#include "train/recipe.h"

#include "dsmoe/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const stages[] = {"pretrain", NULL};
static const char *const kinds[] = {"step_decay", "constant", "cosine", NULL};
static const char *const units[] = {"steps", "tokens", NULL};
static const char *const rules[] = {"sign", "proportional", NULL};
static const char *const scopes[] = {"sequence", "batch", NULL};
static const char *const dtypes[] = {"f32", "bf16", "f16", NULL};

#define FIELD(f) offsetof(dsm_recipe, f), sizeof(((dsm_recipe *)0)->f)
#define INT      DSM_SETTING_INT
#define REAL     DSM_SETTING_REAL
#define TEXT     DSM_SETTING_TEXT
#define CHOICE   DSM_SETTING_CHOICE
#define UP       INFINITY

/* clang-format off */
const dsm_setting dsm_recipe_table[] = {
    {"run", TEXT, FIELD(run), "runs/run", 0, 0, NULL, "run directory to create"},
    {"stage", CHOICE, FIELD(stage), "pretrain", 0, 0, stages, "what is trained"},
    {"seed", INT, FIELD(seed), "1", 0, UP, NULL, "of initialisation, data order and router noise"},
    {"model", TEXT, FIELD(model), NULL, 0, 0, NULL, "config.json to start from scratch, or a checkpoint folder to continue from"},
    {"init_std", REAL, FIELD(init_std), "0", 0, 10, NULL, "standard deviation of random weights; 0: the config's initializer_range"},
    {"data.train", DSM_SETTING_DIRS, FIELD(data.train), NULL, 0, UP, NULL, "prepared data to train on, mixed by weight"},
    {"data.valid", TEXT, FIELD(data.valid), "", 0, 0, NULL, "prepared data held out for evaluation"},
    {"data.seq_len", INT, FIELD(data.seq_len), "512", 1, 1 << 20, NULL, "tokens of a sequence"},
    {"batch.sequences", INT, FIELD(batch.sequences), "32", 1, 1 << 20, NULL, "sequences of a step"},
    {"batch.micro", INT, FIELD(batch.micro), "8", 1, 1 << 20, NULL, "sequences computed at once; gradients accumulate over the rest"},
    {"batch.ramp.from", INT, FIELD(batch.ramp.from), "0", 0, 1 << 20, NULL, "sequences of the first step, growing to batch.sequences; 0: no ramp"},
    {"batch.ramp.tokens", INT, FIELD(batch.ramp.tokens), "0", 0, UP, NULL, "tokens over which the batch grows"},
    {"compute", CHOICE, FIELD(compute), "f32", 0, 0, dsm_compute_names, "what operands of matrix products are rounded to; bf16 needs a CPU with AMX"},
    {"recompute", CHOICE, FIELD(recompute), "none", 0, 0, dsm_recompute_names, "what backward computes again to save memory: gate and up of routed experts, or all but each layer's input; same results"},
    {"steps", INT, FIELD(steps), NULL, 1, UP, NULL, "optimiser steps"},
    {"optimizer.peak_lr", REAL, FIELD(optimizer.peak_lr), "1.0e-3", 0, UP, NULL, "AdamW: highest learning rate"},
    {"optimizer.beta1", REAL, FIELD(optimizer.beta1), "0.9", 0, 0.999999, NULL, "decay of the first moment"},
    {"optimizer.beta2", REAL, FIELD(optimizer.beta2), "0.95", 0, 0.999999, NULL, "decay of the second moment"},
    {"optimizer.eps", REAL, FIELD(optimizer.eps), "1.0e-8", 1e-30, 1, NULL, "added to the root of the second moment"},
    {"optimizer.weight_decay", REAL, FIELD(optimizer.weight_decay), "0.1", 0, 1e6, NULL, "decoupled, on matrices only"},
    {"optimizer.clip", REAL, FIELD(optimizer.clip), "1.0", 0, UP, NULL, "largest global gradient norm; 0: no clipping"},
    {"schedule.kind", CHOICE, FIELD(schedule.kind), "step_decay", 0, 0, kinds, "learning rate after warm-up"},
    {"schedule.warmup", INT, FIELD(schedule.warmup), "200", 0, UP, NULL, "steps of linear warm-up"},
    {"schedule.at", DSM_SETTING_NUMBERS, FIELD(schedule.at), "[0.8, 0.9]", 0, 1, NULL, "step_decay: shares of the run after which the rate falls"},
    {"schedule.factor", REAL, FIELD(schedule.factor), "0.316", 0, 1, NULL, "step_decay: the rate is multiplied by this at each"},
    {"schedule.final", REAL, FIELD(schedule.final), "0.1", 0, 1, NULL, "cosine: share of peak_lr at the last step"},
    {"schedule.unit", CHOICE, FIELD(schedule.unit), "steps", 0, 0, units, "what schedule.at are shares of"},
    {"balance.expert", REAL, FIELD(balance.expert), "0.01", 0, UP, NULL, "expert-level balance loss, alpha1"},
    {"balance.device", REAL, FIELD(balance.device), "0", 0, UP, NULL, "device-level balance loss, alpha2"},
    {"balance.devices", INT, FIELD(balance.devices), "0", 0, 65536, NULL, "groups the routed experts form for the device and communication losses; 0: the model's n_group, or 1"},
    {"balance.device_limit", INT, FIELD(balance.device_limit), "0", 0, 65536, NULL, "groups a token may use, for the communication loss; 0: the model's topk_group, or all"},
    {"balance.communication", REAL, FIELD(balance.communication), "0", 0, UP, NULL, "communication balance loss, alpha3"},
    {"balance.z", REAL, FIELD(balance.z), "0", 0, UP, NULL, "router z-loss"},
    {"balance.bias_rate", REAL, FIELD(balance.bias_rate), "0", 0, UP, NULL, "loss-free balancing: update rate of the selection bias; 0: off"},
    {"balance.bias_rule", CHOICE, FIELD(balance.bias_rule), "sign", 0, 0, rules, "loss-free balancing: update by the sign of the error or in proportion to it"},
    {"balance.drop", REAL, FIELD(balance.drop), "0", 0, UP, NULL, "token dropping: rows that a device takes, over the mean of all devices; those of lowest affinity are left out; 0: off"},
    {"balance.spared", REAL, FIELD(balance.spared), "0.1", 0, 1, NULL, "token dropping: share of sequences of which nothing is left out"},
    {"balance.scope", CHOICE, FIELD(balance.scope), "sequence", 0, 0, scopes, "tokens over which balance losses are taken"},
    {"balance.stable.until", REAL, FIELD(balance.stable.until), "0.1", 0, 1, NULL, "router stable: share of the steps after which its distilled router picks, frozen"},
    {"balance.stable.distill", REAL, FIELD(balance.stable.distill), "1", 0, UP, NULL, "router stable: factor of the distillation loss"},
    {"eval.every", INT, FIELD(eval.every), "250", 0, UP, NULL, "steps between evaluations; 0: only at the end"},
    {"eval.sequences", INT, FIELD(eval.sequences), "200", 1, UP, NULL, "held-out sequences of an evaluation, at most one pass"},
    {"sample.every", INT, FIELD(sample.every), "0", 0, UP, NULL, "steps between samples; 0: none"},
    {"sample.max_tokens", INT, FIELD(sample.max_tokens), "64", 1, 1 << 20, NULL, "length of a sample"},
    {"sample.temperature", REAL, FIELD(sample.temperature), "0.8", 0, 100, NULL, "of a sample; 0: greedy"},
    {"sample.prompts", DSM_SETTING_TEXTS, FIELD(sample.prompts), "[]", 0, 0, NULL, "texts to continue"},
    {"checkpoint.every", INT, FIELD(checkpoint.every), "500", 0, UP, NULL, "steps between checkpoints; 0: only at the end"},
    {"checkpoint.keep", INT, FIELD(checkpoint.keep), "3", 1, 1000000, NULL, "how many of the newest stay"},
    {"checkpoint.dtype", CHOICE, FIELD(checkpoint.dtype), "f32", 0, 0, dtypes, "of model.safetensors; resuming is exact with each of them"},
    {"log.every", INT, FIELD(log.every), "10", 1, UP, NULL, "steps between logged steps (the first and the last always are)"},
};
/* clang-format on */
const size_t dsm_recipe_rows = sizeof dsm_recipe_table / sizeof *dsm_recipe_table;

/* Keys that a resumed run must keep: they decide what its past was. */
static const char *const settled[] = {
    "run",        "stage",        "seed",        "model",           "init_std",
    "data.train", "data.seq_len", "batch.micro", "batch.sequences", "batch.ramp",
    NULL,
};

/* --- what must hold between keys ---------------------------------------------------------------
 */

static dsm_status check_batch(const dsm_recipe *r, const char *what, dsm_err *err)
{
    const int64_t n = r->batch.sequences, from = r->batch.ramp.from;
    if (r->batch.micro > n)
        return dsm_fail(err, DSM_ERANGE,
                        "%s: batch.micro: found %lld, expected at most batch.sequences (%lld)",
                        what, (long long)r->batch.micro, (long long)n);
    if (from > n)
        return dsm_fail(err, DSM_ERANGE,
                        "%s: batch.ramp.from: found %lld, expected at most batch.sequences (%lld)",
                        what, (long long)from, (long long)n);
    if ((from > 0) != (r->batch.ramp.tokens > 0))
        return dsm_fail(err, DSM_ERANGE,
                        "%s: batch.ramp: found from %lld, tokens %lld; expected both or neither",
                        what, (long long)from, (long long)r->batch.ramp.tokens);
    if (n > (INT64_MAX / r->data.seq_len) / r->steps)
        return dsm_fail(err, DSM_ERANGE, "%s: steps: more tokens than can be counted", what);
    return DSM_OK;
}

static dsm_status check_schedule(const dsm_recipe *r, const char *what, dsm_err *err)
{
    for (int i = 1; i < r->schedule.at.n; i++)
        if (r->schedule.at.item[i] < r->schedule.at.item[i - 1])
            return dsm_fail(err, DSM_ERANGE,
                            "%s: schedule.at: found %g after %g, expected ascending", what,
                            r->schedule.at.item[i], r->schedule.at.item[i - 1]);
    return DSM_OK;
}

static dsm_status check_rest(const dsm_recipe *r, const char *what, dsm_err *err)
{
    if (!*r->run) return dsm_fail(err, DSM_ERANGE, "%s: run: found nothing, expected a path", what);
    if (!*r->model)
        return dsm_fail(err, DSM_ERANGE, "%s: model: found nothing, expected a path", what);
    if (r->data.train.n == 0)
        return dsm_fail(err, DSM_ERANGE, "%s: data.train: found nothing, expected a path", what);
    if (r->balance.devices > 0 && r->balance.device_limit > r->balance.devices)
        return dsm_fail(err, DSM_ERANGE,
                        "%s: balance.device_limit: found %lld, expected at most balance.devices "
                        "(%lld)",
                        what, (long long)r->balance.device_limit, (long long)r->balance.devices);
    if (r->sample.every && r->sample.prompts.n == 0)
        return dsm_fail(err, DSM_ERANGE,
                        "%s: sample.prompts: found none, expected at least one "
                        "because sample.every is %lld",
                        what, (long long)r->sample.every);
    return DSM_OK;
}

static dsm_status check(const dsm_settings *s, const char *what, dsm_err *err)
{
    const dsm_recipe *r = s->values;
    DSM_TRY(dsm_settings_check(s, what, err));
    DSM_TRY(check_batch(r, what, err));
    DSM_TRY(check_schedule(r, what, err));
    return check_rest(r, what, err);
}

/* --- reading and writing -----------------------------------------------------------------------
 */

static dsm_status finish(dsm_settings *s, const char *what, const char *const *sets, int n_sets,
                         dsm_err *err)
{
    for (int i = 0; i < n_sets; i++)
        DSM_TRY(dsm_settings_override(s, sets[i], err));
    return check(s, what, err);
}

void dsm_recipe_defaults(dsm_recipe *r)
{
    dsm_settings s;
    memset(r, 0, sizeof *r);
    dsm_settings_init(&s, dsm_recipe_table, dsm_recipe_rows, r);
}

dsm_status dsm_recipe_read(dsm_recipe *r, const char *path, const char *const *sets, int n_sets,
                           dsm_err *err)
{
    dsm_settings s;
    dsm_settings_init(&s, dsm_recipe_table, dsm_recipe_rows, memset(r, 0, sizeof *r));
    DSM_TRY(dsm_settings_read(&s, path, err));
    return finish(&s, path, sets, n_sets, err);
}

dsm_status dsm_recipe_parse(dsm_recipe *r, const char *text, size_t n, const char *what,
                            const char *const *sets, int n_sets, dsm_err *err)
{
    dsm_settings s;
    dsm_settings_init(&s, dsm_recipe_table, dsm_recipe_rows, memset(r, 0, sizeof *r));
    DSM_TRY(dsm_settings_parse(&s, text, n, what, err));
    return finish(&s, what, sets, n_sets, err);
}

/* Does an assignment touch key or a key below it? */
static bool assigns(const char *assignment, const char *key)
{
    size_t n = strlen(key), len = strcspn(assignment, "=");
    size_t shorter = len < n ? len : n;
    return strncmp(assignment, key, shorter) == 0 &&
           (len == n || (len > n ? assignment[n] : key[len]) == '.');
}

dsm_status dsm_recipe_resume(dsm_recipe *r, const char *path, const char *const *sets, int n_sets,
                             dsm_err *err)
{
    for (int i = 0; i < n_sets; i++)
        for (int k = 0; settled[k]; k++)
            if (assigns(sets[i], settled[k]))
                return dsm_fail(err, DSM_EUSAGE,
                                "--set %.*s: a resumed run keeps %s as it was; start a new run to "
                                "change it",
                                (int)strcspn(sets[i], "="), sets[i], settled[k]);
    return dsm_recipe_read(r, path, sets, n_sets, err);
}

static char *take_text(dsm_buf *b)
{
    if (!b->failed && b->data) return b->data; /* now the caller's */
    dsm_buf_free(b);
    return NULL;
}

char *dsm_recipe_text(const dsm_recipe *r)
{
    dsm_recipe copy = *r; /* settings point to a struct they may write */
    dsm_settings s = {.table = dsm_recipe_table, .n = dsm_recipe_rows, .values = &copy};
    dsm_buf out = {0};
    dsm_settings_write(&s, &out);
    return take_text(&out);
}

char *dsm_recipe_keys(void)
{
    dsm_buf out = {0};
    dsm_settings_help(dsm_recipe_table, dsm_recipe_rows, &out);
    return take_text(&out);
}
