/* SPDX-License-Identifier: MIT */
/* Sequences out of data sets, in an order that is a function of (seed, counts dealt so far) alone.
 *
 * Sequence s of a source covers its tokens s·T … s·T + T: T inputs, and the same shifted by one as
 * targets; what is left at the end of the source is not dealt. The k-th sequence dealt from a
 * source is entry k mod n of the permutation that names epoch k / n. The next source is always the
 * one furthest behind its share, so none is ever a whole sequence ahead of it, and the state is
 * nothing but counts. */
#include "dsmoe/data.h"

#include "core/rng.h"
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct source {
    dsm_dataset data;
    double share;               /* weight over the sum of weights */
    uint64_t n_sequences;       /* in one epoch */
    double text_per_token_byte; /* 1 for byte-level BPE; normalisers change text */
} source;

struct dsm_loader {
    int n_sources;
    int64_t seq_len;
    uint64_t seed;
    bool shuffle;
    dsm_loader_state state;
    source sources[DSM_MAX_SOURCES];
};

static dsm_status check_weights(const dsm_source *sources, int n, dsm_err *err)
{
    if (n < 1 || n > DSM_MAX_SOURCES)
        return dsm_fail(err, DSM_EUSAGE, "data: found %d sources, expected 1 to %d", n,
                        DSM_MAX_SOURCES);
    for (int i = 0; i < n; i++)
        if (!(sources[i].weight > 0) || isinf(sources[i].weight))
            return dsm_fail(err, DSM_EUSAGE, "%s: weight: found %g, expected a positive number",
                            sources[i].dir, sources[i].weight);
    return DSM_OK;
}

static dsm_status open_source(source *s, const char *dir, int64_t seq_len, dsm_err *err)
{
    DSM_TRY(dsm_dataset_open(&s->data, dir, err));
    uint64_t tokens = s->data.info.tokens, need = (uint64_t)seq_len + 1;
    if (tokens < need)
        return dsm_fail(
            err, DSM_ESHAPE,
            "%s: has %llu tokens, one sequence of %lld needs %llu; lower seq_len or add data", dir,
            (unsigned long long)tokens, (long long)seq_len, (unsigned long long)need);
    s->n_sequences = (tokens - 1) / (uint64_t)seq_len;
    s->text_per_token_byte =
        s->data.token_bytes ? (double)s->data.info.bytes / (double)s->data.token_bytes : 0;
    return DSM_OK;
}

static dsm_status check_same_tokenizer(const dsm_dataset *a, const dsm_dataset *b, dsm_err *err)
{
    if (a->info.vocab_size != b->info.vocab_size)
        return dsm_fail(err, DSM_ESHAPE, "%s: vocabulary of %d tokens, %s has %d", b->dir,
                        b->info.vocab_size, a->dir, a->info.vocab_size);
    if (a->info.tokenizer_fingerprint != b->info.tokenizer_fingerprint)
        return dsm_fail(err, DSM_ESHAPE, "%s: made by another tokenizer than %s", b->dir, a->dir);
    return DSM_OK;
}

static dsm_status open_sources(dsm_loader *l, const dsm_source *sources, int n, dsm_err *err)
{
    double sum = 0;
    DSM_TRY(check_weights(sources, n, err));
    for (int i = 0; i < n; i++) {
        l->n_sources = i + 1;
        DSM_TRY(open_source(&l->sources[i], sources[i].dir, l->seq_len, err));
        DSM_TRY(check_same_tokenizer(&l->sources[0].data, &l->sources[i].data, err));
        sum += sources[i].weight;
    }
    for (int i = 0; i < n; i++)
        l->sources[i].share = sources[i].weight / sum;
    return DSM_OK;
}

dsm_status dsm_loader_open(dsm_loader **out, const dsm_source *sources, int n_sources,
                           int64_t seq_len, uint64_t seed, bool shuffle, dsm_err *err)
{
    *out = NULL;
    if (seq_len < 1)
        return dsm_fail(err, DSM_EUSAGE, "seq_len: found %lld, expected at least 1",
                        (long long)seq_len);
    dsm_loader *l = calloc(1, sizeof *l);
    if (!l) return dsm_fail(err, DSM_ENOMEM, "loader: out of memory");
    l->seq_len = seq_len;
    l->seed = seed;
    l->shuffle = shuffle;
    dsm_status status = open_sources(l, sources, n_sources, err);
    if (status != DSM_OK) {
        dsm_loader_close(l);
        return status;
    }
    *out = l;
    return DSM_OK;
}

void dsm_loader_close(dsm_loader *l)
{
    if (!l) return;
    for (int i = 0; i < l->n_sources; i++)
        dsm_dataset_close(&l->sources[i].data);
    free(l);
}

/* The source furthest behind its share; ties to the first. */
static int next_source(const dsm_loader *l)
{
    int best = 0;
    double behind = -HUGE_VAL;
    for (int i = 0; i < l->n_sources; i++) {
        double due = l->sources[i].share * (double)(l->state.sequences + 1);
        double d = due - (double)l->state.per_source[i];
        if (d > behind) {
            behind = d;
            best = i;
        }
    }
    return best;
}

/* Which sequence of source i comes as its k-th. */
static uint64_t nth_sequence(const dsm_loader *l, int i, uint64_t k)
{
    uint64_t n = l->sources[i].n_sequences;
    if (!l->shuffle) return k % n;
    dsm_rng r = {l->seed + 0x9E3779B97F4A7C15u * (uint64_t)i, DSM_STREAM_SHUFFLE,
                 (uint32_t)(k / n)};
    return dsm_rng_permute(&r, k % n, n);
}

static dsm_status deal(dsm_loader *l, int32_t *tokens, int32_t *targets, uint64_t *bytes,
                       dsm_err *err)
{
    int i = next_source(l);
    const source *s = &l->sources[i];
    size_t T = (size_t)l->seq_len;
    uint64_t first = nth_sequence(l, i, l->state.per_source[i]) * T, sum = 0;
    DSM_TRY(dsm_dataset_copy(&s->data, first, T, tokens, err));
    DSM_TRY(dsm_dataset_copy(&s->data, first + 1, T, targets, err));
    for (size_t t = 0; t < T; t++)
        sum += s->data.n_bytes[targets[t]];
    if (s->text_per_token_byte != 1) sum = (uint64_t)llround((double)sum * s->text_per_token_byte);
    *bytes += sum;
    l->state.per_source[i]++;
    l->state.sequences++;
    return DSM_OK;
}

dsm_status dsm_loader_next(dsm_loader *l, int64_t n, int32_t *tokens, int32_t *targets,
                           uint64_t *bytes, dsm_err *err)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < n; i++)
        DSM_TRY(deal(l, tokens + i * l->seq_len, targets + i * l->seq_len, &sum, err));
    if (bytes) *bytes = sum;
    return DSM_OK;
}

uint64_t dsm_loader_epoch_sequences(const dsm_loader *l)
{
    uint64_t n = 0;
    for (int i = 0; i < l->n_sources; i++)
        n += l->sources[i].n_sequences;
    return n;
}

void dsm_loader_get_state(const dsm_loader *l, dsm_loader_state *s)
{
    *s = l->state;
}

dsm_status dsm_loader_set_state(dsm_loader *l, const dsm_loader_state *s, dsm_err *err)
{
    uint64_t sum = 0;
    bool fits = true;
    for (int i = 0; i < DSM_MAX_SOURCES; i++) {
        sum += s->per_source[i];
        fits = fits && (i < l->n_sources || s->per_source[i] == 0);
    }
    if (!fits || sum != s->sequences)
        return dsm_fail(
            err, DSM_ESHAPE,
            "data cursor: %llu sequences dealt, %llu of them from the %d sources given now",
            (unsigned long long)s->sequences, (unsigned long long)sum, l->n_sources);
    l->state = *s;
    return DSM_OK;
}

void dsm_loader_get_info(const dsm_loader *l, dsm_data_info *info)
{
    *info = l->sources[0].data.info;
    for (int i = 1; i < l->n_sources; i++) {
        const dsm_data_info *more = &l->sources[i].data.info;
        info->documents += more->documents;
        info->tokens += more->tokens;
        info->bytes += more->bytes;
        info->n_shards += more->n_shards;
    }
}
