/* SPDX-License-Identifier: MIT */
#include "infer/engine_impl.h"

#include "formats/checkpoint.h"

#include <stdlib.h>
#include <string.h>

void dsm_engine_defaults(dsm_engine_options *o)
{
    *o = (dsm_engine_options){.chunk = 512, .cache_type = "f16"};
}

/* The tokenizer's own end of text counts even where the configuration forgot it. */
static void add_tokenizer_eos(dsm_engine *e)
{
    int32_t eos = dsm_tokenizer_eos(e->loaded.tokenizer);
    if (eos >= 0 && e->n_eos < DSM_MAX_EOS) e->eos[e->n_eos++] = eos;
}

static dsm_status read_cache_type(dsm_engine *e, const char *name, dsm_err *err)
{
    static const dsm_dtype known[] = {DSM_F16, DSM_F32, DSM_Q8_0};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        e->cache_type = known[i];
        if (!name || strcmp(dsm_dtype_name(known[i]), name) == 0) return DSM_OK;
    }
    return dsm_fail(err, DSM_EUSAGE, "cache type: found \"%s\", expected f32, f16 or q8_0", name);
}

/* The rest of an engine whose model and tokenizer are there. */
static dsm_status open_parts(dsm_engine *e, const dsm_engine_options *o, dsm_err *err)
{
    dsm_loaded *l = &e->loaded;
    DSM_TRY(read_cache_type(e, o->cache_type, err));
    DSM_TRY(dsm_loaded_need_tokenizer(l, err));
    const dsm_model_config *c = &l->model->config;
    DSM_TRY(dsm_checkpoint_eos(e->eos, DSM_MAX_EOS, &e->n_eos, l->dir, c, err));
    add_tokenizer_eos(e);
    e->chunk = o->chunk < 1 ? 1 : o->chunk;
    if (e->chunk > c->max_position_embeddings) e->chunk = c->max_position_embeddings;
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = e->chunk};
    return dsm_net_open(&e->net, l->model, &l->exec, &shape, err);
}

/* Exactly one of path and borrowed is not NULL. */
static dsm_status open_engine(dsm_engine **out, const char *path, dsm_model *borrowed,
                              const char *tokenizer_dir, const dsm_engine_options *o, dsm_err *err)
{
    *out = NULL;
    dsm_engine *e = calloc(1, sizeof *e);
    if (!e) return dsm_fail(err, DSM_ENOMEM, "engine: out of memory");
    dsm_status status = path ? dsm_loaded_open(&e->loaded, path, o->n_threads, o->cpu_flags, err)
                             : dsm_loaded_borrow(&e->loaded, borrowed, tokenizer_dir, o->n_threads,
                                                 o->cpu_flags, err);
    if (status == DSM_OK) status = open_parts(e, o, err);
    if (status != DSM_OK) {
        dsm_engine_close(e);
        return status;
    }
    *out = e;
    return DSM_OK;
}

dsm_status dsm_engine_open(dsm_engine **out, const char *model, const dsm_engine_options *o,
                           dsm_err *err)
{
    return open_engine(out, model, NULL, NULL, o, err);
}

dsm_status dsm_engine_borrow(dsm_engine **out, dsm_model *model, const char *tokenizer_dir,
                             const dsm_engine_options *o, dsm_err *err)
{
    return open_engine(out, NULL, model, tokenizer_dir, o, err);
}

void dsm_engine_close(dsm_engine *e)
{
    if (!e) return;
    dsm_net_close(e->net);
    dsm_loaded_close(&e->loaded);
    free(e);
}

const dsm_model_config *dsm_engine_config(const dsm_engine *e)
{
    return &e->loaded.model->config;
}

const dsm_tokenizer *dsm_engine_tokenizer(const dsm_engine *e)
{
    return e->loaded.tokenizer;
}

static uint64_t weight_bytes(const dsm_model *m)
{
    uint64_t bytes = 0;
    for (int64_t i = 0; i < m->n_params; i++)
        bytes += (uint64_t)m->params[i].rows *
                 dsm_dtype_bytes(m->params[i].mat.dtype, m->params[i].cols);
    return bytes;
}

void dsm_engine_bill_of(const dsm_engine *e, int64_t context, dsm_engine_bill *bill)
{
    const dsm_model *m = e->loaded.model;
    dsm_net_memory net = dsm_net_holds(e->net);
    bill->context = context > 0 ? context : dsm_model_config_context(&m->config);
    bill->weights = weight_bytes(m);
    bill->buffers = net.activations + net.scratch + (uint64_t)m->config.vocab_size * sizeof(float) +
                    dsm_sampler_bytes(dsm_tokenizer_size(e->loaded.tokenizer));
    bill->cache = dsm_cache_bytes(m, bill->context, e->cache_type);
}

/* The token an empty prompt begins with: BOS, else what stands between documents. */
static int32_t first_token(const dsm_engine *e)
{
    int32_t bos = dsm_tokenizer_bos(e->loaded.tokenizer);
    return bos >= 0 ? bos : e->n_eos > 0 ? e->eos[0] : -1;
}

dsm_status dsm_engine_encode(const dsm_engine *e, const char *text, size_t n, dsm_ids *ids,
                             dsm_err *err)
{
    size_t before = ids->len;
    DSM_TRY(dsm_tokenizer_encode(e->loaded.tokenizer, text, n, DSM_ENCODE_SPECIAL | DSM_ENCODE_POST,
                                 ids, err));
    if (ids->len > before) return DSM_OK;
    int32_t id = first_token(e);
    if (id < 0)
        return dsm_fail(
            err, DSM_EUSAGE,
            "the prompt is empty, and this tokenizer has no token to begin a text with");
    return dsm_ids_push(ids, id, err);
}
