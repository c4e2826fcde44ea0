/* SPDX-License-Identifier: MIT */
/* The absorbed form of latent attention multiplies queries by W_UKᵀ: each head's key rows of
 * kv_b_proj from the left. Rows of plain element types are added up as they lie. Quantised rows are
 * not: a model bound to them gets those matrices once more, transposed, in f16, which rounds less
 * than the quantisation did; 2 bytes for each of H·Dn·kv_lora values of a layer (V2-Lite: 57 MB).
 */
#include "model/params.h"

#include <stdlib.h>

/* to (cols, rows) = the transpose of w, by way of buf (rows, cols). */
static void transpose(uint16_t *to, const dsm_mat *w, dsm_real *buf)
{
    const int64_t rows = w->rows, cols = w->cols;
    dsm_dtype_load(buf, w->data, w->dtype, rows * cols);
    for (int64_t j = 0; j < cols; j++)
        for (int64_t i = 0; i < rows; i++)
            to[j * rows + i] = dsm_f32_to_f16((float)buf[i * cols + j]);
}

static void absorb_layer(dsm_mla_params *p, dsm_arena *a, int64_t heads, dsm_real *buf)
{
    for (int64_t h = 0; h < heads; h++) {
        const dsm_mat *up = &p->key_up[h];
        uint16_t *to = dsm_arena_take(a, sizeof *to * (size_t)(up->rows * up->cols));
        if (to && buf) transpose(to, up, buf);
        p->key_down[h] = (dsm_mat){to, DSM_F16, up->cols, up->rows};
    }
}

static void absorb_all(dsm_model *m, dsm_arena *a, dsm_real *buf)
{
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++) {
        dsm_mla_params *p = &m->layers[l].attn.mla;
        if (dsm_dtype_block(p->kv_b.w.dtype) > 1)
            absorb_layer(p, a, m->config.num_attention_heads, buf);
    }
}

dsm_status dsm_model_absorb(dsm_model *m, dsm_err *err)
{
    const dsm_model_config *c = &m->config;
    dsm_arena need = {0};
    dsm_arena_free(&m->absorbed);
    if (!dsm_model_config_is_mla(c)) return DSM_OK;
    absorb_all(m, &need, NULL); /* measure */
    if (need.used == 0) return DSM_OK;
    dsm_real *buf = malloc(sizeof *buf * (size_t)(c->qk_nope_head_dim * c->kv_lora_rank));
    dsm_status status = buf ? dsm_arena_init(&m->absorbed, need.used, "absorbed keys", err)
                            : dsm_fail(err, DSM_ENOMEM, "absorbed keys: out of memory");
    if (status == DSM_OK) absorb_all(m, &m->absorbed, buf);
    free(buf);
    return status;
}
