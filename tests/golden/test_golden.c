/* SPDX-License-Identifier: MIT */
/* Whole tiny models against an independent PyTorch implementation (README.md): for every case, step
 * 0's logits, losses, gradients and routing, and ten optimiser steps of the trainer's own step;
 * with the truth kernels and with each tier of fast ones that this CPU has.
 *
 * Tolerance of a kind of tensor: SLACK times the deviation that the PyTorch code itself shows
 * between float32 and float64 on this case (recipe.json: float32_deviation, relative to the
 * tensor's largest value), plus FLOOR for storage as float32. Both sides round every operation
 * once, only in another order, so their errors are of one size; SLACK covers the spread between
 * such orders (3 is the most that was seen). AdamW divides a gradient by its own size, so where it
 * should be next to nothing its rounding becomes a step: once it has run, SLACK_TRAINED (18). Picks
 * and hash tables must be equal. */
#include "support/support.h"

#include "core/json.h"
#include "formats/safetensors.h"
#include "train/step.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLACK         8.0
#define SLACK_TRAINED 32.0
#define FLOOR         4e-7

/* One case opened with one set of kernels. */
typedef struct fixture {
    char name[256], kernels_name[16];
    json_t *recipe;
    dsm_st_file *golden;
    dsm_kernels kernels;
    dsm_exec exec;
    dsm_model *model;
    dsm_stepper stepper;
    int64_t B, T, steps;
    dsm_err err;
} fixture;

static double number(const fixture *f, const char *key)
{
    const json_t *v = json_object_get(f->recipe, key);
    if (!json_is_number(v)) fail_msg("%s: recipe.json has no number %s", f->name, key);
    return json_number_value(v);
}

static int is_text(const fixture *f, const char *key, const char *text)
{
    const char *found = json_string_value(json_object_get(f->recipe, key));
    if (!found) fail_msg("%s: recipe.json has no text %s", f->name, key);
    return strcmp(found, text) == 0;
}

static const dsm_st_tensor *tensor(const fixture *f, const char *name)
{
    const dsm_st_tensor *t = dsm_st_find(f->golden, name);
    if (!t) fail_msg("%s: golden.safetensors has no %s", f->name, name);
    return t;
}

static int64_t elements(const dsm_st_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

/* --- comparison -------------------------------------------------------------------------- */

static double tolerance(const fixture *f, const char *kind)
{
    const json_t *table = json_object_get(f->recipe, "float32_deviation");
    const bool trained = strncmp(kind, "step_", 5) == 0 || strstr(kind, "after10");
    const double deviation = json_number_value(json_object_get(table, kind));
    return (trained ? SLACK_TRAINED : SLACK) * deviation + FLOOR;
}

static float value_at(const dsm_st_tensor *t, int64_t i)
{
    float v;
    memcpy(&v, (const char *)t->data + 4 * i, sizeof v);
    return v;
}

static int32_t id_at(const dsm_st_tensor *t, int64_t i)
{
    int32_t v;
    memcpy(&v, (const char *)t->data + 4 * i, sizeof v);
    return v;
}

static double largest(const dsm_st_tensor *t)
{
    double most = 1e-30;
    for (int64_t i = 0; i < elements(t); i++)
        most = fmax(most, fabs((double)value_at(t, i)));
    return most;
}

static void compare_reals(const fixture *f, const char *name, const char *kind, const dsm_real *got,
                          int64_t n)
{
    const dsm_st_tensor *t = tensor(f, name);
    double allowed = tolerance(f, kind) * largest(t);
    if (elements(t) != n)
        fail_msg("%s: %s: %lld values, golden has %lld", f->name, name, (long long)n,
                 (long long)elements(t));
    for (int64_t i = 0; i < n; i++) {
        double want = (double)value_at(t, i), error = fabs((double)got[i] - want);
        if (!(error <= allowed))
            fail_msg("%s (%s kernels): %s[%lld] = %.9g, golden %.9g, off by %.2g, allowed %.2g",
                     f->name, f->kernels_name, name, (long long)i, (double)got[i], want, error,
                     allowed);
    }
}

static void compare_number(const fixture *f, const char *name, const char *kind, double got)
{
    dsm_real v = (dsm_real)got;
    compare_reals(f, name, kind, &v, 1);
}

/* --- opening a case ---------------------------------------------------------------------- */

static void load_parameters(fixture *f)
{
    for (int64_t i = 0; i < f->model->n_params; i++) {
        const dsm_param *p = &f->model->params[i];
        char name[256];
        if (p->offset < 0) continue;
        snprintf(name, sizeof name, "param.%s", p->name);
        const dsm_st_tensor *t = tensor(f, name);
        if (elements(t) != p->rows * p->cols || t->ndim != p->ndim)
            fail_msg("%s: %s has another shape", f->name, name);
        memcpy(f->model->values + p->offset, t->data, t->bytes);
    }
}

static void load_hash(fixture *f)
{
    const dsm_st_tensor *t = dsm_st_find(f->golden, "token_counts");
    uint64_t counts[4096];
    if (!t) return;
    assert_true(elements(t) <= 4096);
    for (int64_t i = 0; i < elements(t); i++)
        counts[i] = (uint64_t)id_at(t, i);
    assert_int_equal(dsm_model_hash_balance(f->model, counts, &f->err), DSM_OK);
}

static bool is_stable(const fixture *f)
{
    return f->model->config.router == DSM_ROUTER_STABLE;
}

static dsm_stepper_options options_of(const fixture *f)
{
    return (dsm_stepper_options){
        .seq_len = f->T,
        .micro = f->B,
        .sequences = f->B,
        .balance = {.expert = number(f, "expert"),
                    .device = number(f, "device"),
                    .communication = number(f, "communication"),
                    .z = number(f, "z"),
                    .distill = is_stable(f) ? number(f, "distill") : 0,
                    .devices = (int64_t)number(f, "devices"),
                    .device_limit = (int64_t)number(f, "device_limit"),
                    .per_sequence = is_text(f, "scope", "sequence")},
        .bias_rate = number(f, "bias_rate"),
        .bias_rule = is_text(f, "bias_rule", "sign") ? DSM_BIAS_SIGN : DSM_BIAS_PROPORTIONAL,
        .freeze = is_stable(f) ? (int64_t)number(f, "freeze") : 0,
        .adamw = {.peak_lr = number(f, "peak_lr"),
                  .beta1 = number(f, "beta1"),
                  .beta2 = number(f, "beta2"),
                  .eps = number(f, "eps"),
                  .weight_decay = number(f, "weight_decay"),
                  .clip = number(f, "clip")},
        .seed = (uint64_t)number(f, "seed"),
    };
}

static void open_case(fixture *f, const char *name, const char *kernels_name, unsigned flags)
{
    char dir[1024], path[1100];
    dsm_model_config config;
    memset(f, 0, sizeof *f);
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->kernels_name, sizeof f->kernels_name, "%s", kernels_name);
    snprintf(dir, sizeof dir, TEST_SOURCE_DIR "/tests/golden/%s", name);
    dsm_err err;
    assert_ok(dsm_model_config_read(&config, dir, &err));
    snprintf(path, sizeof path, "%s/recipe.json", dir);
    assert_ok(dsm_json_read(&f->recipe, path, 1 << 20, &err));
    snprintf(path, sizeof path, "%s/golden.safetensors", dir);
    assert_ok(dsm_st_open(&f->golden, path, &err));
    f->B = (int64_t)number(f, "batch");
    f->T = (int64_t)number(f, "seq_len");
    f->steps = (int64_t)number(f, "steps");

    dsm_kernels_init(&f->kernels, flags);
    assert_ok(dsm_exec_init(&f->exec, &f->kernels, 2, &err));
    assert_ok(dsm_model_create(&f->model, &config, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err));
    load_parameters(f);
    load_hash(f);
    dsm_stepper_options options = options_of(f);
    assert_ok(dsm_stepper_init(&f->stepper, f->model, &f->exec, &options, &err));
}

static void close_case(fixture *f)
{
    dsm_stepper_free(&f->stepper);
    dsm_model_free(f->model);
    dsm_exec_free(&f->exec);
    dsm_st_close(f->golden);
    json_decref(f->recipe);
}

/* --- step 0 ------------------------------------------------------------------------------ */

static void compare_gradients(const fixture *f)
{
    for (int64_t i = 0; i < f->model->n_params; i++) {
        const dsm_param *p = &f->model->params[i];
        char name[256];
        if (p->offset < 0) continue;
        snprintf(name, sizeof name, "grad.%s", p->name);
        compare_reals(f, name, "grad", f->model->grads + p->offset, p->rows * p->cols);
    }
}

/* Logits from the final stream, by a plain product in double. */
static void compare_logits(const fixture *f)
{
    const dsm_mat *head = &f->model->head.w;
    int64_t n = f->B * f->T, V = head->rows, D = head->cols;
    const dsm_real *x = dsm_net_hidden(f->stepper.net), *w = head->data;
    dsm_real *logits = malloc(sizeof *logits * (size_t)(n * V));
    for (int64_t i = 0; i < n * V; i++) {
        double sum = 0;
        for (int64_t d = 0; d < D; d++)
            sum += (double)x[i / V * D + d] * (double)w[i % V * D + d];
        logits[i] = (dsm_real)sum;
    }
    compare_reals(f, "logits", "logits", logits, n * V);
    free(logits);
}

/* The expert of a pick, taken or not; -1: none. */
static int32_t expert_of(int32_t pick)
{
    return pick == DSM_NO_PICK ? -1 : dsm_pick_expert(pick);
}

static void compare_routing(const fixture *f, int64_t layer)
{
    char name[64];
    const int32_t *pick;
    const dsm_real *gate;
    int64_t K, rows = dsm_net_routing(f->stepper.net, layer, &pick, &gate, &K);
    if (rows == 0) return;
    snprintf(name, sizeof name, "layer.%lld.pick", (long long)layer);
    const dsm_st_tensor *t = tensor(f, name);
    assert_int_equal(elements(t), rows * K);
    for (int64_t i = 0; i < rows * K; i++)
        if (expert_of(pick[i]) != id_at(t, i))
            fail_msg("%s: %s[%lld] = %d, golden %d", f->name, name, (long long)i,
                     (int)expert_of(pick[i]), (int)id_at(t, i));
    snprintf(name, sizeof name, "layer.%lld.gate", (long long)layer);
    compare_reals(f, name, "gate", gate, rows * K);
}

static void compare_hash_table(const fixture *f, int64_t layer)
{
    const int32_t *table = f->model->layers[layer].moe.hash;
    char name[64];
    if (!table) return;
    snprintf(name, sizeof name, "layer.%lld.hash_table", (long long)layer);
    const dsm_st_tensor *t = tensor(f, name);
    for (int64_t v = 0; v < f->model->config.vocab_size; v++)
        if (table[v] != id_at(t, v))
            fail_msg("%s: %s[%lld] = %d, golden %d", f->name, name, (long long)v, (int)table[v],
                     (int)id_at(t, v));
}

static void compare_first_step(fixture *f)
{
    const dsm_route_mode mode = {.training = true, .seed = f->stepper.options.seed};
    dsm_losses loss = {0};
    dsm_err err;
    bool finite;
    dsm_gradients_clear(&f->exec, f->model);
    assert_ok(dsm_net_step(f->stepper.net, tensor(f, "tokens")->data, tensor(f, "targets")->data,
                           f->B, &mode, 1.0, &loss, NULL, NULL, &err));
    for (int64_t l = 0; l < f->model->config.num_hidden_layers; l++) {
        compare_hash_table(f, l);
        compare_routing(f, l);
    }
    compare_logits(f);
    compare_number(f, "loss.lm", "loss", loss.lm / (double)loss.targets);
    compare_number(f, "loss.expert", "loss", loss.balance.expert);
    compare_number(f, "loss.device", "loss", loss.balance.device);
    compare_number(f, "loss.communication", "loss", loss.balance.communication);
    compare_number(f, "loss.z", "loss", loss.balance.z);
    if (is_stable(f)) compare_number(f, "loss.distill", "loss", loss.balance.distill);
    compare_gradients(f);
    compare_number(f, "grad_norm", "grad_norm", dsm_gradient_norm(&f->exec, f->model, &finite));
}

/* --- ten steps --------------------------------------------------------------------------- */

static void compare_after(const fixture *f)
{
    char name[256];
    for (int64_t i = 0; i < f->model->n_params; i++) {
        const dsm_param *p = &f->model->params[i];
        if (p->offset < 0) continue;
        snprintf(name, sizeof name, "after10.%s", p->name);
        compare_reals(f, name, "after10", p->mat.data, p->rows * p->cols);
    }
    for (int64_t l = 0; l < f->model->config.num_hidden_layers; l++) {
        const dsm_real *bias = f->model->layers[l].moe.bias;
        snprintf(name, sizeof name, "layer.%lld.bias_after10", (long long)l);
        if (bias) compare_reals(f, name, "bias_after10", bias, f->model->config.n_routed_experts);
    }
}

static void compare_curve(fixture *f)
{
    const int32_t *tokens = tensor(f, "step_tokens")->data;
    const int32_t *targets = tensor(f, "step_targets")->data;
    dsm_real loss[64], balance[64], norm[64];
    dsm_err err;
    assert_true(f->steps <= 64);
    for (int64_t s = 0; s < f->steps; s++) {
        double lr = number(f, "peak_lr") * fmin(1.0, (double)(s + 1) / number(f, "warmup"));
        dsm_step step;
        assert_ok(dsm_stepper_run(&f->stepper, s, lr, tokens + s * f->B * f->T,
                                  targets + s * f->B * f->T, f->B, &step, &err));
        loss[s] = (dsm_real)step.loss;
        balance[s] = (dsm_real)step.balance;
        norm[s] = (dsm_real)step.grad_norm;
    }
    compare_reals(f, "step_loss", "step_loss", loss, f->steps);
    compare_reals(f, "step_balance", "step_balance", balance, f->steps);
    compare_reals(f, "step_grad_norm", "step_grad_norm", norm, f->steps);
    compare_after(f);
}

/* --- all cases --------------------------------------------------------------------------- */

static void run_case(const char *name)
{
    const struct {
        const char *name;
        unsigned flags;
    } kernels[] = {{"truth", 0},
                   {"avx2", dsm_cpu_flags() & DSM_CPU_AVX2},
                   {"avx512", dsm_cpu_flags() & ~(unsigned)DSM_CPU_AMX},
                   {"fastest", dsm_cpu_flags()}};
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        fixture f;
        open_case(&f, name, kernels[i].name, kernels[i].flags);
        compare_first_step(&f);
        compare_curve(&f);
        close_case(&f);
    }
}

static void every_case_agrees(void **state)
{
    (void)state;
    DIR *dir = opendir(TEST_SOURCE_DIR "/tests/golden");
    assert_non_null(dir);
    int n = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char path[1024];
        snprintf(path, sizeof path, TEST_SOURCE_DIR "/tests/golden/%s/recipe.json", e->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        fclose(file);
        run_case(e->d_name);
        n++;
    }
    closedir(dir);
    assert_true(n >= 33); /* none may vanish unseen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_agrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
