/* SPDX-License-Identifier: MIT */
/* Every weight of a model looked at once. */
#include "dsmoe/model.h"

#include "core/exec.h"
#include "formats/checkpoint.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>

typedef struct finding {
    int64_t n_nan, n_inf;
} finding;

/* What is found in each parameter, which one worker looks through. */
typedef struct search {
    const dsm_model *m;
    const dsm_exec *exec;
    finding *found; /* (n_params) */
} search;

static void look_through(void *arg, int64_t i, int worker)
{
    const search *s = arg;
    const dsm_mat *w = &s->m->params[i].mat;
    dsm_real *row = dsm_exec_scratch(s->exec, worker);
    if (w->dtype == DSM_I32) return;
    for (int64_t r = 0; r < w->rows; r++) {
        dsm_dtype_load(row, (const char *)w->data + (size_t)r * dsm_dtype_bytes(w->dtype, w->cols),
                       w->dtype, w->cols);
        for (int64_t c = 0; c < w->cols; c++) {
            s->found[i].n_nan += isnan(row[c]) != 0;
            s->found[i].n_inf += isinf(row[c]) != 0;
        }
    }
}

static dsm_status check_rows(const dsm_model *m, const dsm_exec *x, dsm_err *err)
{
    for (int64_t i = 0; i < m->n_params; i++)
        if (sizeof(dsm_real) * (size_t)m->params[i].cols > x->scratch_bytes)
            return dsm_fail(err, DSM_ELIMIT, "%s: rows of %lld values are too long",
                            m->params[i].name, (long long)m->params[i].cols);
    return DSM_OK;
}

static dsm_status check_model(const dsm_model *m, const dsm_exec *x, dsm_check_fn report, void *arg,
                              dsm_err *err)
{
    DSM_TRY(check_rows(m, x, err));
    finding *found = calloc((size_t)m->n_params + 1, sizeof *found);
    if (!found) return dsm_fail(err, DSM_ENOMEM, "check: out of memory");
    dsm_pool_run(x->pool, m->n_params, look_through, &(search){m, x, found});
    for (int64_t i = 0; i < m->n_params; i++)
        if (found[i].n_nan + found[i].n_inf > 0)
            report(arg, m->params[i].name, found[i].n_nan, found[i].n_inf);
    free(found);
    return DSM_OK;
}

dsm_status dsm_model_check(const char *model, int n_threads, unsigned cpu_flags,
                           dsm_check_fn report, void *arg, dsm_err *err)
{
    dsm_model *m;
    dsm_kernels kernels;
    dsm_exec x;
    dsm_kernels_init(&kernels, cpu_flags);
    DSM_TRY(dsm_checkpoint_open(&m, model, 0, NULL, err));
    dsm_status status = dsm_exec_init(&x, &kernels, n_threads, err);
    if (status == DSM_OK) {
        status = check_model(m, &x, report, arg, err);
        dsm_exec_free(&x);
    }
    dsm_model_free(m);
    return status;
}
