/* SPDX-License-Identifier: MIT */
/* The optimiser; see optimizer.h. The arithmetic is a kernel (kernels/ref/adamw_ref.c): here is
 * which elements it visits. */
#include "train/optimizer.h"

#include <string.h>

/* Fill out (may be NULL) with the spans of the table; returns how many there are. A row reaches to
 * the next: the padding between rows is zero in every array and stays zero. */
static int64_t find_spans(const dsm_model *m, dsm_span *out)
{
    int64_t n = 0;
    dsm_span span = {0};
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        if (p->offset < 0) continue;
        if (n == 0 || p->decay != span.decay || p->distilled != span.distilled) {
            span = (dsm_span){.first = p->offset, .decay = p->decay, .distilled = p->distilled};
            n++;
        }
        span.n = p->offset + p->rows * p->cols - span.first;
        if (out) out[n - 1] = span;
    }
    return n;
}

static void carve(dsm_optimizer *o)
{
    size_t bytes = sizeof(dsm_real) * (size_t)o->model->n_elements;
    o->m = dsm_arena_take(&o->memory, bytes);
    o->v = dsm_arena_take(&o->memory, bytes);
    o->spans = dsm_arena_take(&o->memory, sizeof(dsm_span) * (size_t)o->n_spans);
}

dsm_status dsm_optimizer_init(dsm_optimizer *o, dsm_model *m, dsm_err *err)
{
    *o = (dsm_optimizer){.model = m, .n_spans = find_spans(m, NULL)};
    carve(o); /* measure */
    size_t bytes = o->memory.used;
    DSM_TRY(dsm_arena_init(&o->memory, bytes, "optimiser state", err));
    carve(o);
    find_spans(m, o->spans);
    return DSM_OK;
}

void dsm_optimizer_free(dsm_optimizer *o)
{
    dsm_arena_free(&o->memory);
    memset(o, 0, sizeof *o);
}

double dsm_gradient_norm(const dsm_exec *x, const dsm_model *m, bool *finite)
{
    double sum = x->kernels->sum_squares(x, m->grads, m->n_elements, finite);
    *finite = *finite && isfinite(sum);
    return sqrt(sum);
}

double dsm_clip_factor(double norm, double clip)
{
    return clip > 0 && norm > clip ? clip / norm : 1.0;
}

void dsm_optimizer_step(const dsm_optimizer *o, const dsm_exec *x, const dsm_adamw_settings *s,
                        double lr, int64_t step, double scale)
{
    dsm_adamw p = {
        .lr = (dsm_real)lr,
        .beta1 = (dsm_real)s->beta1,
        .beta2 = (dsm_real)s->beta2,
        .eps = (dsm_real)s->eps,
        .bias1 = (dsm_real)(1.0 - pow(s->beta1, (double)step)),
        .bias2 = (dsm_real)(1.0 - pow(s->beta2, (double)step)),
        .grad_scale = (dsm_real)scale,
    };
    for (int64_t i = 0; i < o->n_spans; i++) {
        const dsm_span *span = &o->spans[i];
        if (span->distilled && o->frozen) continue;
        p.decay = span->decay ? (dsm_real)s->weight_decay : 0;
        x->kernels->adamw(x, o->model->values + span->first, o->m + span->first, o->v + span->first,
                          o->model->grads + span->first, span->n, &p);
    }
}

/* --- gradients -------------------------------------------------------------------------------- */

enum { CLEAR_CHUNK = 1 << 18 }; /* elements of one work item: 1 MiB */

static void clear_chunk(void *arg, int64_t item, int worker)
{
    (void)worker;
    const dsm_model *m = arg;
    int64_t first = item * CLEAR_CHUNK, left = m->n_elements - first;
    size_t n = (size_t)(left < CLEAR_CHUNK ? left : CLEAR_CHUNK);
    memset(m->grads + first, 0, n * sizeof *m->grads);
}

void dsm_gradients_clear(const dsm_exec *x, dsm_model *m)
{
    dsm_pool_run(x->pool, (m->n_elements + CLEAR_CHUNK - 1) / CLEAR_CHUNK, clear_chunk, m);
}

const char *dsm_gradient_nonfinite(const dsm_exec *x, const dsm_model *m)
{
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        bool finite = true;
        if (p->offset >= 0)
            (void)x->kernels->sum_squares(x, m->grads + p->offset, p->rows * p->cols, &finite);
        if (!finite) return p->name;
    }
    return NULL;
}
