/* SPDX-License-Identifier: MIT */
#include "formats/bind.h"

#include "core/buf.h"
#include "core/log.h"
#include "formats/adapt.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the check -------------------------------------------------------------------------------- */

enum { SHOWN = 3 }; /* names per complaint */

/* One kind of disagreement between file and model: how often, and the first few names. */
typedef struct complaint {
    const char *kind;
    int64_t n;
    dsm_buf names;
} complaint;

static void complain(complaint *c, const char *name, const char *detail)
{
    if (c->n++ >= SHOWN) return;
    dsm_buf_fmt(&c->names, "%s%s%s", c->names.len ? ", " : "", name, detail);
}

static dsm_status report(complaint *c, size_t n, const char *what, dsm_err *err)
{
    dsm_buf all = {0};
    for (size_t i = 0; i < n; i++) {
        if (c[i].n > 0)
            dsm_buf_fmt(&all, "%s%" PRId64 " tensors %s (%s%s)", all.len ? "; " : "", c[i].n,
                        c[i].kind, c[i].names.data ? c[i].names.data : "",
                        c[i].n > SHOWN ? ", …" : "");
        dsm_buf_free(&c[i].names);
    }
    dsm_status status = all.len ? dsm_fail(err, DSM_ESHAPE, "%s: %s", what, all.data) : DSM_OK;
    dsm_buf_free(&all);
    return status;
}

static bool same_shape(const dsm_param *p, const dsm_st_tensor *t)
{
    if (p->ndim == 1) return t->ndim == 1 && t->shape[0] == p->cols;
    return t->ndim == 2 && t->shape[0] == p->rows && t->shape[1] == p->cols;
}

/* ": found [4, 8], config.json says [8, 8]" */
static void describe_shapes(char *out, size_t size, const dsm_param *p, const dsm_st_tensor *t)
{
    dsm_buf b = {0};
    dsm_buf_str(&b, ": found [");
    for (int i = 0; i < t->ndim; i++)
        dsm_buf_fmt(&b, "%s%" PRId64, i ? ", " : "", t->shape[i]);
    if (p->ndim == 1)
        dsm_buf_fmt(&b, "], config.json says [%" PRId64 "]", p->cols);
    else
        dsm_buf_fmt(&b, "], config.json says [%" PRId64 ", %" PRId64 "]", p->rows, p->cols);
    snprintf(out, size, "%s", b.data ? b.data : "");
    dsm_buf_free(&b);
}

/* A parameter takes any float type, FP8 with its scales; a table of integers only its own. */
static bool is_readable(const dsm_model *m, const dsm_param *p, const dsm_source *s)
{
    const dsm_st_tensor *t = &s->tensor;
    if (!t->known || p->mat.dtype == DSM_I32) return t->known && t->dtype == DSM_I32;
    if (t->dtype == DSM_F8_E4M3) return dsm_source_is_scaled(s, &m->config);
    return dsm_dtype_is_real(t->dtype);
}

/* Complaints in the order a message lists them. */
enum { MISSING, UNKNOWN, SHAPE, DTYPE, N_COMPLAINTS };

static void check_params(complaint c[N_COMPLAINTS], const dsm_weights *w, const dsm_model *m)
{
    char detail[160];
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        dsm_source s;
        if (!dsm_source_find(&s, w, &m->config, p)) {
            complain(&c[MISSING], p->name, "");
        } else if (!same_shape(p, &s.tensor)) {
            describe_shapes(detail, sizeof detail, p, &s.tensor);
            complain(&c[SHAPE], p->name, detail);
        } else if (!is_readable(m, p, &s)) {
            bool fp8 = s.tensor.known && s.tensor.dtype == DSM_F8_E4M3;
            snprintf(detail, sizeof detail, ": %s%s", s.tensor.dtype_name,
                     fp8 ? " without the weight_scale_inv of its blocks" : "");
            complain(&c[DTYPE], p->name, detail);
        }
    }
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void check_tensors(complaint *unknown, const dsm_weights *w, const dsm_model *m,
                          const char **sorted, int64_t *n_mtp)
{
    for (int64_t i = 0; i < m->n_params; i++)
        sorted[i] = m->params[i].name;
    qsort(sorted, (size_t)m->n_params, sizeof *sorted, by_text);
    for (int64_t i = 0; i < w->n; i++) {
        const dsm_st_tensor *t = w->tensors[i];
        if (bsearch(&t->name, sorted, (size_t)m->n_params, sizeof *sorted, by_text)) continue;
        dsm_extra extra = dsm_extra_of(w, &m->config, t);
        *n_mtp += extra == DSM_EXTRA_MTP;
        if (extra == DSM_EXTRA_UNKNOWN) complain(unknown, t->name, "");
    }
}

static dsm_status check(const dsm_weights *w, const dsm_model *m, const char *what, dsm_err *err)
{
    complaint c[N_COMPLAINTS] = {[MISSING] = {.kind = "missing"},
                                 [UNKNOWN] = {.kind = "unknown"},
                                 [SHAPE] = {.kind = "of another shape"},
                                 [DTYPE] = {.kind = "of an unreadable type"}};
    const char **sorted = malloc((size_t)m->n_params * sizeof *sorted);
    if (!sorted) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    int64_t n_mtp = 0;
    check_params(c, w, m);
    check_tensors(&c[UNKNOWN], w, m, sorted, &n_mtp);
    free(sorted);
    if (n_mtp > 0)
        dsm_log_write(DSM_LOG_INFO, "%s: left out %" PRId64 " tensors of multi-token prediction",
                      what, n_mtp);
    return report(c, N_COMPLAINTS, what, err);
}

/* --- the values ------------------------------------------------------------------------------- */

/* Blocks are read byte by byte, plain values through pointers to them; who reads values once,
 * later, does without the pointers. */
static bool usable_in_place(const dsm_bound *b, const dsm_st_tensor *t)
{
    bool by_byte = dsm_dtype_block(t->dtype) > 1 || b->later;
    return (t->dtype == DSM_REAL_DTYPE || t->dtype != DSM_F64) &&
           (by_byte || (uintptr_t)t->data % dsm_dtype_size(t->dtype) == 0);
}

/* A hash table's entries choose experts, so they must be experts. */
static dsm_status take_table(const dsm_model *m, dsm_param *p, const dsm_st_tensor *t,
                             const char *what, dsm_err *err)
{
    int32_t *out = (void *)(uintptr_t)p->mat.data;
    memcpy(out, t->data, t->bytes);
    for (int64_t i = 0; i < p->cols; i++)
        if (out[i] < 0 || out[i] >= m->config.n_routed_experts)
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: %s[%" PRId64 "]: found expert %" PRId32 ", the model has %" PRId64,
                            what, p->name, i, out[i], m->config.n_routed_experts);
    return DSM_OK;
}

/* Memory for the values of parameter i that cannot stay in the file; none, later. */
static dsm_status take_copy(void **memory, dsm_bound *b, dsm_model *m, int64_t i, dsm_dtype dtype,
                            const char *what, dsm_err *err)
{
    dsm_param *p = &m->params[i];
    p->mat = (dsm_mat){NULL, dtype, p->rows, p->cols};
    if (b->later) return DSM_OK;
    *memory = b->copies[i] = malloc((size_t)(p->rows * p->cols) * dsm_dtype_size(dtype));
    if (!*memory) return dsm_fail(err, DSM_ENOMEM, "%s: %s: out of memory", what, p->name);
    p->mat.data = *memory;
    return DSM_OK;
}

/* Row by row, through a row of numbers: what is used as it is read becomes bf16. */
static dsm_status take_fp8(dsm_bound *b, dsm_model *m, int64_t i, const dsm_source *s,
                           const char *what, dsm_err *err)
{
    dsm_param *p = &m->params[i];
    char *memory = (void *)(uintptr_t)p->mat.data;
    if (memory) {
        dsm_source_dequantise(s, &m->config, (dsm_real *)(void *)memory, 0, p->rows);
        return DSM_OK;
    }
    void *copy = NULL;
    dsm_real *row = malloc((size_t)p->cols * sizeof *row);
    dsm_status status = row ? take_copy(&copy, b, m, i, DSM_BF16, what, err)
                            : dsm_fail(err, DSM_ENOMEM, "%s: %s: out of memory", what, p->name);
    for (int64_t r = 0; status == DSM_OK && copy && r < p->rows; r++) {
        dsm_source_dequantise(s, &m->config, row, r, 1);
        dsm_dtype_store((uint16_t *)copy + r * p->cols, DSM_BF16, row, p->cols);
    }
    free(row);
    return status;
}

static dsm_status take(dsm_bound *b, dsm_model *m, int64_t i, const char *what, dsm_err *err)
{
    dsm_param *p = &m->params[i];
    dsm_source s;
    dsm_source_find(&s, b->weights, &m->config, p);
    const dsm_st_tensor *t = &s.tensor;
    if (p->mat.dtype == DSM_I32) return take_table(m, p, t, what, err);
    if (t->dtype == DSM_F8_E4M3) return take_fp8(b, m, i, &s, what, err);
    void *memory = (void *)(uintptr_t)p->mat.data;
    if (!memory && usable_in_place(b, t)) {
        p->mat = (dsm_mat){t->data, t->dtype, p->rows, p->cols};
        return DSM_OK;
    }
    if (!memory) DSM_TRY(take_copy(&memory, b, m, i, DSM_REAL_DTYPE, what, err));
    if (memory) dsm_dtype_load(memory, t->data, t->dtype, p->rows * p->cols);
    return DSM_OK;
}

dsm_status dsm_bind(dsm_bound *b, dsm_model *m, const char *what, dsm_err *err)
{
    DSM_TRY(check(b->weights, m, what, err));
    b->copies = calloc((size_t)m->n_params + 1, sizeof *b->copies);
    if (!b->copies) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    b->n_copies = m->n_params;
    for (int64_t i = 0; i < m->n_params; i++)
        DSM_TRY(take(b, m, i, what, err));
    return b->later ? DSM_OK : dsm_model_bind(m, err);
}

bool dsm_bound_is_made(const dsm_param *p)
{
    return !p->mat.data;
}

dsm_mat dsm_bound_values(const dsm_model *m, const dsm_param *p, dsm_real *room)
{
    dsm_source s;
    if (p->mat.data) return p->mat;
    dsm_source_find(&s, dsm_bound_weights(m), &m->config, p);
    if (s.tensor.dtype == DSM_F8_E4M3)
        dsm_source_dequantise(&s, &m->config, room, 0, p->rows);
    else
        dsm_dtype_load(room, s.tensor.data, s.tensor.dtype, p->rows * p->cols);
    return (dsm_mat){room, DSM_REAL_DTYPE, p->rows, p->cols};
}

const dsm_weights *dsm_bound_weights(const dsm_model *m)
{
    const dsm_bound *b = m->mapping;
    return b ? b->weights : NULL;
}

void dsm_bound_close(dsm_bound *b)
{
    if (!b) return;
    for (int64_t i = 0; i < b->n_copies; i++)
        free(b->copies[i]);
    free(b->copies);
    dsm_weights_close(b->weights);
    free(b);
}
