/* SPDX-License-Identifier: MIT */
/* The tensors of a GGUF file as a set of parameters.
 *
 * Most tensors are what they are under another name. Stacked experts become one view per expert.
 * What lies there in another order, or in blocks no kernel knows (gguf_legacy.h), is copied: it is
 * the only weights that take memory beside the mapping. Of another order are
 *   - queries and keys where attention rotates whole heads (llama, deepseek): GGUF stands the two
 *     rows of a rotated pair side by side, Hugging Face half a head apart. Rows are moved whole, so
 *     quantised blocks stay what they are (of the 16B model in q8_0: 250 MB of 17 GB);
 *   - a kv_b_proj in two halves, the keys' half transposed, which splits quantised blocks: it is
 *     put together from dequantised values. */
#include "formats/gguf_legacy.h"
#include "formats/gguf_names.h"
#include "formats/gguf_rope.h"
#include "formats/weights.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The owner of a set. */
typedef struct gguf_set {
    dsm_gguf *file;
    dsm_st_tensor *tensors; /* (n) */
    int64_t n;
    char *names; /* of the tensors, DSM_GGUF_PARAMETER_MAX bytes each */
    void **made; /* (n_made) data that are not in the mapping */
    int64_t n_made;
    const dsm_model_config *config; /* while it is filled */
    dsm_err *err;
} gguf_set;

static void close_set(void *owner)
{
    gguf_set *s = owner;
    for (int64_t i = 0; i < s->n_made; i++)
        free(s->made[i]);
    free(s->made);
    free(s->names);
    free(s->tensors);
    dsm_gguf_close(s->file);
    free(s);
}

static dsm_status no_memory(const gguf_set *s)
{
    return dsm_fail(s->err, DSM_ENOMEM, "%s: out of memory", dsm_gguf_what(s->file));
}

/* --- one tensor ------------------------------------------------------------------------------- */

/* A tensor of the set under the name of a parameter, so far with what lies in the file. */
static dsm_st_tensor *add(gguf_set *s, const dsm_gguf_tensor *t, const dsm_gguf_name *name,
                          int64_t layer, int64_t expert)
{
    char *text = s->names + s->n * DSM_GGUF_PARAMETER_MAX;
    dsm_st_tensor *out = &s->tensors[s->n++];
    if (name)
        dsm_gguf_name_parameter(text, DSM_GGUF_PARAMETER_MAX, name, layer, expert);
    else
        snprintf(text, DSM_GGUF_PARAMETER_MAX, "%s", t->name);
    *out = (dsm_st_tensor){.name = text,
                           .known = t->known,
                           .dtype = t->dtype,
                           .ndim = t->ndim,
                           .data = t->data,
                           .bytes = t->bytes};
    snprintf(out->dtype_name, sizeof out->dtype_name, "%s", t->type_name);
    memcpy(out->shape, t->shape, sizeof t->shape);
    return out;
}

/* Memory that ends with the set; NULL: out of memory. */
static void *make(gguf_set *s, size_t bytes)
{
    return s->made[s->n_made++] = malloc(bytes ? bytes : 1);
}

/* The tensor as kernels can use it: in another type if its own is one of old. */
static dsm_status modernise(gguf_set *s, dsm_gguf_tensor *t)
{
    dsm_dtype to;
    if (!dsm_gguf_legacy_type(t, &to)) return DSM_OK;
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    size_t bytes = dsm_dtype_bytes(to, n);
    void *data = make(s, bytes);
    if (!data) return no_memory(s);
    dsm_gguf_legacy_convert(data, t);
    t->known = true;
    t->dtype = to;
    t->data = data;
    t->bytes = bytes;
    return DSM_OK;
}

/* Heads of Dh rows: from pairs side by side to pairs half a head apart. */
static dsm_status move_rows(gguf_set *s, dsm_st_tensor *t, int64_t n_heads)
{
    int64_t dim = s->config->head_dim, rows = n_heads * dim;
    if (t->ndim < 1 || t->shape[0] != rows) return DSM_OK; /* binding says what is wrong */
    size_t row_bytes = t->bytes / (size_t)rows;
    const char *from = t->data;
    char *to = make(s, t->bytes);
    if (!to) return no_memory(s);
    for (int64_t h = 0; h < n_heads; h++)
        for (int64_t i = 0; i < dim; i++) {
            int64_t paired = i < dim / 2 ? 2 * i : 2 * (i - dim / 2) + 1;
            memcpy(to + (size_t)(h * dim + i) * row_bytes,
                   from + (size_t)(h * dim + paired) * row_bytes, row_bytes);
        }
    t->data = to;
    return DSM_OK;
}

static bool has_experts(const dsm_gguf_tensor *t, int64_t n)
{
    return t->ndim == 3 && n > 0 && t->shape[0] == n && t->bytes >= (size_t)n;
}

static dsm_status add_experts(gguf_set *s, const dsm_gguf_tensor *t, const dsm_gguf_name *name,
                              int64_t layer)
{
    int64_t n = s->config->n_routed_experts;
    if (!has_experts(t, n))
        return dsm_fail(s->err, DSM_ESHAPE,
                        "%s: %s: found %d dimensions, the first of %" PRId64
                        ", expected the weights of %" PRId64 " experts",
                        dsm_gguf_what(s->file), t->name, t->ndim, t->ndim ? t->shape[0] : 0, n);
    for (int64_t e = 0; e < n; e++) {
        dsm_st_tensor *out = add(s, t, name, layer, e);
        out->ndim = 2;
        out->shape[0] = t->shape[1];
        out->shape[1] = t->shape[2];
        out->bytes = t->bytes / (size_t)n;
        out->data = (const char *)t->data + (size_t)e * out->bytes;
    }
    return DSM_OK;
}

/* --- kv_b_proj from its halves ---------------------------------------------------------------- */

static bool has_shape(const dsm_gguf_tensor *t, int64_t a, int64_t b, int64_t c)
{
    return t->ndim == 3 && t->shape[0] == a && t->shape[1] == b && t->shape[2] == c;
}

/* The type the whole has: f32 and the 16-bit types stay, f16 holds what blocks stand for. */
static dsm_dtype joined_dtype(const dsm_gguf_tensor *k, const dsm_gguf_tensor *v)
{
    if (k->dtype == DSM_F32 || v->dtype == DSM_F32) return DSM_F32;
    return k->dtype == DSM_BF16 && v->dtype == DSM_BF16 ? DSM_BF16 : DSM_F16;
}

/* One head: keys (lora, nope) and values (v, lora) in the file, to (nope + v, lora) of `dtype`.
 * `work` has room for keys and one row. */
static void join_head(char *to, dsm_dtype dtype, const dsm_gguf_tensor *k, const dsm_gguf_tensor *v,
                      int64_t head, dsm_real *work)
{
    int64_t lora = k->shape[1], nope = k->shape[2], width = v->shape[1];
    size_t row_bytes = dsm_dtype_bytes(dtype, lora);
    dsm_real *row = work + lora * nope;
    dsm_dtype_load(work, (const char *)k->data + (size_t)head * (k->bytes / (size_t)k->shape[0]),
                   k->dtype, lora * nope);
    for (int64_t n = 0; n < nope; n++, to += row_bytes) {
        for (int64_t c = 0; c < lora; c++)
            row[c] = work[c * nope + n];
        dsm_dtype_store(to, dtype, row, lora);
    }
    const char *from = (const char *)v->data + (size_t)head * (v->bytes / (size_t)v->shape[0]);
    for (int64_t n = 0; n < width; n++, to += row_bytes) {
        dsm_dtype_load(row, from + (size_t)n * dsm_dtype_bytes(v->dtype, lora), v->dtype, lora);
        dsm_dtype_store(to, dtype, row, lora);
    }
}

static dsm_status join(gguf_set *s, dsm_st_tensor *out, const dsm_gguf_tensor *k,
                       const dsm_gguf_tensor *v)
{
    int64_t heads = k->shape[0], lora = k->shape[1], rows = k->shape[2] + v->shape[1];
    out->dtype = joined_dtype(k, v);
    out->ndim = 2;
    out->shape[0] = heads * rows;
    out->shape[1] = lora;
    out->bytes = dsm_dtype_bytes(out->dtype, heads * rows * lora);
    char *to = make(s, out->bytes);
    dsm_real *work = malloc(sizeof *work * (size_t)(lora * (k->shape[2] + 1)));
    dsm_status status = to && work ? DSM_OK : no_memory(s);
    for (int64_t h = 0; status == DSM_OK && h < heads; h++)
        join_head(to + (size_t)h * (out->bytes / (size_t)heads), out->dtype, k, v, h, work);
    free(work);
    out->data = to;
    return status;
}

/* k is the keys' half; the values' half is looked up. A file that has the whole as well, as some
 * writers make them, needs neither. */
static dsm_status add_joined(gguf_set *s, const dsm_gguf_tensor *k, const dsm_gguf_name *name,
                             int64_t layer)
{
    const dsm_model_config *c = s->config;
    char other[DSM_GGUF_PARAMETER_MAX];
    dsm_gguf_name_tensor(other, sizeof other, dsm_gguf_name_values(), layer);
    const dsm_gguf_tensor *found = dsm_gguf_find(s->file, other);
    if (!found) return add(s, k, NULL, 0, 0), DSM_OK; /* binding says what is missing */
    dsm_gguf_tensor v = *found;
    DSM_TRY(modernise(s, &v));
    bool fits = has_shape(k, c->num_attention_heads, c->kv_lora_rank, c->qk_nope_head_dim) &&
                has_shape(&v, c->num_attention_heads, c->v_head_dim, c->kv_lora_rank);
    if (!fits || !k->known || !v.known)
        return dsm_fail(s->err, DSM_ESHAPE,
                        "%s: %s (%s) and %s (%s): expected %" PRId64 " heads of %" PRId64
                        " keys and %" PRId64 " values of %" PRId64 " in a readable type",
                        dsm_gguf_what(s->file), k->name, k->type_name, other, v.type_name,
                        c->num_attention_heads, c->qk_nope_head_dim, c->v_head_dim,
                        c->kv_lora_rank);
    return join(s, add(s, k, name, layer, -1), k, &v);
}

/* --- the file --------------------------------------------------------------------------------- */

/* Does attention rotate whole heads, whose rows GGUF stands pair by pair? */
static bool pairs_rows(const dsm_model_config *c)
{
    return !dsm_model_config_is_mla(c);
}

static bool has_whole_kv_b(const gguf_set *s, int64_t layer)
{
    char name[DSM_GGUF_PARAMETER_MAX];
    snprintf(name, sizeof name, "blk.%" PRId64 ".attn_kv_b.weight", layer);
    return dsm_gguf_find(s->file, name) != NULL;
}

static dsm_status add_tensor(gguf_set *s, const dsm_gguf_tensor *t)
{
    const dsm_model_config *c = s->config;
    int64_t layer;
    if (strcmp(t->name, DSM_GGUF_ROPE_TENSOR) == 0) return DSM_OK; /* the config has it */
    const dsm_gguf_name *name = dsm_gguf_name_of_tensor(t->name, &layer);
    dsm_gguf_form form = name ? name->form : DSM_GGUF_AS_IS;
    switch (form) {
    case DSM_GGUF_EXPERTS:
        return add_experts(s, t, name, layer);
    case DSM_GGUF_KV_KEY:
        return has_whole_kv_b(s, layer) ? DSM_OK : add_joined(s, t, name, layer);
    case DSM_GGUF_KV_VALUE: /* went with its other half */
        return DSM_OK;
    default:
        break;
    }
    dsm_st_tensor *out = add(s, t, name, layer, -1);
    if (form == DSM_GGUF_AS_IS || !pairs_rows(c) || !t->known) return DSM_OK;
    return move_rows(s, out,
                     form == DSM_GGUF_KEY ? c->num_key_value_heads : c->num_attention_heads);
}

/* Tensors the set has at most. */
static int64_t capacity_of(const gguf_set *s)
{
    int64_t n = 0, layer, experts = s->config->n_routed_experts;
    for (int64_t i = 0; i < dsm_gguf_n_tensors(s->file); i++) {
        const dsm_gguf_tensor *t = dsm_gguf_tensor_at(s->file, i);
        const dsm_gguf_name *name = dsm_gguf_name_of_tensor(t->name, &layer);
        n += name && name->form == DSM_GGUF_EXPERTS && has_experts(t, experts) ? experts : 1;
    }
    return n;
}

static dsm_status fill_set(dsm_weights *w, gguf_set *s)
{
    size_t stored = (size_t)dsm_gguf_n_tensors(s->file), n = (size_t)capacity_of(s);
    w->tensors = calloc(n + 1, sizeof *w->tensors);
    s->tensors = calloc(n + 1, sizeof *s->tensors);
    s->names = calloc(n + 1, DSM_GGUF_PARAMETER_MAX);
    s->made = calloc(3 * stored + 1, sizeof *s->made); /* one tensor makes three at most */
    if (!w->tensors || !s->tensors || !s->names || !s->made) return no_memory(s);
    w->n_files = dsm_gguf_n_files(s->file);
    w->stored = (int64_t)stored;
    for (size_t i = 0; i < stored; i++) {
        dsm_gguf_tensor t = *dsm_gguf_tensor_at(s->file, (int64_t)i);
        w->bytes += t.bytes;
        DSM_TRY(modernise(s, &t));
        DSM_TRY(add_tensor(s, &t));
    }
    for (; w->n < s->n; w->n++)
        w->tensors[w->n] = &s->tensors[w->n];
    return dsm_weights_sort(w, dsm_gguf_what(s->file), s->err);
}

dsm_status dsm_weights_of_gguf(dsm_weights **out, dsm_gguf *f, const dsm_model_config *c,
                               dsm_err *err)
{
    *out = NULL;
    dsm_weights *w = calloc(1, sizeof *w);
    gguf_set *s = calloc(1, sizeof *s);
    if (!w || !s) {
        dsm_status status = dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dsm_gguf_what(f));
        free(w);
        free(s);
        dsm_gguf_close(f);
        return status;
    }
    *s = (gguf_set){.file = f, .config = c, .err = err};
    w->owner = s;
    w->close_owner = close_set;
    dsm_status status = fill_set(w, s);
    if (status != DSM_OK) {
        dsm_weights_close(w);
        return status;
    }
    *out = w;
    return DSM_OK;
}
