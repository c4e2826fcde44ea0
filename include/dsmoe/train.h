/* SPDX-License-Identifier: MIT */
/* Training: a recipe says what, a trainer does it and keeps a run directory.
 *
 * The library prints nothing and installs no signal handler: what happens is told through
 * dsm_train_events, and a flag asks it to stop after the step at hand. */
#ifndef DSMOE_TRAIN_H
#define DSMOE_TRAIN_H

#include "dsmoe/compute.h"
#include "dsmoe/config.h"
#include "dsmoe/settings.h"
#include "dsmoe/status.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- recipe ----------------------------------------------------------------------------------- */

typedef enum dsm_stage { DSM_STAGE_PRETRAIN } dsm_stage;
typedef enum dsm_schedule_kind {
    DSM_SCHEDULE_STEP_DECAY,
    DSM_SCHEDULE_CONSTANT,
    DSM_SCHEDULE_COSINE
} dsm_schedule_kind;
typedef enum dsm_schedule_unit { DSM_UNIT_STEPS, DSM_UNIT_TOKENS } dsm_schedule_unit;
typedef enum dsm_scope { DSM_SCOPE_SEQUENCE, DSM_SCOPE_BATCH } dsm_scope;
typedef enum dsm_save_dtype { DSM_SAVE_F32, DSM_SAVE_BF16, DSM_SAVE_F16 } dsm_save_dtype;

/* AdamW (decoupled weight decay, on matrices only) behind a global clip. */
typedef struct dsm_adamw_settings {
    double peak_lr, beta1, beta2, eps, weight_decay;
    double clip; /* largest gradient norm; 0: none */
} dsm_adamw_settings;

/* What to train, on what, how: fields are the keys of a recipe file (docs/recipe.md), key a.b.c
 * being the field a.b.c. Plain data, no clean-up. */
typedef struct dsm_recipe {
    char run[DSM_TEXT_MAX];
    int stage; /* dsm_stage */
    int64_t seed;
    char model[DSM_TEXT_MAX];
    double init_std;
    struct {
        dsm_dir_list train;
        char valid[DSM_TEXT_MAX];
        int64_t seq_len;
    } data;
    struct {
        int64_t sequences, micro;
        struct {
            int64_t from, tokens;
        } ramp;
    } batch;
    int compute;   /* dsm_compute (dsmoe/compute.h) */
    int recompute; /* dsm_recompute (dsmoe/plan.h) */
    int64_t steps;
    dsm_adamw_settings optimizer;
    struct {
        int kind; /* dsm_schedule_kind */
        int64_t warmup;
        dsm_number_list at;
        double factor, final;
        int unit; /* dsm_schedule_unit */
    } schedule;
    struct {
        double expert, device;
        int64_t devices, device_limit;
        double communication, z, bias_rate;
        int bias_rule;       /* dsm_bias_rule */
        double drop, spared; /* token dropping by device */
        int scope;           /* dsm_scope */
        struct {
            double until, distill;
        } stable;
    } balance;
    struct {
        int64_t every, sequences;
    } eval;
    struct {
        int64_t every, max_tokens;
        double temperature;
        dsm_text_list prompts;
    } sample;
    struct {
        int64_t every, keep;
        int dtype; /* dsm_save_dtype */
    } checkpoint;
    struct {
        int64_t every;
    } log;
} dsm_recipe;

/* Every key at its default; model, data.train and steps empty or 0. */
void dsm_recipe_defaults(dsm_recipe *r);

/* A recipe file, then "key=value" overrides in order, then the checks between keys. */
dsm_status dsm_recipe_read(dsm_recipe *r, const char *path, const char *const *sets, int n_sets,
                           dsm_err *err);
/* The same from n bytes of YAML that messages call `what`. */
dsm_status dsm_recipe_parse(dsm_recipe *r, const char *text, size_t n, const char *what,
                            const char *const *sets, int n_sets, dsm_err *err);

/* The whole recipe as YAML, and the listing of all keys for --help: malloc'd, NULL when out of
 * memory. */
char *dsm_recipe_text(const dsm_recipe *r);
char *dsm_recipe_keys(void);

/* --- training --------------------------------------------------------------------------------- */

struct dsm_model; /* opaque here; the inference side can sample from it while it trains */

typedef struct dsm_train_options {
    int n_threads;      /* 0: all cores; does not change the result */
    unsigned cpu_flags; /* dsm_runtime_cpu_flags() */
} dsm_train_options;

/* What a trainer is about to do, known before the first step. */
typedef struct dsm_train_info {
    const char *run_dir;           /* borrowed from the trainer */
    int64_t first_step, steps;     /* steps done already, and in all */
    int64_t params, active_params; /* active: used by one token */
    double flops_per_token;        /* forward and backward */
    int64_t batch_tokens, total_tokens;
    struct {
        size_t weights, gradients, moments, activations;
    } memory; /* bytes */
    int threads;
    const char *gemm;     /* kernel variant of the linear maps */
    uint64_t data_tokens; /* in one epoch of the training data */
} dsm_train_info;

/* One logged step; step counts completed steps. Figures are of this step, tokens_per_s since the
 * last logged one. */
typedef struct dsm_train_step {
    int64_t step;
    uint64_t tokens; /* trained on so far */
    double loss;     /* LM, nats per token, mean over the global batch */
    double balance;  /* all balance losses together */
    double distill;  /* StableMoE's distillation loss, over all layers; 0 without */
    double lr, grad_norm, tokens_per_s;
    double max_vio; /* mean over MoE layers of this batch's (max - mean) / mean; 0 without */
    double entropy; /* of the router, mean over MoE layers, nats */
    int64_t dead;   /* experts without a token, all layers */
} dsm_train_step;

typedef struct dsm_train_eval {
    int64_t step;
    double loss, perplexity, bits_per_byte, max_vio; /* max_vio over the whole evaluation */
    uint64_t tokens, bytes;
} dsm_train_eval;

/* Callbacks, each may be NULL. Strings are borrowed for the call. */
typedef struct dsm_train_events {
    void *arg;
    void (*tick)(void *arg, const dsm_train_step *s); /* after every step */
    void (*step)(void *arg, const dsm_train_step *s); /* after every logged step */
    void (*eval)(void *arg, const dsm_train_eval *e);
    void (*checkpoint)(void *arg, int64_t step, const char *dir);
    /* Continue `prompt` by up to max_tokens tokens of `model`: a malloc'd text, or NULL with err.
     */
    char *(*generate)(void *arg, struct dsm_model *model, const char *tokenizer_dir,
                      const char *prompt, int64_t max_tokens, double temperature, uint64_t seed,
                      dsm_err *err);
    void (*sample)(void *arg, int64_t step, const char *prompt, const char *text);
    const volatile sig_atomic_t *stop; /* not 0: finish the step, save, return DSM_EINTERRUPTED */
} dsm_train_events;

typedef struct dsm_trainer dsm_trainer;

/* Check and load everything the recipe names, then create and lock its run directory; one that
 * holds a run already is DSM_EUSAGE, one in use DSM_EBUSY. All memory of training is taken here. */
dsm_status dsm_trainer_open(dsm_trainer **out, const dsm_recipe *r, const dsm_train_options *o,
                            dsm_err *err);

/* Open a run directory where its newest checkpoint stands (from the start if it has none).
 * Overrides may change what does not decide the past: see docs/recipe.md. */
dsm_status dsm_trainer_resume(dsm_trainer **out, const char *run_dir, const char *const *sets,
                              int n_sets, const dsm_train_options *o, dsm_err *err);
void dsm_trainer_close(dsm_trainer *t); /* accepts NULL */

void dsm_trainer_info(const dsm_trainer *t, dsm_train_info *info);

/* Train to the last step; a checkpoint and an evaluation (if there is data.valid) stand at the end.
 */
typedef struct dsm_train_result {
    int64_t step;
    dsm_train_eval valid;          /* tokens = 0: there was none */
    char checkpoint[DSM_TEXT_MAX]; /* the newest */
} dsm_train_result;
dsm_status dsm_trainer_run(dsm_trainer *t, const dsm_train_events *events, dsm_train_result *result,
                           dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
