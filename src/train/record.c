/* SPDX-License-Identifier: MIT */
/* What a step, an evaluation and a sample were: told to the caller and kept in the run store. */
#include "eval/perplexity.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>

/* --- load of experts -------------------------------------------------------------------------- */

/* Sums over the MoE layers that routed anything. */
typedef struct balance_figures {
    int64_t n_layers, dead;
    double max_vio, entropy;
} balance_figures;

static double mean_entropy(const dsm_load *l)
{
    return l->tokens ? l->entropy / (double)l->tokens : 0.0;
}

static balance_figures figures_of(const dsm_trainer *t)
{
    balance_figures f = {0};
    for (int64_t l = 0; l < t->model->config.num_hidden_layers; l++) {
        const dsm_load *load = &t->stepper.loads[l];
        if (load->E == 0) continue;
        f.n_layers++;
        f.dead += dsm_load_dead(load);
        f.max_vio += dsm_load_max_vio(load);
        f.entropy += mean_entropy(load);
    }
    if (f.n_layers) {
        f.max_vio /= (double)f.n_layers;
        f.entropy /= (double)f.n_layers;
    }
    return f;
}

/* --- steps ------------------------------------------------------------------------------------ */

void dsm_trainer_describe(const dsm_trainer *t, const dsm_step *step, double lr,
                          dsm_train_step *out)
{
    balance_figures f = figures_of(t);
    *out = (dsm_train_step){
        .step = t->state.step,
        .tokens = (uint64_t)t->state.tokens,
        .loss = step->loss,
        .balance = step->balance,
        .distill = step->distill,
        .lr = lr,
        .grad_norm = step->grad_norm,
        .tokens_per_s = t->busy > 0 ? (double)t->busy_tokens / t->busy : 0.0,
        .max_vio = f.max_vio,
        .entropy = f.entropy,
        .dead = f.dead,
    };
}

static dsm_status store_totals(dsm_store *s, const dsm_train_step *step, bool stable, dsm_err *err)
{
    const struct {
        const char *key;
        double value;
    } rows[] = {
        {"loss", step->loss},
        {"balance", step->balance},
        {"lr", step->lr},
        {"grad_norm", step->grad_norm},
        {"max_vio", step->max_vio},
        {"entropy", step->entropy},
        {"dead", (double)step->dead},
        {"tokens", (double)step->tokens},
        {"tokens_per_s", step->tokens_per_s},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        DSM_TRY(dsm_store_metric(s, step->step, rows[i].key, rows[i].value, err));
    if (stable) DSM_TRY(dsm_store_metric(s, step->step, "distill", step->distill, err));
    return DSM_OK;
}

static dsm_status store_layer(dsm_store *s, int64_t step, int64_t layer, const dsm_load *load,
                              dsm_err *err)
{
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"max_vio", dsm_load_max_vio(load)},
        {"entropy", mean_entropy(load)},
        {"dead", (double)dsm_load_dead(load)},
        {"dropped", (double)load->dropped},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char key[48];
        snprintf(key, sizeof key, "layer.%lld.%s", (long long)layer, rows[i].name);
        DSM_TRY(dsm_store_metric(s, step, key, rows[i].value, err));
    }
    for (int64_t e = 0; e < load->E; e++)
        DSM_TRY(dsm_store_load(s, step, layer, e, load->count[e], err));
    return DSM_OK;
}

dsm_status dsm_trainer_record(dsm_trainer *t, const dsm_train_step *s, dsm_err *err)
{
    DSM_TRY(dsm_store_begin(t->store, err));
    bool stable = t->model->config.router == DSM_ROUTER_STABLE;
    DSM_TRY(store_totals(t->store, s, stable, err));
    for (int64_t l = 0; l < t->model->config.num_hidden_layers; l++)
        if (t->stepper.loads[l].E > 0)
            DSM_TRY(store_layer(t->store, s->step, l, &t->stepper.loads[l], err));
    return dsm_store_commit(t->store, err);
}

/* --- evaluations ------------------------------------------------------------------------------ */

static dsm_status store_eval(dsm_store *s, const dsm_train_eval *e, dsm_err *err)
{
    const struct {
        const char *metric;
        double value;
    } rows[] = {
        {"loss", e->loss},       {"perplexity", e->perplexity}, {"bits_per_byte", e->bits_per_byte},
        {"max_vio", e->max_vio}, {"tokens", (double)e->tokens}, {"bytes", (double)e->bytes},
    };
    DSM_TRY(dsm_store_begin(s, err));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        DSM_TRY(dsm_store_eval(s, e->step, "valid", rows[i].metric, rows[i].value, err));
    return dsm_store_commit(s, err);
}

dsm_status dsm_trainer_evaluate(dsm_trainer *t, dsm_err *err)
{
    const dsm_perplexity_data data = {
        .loader = t->valid,
        .seq_len = t->recipe.data.seq_len,
        .micro = t->recipe.batch.micro,
        .n_sequences = t->recipe.eval.sequences,
    };
    dsm_load *loads = t->stepper.loads; /* those of the last step have been recorded */
    dsm_perplexity p = {0};
    for (int64_t l = 0; l < t->model->config.num_hidden_layers; l++)
        dsm_load_clear(&loads[l]);
    DSM_TRY(dsm_perplexity_run(&p, t->stepper.net, &data, loads, err));
    t->last_eval = (dsm_train_eval){
        .step = t->state.step,
        .loss = dsm_perplexity_loss(&p),
        .perplexity = dsm_perplexity_value(&p),
        .bits_per_byte = dsm_perplexity_bits_per_byte(&p),
        .max_vio = figures_of(t).max_vio,
        .tokens = p.tokens,
        .bytes = p.bytes,
    };
    return store_eval(t->store, &t->last_eval, err);
}

/* --- samples ---------------------------------------------------------------------------------- */

dsm_status dsm_trainer_sample(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err)
{
    const dsm_recipe *r = &t->recipe;
    const uint64_t seed = (uint64_t)r->seed + (uint64_t)t->state.step;
    if (!ev->generate) return DSM_OK;
    for (int i = 0; i < r->sample.prompts.n; i++) {
        const char *prompt = r->sample.prompts.item[i];
        char why[sizeof(dsm_err) + 32];
        dsm_err failed = {0};
        char *text = ev->generate(ev->arg, t->model, dsm_trainer_tokenizer_dir(t), prompt,
                                  r->sample.max_tokens, r->sample.temperature, seed, &failed);
        if (!text) snprintf(why, sizeof why, "(no sample: %s)", failed.msg);
        dsm_status status =
            dsm_store_sample(t->store, t->state.step, prompt, text ? text : why, err);
        if (status == DSM_OK && ev->sample)
            ev->sample(ev->arg, t->state.step, prompt, text ? text : why);
        free(text);
        DSM_TRY(status);
    }
    return DSM_OK;
}
