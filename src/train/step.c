/* SPDX-License-Identifier: MIT */
/* One step as a readable sequence of calls; see step.h. */
#include "train/step.h"

#include "core/clock.h"

#include <string.h>

/* --- memory ----------------------------------------------------------------------------------- */

static void carve_loads(dsm_stepper *s)
{
    const dsm_model *m = s->model;
    int64_t L = m->config.num_hidden_layers;
    s->loads = dsm_arena_take(&s->memory, sizeof(dsm_load) * (size_t)L);
    for (int64_t l = 0; l < L; l++) {
        int64_t E = m->layers[l].is_moe ? m->config.n_routed_experts : 0;
        int64_t *count = dsm_arena_take(&s->memory, sizeof(int64_t) * (size_t)E);
        if (s->loads) s->loads[l] = (dsm_load){.E = E, .count = count};
    }
}

static dsm_status take_loads(dsm_stepper *s, dsm_err *err)
{
    carve_loads(s); /* measure */
    size_t bytes = s->memory.used;
    DSM_TRY(dsm_arena_init(&s->memory, bytes, "load statistics", err));
    carve_loads(s);
    return DSM_OK;
}

dsm_net_options dsm_stepper_net(const dsm_stepper_options *o)
{
    return (dsm_net_options){
        .max_sequences = o->micro,
        .seq_len = o->seq_len,
        .training = true,
        .balance = o->balance,
        .recompute = o->recompute,
        .whole_step = o->sequences <= o->micro,
    };
}

dsm_status dsm_stepper_init(dsm_stepper *s, dsm_model *m, const dsm_exec *x,
                            const dsm_stepper_options *o, dsm_err *err)
{
    *s = (dsm_stepper){.options = *o, .x = x, .model = m};
    const dsm_net_options net = dsm_stepper_net(o);
    dsm_status status = take_loads(s, err);
    if (status == DSM_OK) status = dsm_optimizer_init(&s->optimizer, m, err);
    if (status == DSM_OK) status = dsm_net_open(&s->net, m, x, &net, err);
    if (status != DSM_OK) dsm_stepper_free(s);
    return status;
}

void dsm_stepper_free(dsm_stepper *s)
{
    dsm_net_close(s->net);
    dsm_optimizer_free(&s->optimizer);
    dsm_arena_free(&s->memory);
    memset(s, 0, sizeof *s);
}

/* --- the step --------------------------------------------------------------------------------- */

/* Gradients are looked at first: the search in the network may use their memory. */
static dsm_status not_finite(dsm_stepper *s, const char *what, int64_t step, dsm_err *err)
{
    char where[160];
    const char *parameter = dsm_gradient_nonfinite(s->x, s->model);
    dsm_net_find_nonfinite(s->net, where, sizeof where);
    if (*where) parameter = NULL;
    return dsm_fail(err, DSM_ENONFINITE,
                    "step %lld: the %s is not finite; first seen in %s%s. Try a lower "
                    "optimizer.peak_lr, a longer schedule.warmup or a smaller optimizer.clip",
                    (long long)step + 1, what, parameter ? "the gradient of " : "",
                    parameter ? parameter
                    : *where  ? where
                              : "the sum of all gradients");
}

static double total(const dsm_balance_loss *b)
{
    return b->expert + b->device + b->communication + b->z;
}

/* Gradients of the whole batch: each micro-batch weighs as many sequences as it has. */
static dsm_status accumulate(dsm_stepper *s, int64_t step, const int32_t *tokens,
                             const int32_t *targets, int64_t n_seq, dsm_step *out, dsm_err *err)
{
    const int64_t T = s->options.seq_len;
    double lm = 0.0;
    for (int64_t first = 0; first < n_seq; first += s->options.micro) {
        int64_t n = n_seq - first < s->options.micro ? n_seq - first : s->options.micro;
        const dsm_route_mode mode = {
            .training = true,
            .distilled = step >= s->options.freeze,
            .seed = s->options.seed,
            .step = (uint32_t)step,
            .first_token = first * T,
        };
        double weight = (double)n / (double)n_seq;
        dsm_losses losses = {0};
        dsm_status status = dsm_net_step(s->net, tokens + first * T, targets + first * T, n, &mode,
                                         weight, &losses, s->loads, NULL, err);
        if (status == DSM_ENONFINITE || !isfinite(total(&losses.balance) + losses.balance.distill))
            return not_finite(s, "loss", step, err);
        DSM_TRY(status);
        lm += losses.lm;
        out->targets += losses.targets;
        out->balance += weight * total(&losses.balance);
        out->distill += weight * losses.balance.distill;
    }
    out->loss = out->targets ? lm / (double)out->targets : 0.0;
    return DSM_OK;
}

/* Loss-free balancing from the counts of the global batch (2408.15664, algorithm 1). */
static void steer(dsm_stepper *s)
{
    if (s->options.bias_rate == 0) return;
    for (int64_t l = 0; l < s->model->config.num_hidden_layers; l++) {
        const dsm_layer_params *layer = &s->model->layers[l];
        if (layer->is_moe && layer->moe.bias)
            dsm_bias_update(layer->moe.bias, &s->loads[l], s->options.bias_rate,
                            s->options.bias_rule);
    }
}

dsm_status dsm_stepper_run(dsm_stepper *s, int64_t step, double lr, const int32_t *tokens,
                           const int32_t *targets, int64_t n_seq, dsm_step *out, dsm_err *err)
{
    const double start = dsm_clock();
    *out = (dsm_step){0};
    if (n_seq > s->options.sequences)
        return dsm_fail(err, DSM_ERANGE, "step: found %lld sequences, expected at most %lld",
                        (long long)n_seq, (long long)s->options.sequences);
    for (int64_t l = 0; l < s->model->config.num_hidden_layers; l++)
        dsm_load_clear(&s->loads[l]);
    if (s->options.sequences > s->options.micro) dsm_gradients_clear(s->x, s->model);
    DSM_TRY(accumulate(s, step, tokens, targets, n_seq, out, err));
    const double computed = dsm_clock();

    bool finite;
    out->grad_norm = dsm_gradient_norm(s->x, s->model, &finite);
    if (!finite) return not_finite(s, "gradient", step, err);
    double scale = dsm_clip_factor(out->grad_norm, s->options.adamw.clip);
    const double clipped = dsm_clock();

    s->optimizer.frozen = step >= s->options.freeze;
    dsm_optimizer_step(&s->optimizer, s->x, &s->options.adamw, lr, step + 1, scale);
    steer(s);
    out->time.backprop = computed - start;
    out->time.clip = clipped - computed;
    out->time.optimizer = dsm_clock() - clipped;
    return DSM_OK;
}
