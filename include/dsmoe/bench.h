/* SPDX-License-Identifier: MIT */
/* Measurements with units and their share of the machine's ceilings, taken in the same run. */
#ifndef DSMOE_BENCH_H
#define DSMOE_BENCH_H

#include "dsmoe/compute.h"
#include "dsmoe/plan.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- bench machine: the ceilings ------------------------------------------------------------- */

typedef struct dsm_bench_rate {
    const char *name, *unit; /* "FP32 FMA", "Gop/s"; static */
    double one, all;         /* on one thread; on all of them */
} dsm_bench_rate;

enum { DSM_BENCH_RATES = 9 };

typedef struct dsm_bench_machine {
    dsm_bench_rate rate[DSM_BENCH_RATES]; /* multiply-add of each kind the CPU has, then memory */
    int n_rates, threads;
} dsm_bench_machine;

/* About two seconds and 1 GiB. n_threads 0: all cores. Errors: no memory. */
dsm_status dsm_bench_machine_run(dsm_bench_machine *out, int n_threads, unsigned cpu_flags,
                                 dsm_err *err);

/* --- bench kernels: every slot at the shapes of training ------------------------------------- */

typedef struct dsm_bench_kernel {
    const char *slot, *variant,
        *unit; /* "linear", "avx512 tiled", "GFLOP/s", "Gop/s" or "GB/s"; static */
    char shape[64];
    double seconds;       /* best of several */
    double rate, ceiling; /* in `unit`; the ceiling was measured beside it */
    double share;         /* rate / ceiling; above 1 where the data fit a cache */
} dsm_bench_kernel;

/* Measure the shapes of `model` ("tiny" or "small": those of the training benchmark; "16b": stored
 * weights at those of inference, whatever the slot) and hand each row to `row` as it is done. slot:
 * only rows of this slot, or NULL. Errors: DSM_EUSAGE naming the models or slots there are; no
 * memory. */
dsm_status dsm_bench_kernels_run(const char *model, const char *slot, int n_threads,
                                 unsigned cpu_flags, dsm_compute compute,
                                 void (*row)(void *arg, const dsm_bench_kernel *k), void *arg,
                                 dsm_err *err);

/* --- bench train: real optimiser steps on random tokens -------------------------------------- */

typedef struct dsm_bench_train_options {
    const char *config;         /* config.json, or the folder that holds one */
    int64_t seq_len, sequences; /* of a step */
    int64_t micro;              /* sequences computed at once; 0: all of them */
    dsm_recompute recompute;
    dsm_compute compute;
    bool skew;     /* every token picks the first expert: E / K times the mean load */
    int64_t steps; /* timed, after one that is not */
    uint64_t seed;
    int n_threads;      /* 0: all cores */
    unsigned cpu_flags; /* dsm_runtime_cpu_flags() */
} dsm_bench_train_options;

/* 5 steps, seed 1. */
void dsm_bench_train_defaults(dsm_bench_train_options *o);

enum { DSM_BENCH_PARTS = 16 };

typedef struct dsm_bench_train {
    int64_t params, active_params;
    double tokens_per_s, best_tokens_per_s; /* of the median and of the fastest step */
    double step_s;                          /* median */
    double startup_s;                       /* until the first step began */
    struct {
        const char *name; /* static */
        double seconds;   /* mean per timed step */
    } part[DSM_BENCH_PARTS];
    int n_parts;
    double flops_per_token; /* 6 · (active parameters without the embedding) + 6·L·T·d of causal
                               attention */
    double gflops;          /* at the median */
    double peak_gflops;     /* FP32 multiply-add ceiling of these threads, measured right after */
    double peak_share;      /* gflops / peak_gflops */
    size_t peak_rss_bytes;  /* of the process */
    int threads;
    char gemm[32]; /* kernel variant of the linear maps */
    double loss;   /* of the last step: real work was done */
} dsm_bench_train;

/* Errors: those of the config; no memory. */
dsm_status dsm_bench_train_run(dsm_bench_train *out, const dsm_bench_train_options *o,
                               dsm_err *err);

/* --- bench infer: prompts and single tokens through a model on disk -------------------------- */

typedef struct dsm_bench_infer_options {
    const char *model;
    int64_t prompt, gen; /* tokens fed together, then one by one */
    int64_t chunk;       /* tokens of the prompt that go through the model together */
    int64_t runs;        /* of both; the figures are of the median and of the best */
    const char *cache;   /* type of keys and values: f32, f16 or q8_0 */
    uint64_t seed;       /* of the tokens, which are random */
    int n_threads;       /* 0: all cores */
    unsigned cpu_flags;  /* dsm_runtime_cpu_flags() */
} dsm_bench_infer_options;

/* prompt 512, gen 32, chunk 512, 3 runs, cache f16, seed 1. */
void dsm_bench_infer_defaults(dsm_bench_infer_options *o);

typedef struct dsm_bench_part {
    const char *name;        /* static */
    double prefill_s, gen_s; /* of all runs' prompts; of all runs' single tokens */
} dsm_bench_part;

typedef struct dsm_bench_infer {
    int64_t params, active_params, active_weight_bytes;
    double load_s, first_token_s; /* from the start: the model opened; 16 tokens answered */
    double prefill_tokens_per_s, best_prefill_tokens_per_s;
    double decode_tokens_per_s, best_decode_tokens_per_s; /* of the median run; of the best */
    double read_gb_per_s, bandwidth_gb_per_s; /* active weights at the median; ceiling, measured
                                                 between the runs */
    double bandwidth_share, best_bandwidth_share;
    double prefill_gops, int8_gops, int8_share; /* 2 per active weight without head; the ceiling of
                                                   int8 dots, 0 where the CPU has none */
    size_t peak_rss_bytes; /* of the process; mapped weights that were touched count */
    dsm_bench_part part[DSM_BENCH_PARTS];
    int n_parts, threads;
    char gemm[32];
} dsm_bench_infer;

/* Errors: those of the model; a prompt longer than its context; no memory. */
dsm_status dsm_bench_infer_run(dsm_bench_infer *out, const dsm_bench_infer_options *o,
                               dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
