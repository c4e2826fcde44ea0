/* SPDX-License-Identifier: MIT */
#include "formats/adapt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCALE_END "_scale_inv"
enum { NAME_MAX_LEN = 256 };

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* The number after "model.layers.", or -1. */
static int64_t layer_of(const char *name)
{
    static const char prefix[] = "model.layers.";
    char *end;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return -1;
    const char *digits = name + sizeof prefix - 1;
    if (*digits < '0' || *digits > '9') return -1;
    long long layer = strtoll(digits, &end, 10);
    return *end == '.' && layer < 1 << 20 ? (int64_t)layer : -1;
}

/* --- experts in one tensor ------------------------------------------------------------------- */

/* Which tensor of all experts holds an expert's matrix, and which of its shares. */
static const struct {
    const char *part, *whole;
    int64_t share, shares;
} fused[] = {
    {"gate_proj.weight", "gate_up_proj", 0, 2},
    {"up_proj.weight", "gate_up_proj", 1, 2},
    {"down_proj.weight", "down_proj", 0, 1},
};
enum { N_FUSED = sizeof fused / sizeof *fused };

static const char experts_part[] = ".mlp.experts.";

/* Is t (E, rows, cols) for all routed experts? */
static bool is_whole(const dsm_st_tensor *t, const dsm_model_config *c)
{
    return t->ndim == 3 && t->shape[0] == c->n_routed_experts;
}

/* Matrix `expert` of a whole, of that the share-th of `shares` parts of its rows. */
static dsm_st_tensor part_of(const dsm_st_tensor *whole, int64_t expert, int64_t share,
                             int64_t shares)
{
    dsm_st_tensor t = *whole;
    int64_t parts = whole->shape[0] * shares;
    t.bytes = whole->bytes / (size_t)parts;
    t.data = (const char *)whole->data + t.bytes * (size_t)(expert * shares + share);
    t.ndim = 2;
    t.shape[0] = whole->shape[1] / shares;
    t.shape[1] = whole->shape[2];
    return t;
}

static bool find_fused(dsm_st_tensor *out, const dsm_weights *w, const dsm_model_config *c,
                       const char *name)
{
    const char *at = strstr(name, experts_part);
    char whole_name[NAME_MAX_LEN], *part;
    if (!at) return false;
    const char *digits = at + sizeof experts_part - 1;
    int64_t expert = (int64_t)strtoll(digits, &part, 10);
    for (int i = 0; i < N_FUSED; i++) {
        if (*part != '.' || strcmp(part + 1, fused[i].part) != 0) continue;
        snprintf(whole_name, sizeof whole_name, "%.*s%s", (int)(digits - name), name,
                 fused[i].whole);
        const dsm_st_tensor *whole = dsm_weights_find(w, whole_name);
        if (!whole || !is_whole(whole, c) || whole->shape[1] % fused[i].shares != 0) return false;
        *out = part_of(whole, expert, fused[i].share, fused[i].shares);
        return true;
    }
    return false;
}

static bool is_fused(const dsm_model_config *c, const dsm_st_tensor *t)
{
    const char *at = strstr(t->name, experts_part);
    int64_t layer = layer_of(t->name);
    if (!at || !is_whole(t, c) || layer < 0 || layer >= c->num_hidden_layers) return false;
    for (int i = 0; i < N_FUSED; i++)
        if (strcmp(at + sizeof experts_part - 1, fused[i].whole) == 0)
            return dsm_model_config_is_moe(c, layer);
    return false;
}

/* --- FP8 -------------------------------------------------------------------------------------- */

static const dsm_st_tensor *scale_of(const dsm_weights *w, const char *name)
{
    char scale[NAME_MAX_LEN];
    snprintf(scale, sizeof scale, "%s" SCALE_END, name);
    return dsm_weights_find(w, scale);
}

static bool is_fp8(const dsm_st_tensor *t)
{
    return t->known && t->dtype == DSM_F8_E4M3;
}

static bool is_scale(const dsm_weights *w, const char *name)
{
    char weight[NAME_MAX_LEN];
    if (!ends_with(name, ".weight" SCALE_END)) return false;
    snprintf(weight, sizeof weight, "%.*s", (int)(strlen(name) - strlen(SCALE_END)), name);
    const dsm_st_tensor *t = dsm_weights_find(w, weight);
    return t && is_fp8(t);
}

static int64_t blocks(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

bool dsm_source_is_scaled(const dsm_source *s, const dsm_model_config *c)
{
    const dsm_st_tensor *t = &s->tensor, *k = s->scale;
    if (!is_fp8(t)) return true;
    return k && k->known && k->dtype == DSM_F32 && k->ndim == 2 && t->ndim == 2 &&
           c->fp8_block_rows > 0 && k->shape[0] == blocks(t->shape[0], c->fp8_block_rows) &&
           k->shape[1] == blocks(t->shape[1], c->fp8_block_cols);
}

void dsm_source_dequantise(const dsm_source *s, const dsm_model_config *c, dsm_real *out,
                           int64_t first, int64_t n)
{
    int64_t cols = s->tensor.shape[1], per_row = s->scale->shape[1], width = c->fp8_block_cols;
    const char *scales = s->scale->data; /* no alignment promise */
    dsm_dtype_load(out, (const char *)s->tensor.data + first * cols, DSM_F8_E4M3, n * cols);
    for (int64_t r = 0; r < n; r++)
        for (int64_t b = 0; b < per_row; b++) {
            float scale;
            int64_t block = (first + r) / c->fp8_block_rows * per_row + b;
            int64_t end = (b + 1) * width < cols ? (b + 1) * width : cols;
            memcpy(&scale, scales + sizeof scale * (size_t)block, sizeof scale);
            for (int64_t i = b * width; i < end; i++)
                out[r * cols + i] *= scale;
        }
}

/* --- both ------------------------------------------------------------------------------------- */

bool dsm_source_find(dsm_source *s, const dsm_weights *w, const dsm_model_config *c,
                     const dsm_param *p)
{
    const dsm_st_tensor *t = dsm_weights_find(w, p->name);
    *s = (dsm_source){0};
    if (!t) return find_fused(&s->tensor, w, c, p->name);
    s->tensor = *t;
    if (is_fp8(t)) s->scale = scale_of(w, p->name);
    return true;
}

/* Tensors that old or tied checkpoints carry and no model needs. */
static bool is_legacy(const dsm_model_config *c, const char *name)
{
    if (ends_with(name, ".rotary_emb.inv_freq")) return true;
    return c->tie_word_embeddings && strcmp(name, "lm_head.weight") == 0;
}

static bool is_mtp(const dsm_model_config *c, const char *name)
{
    int64_t layer = layer_of(name), first = c->num_hidden_layers;
    return layer >= first && layer < first + c->num_nextn_predict_layers;
}

dsm_extra dsm_extra_of(const dsm_weights *w, const dsm_model_config *c, const dsm_st_tensor *t)
{
    if (is_legacy(c, t->name)) return DSM_EXTRA_LEGACY;
    if (is_mtp(c, t->name)) return DSM_EXTRA_MTP;
    if (is_fused(c, t) || is_scale(w, t->name)) return DSM_EXTRA_PART;
    return DSM_EXTRA_UNKNOWN;
}
