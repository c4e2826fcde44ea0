/* SPDX-License-Identifier: MIT */
/* The parameter table of the family and how it becomes a model.
 *
 * `layer_specs` below is the only list of a layer's tensors: name, shape, initialisation, decay,
 * which layers have it, and which view it fills. One walk over it visits every parameter of a
 * config in file order; counting, filling the table and binding the views are three visitors of
 * that walk. */
#include "model/params.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_ALIGN = 16 }; /* elements: a cache line of floats */

/* --- the table -------------------------------------------------------------------------------- */

typedef enum axis {
    ONE, /* rows of a vector */
    V,
    D,
    HD,  /* H·Dk: all queries */
    KD,  /* Hk·Dk */
    HV,  /* H·Dv: all outputs */
    LQ,  /* q_lora */
    LK,  /* kv_lora */
    LKR, /* kv_lora + Dr */
    HKV, /* H·(Dn + Dv) */
    I,   /* width of a dense FFN */
    E,
    F, /* width of an expert */
    S, /* width of all shared experts together */
    W, /* distilled_width */
    N_AXES
} axis;

typedef enum view_kind {
    WEIGHT, /* dsm_weight */
    VECTOR, /* dsm_vector */
    GATE,   /* dsm_ffn_params: the view of one group */
    UP,
    DOWN,
    BIAS_STATE, /* dsm_moe_params: state rows */
    HASH_STATE
} view_kind;

/* Which layers have the parameter. */
typedef enum presence {
    ALWAYS,
    WITH_BIAS,
    PLAIN, /* attention that is not latent */
    PLAIN_BIAS,
    LATENT,
    LATENT_BIAS,
    LATENT_Q, /* with q_lora */
    LATENT_Q_BIAS,
    DIRECT_Q, /* without */
    DENSE,
    ROUTED,
    STEERED,
    HASHED,
    DISTILLED,
    EXPERTS,
    SHARED
} presence;

typedef struct spec {
    const char *name; /* inside its layer; %d: the expert */
    axis rows, cols;
    dsm_init init;
    view_kind kind;
    presence when;
    size_t view; /* offset in dsm_layer_params (in dsm_model for the specs outside layers) */
} spec;

#define IN(field) offsetof(dsm_layer_params, field)

/* clang-format off */
static const spec layer_specs[] = {
    {"input_layernorm.weight",          ONE, D,  DSM_INIT_ONE,    VECTOR, ALWAYS,    IN(attn_norm)},
    {"self_attn.q_proj.weight",         HD,  D,  DSM_INIT_NORMAL, WEIGHT, PLAIN,     IN(attn.gqa.q)},
    {"self_attn.q_proj.bias",           ONE, HD, DSM_INIT_ZERO,  VECTOR, PLAIN_BIAS, IN(attn.gqa.bq)},
    {"self_attn.k_proj.weight",         KD,  D,  DSM_INIT_NORMAL, WEIGHT, PLAIN,     IN(attn.gqa.k)},
    {"self_attn.k_proj.bias",           ONE, KD, DSM_INIT_ZERO,  VECTOR, PLAIN_BIAS, IN(attn.gqa.bk)},
    {"self_attn.v_proj.weight",         KD,  D,  DSM_INIT_NORMAL, WEIGHT, PLAIN,     IN(attn.gqa.v)},
    {"self_attn.v_proj.bias",           ONE, KD, DSM_INIT_ZERO,  VECTOR, PLAIN_BIAS, IN(attn.gqa.bv)},
    {"self_attn.q_proj.weight",         HD,  D,  DSM_INIT_NORMAL, WEIGHT, DIRECT_Q,  IN(attn.mla.q)},
    {"self_attn.q_a_proj.weight",       LQ,  D,  DSM_INIT_NORMAL, WEIGHT, LATENT_Q,  IN(attn.mla.q_a)},
    {"self_attn.kv_a_proj_with_mqa.weight", LKR, D, DSM_INIT_NORMAL, WEIGHT, LATENT, IN(attn.mla.kv_a)},
    {"self_attn.q_a_proj.bias", ONE, LQ, DSM_INIT_ZERO, VECTOR, LATENT_Q_BIAS, IN(attn.mla.bq_a)},
    {"self_attn.kv_a_proj_with_mqa.bias", ONE, LKR, DSM_INIT_ZERO, VECTOR, LATENT_BIAS,
     IN(attn.mla.bkv_a)},
    {"self_attn.q_a_layernorm.weight",  ONE, LQ, DSM_INIT_ONE, VECTOR, LATENT_Q, IN(attn.mla.q_a_norm)},
    {"self_attn.q_b_proj.weight",       HD,  LQ, DSM_INIT_NORMAL, WEIGHT, LATENT_Q,  IN(attn.mla.q)},
    {"self_attn.kv_a_layernorm.weight", ONE, LK, DSM_INIT_ONE,    VECTOR, LATENT, IN(attn.mla.kv_norm)},
    {"self_attn.kv_b_proj.weight",      HKV, LK, DSM_INIT_NORMAL, WEIGHT, LATENT,    IN(attn.mla.kv_b)},
    {"self_attn.o_proj.weight",         D,   HV, DSM_INIT_NORMAL, WEIGHT, ALWAYS,    IN(attn.o)},
    {"self_attn.o_proj.bias",           ONE, D,  DSM_INIT_ZERO,   VECTOR, WITH_BIAS, IN(attn.bo)},
    {"post_attention_layernorm.weight", ONE, D,  DSM_INIT_ONE,    VECTOR, ALWAYS,    IN(ffn_norm)},
    {"mlp.gate_proj.weight",            I,   D,  DSM_INIT_NORMAL, GATE,   DENSE,     IN(ffn)},
    {"mlp.up_proj.weight",              I,   D,  DSM_INIT_NORMAL, UP,     DENSE,     IN(ffn)},
    {"mlp.down_proj.weight",            D,   I,  DSM_INIT_NORMAL, DOWN,   DENSE,     IN(ffn)},
    {"mlp.gate.weight",                 E,   D,  DSM_INIT_NORMAL, WEIGHT, ROUTED,    IN(moe.router)},
    {"mlp.gate.e_score_correction_bias", ONE, E, DSM_INIT_ZERO, BIAS_STATE, STEERED, IN(moe)},
    {"mlp.gate.hash_table",             ONE, V,  DSM_INIT_ZERO, HASH_STATE, HASHED,  IN(moe)},
    {"mlp.gate.distilled_embedding.weight", V, W, DSM_INIT_NORMAL, WEIGHT, DISTILLED,
     IN(moe.distilled.embed)},
    {"mlp.gate.distilled_centroids.weight", E, W, DSM_INIT_NORMAL, WEIGHT, DISTILLED,
     IN(moe.distilled.centroid)},
    {"mlp.experts.%d.gate_proj.weight", F,   D,  DSM_INIT_NORMAL, GATE,   EXPERTS,   IN(moe.experts)},
    {"mlp.experts.%d.up_proj.weight",   F,   D,  DSM_INIT_NORMAL, UP,     EXPERTS,   IN(moe.experts)},
    {"mlp.experts.%d.down_proj.weight", D,   F,  DSM_INIT_NORMAL, DOWN,   EXPERTS,   IN(moe.experts)},
    {"mlp.shared_experts.gate_proj.weight", S, D, DSM_INIT_NORMAL, GATE,  SHARED,    IN(moe.shared)},
    {"mlp.shared_experts.up_proj.weight",   S, D, DSM_INIT_NORMAL, UP,    SHARED,    IN(moe.shared)},
    {"mlp.shared_experts.down_proj.weight", D, S, DSM_INIT_NORMAL, DOWN,  SHARED,    IN(moe.shared)},
};
static const spec embed_spec =
    {"model.embed_tokens.weight", V, D, DSM_INIT_NORMAL, WEIGHT, ALWAYS, offsetof(dsm_model, embed)};
static const spec norm_spec =
    {"model.norm.weight", ONE, D, DSM_INIT_ONE, VECTOR, ALWAYS, offsetof(dsm_model, norm)};
static const spec head_spec =
    {"lm_head.weight", V, D, DSM_INIT_NORMAL, WEIGHT, ALWAYS, offsetof(dsm_model, head)};
/* clang-format on */

enum { N_LAYER_SPECS = sizeof layer_specs / sizeof *layer_specs };

static bool is_present(const spec *s, const dsm_model_config *c, bool is_moe)
{
    bool routed = is_moe && c->n_routed_experts > 0;
    bool hashed = c->router == DSM_ROUTER_HASH, biased = c->attention_bias;
    bool latent = dsm_model_config_is_mla(c), latent_q = c->q_lora_rank > 0;
    switch (s->when) {
    case ALWAYS:
        return true;
    case WITH_BIAS:
        return biased;
    case PLAIN:
        return !latent;
    case PLAIN_BIAS:
        return !latent && biased;
    case LATENT:
        return latent;
    case LATENT_BIAS:
        return latent && biased;
    case LATENT_Q:
        return latent && latent_q;
    case LATENT_Q_BIAS:
        return latent && latent_q && biased;
    case DIRECT_Q:
        return latent && !latent_q;
    case DENSE:
        return !is_moe;
    case ROUTED:
        return routed && !hashed;
    case STEERED:
        return routed && c->bias != DSM_BIAS_NONE;
    case HASHED:
        return routed && hashed;
    case DISTILLED:
        return routed && c->router == DSM_ROUTER_STABLE;
    case EXPERTS:
        return routed;
    case SHARED:
        return is_moe && c->n_shared_experts > 0;
    }
    return false;
}

static int64_t axis_size(const dsm_model_config *c, axis a)
{
    const int64_t size[N_AXES] = {
        [ONE] = 1,
        [V] = c->vocab_size,
        [D] = c->hidden_size,
        [HD] = dsm_model_config_q_width(c),
        [HV] = dsm_model_config_o_width(c),
        [LQ] = c->q_lora_rank,
        [LK] = c->kv_lora_rank,
        [LKR] = c->kv_lora_rank + c->qk_rope_head_dim,
        [HKV] = c->num_attention_heads * (c->qk_nope_head_dim + c->v_head_dim),
        [KD] = c->num_key_value_heads * c->head_dim,
        [I] = c->intermediate_size,
        [E] = c->n_routed_experts,
        [F] = c->moe_intermediate_size,
        [S] = c->n_shared_experts * c->moe_intermediate_size,
        [W] = c->distilled_width,
    };
    return size[a];
}

static bool is_state(const spec *s)
{
    return s->kind == BIAS_STATE || s->kind == HASH_STATE;
}

/* --- the walk --------------------------------------------------------------------------------- */

/* Called for each parameter in order; layer -1: outside the layers, expert -1: not an expert's. */
typedef void (*visitor)(void *arg, const spec *s, int64_t layer, int64_t expert);

static void walk_layer(const dsm_model_config *c, int64_t l, visitor visit, void *arg)
{
    bool is_moe = dsm_model_config_is_moe(c, l);
    for (int i = 0; i < N_LAYER_SPECS; i++) {
        const spec *s = &layer_specs[i];
        if (!is_present(s, c, is_moe)) continue;
        if (s->when != EXPERTS) {
            visit(arg, s, l, -1);
            continue;
        }
        for (int64_t e = 0; e < c->n_routed_experts; e++) /* expert by expert: gate, up, down */
            for (int j = 0; j < 3; j++)
                visit(arg, s + j, l, e);
        i += 2;
    }
}

static void walk(const dsm_model_config *c, visitor visit, void *arg)
{
    visit(arg, &embed_spec, -1, -1);
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        walk_layer(c, l, visit, arg);
    visit(arg, &norm_spec, -1, -1);
    if (!c->tie_word_embeddings) visit(arg, &head_spec, -1, -1);
}

int64_t dsm_model_row_elements(int64_t n)
{
    return (n + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
}

/* --- filling the table ------------------------------------------------------------------- */

typedef struct filler {
    dsm_model *m;
    int64_t next;
} filler;

static void count_param(void *arg, const spec *s, int64_t layer, int64_t expert)
{
    (void)s, (void)layer, (void)expert;
    ++*(int64_t *)arg;
}

static int format_name(char *out, size_t size, const spec *s, int64_t layer, int64_t expert)
{
    if (layer < 0) return snprintf(out, size, "%s", s->name);
    int n = snprintf(out, size, "model.layers.%d.", (int)layer);
    char *rest = out ? out + n : NULL;
    size_t left = out ? size - (size_t)n : 0;
    const char *mark = strstr(s->name, "%d");
    if (!mark) return n + snprintf(rest, left, "%s", s->name);
    return n +
           snprintf(rest, left, "%.*s%d%s", (int)(mark - s->name), s->name, (int)expert, mark + 2);
}

static char *take_name(dsm_arena *a, const spec *s, int64_t layer, int64_t expert)
{
    size_t size = (size_t)format_name(NULL, 0, s, layer, expert) + 1;
    char *name = dsm_arena_take(a, size);
    if (name) format_name(name, size, s, layer, expert);
    return name;
}

/* Fill one row; while measuring there is no row to fill. */
static void fill_param(void *arg, const spec *s, int64_t layer, int64_t expert)
{
    filler *f = arg;
    dsm_model *m = f->m;
    int64_t rows = axis_size(&m->config, s->rows), cols = axis_size(&m->config, s->cols);
    dsm_dtype dtype = s->kind == HASH_STATE ? DSM_I32 : DSM_REAL_DTYPE;
    char *name = take_name(&m->memory, s, layer, expert);
    void *state = NULL;
    if (is_state(s))
        state = dsm_arena_take(&m->memory, dsm_dtype_size(dtype) * (size_t)(rows * cols));
    int64_t offset = is_state(s) ? -1 : m->n_elements;
    if (offset >= 0) m->n_elements += dsm_model_row_elements(rows * cols);
    if (!m->params) return;
    m->params[f->next++] = (dsm_param){
        .name = name,
        .ndim = s->rows == ONE ? 1 : 2,
        .rows = rows,
        .cols = cols,
        .offset = offset,
        .init = s->init,
        .decay = s->rows != ONE,
        .distilled = s->when == DISTILLED,
        .mat = {.data = state, .dtype = dtype, .rows = rows, .cols = cols},
    };
}

/* --- views ------------------------------------------------------------------------------- */

static void take_groups(dsm_ffn_params *p, dsm_arena *a, int64_t n, int64_t width, int64_t d)
{
    size_t count = (size_t)n;
    *p = (dsm_ffn_params){.n_groups = (int)n, .D = d, .F = width};
    if (n == 0) return;
    p->gate = dsm_arena_take(a, count * sizeof *p->gate);
    p->up = dsm_arena_take(a, count * sizeof *p->up);
    p->down = dsm_arena_take(a, count * sizeof *p->down);
    p->dgate = dsm_arena_take(a, count * sizeof *p->dgate);
    p->dup = dsm_arena_take(a, count * sizeof *p->dup);
    p->ddown = dsm_arena_take(a, count * sizeof *p->ddown);
    p->gate_up = dsm_arena_take(a, count * sizeof *p->gate_up);
}

static dsm_layer_params take_layer(const dsm_model_config *c, dsm_arena *a, int64_t l)
{
    dsm_layer_params p = {.is_moe = dsm_model_config_is_moe(c, l)};
    int64_t d = c->hidden_size, width = c->moe_intermediate_size;
    take_groups(&p.ffn, a, p.is_moe ? 0 : 1, c->intermediate_size, d);
    take_groups(&p.moe.experts, a, p.is_moe ? c->n_routed_experts : 0, width, d);
    take_groups(&p.moe.shared, a, p.is_moe && c->n_shared_experts > 0 ? 1 : 0,
                c->n_shared_experts * width, d);
    if (dsm_model_config_is_mla(c)) {
        size_t heads = (size_t)c->num_attention_heads;
        p.attn.mla.key_up = dsm_arena_take(a, heads * sizeof *p.attn.mla.key_up);
        p.attn.mla.value_up = dsm_arena_take(a, heads * sizeof *p.attn.mla.value_up);
        p.attn.mla.key_down = dsm_arena_take(a, heads * sizeof *p.attn.mla.key_down);
    }
    return p;
}

typedef struct vector_count {
    const dsm_model_config *c;
    int64_t elements;
} vector_count;

static void count_vector(void *arg, const spec *s, int64_t layer, int64_t expert)
{
    (void)layer, (void)expert;
    vector_count *n = arg;
    if (s->kind == VECTOR) n->elements += dsm_model_row_elements(axis_size(n->c, s->cols));
}

static dsm_real *take_vectors(const dsm_model_config *c, dsm_arena *a)
{
    vector_count n = {.c = c};
    walk(c, count_vector, &n);
    return dsm_arena_take(a, sizeof(dsm_real) * (size_t)n.elements);
}

/* Everything a model owns but the flat arrays; run twice, to measure and to carve. */
static void layout(dsm_model *m, unsigned flags)
{
    const dsm_model_config *c = &m->config;
    m->n_params = m->n_elements = 0;
    walk(c, count_param, &m->n_params);
    m->params = dsm_arena_take(&m->memory, (size_t)m->n_params * sizeof *m->params);
    walk(c, fill_param, &(filler){.m = m});
    m->layers = dsm_arena_take(&m->memory, (size_t)c->num_hidden_layers * sizeof *m->layers);
    for (int64_t l = 0; l < c->num_hidden_layers; l++) {
        dsm_layer_params p = take_layer(c, &m->memory, l);
        if (m->layers) m->layers[l] = p;
    }
    if (!(flags & DSM_MODEL_VALUES)) m->vectors = take_vectors(c, &m->memory);
}

/* --- binding ----------------------------------------------------------------------------- */

typedef struct binder {
    dsm_model *m;
    int64_t next, next_vector;
} binder;

static void bind_vector(binder *b, dsm_vector *v, const dsm_param *p, dsm_real *grad)
{
    *v = (dsm_vector){.w = p->mat.data, .dw = grad, .n = p->cols};
    if (b->m->values) return;
    dsm_real *own = b->m->vectors + b->next_vector;
    b->next_vector += dsm_model_row_elements(p->cols);
    if (p->mat.data) dsm_dtype_load(own, p->mat.data, p->mat.dtype, p->cols);
    v->w = own;
}

/* The memory of a state row, which the model owns, to write to. */
static void *state_of(const dsm_param *p)
{
    return (void *)(uintptr_t)p->mat.data;
}

static void bind_view(void *arg, const spec *s, int64_t layer, int64_t expert)
{
    binder *b = arg;
    dsm_model *m = b->m;
    const dsm_param *p = &m->params[b->next++];
    void *view = (layer < 0 ? (char *)m : (char *)&m->layers[layer]) + s->view;
    dsm_ffn_params *ffn = view;
    dsm_moe_params *moe = view;
    dsm_real *grad = m->grads && p->offset >= 0 ? m->grads + p->offset : NULL;
    int64_t g = expert < 0 ? 0 : expert;
    if (s == &layer_specs[0]) m->layers[layer].begin = p->offset;
    switch (s->kind) {
    case WEIGHT:
        *(dsm_weight *)view =
            (dsm_weight){p->mat, grad, .exact = s->when == ROUTED || s->when == DISTILLED};
        break;
    case VECTOR:
        bind_vector(b, view, p, grad);
        break;
    case GATE:
        ffn->gate[g] = p->mat, ffn->dgate[g] = grad;
        break;
    case UP:
        ffn->up[g] = p->mat, ffn->dup[g] = grad;
        break;
    case DOWN:
        ffn->down[g] = p->mat, ffn->ddown[g] = grad;
        break;
    case BIAS_STATE:
        moe->bias = state_of(p);
        break;
    case HASH_STATE:
        moe->hash = state_of(p);
        break;
    }
}

/* Does b follow a in memory, so that both are one matrix? The same of their gradients dw, if there
 * are any. */
static bool follows(const dsm_mat *a, const dsm_real *da, const dsm_mat *b, const dsm_real *db)
{
    int64_t n = a->rows * a->cols;
    if (!a->data || a->dtype != b->dtype || a->cols != b->cols) return false;
    if ((const char *)a->data + dsm_dtype_bytes(a->dtype, n) != b->data) return false;
    return !da ? !db : da + n == db;
}

static void merge_groups(dsm_ffn_params *p)
{
    p->merged = true;
    for (int g = 0; g < p->n_groups; g++) {
        if (!follows(&p->gate[g], p->dgate[g], &p->up[g], p->dup[g])) p->merged = false;
        p->gate_up[g] = p->gate[g];
        p->gate_up[g].rows = 2 * p->F;
    }
}

static void merge_gqa(dsm_gqa_params *p)
{
    p->qkv = p->q;
    bool together =
        follows(&p->q.w, p->q.dw, &p->k.w, p->k.dw) && follows(&p->k.w, p->k.dw, &p->v.w, p->v.dw);
    p->qkv.w.rows = together ? p->q.w.rows + p->k.w.rows + p->v.w.rows : 0;
}

static dsm_mat rows_of(const dsm_mat *w, int64_t first, int64_t rows)
{
    size_t bytes = dsm_dtype_bytes(w->dtype, first * w->cols);
    const unsigned char *data = w->data;
    return (dsm_mat){data ? data + bytes : NULL, w->dtype, rows, w->cols};
}

static void merge_mla(dsm_mla_params *p, const dsm_model_config *c)
{
    const int64_t keys = c->qk_nope_head_dim, values = c->v_head_dim;
    p->a = p->q_a;
    bool together = p->q_a.w.rows > 0 && follows(&p->q_a.w, p->q_a.dw, &p->kv_a.w, p->kv_a.dw);
    p->a.w.rows = together ? p->q_a.w.rows + p->kv_a.w.rows : 0;
    for (int64_t h = 0; h < c->num_attention_heads; h++) {
        p->key_up[h] = rows_of(&p->kv_b.w, h * (keys + values), keys);
        p->key_down[h] = (dsm_mat){.rows = p->kv_b.w.cols, .cols = keys};
        p->value_up[h] = rows_of(&p->kv_b.w, h * (keys + values) + keys, values);
    }
}

/* Maps that read the same input become one where their weights lie together: fewer, larger
 * products. */
static void merge_layer(dsm_layer_params *p, const dsm_model_config *c)
{
    if (dsm_model_config_is_mla(c))
        merge_mla(&p->attn.mla, c);
    else
        merge_gqa(&p->attn.gqa);
    merge_groups(&p->ffn);
    merge_groups(&p->moe.experts);
    merge_groups(&p->moe.shared);
}

static void bind_all(dsm_model *m)
{
    walk(&m->config, bind_view, &(binder){.m = m});
    if (m->config.tie_word_embeddings) m->head = m->embed;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        merge_layer(&m->layers[l], &m->config);
}

dsm_status dsm_model_bind(dsm_model *m, dsm_err *err)
{
    for (int64_t i = 0; i < m->n_params; i++)
        if (!m->params[i].mat.data)
            return dsm_fail(err, DSM_ESHAPE, "%s: found no values, expected (%lld, %lld)",
                            m->params[i].name, (long long)m->params[i].rows,
                            (long long)m->params[i].cols);
    bind_all(m);
    return dsm_model_absorb(m, err);
}

/* --- the model --------------------------------------------------------------------------- */

static dsm_status take_flat(dsm_model *m, unsigned flags, dsm_err *err)
{
    bool values = flags & DSM_MODEL_VALUES, grads = flags & DSM_MODEL_GRADS;
    size_t bytes = sizeof(dsm_real) * (size_t)m->n_elements;
    if (!values) return DSM_OK;
    DSM_TRY(dsm_arena_init(&m->flat, (bytes + 2 * DSM_ALIGN) * (grads ? 2 : 1), "parameters", err));
    m->values = dsm_arena_take(&m->flat, bytes);
    if (grads) m->grads = dsm_arena_take(&m->flat, bytes);
    for (int64_t i = 0; i < m->n_params; i++)
        if (m->params[i].offset >= 0) m->params[i].mat.data = m->values + m->params[i].offset;
    return DSM_OK;
}

static dsm_status build(dsm_model *m, unsigned flags, dsm_err *err)
{
    layout(m, flags); /* measure */
    size_t bytes = m->memory.used;
    DSM_TRY(dsm_arena_init(&m->memory, bytes, "parameter table", err));
    layout(m, flags); /* carve */
    DSM_TRY(take_flat(m, flags, err));
    bind_all(m);
    dsm_model_reset_state(m);
    return DSM_OK;
}

dsm_status dsm_model_create(dsm_model **out, const dsm_model_config *c, unsigned flags,
                            dsm_err *err)
{
    *out = NULL;
    DSM_TRY(dsm_model_config_check(c, "model", err));
    dsm_model *m = calloc(1, sizeof *m);
    if (!m) return dsm_fail(err, DSM_ENOMEM, "model: out of memory");
    m->config = *c;
    dsm_status status = build(m, flags, err);
    if (status != DSM_OK) {
        dsm_model_free(m);
        return status;
    }
    *out = m;
    return DSM_OK;
}

void dsm_model_free(dsm_model *m)
{
    if (!m) return;
    if (m->mapping_close) m->mapping_close(m->mapping);
    dsm_arena_free(&m->absorbed);
    dsm_arena_free(&m->flat);
    dsm_arena_free(&m->memory);
    free(m);
}

int64_t dsm_model_layer_begin(const dsm_model *m, int64_t l)
{
    if (l < m->config.num_hidden_layers) return m->layers[l].begin;
    return m->params[m->n_params - (m->config.tie_word_embeddings ? 1 : 2)].offset; /* the norm */
}

dsm_param *dsm_model_find(const dsm_model *m, const char *name)
{
    for (int64_t i = 0; i < m->n_params; i++)
        if (strcmp(m->params[i].name, name) == 0) return &m->params[i];
    return NULL;
}
