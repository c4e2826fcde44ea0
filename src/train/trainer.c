/* SPDX-License-Identifier: MIT */
/* The loop: step, log, evaluate, sample, save. What a step leaves behind is complete before its
 * checkpoint appears, so a run that was killed anywhere repeats steps after a resume but never
 * skips one. */
#include "train/trainer.h"

#include "core/clock.h"
#include "formats/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const dsm_dtype dtypes[] = {
    [DSM_SAVE_F32] = DSM_F32, [DSM_SAVE_BF16] = DSM_BF16, [DSM_SAVE_F16] = DSM_F16};

/* Is an event due that comes every `every` steps (0: never)? */
static bool is_due(const dsm_trainer *t, int64_t every)
{
    return every > 0 && t->state.step % every == 0;
}

static bool is_logged(const dsm_trainer *t)
{
    return is_due(t, t->recipe.log.every) || t->state.step == 1 || t->state.step == t->recipe.steps;
}

/* --- checkpoints ------------------------------------------------------------------------------ */

/* The tokenizer travels with the model, so that a checkpoint can be used by itself. */
static dsm_status copy_tokenizer(const dsm_trainer *t, const char *dir, dsm_err *err)
{
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json",
                                        "special_tokens_map.json"};
    dsm_status status = DSM_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && status == DSM_OK; i++) {
        char *from = dsm_fs_join(dsm_trainer_tokenizer_dir(t), files[i]);
        char *to = dsm_fs_join(dir, files[i]);
        if (!from || !to)
            status = dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
        else if (dsm_fs_exists(from))
            status = dsm_fs_copy(to, from, err);
        free(from);
        free(to);
    }
    return status;
}

static dsm_status fill_checkpoint(dsm_trainer *t, const char *dir, dsm_err *err)
{
    const dsm_dtype dtype = dtypes[t->recipe.checkpoint.dtype];
    dsm_loader_get_state(t->train, &t->state.data);
    DSM_TRY(dsm_checkpoint_write(t->model, dir, dtype, err));
    DSM_TRY(copy_tokenizer(t, dir, err));
    return dsm_state_save(&t->state, &t->stepper.optimizer, dtype != DSM_F32, dir, err);
}

static dsm_status save(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err)
{
    dsm_folder_writer w;
    if (t->saved_step == t->state.step) return DSM_OK;
    DSM_TRY(dsm_rundir_begin(&t->dir, t->state.step, &w, err));
    dsm_status status = fill_checkpoint(t, w.temporary, err);
    if (status == DSM_OK)
        status = dsm_rundir_publish(&t->dir, t->state.step, t->recipe.checkpoint.keep, &w, err);
    else
        dsm_folder_abandon(&w);
    if (status != DSM_OK)
        return dsm_fail_context(err, status, "checkpoint of step %lld", (long long)t->state.step);
    t->saved_step = t->state.step;
    if (ev->checkpoint) {
        char *dir = dsm_rundir_checkpoint(&t->dir, t->state.step);
        if (dir) ev->checkpoint(ev->arg, t->state.step, dir);
        free(dir);
    }
    return DSM_OK;
}

/* --- one turn of the loop --------------------------------------------------------------------- */

static dsm_status evaluate(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err)
{
    bool done = t->last_eval.tokens > 0 && t->last_eval.step == t->state.step;
    if (!t->valid || done) return DSM_OK;
    DSM_TRY(dsm_trainer_evaluate(t, err));
    if (ev->eval) ev->eval(ev->arg, &t->last_eval);
    return DSM_OK;
}

/* Deal a batch and step on it. */
static dsm_status advance(dsm_trainer *t, dsm_train_step *out, dsm_err *err)
{
    const double start = dsm_clock();
    const int64_t n = dsm_schedule_sequences(&t->recipe, t->state.tokens);
    const double lr = dsm_schedule_lr(&t->schedule, t->state.step);
    dsm_step step;
    DSM_TRY(dsm_loader_next(t->train, n, t->tokens, t->targets, NULL, err));
    DSM_TRY(dsm_stepper_run(&t->stepper, t->state.step, lr, t->tokens, t->targets, n, &step, err));
    t->state.step++;
    t->state.tokens += n * t->recipe.data.seq_len;
    t->state.lr = lr;
    t->busy += dsm_clock() - start;
    t->busy_tokens += n * t->recipe.data.seq_len;
    dsm_trainer_describe(t, &step, lr, out);
    return DSM_OK;
}

static dsm_status log_step(dsm_trainer *t, const dsm_train_events *ev, const dsm_train_step *s,
                           dsm_err *err)
{
    DSM_TRY(dsm_trainer_record(t, s, err));
    if (ev->step) ev->step(ev->arg, s);
    t->busy = 0.0;
    t->busy_tokens = 0;
    return DSM_OK;
}

static dsm_status turn(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err)
{
    dsm_train_step s;
    DSM_TRY(advance(t, &s, err));
    if (ev->tick) ev->tick(ev->arg, &s);
    if (is_logged(t)) DSM_TRY(log_step(t, ev, &s, err));
    if (is_due(t, t->recipe.eval.every)) DSM_TRY(evaluate(t, ev, err));
    if (is_due(t, t->recipe.sample.every)) DSM_TRY(dsm_trainer_sample(t, ev, err));
    if (is_due(t, t->recipe.checkpoint.every)) DSM_TRY(save(t, ev, err));
    return DSM_OK;
}

static dsm_status interrupted(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err)
{
    DSM_TRY(save(t, ev, err));
    return dsm_fail(err, DSM_EINTERRUPTED,
                    "stopped after step %lld; go on with: dsmoe train --resume %s",
                    (long long)t->state.step, t->dir.path);
}

static dsm_status run(dsm_trainer *t, const dsm_train_events *ev, dsm_err *err)
{
    while (t->state.step < t->recipe.steps) {
        DSM_TRY(turn(t, ev, err));
        if (ev->stop && *ev->stop && t->state.step < t->recipe.steps)
            return interrupted(t, ev, err);
    }
    DSM_TRY(evaluate(t, ev, err));
    return save(t, ev, err);
}

/* Where a run that failed can be taken up again. */
static dsm_status point_to_checkpoint(const dsm_trainer *t, dsm_status status, dsm_err *err)
{
    if (!err || status == DSM_EINTERRUPTED) return status;
    size_t n = strlen(err->msg);
    if (t->saved_step < 0)
        snprintf(err->msg + n, sizeof err->msg - n, " (no checkpoint yet)");
    else
        snprintf(err->msg + n, sizeof err->msg - n, " (last checkpoint: step %lld)",
                 (long long)t->saved_step);
    return status;
}

dsm_status dsm_trainer_run(dsm_trainer *t, const dsm_train_events *events, dsm_train_result *result,
                           dsm_err *err)
{
    static const dsm_train_events nothing = {0};
    dsm_status status = run(t, events ? events : &nothing, err);
    if (status != DSM_OK) return point_to_checkpoint(t, status, err);
    char *dir = dsm_rundir_checkpoint(&t->dir, t->saved_step);
    *result = (dsm_train_result){.step = t->state.step, .valid = t->last_eval};
    snprintf(result->checkpoint, sizeof result->checkpoint, "%s", dir ? dir : "");
    free(dir);
    return DSM_OK;
}
