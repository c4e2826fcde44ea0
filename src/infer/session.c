/* SPDX-License-Identifier: MIT */
#include "infer/engine_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static dsm_status open_parts(dsm_session *s, dsm_err *err)
{
    const dsm_loaded *l = &s->engine->loaded;
    int64_t vocab = l->model->config.vocab_size, entries = dsm_tokenizer_size(l->tokenizer);
    s->logits = malloc((size_t)vocab * sizeof *s->logits);
    s->ids = malloc((size_t)s->context * sizeof *s->ids);
    if (!s->logits || !s->ids) return dsm_fail(err, DSM_ENOMEM, "session: out of memory");
    DSM_TRY(dsm_sampler_open(&s->sampler, entries, err));
    return dsm_cache_open(&s->cache, l->model, s->context, s->engine->cache_type, err);
}

dsm_status dsm_session_open(dsm_session **out, dsm_engine *e, int64_t context, dsm_err *err)
{
    *out = NULL;
    int64_t most = dsm_model_config_context(dsm_engine_config(e));
    if (context < 0 || context > most)
        return dsm_fail(err, DSM_ERANGE, "context: found %lld tokens, the model was made for %lld",
                        (long long)context, (long long)most);
    dsm_session *s = calloc(1, sizeof *s);
    if (!s) return dsm_fail(err, DSM_ENOMEM, "session: out of memory");
    s->engine = e;
    s->context = context > 0 ? context : most;
    dsm_status status = open_parts(s, err);
    if (status != DSM_OK) {
        dsm_session_close(s);
        return status;
    }
    *out = s;
    return DSM_OK;
}

void dsm_session_close(dsm_session *s)
{
    if (!s) return;
    dsm_cache_close(s->cache);
    dsm_sampler_close(s->sampler);
    free(s->logits);
    free(s->ids);
    free(s);
}

int64_t dsm_session_length(const dsm_session *s)
{
    return dsm_cache_length(s->cache);
}

int64_t dsm_session_context(const dsm_session *s)
{
    return s->context;
}

const float *dsm_session_logits(const dsm_session *s)
{
    return s->logits;
}

int64_t dsm_session_routing(const dsm_session *s, int64_t layer, const int32_t **pick,
                            const float **gate)
{
    int64_t K, rows = dsm_net_routing(s->engine->net, layer, pick, gate, &K);
    if (rows == 0) return 0;
    *pick += (rows - 1) * K;
    *gate += (rows - 1) * K;
    return K;
}

void dsm_session_truncate(dsm_session *s, int64_t length)
{
    assert(length >= 0 && length <= dsm_session_length(s));
    dsm_cache_truncate(s->cache, length);
}

void dsm_session_watch(dsm_session *s, bool (*go_on)(void *arg, int64_t fed, int64_t all),
                       void *arg)
{
    s->go_on = go_on;
    s->go_on_arg = arg;
}

/* Through the model chunk by chunk; only the last token's logits are wanted. */
static dsm_status feed_chunks(dsm_session *s, const int32_t *ids, int64_t n, dsm_err *err)
{
    int64_t chunk = s->engine->chunk;
    for (int64_t i = 0; i < n; i += chunk) {
        int64_t m = n - i < chunk ? n - i : chunk;
        bool last = i + m == n;
        if (i > 0 && s->go_on && !s->go_on(s->go_on_arg, i, n))
            return dsm_fail(err, DSM_EINTERRUPTED, "stopped after %lld of %lld tokens",
                            (long long)i, (long long)n);
        DSM_TRY(dsm_net_feed(s->engine->net, s->cache, ids + i, m, last ? s->logits : NULL,
                             last ? 1 : 0, err));
    }
    return DSM_OK;
}

static dsm_status too_long(const dsm_session *s, int64_t length, int64_t n, dsm_err *err)
{
    if (length == 0)
        return dsm_fail(err, DSM_ELIMIT, "prompt: found %lld tokens, the context holds %lld",
                        (long long)n, (long long)s->context);
    return dsm_fail(err, DSM_ELIMIT,
                    "the context holds %lld tokens: found %lld, and %lld more to feed",
                    (long long)s->context, (long long)length, (long long)n);
}

dsm_status dsm_session_feed(dsm_session *s, const int32_t *ids, int64_t n, dsm_err *err)
{
    int64_t length = dsm_session_length(s);
    assert(n >= 1);
    if (n > s->context - length) return too_long(s, length, n, err);
    memcpy(s->ids + length, ids, (size_t)n * sizeof *ids);
    dsm_net_expect(s->engine->net, length + n);
    dsm_status status = feed_chunks(s, ids, n, err);
    if (status != DSM_OK && status != DSM_EINTERRUPTED) dsm_cache_truncate(s->cache, length);
    return status;
}

/* How many of ids the session begins with. */
static int64_t in_common(const dsm_session *s, const int32_t *ids, int64_t n)
{
    int64_t length = dsm_session_length(s), i = 0;
    while (i < n && i < length && s->ids[i] == ids[i])
        i++;
    return i;
}

dsm_status dsm_session_set(dsm_session *s, const int32_t *ids, int64_t n, int64_t *fed,
                           dsm_err *err)
{
    assert(n >= 1);
    if (n > s->context) return too_long(s, 0, n, err);
    int64_t kept = in_common(s, ids, n);
    if (kept == n) kept--; /* its logits are wanted */
    dsm_session_truncate(s, kept);
    if (fed) *fed = n - kept;
    return dsm_session_feed(s, ids + kept, n - kept, err);
}
