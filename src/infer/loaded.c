/* SPDX-License-Identifier: MIT */
#include "infer/loaded.h"

#include "formats/checkpoint.h"

#include <stdlib.h>
#include <string.h>

dsm_status dsm_check_vocabulary(const dsm_model_config *c, int64_t entries, const char *what,
                                dsm_err *err)
{
    if (entries <= c->vocab_size) return DSM_OK;
    return dsm_fail(
        err, DSM_ESHAPE,
        "%s: its vocabulary has %lld entries, the model's vocab_size is %lld: ids would "
        "have no row; use the tokenizer the model was made with",
        what, (long long)entries, (long long)c->vocab_size);
}

static dsm_status open_tokenizer(dsm_loaded *l, dsm_err *err)
{
    if (!dsm_tokenizer_exists(l->dir)) return DSM_OK;
    DSM_TRY(dsm_tokenizer_open(&l->tokenizer, l->dir, err));
    return dsm_check_vocabulary(&l->model->config, dsm_tokenizer_size(l->tokenizer), l->dir, err);
}

/* What goes around l->model and l->dir. */
static dsm_status open_parts(dsm_loaded *l, int n_threads, unsigned cpu_flags, dsm_err *err)
{
    DSM_TRY(open_tokenizer(l, err));
    dsm_kernels_init(&l->kernels, cpu_flags);
    return dsm_exec_init(&l->exec, &l->kernels, n_threads, err);
}

dsm_status dsm_loaded_open(dsm_loaded *l, const char *model, int n_threads, unsigned cpu_flags,
                           dsm_err *err)
{
    memset(l, 0, sizeof *l);
    dsm_status status = dsm_checkpoint_open(&l->model, model, 0, &l->dir, err);
    if (status == DSM_OK) status = open_parts(l, n_threads, cpu_flags, err);
    if (status != DSM_OK) dsm_loaded_close(l);
    return status;
}

dsm_status dsm_loaded_borrow(dsm_loaded *l, dsm_model *model, const char *dir, int n_threads,
                             unsigned cpu_flags, dsm_err *err)
{
    *l = (dsm_loaded){.dir = strdup(dir), .model = model, .borrowed = true};
    dsm_status status = l->dir ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    if (status == DSM_OK) status = open_parts(l, n_threads, cpu_flags, err);
    if (status != DSM_OK) dsm_loaded_close(l);
    return status;
}

void dsm_loaded_close(dsm_loaded *l)
{
    dsm_exec_free(&l->exec);
    dsm_tokenizer_close(l->tokenizer);
    if (!l->borrowed) dsm_model_free(l->model);
    free(l->dir);
    memset(l, 0, sizeof *l);
}

dsm_status dsm_loaded_need_tokenizer(const dsm_loaded *l, dsm_err *err)
{
    if (l->tokenizer) return DSM_OK;
    return dsm_fail(
        err, DSM_ENOTFOUND,
        "%s: found no tokenizer.json in this model's folder; copy the tokenizer the model "
        "was made with into it",
        l->dir);
}
