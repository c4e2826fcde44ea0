/* SPDX-License-Identifier: MIT */
/* First a plan: the tensors of the file, each with the parameters it is made of. Then the data, in
 * chunks of rows that the threads fetch, convert and hand to the file in order.
 *
 * Which row of a parameter a row of the tensor is follows from the tensor's form (gguf_names.h).
 * The keys' half of kv_b_proj alone has no rows of its own in the parameter: there a chunk is a
 * head, transposed. */
#include "formats/gguf_save.h"

#include "formats/gguf_names.h"
#include "formats/gguf_rope.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4 << 20 }; /* of converted rows */

/* --- types ------------------------------------------------------------------------------------ */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The matrix that makes logits: errors in it reach every token. */
static bool is_head(const dsm_model_config *c, const dsm_param *p)
{
    return strcmp(p->name,
                  c->tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight") == 0;
}

static bool is_coarser_than_q6(dsm_dtype t)
{
    return t == DSM_Q4_0 || t == DSM_Q4_1 || t == DSM_Q4_K || t == DSM_Q5_K;
}

/* The type itself, or what stands in for one whose blocks do not divide a row of cols values:
 * blocks of 32 for blocks of 256, f16 for those of 32. */
static dsm_dtype fitting(dsm_dtype t, int64_t cols)
{
    if (cols % dsm_dtype_block(t) == 0) return t;
    if (dsm_dtype_block(t) == 32) return DSM_F16;
    return fitting(t == DSM_Q4_K ? DSM_Q4_1 : DSM_Q8_0, cols);
}

dsm_dtype dsm_gguf_save_dtype(const dsm_model_config *c, const dsm_param *p, dsm_dtype dtype)
{
    if (p->ndim == 1 || ends_with(p->name, ".mlp.gate.weight")) return DSM_F32;
    if (is_head(c, p) && is_coarser_than_q6(dtype)) dtype = DSM_Q6_K;
    return fitting(dtype, p->cols);
}

/* --- the plan --------------------------------------------------------------------------------- */

/* A tensor and the parameters it is made of: n of them, from `first`, `stride` apart; none: it is
 * made of the config. */
typedef struct piece {
    dsm_gguf_form form;
    int64_t first, stride, n;
} piece;

typedef struct plan {
    const dsm_model *m;
    const dsm_save_options *o;
    dsm_gguf_item *items; /* (n) */
    piece *pieces;        /* (n) */
    char *names;          /* (n) of DSM_GGUF_NAME_MAX + 1 */
    float *rope;          /* values of the tensor made of the config, or NULL */
    int64_t n;
    uint64_t total, done; /* bytes */
} plan;

static dsm_dtype dtype_of(const plan *p, const dsm_param *q)
{
    bool plain = q->ndim == 1 || ends_with(q->name, ".mlp.gate.weight");
    if (!p->o->keep) return dsm_gguf_save_dtype(&p->m->config, q, p->o->dtype);
    return plain || q->mat.dtype == DSM_F64 || !dsm_gguf_kind_of_dtype(q->mat.dtype) ? DSM_F32
                                                                                     : q->mat.dtype;
}

/* A tensor of the shape its form gives it. Rows of the keys' half are `nope` long. */
static void add_tensor(plan *p, const dsm_gguf_name *name, int64_t layer, piece made)
{
    const dsm_model_config *c = &p->m->config;
    const dsm_param *q = &p->m->params[made.first];
    char *text = p->names + p->n * (DSM_GGUF_NAME_MAX + 1);
    dsm_gguf_item *t = &p->items[p->n];
    dsm_gguf_name_tensor(text, DSM_GGUF_NAME_MAX + 1, name, layer);
    *t = (dsm_gguf_item){.name = text, .ndim = q->ndim, .dtype = dtype_of(p, q)};
    made.form = name->form;
    switch (name->form) {
    case DSM_GGUF_EXPERTS:
        t->ndim = 3;
        memcpy(t->shape, (int64_t[]){made.n, q->rows, q->cols}, 3 * sizeof *t->shape);
        break;
    case DSM_GGUF_KV_KEY:
        t->ndim = 3;
        memcpy(t->shape, (int64_t[]){c->num_attention_heads, q->cols, c->qk_nope_head_dim},
               3 * sizeof *t->shape);
        t->dtype = fitting(t->dtype, c->qk_nope_head_dim);
        break;
    case DSM_GGUF_KV_VALUE:
        t->ndim = 3;
        memcpy(t->shape, (int64_t[]){c->num_attention_heads, c->v_head_dim, q->cols},
               3 * sizeof *t->shape);
        break;
    default:
        memcpy(t->shape, (int64_t[]){q->ndim == 1 ? q->cols : q->rows, q->cols},
               2 * sizeof *t->shape);
    }
    p->pieces[p->n++] = made;
    p->total += dsm_gguf_item_bytes(t);
}

/* The parameter that is expert 1 where parameter i is expert 0 tells how far apart they stand. */
static int64_t stride_of(const dsm_model *m, int64_t i, const dsm_gguf_name *name, int64_t layer)
{
    char next[DSM_GGUF_PARAMETER_MAX];
    int64_t at = i + 1;
    dsm_gguf_name_parameter(next, sizeof next, name, layer, 1);
    while (at < m->n_params && strcmp(m->params[at].name, next) != 0)
        at++;
    return at - i;
}

static dsm_status plan_parameter(plan *p, int64_t i, dsm_err *err)
{
    const dsm_model *m = p->m;
    int64_t layer, expert;
    const dsm_gguf_name *name = dsm_gguf_name_of_parameter(m->params[i].name, &layer, &expert);
    if (!name)
        return dsm_fail(err, DSM_EFORMAT, "%s: GGUF has no tensor for it", m->params[i].name);
    if (name->form != DSM_GGUF_EXPERTS) {
        add_tensor(p, name, layer, (piece){.first = i, .n = 1});
        if (name->form == DSM_GGUF_KV_KEY)
            add_tensor(p, dsm_gguf_name_values(), layer, (piece){.first = i, .n = 1});
    } else if (expert == 0) {
        add_tensor(p, name, layer,
                   (piece){.first = i,
                           .stride = stride_of(m, i, name, layer),
                           .n = m->config.n_routed_experts});
    }
    return DSM_OK;
}

static void free_plan(plan *p)
{
    free(p->items);
    free(p->pieces);
    free(p->names);
    free(p->rope);
}

/* Rotary scaling of type llama3, see gguf_rope.h. */
static dsm_status plan_rope(plan *p, dsm_err *err)
{
    const dsm_model_config *c = &p->m->config;
    int64_t n = dsm_model_config_rope_dim(c) / 2;
    if (c->rope.kind != DSM_ROPE_LLAMA3) return DSM_OK;
    p->rope = malloc((size_t)n * sizeof *p->rope);
    if (!p->rope) return dsm_fail(err, DSM_ENOMEM, "GGUF: out of memory");
    dsm_gguf_rope_fill(p->rope, c);
    p->items[p->n] = (dsm_gguf_item){DSM_GGUF_ROPE_TENSOR, 1, {n}, DSM_F32};
    p->total += dsm_gguf_item_bytes(&p->items[p->n++]);
    return DSM_OK;
}

static dsm_status make_plan(plan *p, dsm_err *err)
{
    size_t most = 2 * (size_t)p->m->n_params + 2; /* kv_b_proj makes two */
    p->items = calloc(most, sizeof *p->items);
    p->pieces = calloc(most, sizeof *p->pieces);
    p->names = calloc(most, DSM_GGUF_NAME_MAX + 1);
    if (!p->items || !p->pieces || !p->names)
        return dsm_fail(err, DSM_ENOMEM, "GGUF: out of memory for %" PRId64 " parameters",
                        p->m->n_params);
    for (int64_t i = 0; i < p->m->n_params; i++)
        DSM_TRY(plan_parameter(p, i, err));
    return plan_rope(p, err);
}

/* --- rows ------------------------------------------------------------------------------------- */

/* Rows of one tensor made of one parameter; what the threads work on. */
typedef struct rows_job {
    const dsm_exec *exec;
    const dsm_model_config *c;
    const dsm_gguf_item *item;
    dsm_gguf_form form;
    dsm_mat from;
    int64_t begin; /* the chunk's first row */
    unsigned char *out;
} rows_job;

/* The row of the parameter that row r of the tensor is. */
static int64_t source_row(const rows_job *j, int64_t r)
{
    const dsm_model_config *c = j->c;
    if (j->form == DSM_GGUF_KV_VALUE) {
        int64_t v = c->v_head_dim, nope = c->qk_nope_head_dim;
        return r / v * (nope + v) + nope + r % v;
    }
    bool paired =
        (j->form == DSM_GGUF_QUERY || j->form == DSM_GGUF_KEY) && !dsm_model_config_is_mla(c);
    if (!paired) return r;
    int64_t dim = c->head_dim, in_head = r % dim;
    return r - in_head + in_head / 2 + in_head % 2 * (dim / 2);
}

/* n values from one type to another; equal types are copied bit for bit. */
static void convert(void *to, dsm_dtype to_type, const void *from, dsm_dtype from_type, int64_t n,
                    dsm_real *work)
{
    if (to_type == from_type) {
        memcpy(to, from, dsm_dtype_bytes(to_type, n));
        return;
    }
    dsm_dtype_load(work, from, from_type, n);
    dsm_dtype_store(to, to_type, work, n);
}

static void convert_row(void *arg, int64_t i, int worker)
{
    const rows_job *j = arg;
    int64_t cols = j->from.cols;
    size_t from_bytes = dsm_dtype_bytes(j->from.dtype, cols);
    size_t to_bytes = dsm_dtype_bytes(j->item->dtype, cols);
    const char *from = (const char *)j->from.data;
    convert(j->out + (size_t)i * to_bytes, j->item->dtype,
            from + (size_t)source_row(j, j->begin + i) * from_bytes, j->from.dtype, cols,
            dsm_exec_scratch(j->exec, worker));
}

/* Head begin + i of the keys' half: its nope rows of lora values become lora rows of nope. */
static void convert_head(void *arg, int64_t i, int worker)
{
    const rows_job *j = arg;
    int64_t lora = j->from.cols, nope = j->c->qk_nope_head_dim;
    int64_t head_rows = nope + j->c->v_head_dim;
    size_t to_bytes = dsm_dtype_bytes(j->item->dtype, nope);
    const char *from = (const char *)j->from.data +
                       (size_t)((j->begin + i) * head_rows) * dsm_dtype_bytes(j->from.dtype, lora);
    unsigned char *to = j->out + (size_t)(i * lora) * to_bytes;
    dsm_real *head = dsm_exec_scratch(j->exec, worker), *row = head + nope * lora;
    dsm_dtype_load(head, from, j->from.dtype, nope * lora);
    for (int64_t r = 0; r < lora; r++, to += to_bytes) {
        for (int64_t n = 0; n < nope; n++)
            row[n] = head[n * lora + r];
        dsm_dtype_store(to, j->item->dtype, row, nope);
    }
}

/* What a chunk is counted in: rows, or whole heads. */
typedef struct unit {
    int64_t n;    /* in the parameter */
    size_t bytes; /* converted */
    size_t work;  /* bytes of scratch that converting one takes */
    dsm_pool_fn convert;
} unit;

static unit unit_of(const rows_job *j)
{
    const dsm_model_config *c = j->c;
    if (j->form == DSM_GGUF_KV_KEY)
        return (unit){.n = c->num_attention_heads,
                      .bytes = dsm_dtype_bytes(j->item->dtype, j->from.cols * c->qk_nope_head_dim),
                      .work = sizeof(dsm_real) * (size_t)(c->qk_nope_head_dim * (j->from.cols + 1)),
                      .convert = convert_head};
    bool values = j->form == DSM_GGUF_KV_VALUE;
    return (unit){.n = values ? c->num_attention_heads * c->v_head_dim : j->from.rows,
                  .bytes = dsm_dtype_bytes(j->item->dtype, j->from.cols),
                  .work = sizeof(dsm_real) * (size_t)j->from.cols,
                  .convert = convert_row};
}

/* --- the data --------------------------------------------------------------------------------- */

static dsm_status write_rows(plan *p, dsm_gguf_writer *w, rows_job *j, dsm_err *err)
{
    unit u = unit_of(j);
    const char *path = w->file.path;
    int64_t most = (int64_t)(CHUNK_BYTES / (u.bytes ? u.bytes : 1)) + 1;
    if (u.work > j->exec->scratch_bytes)
        return dsm_fail(err, DSM_ELIMIT, "%s: %s: rows of %" PRId64 " values are too long", path,
                        j->item->name, j->from.cols);
    j->out = malloc((size_t)most * u.bytes + 1);
    if (!j->out) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = DSM_OK;
    for (j->begin = 0; status == DSM_OK && j->begin < u.n; j->begin += most) {
        int64_t n = u.n - j->begin < most ? u.n - j->begin : most;
        dsm_pool_run(j->exec->pool, n, u.convert, j);
        status = dsm_gguf_write(w, j->out, (size_t)n * u.bytes, err);
        p->done += (uint64_t)n * u.bytes;
        if (status == DSM_OK) status = dsm_save_tell(p->o, p->done, p->total, path, err);
    }
    free(j->out);
    return status;
}

static dsm_status write_tensor(plan *p, dsm_gguf_writer *w, int64_t i, dsm_err *err)
{
    const piece *made = &p->pieces[i];
    if (made->n == 0) return dsm_gguf_write(w, p->rope, dsm_gguf_item_bytes(&p->items[i]), err);
    for (int64_t e = 0; e < made->n; e++) {
        const dsm_param *q = &p->m->params[made->first + e * made->stride];
        rows_job j = {
            .exec = p->o->exec, .c = &p->m->config, .item = &p->items[i], .form = made->form};
        DSM_TRY(dsm_save_fetch(p->o, &j.from, q, err));
        if (q->ndim == 1) { /* a row per value, so that those of heads can move */
            j.from.rows = q->cols;
            j.from.cols = 1;
        }
        DSM_TRY(write_rows(p, w, &j, err));
    }
    return DSM_OK;
}

static dsm_status write_file(plan *p, const char *path, const dsm_gguf_meta *meta, dsm_err *err)
{
    dsm_gguf_writer w;
    DSM_TRY(dsm_gguf_begin(&w, path, meta, p->items, p->n, err));
    for (int64_t i = 0; i < p->n; i++) {
        dsm_status status = write_tensor(p, &w, i, err);
        if (status != DSM_OK) {
            dsm_gguf_abandon(&w);
            return status;
        }
    }
    return dsm_gguf_commit(&w, err);
}

dsm_status dsm_gguf_save(const dsm_model *m, const char *path, const dsm_gguf_meta *meta,
                         const dsm_save_options *o, dsm_err *err)
{
    plan p = {.m = m, .o = o};
    dsm_status status = make_plan(&p, err);
    if (status == DSM_OK) status = write_file(&p, path, meta, err);
    free_plan(&p);
    return status;
}
