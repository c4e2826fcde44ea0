/* SPDX-License-Identifier: MIT */
/* bench infer: what prompts and single tokens cost on this machine.
 *
 * Method: open the model, answer a prompt of FIRST tokens (the time of both is first_token_s), then
 * `runs` times: a prompt of random tokens, then `gen` random tokens one by one, which pick experts
 * as text does. The ceilings are measured before each run and after the last; the best of them
 * counts. Prompts are held against the int8 dot's peak, single tokens against reading memory: bytes
 * of the weights that one token uses, as stored, per second. */
#include "bench/ceilings.h"
#include "bench/ranges.h"
#include "core/clock.h"
#include "core/rng.h"
#include "dsmoe/bench.h"
#include "infer/loaded.h"
#include "model/count.h"
#include "model/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_RUNS = 100, FIRST = 16 };
static const size_t ceiling_bytes = (size_t)1 << 30;

void dsm_bench_infer_defaults(dsm_bench_infer_options *o)
{
    *o = (dsm_bench_infer_options){
        .prompt = 512, .gen = 32, .chunk = 512, .runs = 3, .cache = "f16", .seed = 1};
}

typedef struct bench {
    dsm_bench_infer_options options;
    dsm_loaded loaded;
    dsm_net *net;
    dsm_cache *cache;
    dsm_arena memory;                        /* read for the ceiling */
    int32_t *tokens;                         /* (prompt + gen) */
    dsm_real *logits;                        /* (V) */
    double prefill[MAX_RUNS], gen[MAX_RUNS]; /* seconds */
} bench;

/* --- opening ---------------------------------------------------------------------------------- */

static dsm_status check_options(const dsm_bench_infer_options *o, dsm_err *err)
{
    const dsm_bench_range rows[] = {{"prompt", o->prompt, 1 << 20},
                                    {"gen", o->gen, 1 << 20},
                                    {"chunk", o->chunk, 1 << 20},
                                    {"runs", o->runs, MAX_RUNS}};
    return dsm_bench_check_ranges(rows, sizeof rows / sizeof *rows, err);
}

static dsm_status make_tokens(bench *b, dsm_err *err)
{
    const dsm_model_config *c = &b->loaded.model->config;
    const dsm_rng rng = {.seed = b->options.seed, .stream = DSM_STREAM_TEST};
    const int64_t n = b->options.prompt + b->options.gen + FIRST;
    b->tokens = malloc((size_t)n * sizeof *b->tokens);
    b->logits = malloc((size_t)c->vocab_size * sizeof *b->logits);
    if (!b->tokens || !b->logits) return dsm_fail(err, DSM_ENOMEM, "tokens: out of memory");
    for (int64_t i = 0; i < n; i++)
        b->tokens[i] = (int32_t)dsm_rng_below(&rng, (uint64_t)i, (uint64_t)c->vocab_size);
    return DSM_OK;
}

static dsm_status open_parts(bench *b, dsm_err *err)
{
    const dsm_bench_infer_options *o = &b->options;
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = o->chunk};
    dsm_dtype cache;
    DSM_TRY(dsm_dtype_parse(&cache, o->cache, err));
    const dsm_model *m = b->loaded.model;
    if (o->prompt + o->gen > m->config.max_position_embeddings)
        return dsm_fail(err, DSM_EUSAGE, "--prompt and --gen: found %lld tokens, %s allows %lld",
                        (long long)(o->prompt + o->gen), o->model,
                        (long long)m->config.max_position_embeddings);
    DSM_TRY(make_tokens(b, err));
    DSM_TRY(dsm_cache_open(&b->cache, m, o->prompt + o->gen + FIRST, cache, err));
    return dsm_net_open(&b->net, b->loaded.model, &b->loaded.exec, &shape, err);
}

static void close_parts(bench *b)
{
    dsm_net_close(b->net);
    dsm_cache_close(b->cache);
    dsm_loaded_close(&b->loaded);
    dsm_arena_free(&b->memory);
    free(b->tokens);
    free(b->logits);
}

/* --- measuring -------------------------------------------------------------------------------- */

/* Feed tokens from `first` on, `step` at a time; logits of the last, or with step = 1 of each. */
static dsm_status feed(bench *b, int64_t first, int64_t n, int64_t step, dsm_err *err)
{
    for (int64_t i = 0; i < n; i += step) {
        const int64_t m = n - i < step ? n - i : step;
        const int64_t wanted = step == 1 || i + m == n;
        DSM_TRY(dsm_net_feed(b->net, b->cache, b->tokens + first + i, m, b->logits, wanted, err));
    }
    return DSM_OK;
}

static void larger(double *best, double now)
{
    if (now > *best) *best = now;
}

static void measure_ceilings(bench *b, dsm_bench_infer *out)
{
    const dsm_exec *x = &b->loaded.exec;
    const dsm_peak *peak[DSM_MAX_PEAKS];
    larger(&out->bandwidth_gb_per_s, dsm_ceiling_read(x, b->memory.base, ceiling_bytes));
    for (int i = 0, n = dsm_peaks(peak, b->options.cpu_flags); i < n; i++)
        if (strcmp(peak[i]->name, "INT8 dot") == 0)
            larger(&out->int8_gops, dsm_ceiling_ops(x, peak[i]));
}

/* Add the network's times since the last call to `prefill_s` or `gen_s` of every part. */
static void take_times(bench *b, dsm_bench_infer *out, bool prefill)
{
    const double *seconds = dsm_net_times(b->net);
    out->n_parts = DSM_N_PARTS;
    for (int i = 0; i < DSM_N_PARTS; i++) {
        out->part[i].name = dsm_part_names[i];
        *(prefill ? &out->part[i].prefill_s : &out->part[i].gen_s) += seconds[i];
    }
    dsm_net_clear_times(b->net);
}

static dsm_status run_once(bench *b, dsm_bench_infer *out, int64_t run, dsm_err *err)
{
    const dsm_bench_infer_options *o = &b->options;
    const dsm_exec *x = &b->loaded.exec;
    dsm_cache_truncate(b->cache, 0);
    dsm_net_clear_times(b->net);
    double start = dsm_bench_clock(x);
    DSM_TRY(feed(b, 0, o->prompt, o->chunk, err));
    b->prefill[run] = dsm_bench_clock(x) - start;
    take_times(b, out, true);
    start = dsm_bench_clock(x);
    DSM_TRY(feed(b, o->prompt, o->gen, 1, err));
    b->gen[run] = dsm_bench_clock(x) - start;
    take_times(b, out, false);
    return DSM_OK;
}

static dsm_status measure(bench *b, dsm_bench_infer *out, dsm_err *err)
{
    const double start = dsm_clock();
    const int64_t first = b->options.chunk < FIRST ? b->options.chunk : FIRST;
    DSM_TRY(dsm_loaded_open(&b->loaded, b->options.model, b->options.n_threads,
                            b->options.cpu_flags, err));
    out->load_s = dsm_clock() - start;
    DSM_TRY(open_parts(b, err));
    DSM_TRY(feed(b, b->options.prompt + b->options.gen, first, first, err));
    out->first_token_s = dsm_clock() - start;
    DSM_TRY(dsm_arena_init(&b->memory, ceiling_bytes, "benchmark memory", err));
    memset(dsm_arena_take(&b->memory, ceiling_bytes - 2 * DSM_ALIGN), 1,
           ceiling_bytes - 2 * DSM_ALIGN);
    for (int64_t run = 0; run < b->options.runs; run++) {
        measure_ceilings(b, out);
        DSM_TRY(run_once(b, out, run, err));
    }
    measure_ceilings(b, out);
    return DSM_OK;
}

/* --- figures ---------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Tokens per second of the median and of the fastest run; sorts. */
static void rates(double *median, double *best, double *seconds, int64_t runs, int64_t tokens)
{
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    *median = (double)tokens / seconds[runs / 2];
    *best = (double)tokens / seconds[0];
}

static void summarise(bench *b, dsm_bench_infer *out)
{
    const dsm_bench_infer_options *o = &b->options;
    const dsm_model *m = b->loaded.model;
    const dsm_counts n = dsm_model_count(m);
    struct rusage usage;
    rates(&out->prefill_tokens_per_s, &out->best_prefill_tokens_per_s, b->prefill, o->runs,
          o->prompt);
    rates(&out->decode_tokens_per_s, &out->best_decode_tokens_per_s, b->gen, o->runs, o->gen);
    out->params = n.params;
    out->active_params = n.active;
    out->active_weight_bytes = dsm_model_active_bytes(m);
    const double gigabytes = (double)out->active_weight_bytes * 1e-9;
    out->read_gb_per_s = gigabytes * out->decode_tokens_per_s;
    out->bandwidth_share = out->read_gb_per_s / out->bandwidth_gb_per_s;
    out->best_bandwidth_share = gigabytes * out->best_decode_tokens_per_s / out->bandwidth_gb_per_s;
    const int64_t head = m->config.vocab_size * m->config.hidden_size;
    out->prefill_gops = 2e-9 * (double)(n.matmul - head) * out->prefill_tokens_per_s;
    if (out->int8_gops > 0) out->int8_share = out->prefill_gops / out->int8_gops;
    out->threads = dsm_pool_threads(b->loaded.exec.pool);
    if (getrusage(RUSAGE_SELF, &usage) == 0) out->peak_rss_bytes = (size_t)usage.ru_maxrss * 1024;
    snprintf(out->gemm, sizeof out->gemm, "%s", b->loaded.kernels.variant[DSM_SLOT_linear]);
}

dsm_status dsm_bench_infer_run(dsm_bench_infer *out, const dsm_bench_infer_options *o, dsm_err *err)
{
    memset(out, 0, sizeof *out);
    DSM_TRY(check_options(o, err));
    bench *b = calloc(1, sizeof *b);
    if (!b) return dsm_fail(err, DSM_ENOMEM, "bench: out of memory");
    b->options = *o;
    dsm_status status = measure(b, out, err);
    if (status == DSM_OK) summarise(b, out);
    close_parts(b);
    free(b);
    return status;
}
