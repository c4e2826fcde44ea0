/* SPDX-License-Identifier: MIT */
#include "dsmoe/model.h"

#include "dsmoe/engine.h"
#include "formats/bind.h"
#include "infer/loaded.h"
#include "model/count.h"
#include "model/net.h"

#include <stdlib.h>
#include <string.h>

static void describe_tokenizer(dsm_model_info *info, const dsm_tokenizer *t)
{
    info->tokenizer_size = t ? dsm_tokenizer_size(t) : -1;
    info->bos = t ? dsm_tokenizer_bos(t) : -1;
    info->eos = t ? dsm_tokenizer_eos(t) : -1;
}

/* The type that most bytes are in. */
static const char *main_dtype(const dsm_weights *w)
{
    uint64_t bytes[DSM_N_DTYPES] = {0};
    int most = 0;
    for (int64_t i = 0; i < w->n; i++)
        if (w->tensors[i]->known) bytes[w->tensors[i]->dtype] += w->tensors[i]->bytes;
    for (int t = 1; t < DSM_N_DTYPES; t++)
        if (bytes[t] > bytes[most]) most = t;
    return dsm_dtype_name((dsm_dtype)most);
}

static void describe_weights(dsm_model_info *info, const dsm_weights *w)
{
    info->dtype = main_dtype(w);
    info->n_files = w->n_files;
    info->tensors = w->stored;
    info->weight_bytes = w->bytes;
}

static void describe_memory(dsm_model_info *info, const dsm_model *m)
{
    dsm_engine_options engine;
    dsm_engine_defaults(&engine);
    int64_t context = dsm_model_config_context(&m->config);
    info->chunk = engine.chunk < context ? engine.chunk : context;
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = info->chunk};
    dsm_net_memory net;
    dsm_net_measure(m, &shape, &net);
    info->buffer_bytes = net.activations + net.scratch;
    info->cache_bytes_full = dsm_cache_bytes(m, context, DSM_F32);
    info->cache_bytes_per_token = info->cache_bytes_full / (uint64_t)context;
}

dsm_status dsm_model_describe(dsm_model_info *info, const char *model, unsigned cpu_flags,
                              dsm_err *err)
{
    memset(info, 0, sizeof *info);
    dsm_loaded l;
    DSM_TRY(dsm_loaded_open(&l, model, 1, cpu_flags, err));
    const dsm_model *m = l.model;
    dsm_counts n = dsm_model_count(m);
    info->config = m->config;
    info->params = n.params;
    info->active = n.active;
    for (int64_t i = 0; i < m->config.num_hidden_layers; i++)
        info->moe_layers += m->layers[i].is_moe;
    describe_weights(info, dsm_bound_weights(m));
    describe_tokenizer(info, l.tokenizer);
    describe_memory(info, m);
    info->dir = l.dir;
    l.dir = NULL;
    dsm_loaded_close(&l);
    return DSM_OK;
}

void dsm_model_info_free(dsm_model_info *info)
{
    free(info->dir);
    memset(info, 0, sizeof *info);
}

void dsm_kernel_table_get(dsm_kernel_table *t, unsigned cpu_flags)
{
    enum { MOST = sizeof t->rows / sizeof *t->rows };
    dsm_kernels k;
    dsm_kernels_init(&k, cpu_flags);
    memset(t, 0, sizeof *t);
    for (; t->n_rows < MOST && dsm_kernel_slots[t->n_rows]; t->n_rows++) {
        t->rows[t->n_rows].name = dsm_kernel_slots[t->n_rows];
        t->rows[t->n_rows].variant = k.variant[t->n_rows];
    }
    t->block_m = k.block_m;
    t->block_n = k.block_n;
    t->block_k = k.block_k;
    t->tile_m = k.tile_m;
    t->tile_n = k.tile_n;
}
