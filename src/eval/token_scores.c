/* SPDX-License-Identifier: MIT */
#include "eval/token_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 }; /* rows of logits at a time */

dsm_status dsm_token_scorer_open(dsm_token_scorer *s, dsm_model *m, const dsm_exec *x,
                                 int64_t seq_len, dsm_err *err)
{
    *s = (dsm_token_scorer){.chunk = seq_len < CHUNK ? seq_len : CHUNK,
                            .vocab = m->config.vocab_size};
    const dsm_net_options shape = {.max_sequences = 1, .seq_len = s->chunk};
    s->logits = malloc((size_t)(s->chunk * s->vocab) * sizeof *s->logits);
    if (!s->logits) return dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    DSM_TRY(dsm_net_open(&s->net, m, x, &shape, err));
    return dsm_cache_open(&s->cache, m, seq_len, DSM_F32, err);
}

void dsm_token_scorer_close(dsm_token_scorer *s)
{
    dsm_cache_close(s->cache);
    dsm_net_close(s->net);
    free(s->logits);
    memset(s, 0, sizeof *s);
}

static dsm_token_score score(const float *logits, int64_t V, int32_t target)
{
    double max = (double)logits[0], sum = 0;
    int64_t rank = 1;
    for (int64_t i = 1; i < V; i++)
        if ((double)logits[i] > max) max = (double)logits[i];
    for (int64_t i = 0; i < V; i++) {
        sum += exp((double)logits[i] - max);
        rank += logits[i] > logits[target] || (logits[i] == logits[target] && i < target);
    }
    return (dsm_token_score){(double)logits[target] - max - log(sum), rank};
}

dsm_status dsm_token_scorer_run(dsm_token_scorer *s, const int32_t *tokens, const int32_t *targets,
                                int64_t n, dsm_token_score *scores, dsm_err *err)
{
    dsm_cache_truncate(s->cache, 0);
    for (int64_t i = 0; i < n; i += s->chunk) {
        int64_t m = n - i < s->chunk ? n - i : s->chunk;
        DSM_TRY(dsm_net_feed(s->net, s->cache, tokens + i, m, s->logits, m, err));
        for (int64_t k = 0; k < m; k++)
            if (targets[i + k] >= 0)
                scores[i + k] = score(s->logits + k * s->vocab, s->vocab, targets[i + k]);
    }
    return DSM_OK;
}
