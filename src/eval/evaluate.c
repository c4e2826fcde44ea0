/* SPDX-License-Identifier: MIT */
/* `eval` without tasks: a model scored on prepared data or on text files. */
#include "dsmoe/eval.h"

#include "core/clock.h"
#include "core/fs.h"
#include "eval/perplexity.h"
#include "eval/token_scores.h"
#include "eval/windows.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 30 }; /* bytes of a file */

/* One evaluation at work. */
typedef struct evaluation {
    const dsm_eval_options *o;
    dsm_loaded loaded;
    dsm_net *net;
    int64_t seq_len, micro;
    dsm_perplexity sum;
} evaluation;

static dsm_status open_model(evaluation *v, const char *model, dsm_err *err)
{
    DSM_TRY(dsm_loaded_open(&v->loaded, model, v->o->n_threads, v->o->cpu_flags, err));
    return dsm_window_length(&v->seq_len, &v->loaded, model, v->o->seq_len, err);
}

/* The network, once the window is settled: as many of at most n_windows together as make a batch.
 */
static dsm_status open_net(evaluation *v, int64_t n_windows, dsm_err *err)
{
    v->micro = dsm_window_batch(&v->loaded.model->config, v->seq_len, n_windows);
    const dsm_net_options shape = {.max_sequences = v->micro, .seq_len = v->seq_len};
    return dsm_net_open(&v->net, v->loaded.model, &v->loaded.exec, &shape, err);
}

static void close_all(evaluation *v)
{
    dsm_net_close(v->net);
    dsm_loaded_close(&v->loaded);
}

static void report(const evaluation *v, dsm_eval_result *r)
{
    r->loss = dsm_perplexity_loss(&v->sum);
    r->perplexity = dsm_perplexity_value(&v->sum);
    r->bits_per_byte = dsm_perplexity_bits_per_byte(&v->sum);
    r->tokens = v->sum.tokens;
    r->bytes = v->sum.bytes;
    r->seq_len = v->seq_len;
}

/* --- load of experts -------------------------------------------------------------------------- */

/* Counters of every layer, in one allocation; freed by the caller. */
static dsm_load *make_loads(const dsm_model *m)
{
    int64_t L = m->config.num_hidden_layers, E = m->config.n_routed_experts;
    size_t table = (size_t)L * sizeof(dsm_load);
    dsm_load *loads = calloc(1, table + (size_t)(L * E) * sizeof(int64_t));
    if (!loads) return NULL;
    int64_t *counts = (int64_t *)(void *)((char *)loads + table);
    for (int64_t l = 0; l < L; l++)
        if (m->layers[l].is_moe) loads[l] = (dsm_load){.E = E, .count = counts + l * E};
    return loads;
}

static dsm_status report_load(dsm_eval_load *out, int64_t layer, const dsm_load *l, dsm_err *err)
{
    *out = (dsm_eval_load){
        .layer = layer,
        .n_experts = l->E,
        .count = malloc((size_t)l->E * sizeof *out->count),
        .picks = l->picks,
        .dead = dsm_load_dead(l),
        .max_vio = dsm_load_max_vio(l),
        .entropy = l->tokens ? l->entropy / (double)l->tokens : 0,
    };
    if (!out->count) return dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    memcpy(out->count, l->count, (size_t)l->E * sizeof *out->count);
    return DSM_OK;
}

static dsm_status report_loads(dsm_eval_result *r, const dsm_model *m, const dsm_load *loads,
                               dsm_err *err)
{
    int64_t L = m->config.num_hidden_layers;
    r->loads = calloc((size_t)L, sizeof *r->loads);
    if (!r->loads) return dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    for (int64_t l = 0; l < L; l++) {
        if (loads[l].E == 0) continue;
        dsm_eval_load *out = &r->loads[r->n_loads++];
        DSM_TRY(report_load(out, l, &loads[l], err));
        r->max_vio += out->max_vio;
        r->entropy += out->entropy;
        r->dead += out->dead;
    }
    if (r->n_loads == 0) return DSM_OK;
    r->max_vio /= (double)r->n_loads;
    r->entropy /= (double)r->n_loads;
    return DSM_OK;
}

void dsm_eval_result_free(dsm_eval_result *r)
{
    for (int64_t i = 0; i < r->n_loads; i++)
        free(r->loads[i].count);
    free(r->loads);
    memset(r, 0, sizeof *r);
}

/* --- prepared data ---------------------------------------------------------------------------- */

static dsm_status check_data(evaluation *v, const char *dir, dsm_err *err)
{
    dsm_data_info info;
    DSM_TRY(dsm_window_check_data(&info, &v->loaded, dir, err));
    bool whole = v->o->seq_len == 0 && info.tokens > 1 && info.tokens <= (uint64_t)v->seq_len;
    if (whole) v->seq_len = (int64_t)info.tokens - 1; /* less than a window: all of it is one */
    return DSM_OK;
}

static dsm_status score_data(evaluation *v, dsm_loader *loader, dsm_load *loads, dsm_err *err)
{
    int64_t n = (int64_t)dsm_loader_epoch_sequences(loader);
    if (v->o->sequences > 0 && v->o->sequences < n) n = v->o->sequences;
    DSM_TRY(open_net(v, n, err));
    const dsm_perplexity_data d = {.loader = loader,
                                   .seq_len = v->seq_len,
                                   .micro = v->micro,
                                   .n_sequences = n,
                                   .progress = v->o->progress,
                                   .progress_arg = v->o->progress_arg};
    return dsm_perplexity_run(&v->sum, v->net, &d, loads, err);
}

static dsm_status run_data(evaluation *v, dsm_eval_result *r, const char *dir, dsm_err *err)
{
    DSM_TRY(check_data(v, dir, err));
    dsm_loader *loader;
    const dsm_source source = {dir, 1.0};
    DSM_TRY(dsm_loader_open(&loader, &source, 1, v->seq_len, 0, false, err));
    dsm_load *loads = make_loads(v->loaded.model);
    dsm_status status = loads ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    double start = dsm_clock();
    if (status == DSM_OK) status = score_data(v, loader, loads, err);
    r->seconds = dsm_clock() - start;
    if (status == DSM_OK) status = report_loads(r, v->loaded.model, loads, err);
    free(loads);
    dsm_loader_close(loader);
    return status;
}

dsm_status dsm_eval_data(dsm_eval_result *r, const char *model, const char *data_dir,
                         const dsm_eval_options *o, dsm_err *err)
{
    memset(r, 0, sizeof *r);
    evaluation v = {.o = o};
    dsm_status status = open_model(&v, model, err);
    if (status == DSM_OK) status = run_data(&v, r, data_dir, err);
    report(&v, r);
    close_all(&v);
    if (status != DSM_OK) dsm_eval_result_free(r);
    return status;
}

/* --- text files ------------------------------------------------------------------------------- */

/* A file as token ids, the one it begins after in front: ids[0 … n], of which n are predicted. */
typedef struct document {
    dsm_ids ids;
    uint64_t bytes;
} document;

static dsm_status read_document(document *d, const dsm_loaded *l, const char *path, dsm_err *err)
{
    const dsm_tokenizer *t = l->tokenizer;
    int32_t first;
    DSM_TRY(dsm_window_first_token(&first, l, err));
    dsm_buf text = {0};
    DSM_TRY(dsm_fs_read(&text, path, TEXT_MAX, err));
    d->bytes = text.len;
    dsm_status status = DSM_OK;
    if (text.len == 0) status = dsm_fail(err, DSM_EFORMAT, "%s: the file is empty", path);
    if (status == DSM_OK) status = dsm_ids_push(&d->ids, first, err);
    if (status == DSM_OK)
        status = dsm_tokenizer_encode(t, text.data, text.len, DSM_ENCODE_PLAIN, &d->ids, err);
    dsm_buf_free(&text);
    return status;
}

static int64_t n_predicted(const document *d)
{
    return (int64_t)d->ids.len - 1;
}

static int64_t n_windows(const document *d, int64_t seq_len, int64_t stride)
{
    int64_t n = n_predicted(d);
    return n <= seq_len ? 1 : 1 + (n - seq_len + stride - 1) / stride;
}

/* Window w: what it sees, and as targets what no window before it predicted. */
static void fill_window(const document *d, int64_t w, int64_t seq_len, int64_t stride,
                        int32_t *tokens, int32_t *targets)
{
    int64_t begin = w * stride, n = n_predicted(d);
    int64_t scored = w == 0 ? 0 : begin - stride + seq_len;
    for (int64_t i = 0; i < seq_len; i++) {
        int64_t at = begin + i;
        tokens[i] = d->ids.data[at < n ? at : 0];
        targets[i] = at < n && at >= scored ? d->ids.data[at + 1] : -1;
    }
}

static dsm_status score_document(evaluation *v, const document *d, int64_t stride, int32_t *work,
                                 dsm_err *err)
{
    int64_t T = v->seq_len, n = n_windows(d, T, stride);
    int32_t *targets = work + v->micro * T;
    for (int64_t w = 0; w < n; w += v->micro) {
        int64_t m = n - w < v->micro ? n - w : v->micro;
        for (int64_t i = 0; i < m; i++)
            fill_window(d, w + i, T, stride, work + i * T, targets + i * T);
        DSM_TRY(dsm_perplexity_add(&v->sum, v->net, work, targets, m, 0, NULL, err));
        if (v->o->progress) v->o->progress(v->o->progress_arg, (double)(w + m), (double)n);
    }
    v->sum.bytes += d->bytes;
    return DSM_OK;
}

/* --- token by token --------------------------------------------------------------------------- */

static void tell_window(evaluation *v, int file, int64_t begin, const int32_t *targets,
                        const dsm_token_score *scores, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (targets[i] < 0) continue;
        dsm_eval_token t = {.file = file,
                            .position = begin + i,
                            .id = targets[i],
                            .logprob = scores[i].logprob,
                            .rank = scores[i].rank};
        t.bytes = dsm_tokenizer_bytes(v->loaded.tokenizer, t.id, &t.n);
        v->o->token(v->o->token_arg, &t);
        v->sum.nll -= t.logprob;
        v->sum.tokens++;
    }
}

/* work: tokens and targets (2, T); scores (T). */
static dsm_status tell_document(evaluation *v, dsm_token_scorer *s, const document *d, int file,
                                int64_t stride, int32_t *work, dsm_token_score *scores,
                                dsm_err *err)
{
    int64_t T = v->seq_len, n = n_windows(d, T, stride);
    for (int64_t w = 0; w < n; w++) {
        int64_t begin = w * stride, left = n_predicted(d) - begin, m = left < T ? left : T;
        fill_window(d, w, T, stride, work, work + T);
        DSM_TRY(dsm_token_scorer_run(s, work, work + T, m, scores, err));
        tell_window(v, file, begin, work + T, scores, m);
    }
    v->sum.bytes += d->bytes;
    return DSM_OK;
}

static dsm_status tell_documents(evaluation *v, const document *d, int n, int64_t stride,
                                 dsm_err *err)
{
    size_t T = (size_t)v->seq_len;
    dsm_token_scorer scorer = {0};
    int32_t *work = malloc(2 * T * sizeof *work);
    dsm_token_score *scores = malloc(T * sizeof *scores);
    dsm_status status =
        work && scores ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    if (status == DSM_OK)
        status = dsm_token_scorer_open(&scorer, v->loaded.model, &v->loaded.exec, v->seq_len, err);
    for (int i = 0; i < n && status == DSM_OK; i++)
        status = tell_document(v, &scorer, &d[i], i, stride, work, scores, err);
    dsm_token_scorer_close(&scorer);
    free(work);
    free(scores);
    return status;
}

/* The window is no longer than the longest document needs. */
static int64_t longest(const document *d, int n, int64_t seq_len)
{
    int64_t most = 1;
    for (int i = 0; i < n; i++)
        if (n_predicted(&d[i]) > most) most = n_predicted(&d[i]);
    return most < seq_len ? most : seq_len;
}

static dsm_status score_documents(evaluation *v, const document *d, int n, dsm_err *err)
{
    int64_t stride = v->o->stride > 0 ? v->o->stride : v->seq_len, windows = 0;
    if (stride > v->seq_len)
        return dsm_fail(err, DSM_ERANGE, "stride: found %lld, expected at most the window, %lld",
                        (long long)stride, (long long)v->seq_len);
    v->seq_len = longest(d, n, v->seq_len);
    if (stride > v->seq_len) stride = v->seq_len;
    if (v->o->token) return tell_documents(v, d, n, stride, err);
    for (int i = 0; i < n; i++)
        windows += n_windows(&d[i], v->seq_len, stride);
    DSM_TRY(open_net(v, windows, err));
    int32_t *work = malloc(2 * sizeof *work * (size_t)(v->micro * v->seq_len));
    if (!work) return dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    dsm_status status = DSM_OK;
    for (int i = 0; i < n && status == DSM_OK; i++)
        status = score_document(v, &d[i], stride, work, err);
    free(work);
    return status;
}

static dsm_status run_text(evaluation *v, dsm_eval_result *r, const char *const *files, int n,
                           dsm_err *err)
{
    DSM_TRY(dsm_loaded_need_tokenizer(&v->loaded, err));
    document *d = calloc((size_t)n, sizeof *d);
    if (!d) return dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    dsm_status status = DSM_OK;
    for (int i = 0; i < n && status == DSM_OK; i++)
        status = read_document(&d[i], &v->loaded, files[i], err);
    double start = dsm_clock();
    if (status == DSM_OK) status = score_documents(v, d, n, err);
    r->seconds = dsm_clock() - start;
    for (int i = 0; i < n; i++)
        dsm_ids_free(&d[i].ids);
    free(d);
    return status;
}

dsm_status dsm_eval_text(dsm_eval_result *r, const char *model, const char *const *files,
                         int n_files, const dsm_eval_options *o, dsm_err *err)
{
    memset(r, 0, sizeof *r);
    evaluation v = {.o = o};
    dsm_status status = open_model(&v, model, err);
    if (status == DSM_OK) status = run_text(&v, r, files, n_files, err);
    report(&v, r);
    close_all(&v);
    if (status != DSM_OK) dsm_eval_result_free(r);
    return status;
}
