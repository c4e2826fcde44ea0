/* SPDX-License-Identifier: MIT */
/* What a model folder means here, in numbers that tools/check_hf.py compares with others:
 *
 *     parity_probe MODEL ASK.json OUT.safetensors
 *
 * ASK.json is {"prompts": [[id, …], …], "new_tokens": n, "gradients": true}. Written per prompt i:
 *   logits.i   (T, V)  at every position, from one forward in training form
 *   greedy.i   (n)     ids that continue the prompt one by one, fed through the cache
 *   decoded.i  (n, V)  the logits those were the largest of
 * and, of the mean loss over all next tokens of the first prompt, loss (1) and grad.NAME. */
#include "core/json.h"
#include "formats/checkpoint.h"
#include "formats/safetensors.h"
#include "model/net.h"
#include "train/optimizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2, ASK_MAX = 1 << 20, CHUNK = 48 };

typedef struct probe {
    dsm_kernels kernels;
    dsm_exec exec;
    int64_t n_prompts, new_tokens;
    bool gradients;
    dsm_st_item *items; /* names and data are owned */
    int64_t n_items, capacity;
} probe;

static void *take(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory) {
        fprintf(stderr, "parity_probe: out of memory\n");
        exit(1);
    }
    return memory;
}

/* Room for one more result: (rows, cols), or (cols) with rows = 0. */
static void *add(probe *p, const char *name, dsm_dtype dtype, int64_t rows, int64_t cols)
{
    if (p->n_items == p->capacity) {
        dsm_st_item *more = take((size_t)(2 * p->capacity + 16), sizeof *more);
        if (p->items) memcpy(more, p->items, (size_t)p->n_items * sizeof *more);
        free(p->items);
        p->items = more;
        p->capacity = 2 * p->capacity + 16;
    }
    void *data = take((size_t)((rows ? rows : 1) * cols), 4);
    dsm_st_item item = {.ndim = rows ? 2 : 1, .from = dtype, .to = dtype, .data = data};
    item.name = strdup(name);
    item.shape[0] = rows ? rows : cols;
    item.shape[1] = cols;
    p->items[p->n_items++] = item;
    return data;
}

static void *add_of(probe *p, const char *kind, int64_t prompt, dsm_dtype dtype, int64_t rows,
                    int64_t cols)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", kind, (int)prompt);
    return add(p, name, dtype, rows, cols);
}

/* --- training form ---------------------------------------------------------------------------- */

static void store_logits(probe *p, int64_t prompt, const dsm_model *m, const dsm_net *net,
                         int64_t T)
{
    int64_t V = m->head.w.rows, D = m->head.w.cols;
    const float *x = dsm_net_hidden(net), *w = m->head.w.data;
    float *out = add_of(p, "logits", prompt, DSM_F32, T, V);
    for (int64_t i = 0; i < T * V; i++) {
        double sum = 0;
        for (int64_t d = 0; d < D; d++)
            sum += (double)x[i / V * D + d] * (double)w[i % V * D + d];
        out[i] = (float)sum;
    }
}

static void store_gradients(probe *p, const dsm_model *m, const dsm_losses *loss)
{
    *(float *)add(p, "loss", DSM_F32, 0, 1) = (float)(loss->lm / (double)loss->targets);
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *row = &m->params[i];
        char name[256];
        if (row->offset < 0) continue;
        snprintf(name, sizeof name, "grad.%s", row->name);
        void *out = add(p, name, DSM_F32, row->ndim == 1 ? 0 : row->rows, row->cols);
        memcpy(out, m->grads + row->offset, sizeof(float) * (size_t)(row->rows * row->cols));
    }
}

static dsm_status step(probe *p, int64_t prompt, dsm_model *m, const int32_t *ids, int64_t T,
                       dsm_err *err)
{
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = T, .training = true};
    const dsm_route_mode mode = {.training = true};
    dsm_losses loss = {0};
    dsm_net *net;
    DSM_TRY(dsm_net_open(&net, m, &p->exec, &shape, err));
    int32_t *targets = take((size_t)T, sizeof *targets);
    memcpy(targets, ids + 1, (size_t)(T - 1) * sizeof *targets);
    targets[T - 1] = -1;
    dsm_gradients_clear(&p->exec, m);
    dsm_status status = dsm_net_step(net, ids, targets, 1, &mode, 1.0, &loss, NULL, NULL, err);
    if (status == DSM_OK) store_logits(p, prompt, m, net, T);
    if (status == DSM_OK && prompt == 0 && p->gradients) store_gradients(p, m, &loss);
    free(targets);
    dsm_net_close(net);
    return status;
}

/* --- one token after another ------------------------------------------------------------------ */

static int32_t largest(const float *v, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (v[i] > v[best]) best = i;
    return (int32_t)best;
}

static dsm_status feed(dsm_net *net, dsm_cache *cache, const int32_t *ids, int64_t n, float *logits,
                       dsm_err *err)
{
    for (int64_t i = 0; i < n; i += CHUNK) {
        int64_t m = n - i < CHUNK ? n - i : CHUNK;
        DSM_TRY(dsm_net_feed(net, cache, ids + i, m, logits, 1, err));
    }
    return DSM_OK;
}

static dsm_status continue_prompt(probe *p, int64_t prompt, const dsm_model *m, dsm_net *net,
                                  dsm_cache *cache, const int32_t *ids, int64_t T, dsm_err *err)
{
    int64_t V = m->config.vocab_size;
    int32_t *greedy = add_of(p, "greedy", prompt, DSM_I32, 0, p->new_tokens);
    float *decoded = add_of(p, "decoded", prompt, DSM_F32, p->new_tokens, V);
    dsm_cache_truncate(cache, 0);
    dsm_net_expect(net, T);
    DSM_TRY(feed(net, cache, ids, T, decoded, err));
    for (int64_t i = 0; i < p->new_tokens; i++) {
        greedy[i] = largest(decoded + i * V, V);
        if (i + 1 < p->new_tokens)
            DSM_TRY(feed(net, cache, greedy + i, 1, decoded + (i + 1) * V, err));
    }
    return DSM_OK;
}

/* --- all prompts ------------------------------------------------------------------------------ */

static int32_t *ids_of(const json_t *prompt, int64_t *T)
{
    *T = (int64_t)json_array_size(prompt);
    int32_t *ids = take((size_t)*T, sizeof *ids);
    for (int64_t t = 0; t < *T; t++)
        ids[t] = (int32_t)json_integer_value(json_array_get(prompt, (size_t)t));
    return ids;
}

static dsm_status train_all(probe *p, const char *model, const json_t *prompts, dsm_err *err)
{
    dsm_model *m;
    dsm_status status =
        dsm_checkpoint_open(&m, model, DSM_MODEL_VALUES | DSM_MODEL_GRADS, NULL, err);
    for (int64_t i = 0; i < p->n_prompts && status == DSM_OK; i++) {
        int64_t T;
        int32_t *ids = ids_of(json_array_get(prompts, (size_t)i), &T);
        status = step(p, i, m, ids, T, err);
        free(ids);
    }
    dsm_model_free(m);
    return status;
}

static dsm_status decode_with(probe *p, dsm_model *m, dsm_net *net, dsm_cache *cache,
                              const json_t *prompts, dsm_err *err)
{
    dsm_status status = DSM_OK;
    for (int64_t i = 0; i < p->n_prompts && status == DSM_OK; i++) {
        int64_t T;
        int32_t *ids = ids_of(json_array_get(prompts, (size_t)i), &T);
        status = continue_prompt(p, i, m, net, cache, ids, T, err);
        free(ids);
    }
    return status;
}

/* Weights stay in the file here, as when a model is used. */
static dsm_status decode_all(probe *p, const char *model, const json_t *prompts, dsm_err *err)
{
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = CHUNK};
    dsm_model *m;
    dsm_net *net = NULL;
    dsm_cache *cache = NULL;
    DSM_TRY(dsm_checkpoint_open(&m, model, 0, NULL, err));
    dsm_status status = dsm_net_open(&net, m, &p->exec, &shape, err);
    if (status == DSM_OK)
        status = dsm_cache_open(&cache, m, dsm_model_config_context(&m->config), DSM_F32, err);
    if (status == DSM_OK) status = decode_with(p, m, net, cache, prompts, err);
    dsm_cache_close(cache);
    dsm_net_close(net);
    dsm_model_free(m);
    return status;
}

static dsm_status answer(probe *p, const char *model, const char *ask_path, const char *out,
                         dsm_err *err)
{
    json_t *ask;
    DSM_TRY(dsm_json_read(&ask, ask_path, ASK_MAX, err));
    const json_t *prompts = json_object_get(ask, "prompts");
    p->n_prompts = (int64_t)json_array_size(prompts);
    p->new_tokens = json_integer_value(json_object_get(ask, "new_tokens"));
    p->gradients = json_is_true(json_object_get(ask, "gradients"));
    dsm_status status = train_all(p, model, prompts, err);
    if (status == DSM_OK) status = decode_all(p, model, prompts, err);
    if (status == DSM_OK) status = dsm_st_write(out, p->items, p->n_items, NULL, err);
    json_decref(ask);
    return status;
}

static void free_items(probe *p)
{
    for (int64_t i = 0; i < p->n_items; i++) {
        free((void *)(uintptr_t)p->items[i].name);
        free((void *)(uintptr_t)p->items[i].data);
    }
    free(p->items);
}

int main(int argc, char **argv)
{
    probe p = {0};
    dsm_err err = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: parity_probe MODEL ASK.json OUT.safetensors\n");
        return 2;
    }
    dsm_kernels_init(&p.kernels, dsm_cpu_flags());
    dsm_status status = dsm_exec_init(&p.exec, &p.kernels, THREADS, &err);
    if (status == DSM_OK) status = answer(&p, argv[1], argv[2], argv[3], &err);
    if (status != DSM_OK) fprintf(stderr, "parity_probe: %s\n", err.msg);
    dsm_exec_free(&p.exec);
    free_items(&p);
    return status == DSM_OK ? 0 : 1;
}
