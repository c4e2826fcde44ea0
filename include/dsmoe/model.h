/* SPDX-License-Identifier: MIT */
/* Models on disk: made, converted, described. Running one: dsmoe/engine.h. */
#ifndef DSMOE_MODEL_H
#define DSMOE_MODEL_H

#include "dsmoe/config.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Told how far a long job is: done and total are bytes written. False ends the job, which then
 * leaves nothing behind. */
typedef bool (*dsm_model_progress_fn)(void *arg, double done, double total);

typedef struct dsm_make_options {
    const char *config;    /* a config.json, or the folder that holds one */
    const char *out_dir;   /* new folder, or new file NAME.gguf; what exists is never overwritten
                              (DSM_EUSAGE) */
    const char *dtype;     /* "f32", "bf16" or "f16"; in a GGUF file also "q8_0", "q4_0", … */
    const char *tokenizer; /* folder or GGUF file whose tokenizer goes along and gives BOS and EOS;
                              NULL: none */
    uint64_t seed;
    int n_threads;                  /* 0: all cores */
    unsigned cpu_flags;             /* dsm_runtime_cpu_flags() */
    dsm_model_progress_fn progress; /* may be NULL */
    void *progress_arg;
} dsm_make_options;

/* Write a randomly initialised checkpoint, a function of config and seed alone. out_dir appears
 * when it is complete. It is written tensor by tensor: the model is never in memory.
 * Errors: those of reading the config, a tokenizer larger than the model's vocabulary. */
dsm_status dsm_model_make(const dsm_make_options *o, dsm_err *err);

typedef struct dsm_convert_options {
    const char *dtype; /* as of dsm_make_options; NULL: as the source's, or bf16 for a folder made
                          of quantised weights */
    uint64_t shard_bytes;           /* largest weight file of a folder; 0: 4 GiB */
    int n_threads;                  /* 0: all cores */
    unsigned cpu_flags;             /* dsm_runtime_cpu_flags() */
    dsm_model_progress_fn progress; /* may be NULL */
    void *progress_arg;
} dsm_convert_options;

/* Write the model src (run directory, checkpoint, Hugging Face folder, GGUF file) to the new folder
 * or the new file NAME.gguf dst, with its tokenizer, chat template and generation settings, weights
 * in another type or other files. Both ways weights stream from the source's mapping; src is never
 * written to, dst appears when it is complete. */
dsm_status dsm_model_convert(const char *src, const char *dst, const dsm_convert_options *o,
                             dsm_err *err);

typedef struct dsm_model_info {
    char *dir; /* the folder or file MODEL meant */
    dsm_model_config config;
    int64_t params, active; /* values; those that one token uses */
    int64_t moe_layers;
    int64_t tensors;
    int n_files;            /* of weights */
    uint64_t weight_bytes;  /* of all tensors */
    const char *dtype;      /* of most bytes: "f32", … */
    int32_t tokenizer_size; /* entries; -1: no tokenizer goes along */
    int32_t bos, eos;       /* of the tokenizer, -1: none */
    /* Memory to run it: one sequence's cache, and the engine's buffers for `chunk` tokens at a
     * time. */
    uint64_t cache_bytes_per_token, cache_bytes_full;
    int64_t chunk;
    uint64_t buffer_bytes;
} dsm_model_info;

/* Open MODEL completely, as running it would, and describe it. */
dsm_status dsm_model_describe(dsm_model_info *info, const char *model, unsigned cpu_flags,
                              dsm_err *err);
void dsm_model_info_free(dsm_model_info *info); /* accepts a zeroed struct */

/* Told of a tensor in which some weights are not numbers, or not finite. */
typedef void (*dsm_check_fn)(void *arg, const char *tensor, int64_t n_nan, int64_t n_inf);

/* Open MODEL and look at every weight; report is called for tensors with NaN or infinity. */
dsm_status dsm_model_check(const char *model, int n_threads, unsigned cpu_flags,
                           dsm_check_fn report, void *arg, dsm_err *err);

/* Which variant of each kernel some instruction sets choose. */
typedef struct dsm_kernel_table {
    struct {
        const char *name, *variant;
    } rows[32];
    int n_rows;
    int64_t block_m, block_n, block_k, tile_m, tile_n; /* of the matrix multiply; 0: not blocked */
} dsm_kernel_table;
void dsm_kernel_table_get(dsm_kernel_table *t, unsigned cpu_flags);

#ifdef __cplusplus
}
#endif
#endif
