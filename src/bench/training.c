/* SPDX-License-Identifier: MIT */
/* bench train: what a training step costs on this machine.
 *
 * Method: random tokens, the trainer's own step (forward, backward, clip, AdamW), one step to touch
 * all memory, then `steps` timed ones. A step's time is wall time around the step alone. The figure
 * is the median; parts are means over the timed steps, "other" what no part claims. */
#include "bench/ceilings.h"
#include "bench/ranges.h"
#include "core/clock.h"
#include "core/rng.h"
#include "dsmoe/bench.h"
#include "model/count.h"
#include "train/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_STEPS = 1000 };

void dsm_bench_train_defaults(dsm_bench_train_options *o)
{
    *o = (dsm_bench_train_options){.steps = 5, .seed = 1};
}

/* Everything one measurement holds. */
typedef struct bench {
    dsm_bench_train_options options;
    dsm_kernels kernels;
    dsm_exec x;
    dsm_model *model;
    dsm_stepper stepper;
    int32_t *tokens, *targets; /* (sequences, seq_len) */
    double seconds[MAX_STEPS];
    double clip, optimizer; /* Σ over timed steps */
} bench;

static dsm_status check_options(const dsm_bench_train_options *o, dsm_err *err)
{
    const dsm_bench_range rows[] = {{"seq", o->seq_len, 1 << 20},
                                    {"batch", o->sequences, 1 << 20},
                                    {"micro", o->micro, o->sequences},
                                    {"steps", o->steps, MAX_STEPS}};
    return dsm_bench_check_ranges(rows, sizeof rows / sizeof *rows, err);
}

static dsm_status open_model(bench *b, dsm_err *err)
{
    dsm_model_config c;
    DSM_TRY(dsm_model_config_read(&c, b->options.config, err));
    if (b->options.seq_len > c.max_position_embeddings)
        return dsm_fail(
            err, DSM_EUSAGE, "--seq: found %lld, %s allows %lld (max_position_embeddings)",
            (long long)b->options.seq_len, b->options.config, (long long)c.max_position_embeddings);
    if (b->options.skew) c.bias = DSM_BIAS_ADDITIVE;
    DSM_TRY(dsm_model_create(&b->model, &c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, err));
    dsm_model_init_random(b->model, &b->x, b->options.seed);
    for (int64_t l = 0; b->options.skew && l < c.num_hidden_layers; l++)
        if (b->model->layers[l].moe.bias)
            b->model->layers[l].moe.bias[0] = 1; /* above all scores */
    return DSM_OK;
}

static dsm_status make_tokens(bench *b, dsm_err *err)
{
    size_t n = (size_t)(b->options.sequences * b->options.seq_len);
    const dsm_rng rng = {.seed = b->options.seed, .stream = DSM_STREAM_TEST};
    b->tokens = malloc(n * sizeof *b->tokens);
    b->targets = malloc(n * sizeof *b->targets);
    if (!b->tokens || !b->targets) return dsm_fail(err, DSM_ENOMEM, "tokens: out of memory");
    for (size_t i = 0; i < n; i++) {
        b->tokens[i] = (int32_t)dsm_rng_below(&rng, i, (uint64_t)b->model->config.vocab_size);
        b->targets[i] = (int32_t)dsm_rng_below(&rng, i + n, (uint64_t)b->model->config.vocab_size);
    }
    return DSM_OK;
}

static dsm_status open_parts(bench *b, dsm_err *err)
{
    const dsm_stepper_options step = {
        .seq_len = b->options.seq_len,
        .micro = b->options.micro,
        .sequences = b->options.sequences,
        .recompute = b->options.recompute,
        .balance = {.expert = 0.01, .devices = 1, .per_sequence = true},
        .adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1.0},
        .seed = b->options.seed,
    };
    dsm_kernels_init(&b->kernels, b->options.cpu_flags);
    DSM_TRY(dsm_kernels_set_compute(&b->kernels, b->options.cpu_flags, b->options.compute, err));
    DSM_TRY(dsm_exec_init(&b->x, &b->kernels, b->options.n_threads, err));
    DSM_TRY(open_model(b, err));
    DSM_TRY(make_tokens(b, err));
    return dsm_stepper_init(&b->stepper, b->model, &b->x, &step, err);
}

static void close_parts(bench *b)
{
    dsm_stepper_free(&b->stepper);
    dsm_model_free(b->model);
    dsm_exec_free(&b->x);
    free(b->tokens);
    free(b->targets);
}

/* --- measuring -------------------------------------------------------------------------------- */

static dsm_status run_steps(bench *b, dsm_bench_train *out, dsm_err *err)
{
    for (int64_t s = -1; s < b->options.steps; s++) {
        dsm_step step;
        const double start = dsm_clock();
        DSM_TRY(dsm_stepper_run(&b->stepper, s + 1, 1e-4, b->tokens, b->targets,
                                b->options.sequences, &step, err));
        out->loss = step.loss;
        if (s < 0) { /* touched the memory, filled the caches */
            dsm_net_clear_times(b->stepper.net);
            continue;
        }
        b->seconds[s] = dsm_clock() - start;
        b->clip += step.time.clip;
        b->optimizer += step.time.optimizer;
    }
    return DSM_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void add_part(dsm_bench_train *out, const char *name, double seconds)
{
    out->part[out->n_parts].name = name;
    out->part[out->n_parts++].seconds = seconds;
}

_Static_assert(DSM_N_PARTS + 3 <= DSM_BENCH_PARTS,
               "every part of the network, clip, optimizer, other");

static void split_time(const bench *b, dsm_bench_train *out)
{
    const double n = (double)b->options.steps, *net = dsm_net_times(b->stepper.net);
    double total = 0.0, claimed = 0.0;
    for (int64_t s = 0; s < b->options.steps; s++)
        total += b->seconds[s];
    for (int i = 0; i < DSM_N_PARTS; i++)
        add_part(out, dsm_part_names[i], net[i] / n);
    add_part(out, "clip", b->clip / n);
    add_part(out, "optimizer", b->optimizer / n);
    for (int i = 0; i < out->n_parts; i++)
        claimed += out->part[i].seconds;
    add_part(out, "other", total / n - claimed);
}

static size_t peak_rss(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

static void summarise(bench *b, dsm_bench_train *out)
{
    const dsm_counts n = dsm_model_count(b->model);
    const double tokens = (double)(b->options.sequences * b->options.seq_len);
    out->params = n.params;
    out->active_params = n.active;
    split_time(b, out);
    qsort(b->seconds, (size_t)b->options.steps, sizeof *b->seconds, by_value);
    out->step_s = b->seconds[b->options.steps / 2];
    out->tokens_per_s = tokens / out->step_s;
    out->best_tokens_per_s = tokens / b->seconds[0];
    out->flops_per_token = dsm_model_train_flops(b->model, b->options.seq_len);
    out->gflops = out->flops_per_token * out->tokens_per_s * 1e-9;
    out->peak_gflops = dsm_ceiling_fp32(&b->x, b->options.cpu_flags);
    out->peak_share = out->gflops / out->peak_gflops;
    out->peak_rss_bytes = peak_rss();
    out->threads = dsm_pool_threads(b->x.pool);
    snprintf(out->gemm, sizeof out->gemm, "%s", b->kernels.variant[DSM_SLOT_linear]);
}

dsm_status dsm_bench_train_run(dsm_bench_train *out, const dsm_bench_train_options *o, dsm_err *err)
{
    memset(out, 0, sizeof *out);
    bench *b = calloc(1, sizeof *b);
    if (!b) return dsm_fail(err, DSM_ENOMEM, "bench: out of memory");
    b->options = *o;
    if (b->options.micro == 0) b->options.micro = b->options.sequences;
    dsm_status status = check_options(&b->options, err);
    const double start = dsm_clock();
    if (status == DSM_OK) status = open_parts(b, err);
    out->startup_s = dsm_clock() - start;
    if (status == DSM_OK) status = run_steps(b, out, err);
    if (status == DSM_OK) summarise(b, out);
    close_parts(b);
    free(b);
    return status;
}
