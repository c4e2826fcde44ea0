/* SPDX-License-Identifier: MIT */
/* Folders with a model in them, written whole or not at all. */
#include "dsmoe/model.h"

#include "core/fs.h"
#include "dsmoe/tokenizer.h"
#include "formats/checkpoint.h"
#include "infer/loaded.h"

#include <stdlib.h>

/* --- make ------------------------------------------------------------------------------------- */

/* The tokenizer must fit, and knows better than the config which ids begin and end a text. */
static dsm_status take_tokenizer(dsm_model_config *c, const char *dir, dsm_err *err)
{
    dsm_tokenizer *t;
    DSM_TRY(dsm_tokenizer_open(&t, dir, err));
    c->bos_token_id = dsm_tokenizer_bos(t);
    c->eos_token_id = dsm_tokenizer_eos(t);
    int64_t entries = dsm_tokenizer_size(t);
    dsm_tokenizer_close(t);
    return dsm_check_vocabulary(c, entries, dir, err);
}

static dsm_status random_model(dsm_model **out, const dsm_model_config *c,
                               const dsm_make_options *o, dsm_err *err)
{
    dsm_kernels kernels;
    dsm_exec x;
    dsm_kernels_init(&kernels, o->cpu_flags);
    DSM_TRY(dsm_exec_init(&x, &kernels, o->n_threads, err));
    dsm_status status = dsm_model_create(out, c, DSM_MODEL_VALUES, err);
    if (status == DSM_OK) dsm_model_init_random(*out, &x, o->seed);
    dsm_exec_free(&x);
    return status;
}

static dsm_status fill(const char *dir, const dsm_model_config *c, const dsm_make_options *o,
                       dsm_dtype dtype, dsm_err *err)
{
    dsm_model *m;
    DSM_TRY(random_model(&m, c, o, err));
    dsm_status status = dsm_checkpoint_write(m, dir, dtype, err);
    dsm_model_free(m);
    if (status == DSM_OK && o->tokenizer)
        status = dsm_checkpoint_copy_tokenizer(dir, o->tokenizer, err);
    return status;
}

dsm_status dsm_model_make(const dsm_make_options *o, dsm_err *err)
{
    dsm_dtype dtype;
    dsm_model_config c;
    dsm_folder_writer w;
    DSM_TRY(dsm_dtype_parse(&dtype, o->dtype, err));
    DSM_TRY(dsm_model_config_read(&c, o->config, err));
    if (o->tokenizer) DSM_TRY(take_tokenizer(&c, o->tokenizer, err));
    DSM_TRY(dsm_folder_begin(&w, o->out_dir, err));
    dsm_status status = fill(w.temporary, &c, o, dtype, err);
    if (status == DSM_OK) return dsm_folder_commit(&w, err);
    dsm_folder_abandon(&w);
    return status;
}

/* --- convert ---------------------------------------------------------------------------------- */

/* Files of src that are not made from its weights or config. */
static dsm_status copy_companions(const char *dst, const char *src, dsm_err *err)
{
    dsm_err missing;
    dsm_status status = dsm_checkpoint_copy_tokenizer(dst, src, &missing);
    if (status != DSM_OK && status != DSM_ENOTFOUND)
        return dsm_fail(err, status, "%s", missing.msg);
    char *from = dsm_fs_join(src, "generation_config.json");
    char *to = dsm_fs_join(dst, "generation_config.json");
    status = from && to ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", src);
    if (status == DSM_OK && dsm_fs_exists(from)) status = dsm_fs_copy(to, from, err);
    free(from);
    free(to);
    return status;
}

static dsm_status convert_into(const char *dst, const dsm_model *m, const char *src,
                               const dsm_convert_options *o, dsm_err *err)
{
    dsm_dtype dtype = m->embed.w.dtype;
    uint64_t shard = o->shard_bytes > 0 ? o->shard_bytes : (uint64_t)4 << 30;
    if (o->dtype) DSM_TRY(dsm_dtype_parse(&dtype, o->dtype, err));
    DSM_TRY(dsm_checkpoint_write_shards(m, dst, dtype, shard, err));
    return copy_companions(dst, src, err);
}

dsm_status dsm_model_convert(const char *src, const char *dst, const dsm_convert_options *o,
                             dsm_err *err)
{
    dsm_model *m;
    char *dir;
    dsm_folder_writer w;
    DSM_TRY(dsm_checkpoint_open(&m, src, 0, &dir, err));
    dsm_status status = dsm_folder_begin(&w, dst, err);
    if (status == DSM_OK) {
        status = convert_into(w.temporary, m, dir, o, err);
        if (status == DSM_OK)
            status = dsm_folder_commit(&w, err);
        else
            dsm_folder_abandon(&w);
    }
    dsm_model_free(m);
    free(dir);
    return status;
}
