/* SPDX-License-Identifier: MIT */
/* Models on disk made and converted: folders and GGUF files, written whole or not at all. */
#include "dsmoe/model.h"

#include "core/fs.h"
#include "dsmoe/tokenizer.h"
#include "formats/bind.h"
#include "formats/checkpoint.h"
#include "formats/gguf_config.h"
#include "formats/gguf_save.h"
#include "infer/loaded.h"
#include "tokenizer/tokenizer_gguf.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ENDS = 8 }; /* ids that end a text */

/* Kernels and threads for one job. The struct must not move. */
typedef struct workers {
    dsm_kernels kernels;
    dsm_exec exec;
} workers;

static dsm_status start_workers(workers *w, int n_threads, unsigned cpu_flags, dsm_err *err)
{
    dsm_kernels_init(&w->kernels, cpu_flags);
    return dsm_exec_init(&w->exec, &w->kernels, n_threads, err);
}

static dsm_status folder_dtype(const char *dst, dsm_dtype dtype, dsm_err *err)
{
    if (dsm_dtype_block(dtype) == 1) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE,
                    "%s: dtype: found %s, a folder of safetensors holds f32, bf16 or f16 (name a "
                    ".gguf file for quantised weights)",
                    dst, dsm_dtype_name(dtype));
}

/* --- values ----------------------------------------------------------------------------------- */

/* Room for the values of one parameter, which the next one's replace. */
typedef struct room {
    dsm_real *values;
    int64_t capacity;
} room;

static dsm_status make_room(room *r, const dsm_param *p, dsm_err *err)
{
    int64_t n = p->rows * p->cols;
    if (n <= r->capacity) return DSM_OK;
    free(r->values);
    r->values = malloc((size_t)n * sizeof *r->values);
    r->capacity = r->values ? n : 0;
    return r->values ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", p->name);
}

/* --- folders ---------------------------------------------------------------------------------- */

/* Fills a new folder. */
typedef dsm_status (*fill_fn)(const char *dir, void *arg, dsm_err *err);

static dsm_status make_folder(const char *dir, fill_fn fill, void *arg, dsm_err *err)
{
    dsm_folder_writer w;
    dsm_fs_remove_stale(dir);
    DSM_TRY(dsm_folder_begin(&w, dir, err));
    dsm_status status = fill(w.temporary, arg, err);
    if (status == DSM_OK) return dsm_folder_commit(&w, err);
    dsm_folder_abandon(&w);
    return status;
}

/* --- GGUF files ------------------------------------------------------------------------------- */

/* The ids beyond EOS that end a text, as the ends of a turn and of a message. */
static dsm_status put_ends(dsm_gguf_meta *meta, const dsm_model_config *c, const dsm_tokenizer *t,
                           const char *from, dsm_err *err)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    enum { N_KEYS = sizeof keys / sizeof *keys };
    int32_t ids[MAX_ENDS];
    int n, put = 0;
    DSM_TRY(dsm_checkpoint_eos(ids, MAX_ENDS, &n, from, c, err));
    for (int i = 0; i < n && put < N_KEYS; i++)
        if (ids[i] != dsm_tokenizer_eos(t) && ids[i] < c->vocab_size)
            dsm_gguf_put_u32(meta, keys[put++], (uint32_t)ids[i]);
    return DSM_OK;
}

static dsm_status put_tokenizer(dsm_gguf_meta *meta, const dsm_model_config *c, const char *from,
                                dsm_err *err)
{
    dsm_tokenizer *t;
    char *template = NULL;
    DSM_TRY(dsm_tokenizer_open(&t, from, err));
    dsm_status status = dsm_tokenizer_put_gguf(meta, t, c->vocab_size, from, err);
    if (status == DSM_OK) status = put_ends(meta, c, t, from, err);
    if (status == DSM_OK) status = dsm_checkpoint_chat_template(&template, from, NULL, err);
    if (template) dsm_gguf_put_text(meta, "tokenizer.chat_template", template);
    free(template);
    dsm_tokenizer_close(t);
    return status;
}

/* What the config knows of a tokenizer that is not there. */
static void put_token_ids(dsm_gguf_meta *meta, const dsm_model_config *c)
{
    const struct {
        const char *key;
        int64_t id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", c->bos_token_id},
               {"tokenizer.ggml.eos_token_id", c->eos_token_id},
               {"tokenizer.ggml.padding_token_id", c->pad_token_id}};
    dsm_gguf_put_text(meta, "tokenizer.ggml.model", "no_vocab");
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i].id >= 0 && ids[i].id < c->vocab_size)
            dsm_gguf_put_u32(meta, ids[i].key, (uint32_t)ids[i].id);
}

/* Everything but the tensors; tokenizer: a folder or GGUF file that has one, or NULL. */
static dsm_status put_metadata(dsm_gguf_meta *meta, const dsm_model_config *c, dsm_dtype dtype,
                               const char *tokenizer, const char *what, dsm_err *err)
{
    DSM_TRY(dsm_gguf_config_put(meta, c, dtype, what, err));
    if (tokenizer) return put_tokenizer(meta, c, tokenizer, err);
    put_token_ids(meta, c);
    return DSM_OK;
}

static dsm_status check_new(const char *path, dsm_err *err)
{
    dsm_fs_remove_stale(path);
    if (!dsm_fs_exists(path)) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE, "%s: exists already and is not overwritten; name a new file",
                    path);
}

static bool is_gguf_name(const char *path)
{
    size_t n = strlen(path), end = sizeof ".gguf" - 1;
    return n > end && strcmp(path + n - end, ".gguf") == 0;
}

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

/* A model to be made. */
typedef struct maker {
    const dsm_make_options *o;
    dsm_model *m; /* without values */
    dsm_save_options save;
    room room;
} maker;

static dsm_status write_tokenizer(const char *dir, const char *from, dsm_err *err)
{
    dsm_tokenizer *t;
    if (!dsm_checkpoint_is_gguf(from)) return dsm_checkpoint_copy_tokenizer(dir, from, err);
    DSM_TRY(dsm_tokenizer_open(&t, from, err));
    dsm_status status = dsm_tokenizer_save(t, dir, err);
    dsm_tokenizer_close(t);
    return status;
}

/* Random values of one parameter. */
static dsm_status random_values(void *arg, dsm_mat *values, const dsm_param *p, dsm_err *err)
{
    maker *k = arg;
    *values = p->mat;
    if (p->offset < 0) return DSM_OK; /* state, as the model was created with */
    DSM_TRY(make_room(&k->room, p, err));
    dsm_param_init_random(k->room.values, p, k->save.exec, k->m->config.initializer_range,
                          k->o->seed);
    *values = (dsm_mat){k->room.values, DSM_REAL_DTYPE, p->rows, p->cols};
    return DSM_OK;
}

static dsm_status fill_random(const char *dir, void *arg, dsm_err *err)
{
    const maker *k = arg;
    if (k->o->tokenizer) DSM_TRY(write_tokenizer(dir, k->o->tokenizer, err));
    return dsm_checkpoint_save(k->m, dir, 0, &k->save, err);
}

static dsm_status make_gguf(const maker *k, dsm_err *err)
{
    dsm_gguf_meta meta = {0};
    const char *path = k->o->out_dir;
    DSM_TRY(check_new(path, err));
    dsm_status status =
        put_metadata(&meta, &k->m->config, k->save.dtype, k->o->tokenizer, k->o->config, err);
    if (status == DSM_OK) status = dsm_gguf_save(k->m, path, &meta, &k->save, err);
    dsm_gguf_meta_free(&meta);
    return status;
}

static dsm_status make_model(maker *k, const dsm_model_config *c, dsm_err *err)
{
    bool folder = !is_gguf_name(k->o->out_dir);
    if (folder) DSM_TRY(folder_dtype(k->o->out_dir, k->save.dtype, err));
    DSM_TRY(dsm_model_create(&k->m, c, 0, err));
    dsm_status status =
        folder ? make_folder(k->o->out_dir, fill_random, k, err) : make_gguf(k, err);
    dsm_model_free(k->m);
    free(k->room.values);
    return status;
}

dsm_status dsm_model_make(const dsm_make_options *o, dsm_err *err)
{
    maker k = {.o = o};
    dsm_model_config config;
    workers w;
    k.save = (dsm_save_options){.exec = &w.exec,
                                .values = random_values,
                                .values_arg = &k,
                                .progress = o->progress,
                                .progress_arg = o->progress_arg};
    DSM_TRY(dsm_dtype_parse(&k.save.dtype, o->dtype, err));
    DSM_TRY(dsm_model_config_read(&config, o->config, err));
    if (o->tokenizer) DSM_TRY(take_tokenizer(&config, o->tokenizer, err));
    DSM_TRY(start_workers(&w, o->n_threads, o->cpu_flags, err));
    dsm_status status = make_model(&k, &config, err);
    dsm_exec_free(&w.exec);
    return status;
}

/* --- convert ---------------------------------------------------------------------------------- */

/* A model to be converted. */
typedef struct converter {
    const dsm_convert_options *o;
    const dsm_model *m;    /* its values are for dsm_bound_values */
    const char *src, *dst; /* src: the folder or file itself */
    dsm_save_options save; /* keep: no dtype was asked for */
    room room;
} converter;

/* Values of one parameter as the source has them. */
static dsm_status source_values(void *arg, dsm_mat *values, const dsm_param *p, dsm_err *err)
{
    converter *k = arg;
    if (dsm_bound_is_made(p)) DSM_TRY(make_room(&k->room, p, err));
    *values = dsm_bound_values(k->m, p, k->room.values);
    return DSM_OK;
}

static dsm_status copy_generation(const char *dst, const char *src, dsm_err *err)
{
    char *from = dsm_fs_join(src, "generation_config.json");
    char *to = dsm_fs_join(dst, "generation_config.json");
    dsm_status status = from && to ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", src);
    if (status == DSM_OK && dsm_fs_exists(from)) status = dsm_fs_copy(to, from, err);
    free(from);
    free(to);
    return status;
}

/* Files that are not made from the weights or the config of src. */
static dsm_status write_companions(const char *dst, const char *src, const dsm_model_config *c,
                                   dsm_err *err)
{
    int32_t ends[MAX_ENDS];
    int n;
    if (dsm_tokenizer_exists(src)) DSM_TRY(write_tokenizer(dst, src, err));
    if (!dsm_checkpoint_is_gguf(src)) DSM_TRY(copy_generation(dst, src, err));
    DSM_TRY(dsm_checkpoint_eos(ends, MAX_ENDS, &n, src, c, err));
    return dsm_checkpoint_write_generation(dst, c, ends, n, err);
}

static dsm_status fill_converted(const char *dir, void *arg, dsm_err *err)
{
    const converter *k = arg;
    DSM_TRY(write_companions(dir, k->src, &k->m->config, err));
    return dsm_checkpoint_save(k->m, dir, k->o->shard_bytes, &k->save, err);
}

static dsm_status convert_to_gguf(const converter *k, dsm_err *err)
{
    dsm_gguf_meta meta = {0};
    const char *tokenizer = dsm_tokenizer_exists(k->src) ? k->src : NULL;
    DSM_TRY(check_new(k->dst, err));
    dsm_status status = put_metadata(&meta, &k->m->config, k->save.dtype, tokenizer, k->src, err);
    if (status == DSM_OK) status = dsm_gguf_save(k->m, k->dst, &meta, &k->save, err);
    dsm_gguf_meta_free(&meta);
    return status;
}

/* Without a wish: the type of the embedding, or for a folder what comes closest. */
static dsm_status choose_dtype(converter *k, dsm_err *err)
{
    bool folder = !is_gguf_name(k->dst);
    k->save.keep = !k->o->dtype;
    k->save.dtype = dsm_model_find(k->m, "model.embed_tokens.weight")->mat.dtype;
    if (k->o->dtype) DSM_TRY(dsm_dtype_parse(&k->save.dtype, k->o->dtype, err));
    if (folder && k->save.keep && dsm_dtype_block(k->save.dtype) != 1) k->save.dtype = DSM_BF16;
    return folder ? folder_dtype(k->dst, k->save.dtype, err) : DSM_OK;
}

static dsm_status convert_any(converter *k, dsm_err *err)
{
    workers w;
    DSM_TRY(choose_dtype(k, err));
    DSM_TRY(start_workers(&w, k->o->n_threads, k->o->cpu_flags, err));
    k->save.exec = &w.exec;
    dsm_status status = is_gguf_name(k->dst) ? convert_to_gguf(k, err)
                                             : make_folder(k->dst, fill_converted, k, err);
    dsm_exec_free(&w.exec);
    free(k->room.values);
    return status;
}

dsm_status dsm_model_convert(const char *src, const char *dst, const dsm_convert_options *o,
                             dsm_err *err)
{
    dsm_model *m;
    char *from;
    DSM_TRY(dsm_checkpoint_open(&m, src, DSM_MODEL_LATER, &from, err));
    converter k = {.o = o, .m = m, .src = from, .dst = dst};
    k.save = (dsm_save_options){.values = source_values,
                                .values_arg = &k,
                                .progress = o->progress,
                                .progress_arg = o->progress_arg};
    dsm_status status = convert_any(&k, err);
    dsm_model_free(m);
    free(from);
    return status;
}
