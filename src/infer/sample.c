/* SPDX-License-Identifier: MIT */
/* Samplers. Penalty and temperature are the ones of Hugging Face transformers, so are top-k, top-p
 * (nucleus sampling, Holtzman et al. 2020) and min-p in that order.
 *
 * The truncating steps need the most likely tokens in order, but rarely many of them: candidates
 * form a heap, built in O(V), and only as many are taken off as are kept. */
#include "infer/sample.h"

#include "core/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct candidate {
    float logit;
    int32_t id;
} candidate;

struct dsm_sampler {
    int64_t n;
    candidate *heap; /* (n) of which the first `heaped` are a heap, the rest taken off, best last */
    int64_t heaped;
    unsigned char *seen; /* (n) 1: in the sequence */
};

void dsm_sampling_defaults(dsm_sampling *s)
{
    *s = (dsm_sampling){.repeat_penalty = 1, .temperature = 0.8, .top_p = 0.95};
}

dsm_status dsm_sampling_check(const dsm_sampling *o, dsm_err *err)
{
    if (!(o->temperature >= 0 && o->temperature <= 1000))
        return dsm_fail(err, DSM_ERANGE, "temperature: found %g, expected 0 to 1000",
                        o->temperature);
    if (o->top_k < 0)
        return dsm_fail(err, DSM_ERANGE, "top_k: found %lld, expected 0 or more",
                        (long long)o->top_k);
    if (!(o->top_p >= 0 && o->top_p <= 1))
        return dsm_fail(err, DSM_ERANGE, "top_p: found %g, expected 0 to 1", o->top_p);
    if (!(o->min_p >= 0 && o->min_p <= 1))
        return dsm_fail(err, DSM_ERANGE, "min_p: found %g, expected 0 to 1", o->min_p);
    if (!(o->repeat_penalty > 0 && o->repeat_penalty <= 1000))
        return dsm_fail(err, DSM_ERANGE, "repeat_penalty: found %g, expected above 0, at most 1000",
                        o->repeat_penalty);
    return DSM_OK;
}

dsm_status dsm_sampler_open(dsm_sampler **out, int64_t n, dsm_err *err)
{
    *out = NULL;
    dsm_sampler *s = calloc(1, sizeof *s);
    if (s) {
        s->n = n;
        s->heap = calloc((size_t)n, sizeof *s->heap);
        s->seen = calloc((size_t)n, 1);
    }
    if (!s || !s->heap || !s->seen) {
        dsm_sampler_close(s);
        return dsm_fail(err, DSM_ENOMEM, "sampler: out of memory");
    }
    *out = s;
    return DSM_OK;
}

size_t dsm_sampler_bytes(int64_t n)
{
    return (size_t)n * (sizeof(candidate) + 1);
}

void dsm_sampler_close(dsm_sampler *s)
{
    if (!s) return;
    free(s->heap);
    free(s->seen);
    free(s);
}

void dsm_sampler_forget(dsm_sampler *s)
{
    memset(s->seen, 0, (size_t)s->n);
}

void dsm_sampler_saw(dsm_sampler *s, int32_t id)
{
    if (id >= 0 && id < s->n) s->seen[id] = 1;
}

/* --- candidates, best first ------------------------------------------------------------------- */

static bool better(const candidate *a, const candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sift_down(candidate *heap, int64_t n, int64_t i)
{
    candidate moved = heap[i];
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && better(&heap[child + 1], &heap[child])) child++;
        if (!better(&heap[child], &moved)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static void make_heap(dsm_sampler *s)
{
    s->heaped = s->n;
    for (int64_t i = s->n / 2 - 1; i >= 0; i--)
        sift_down(s->heap, s->n, i);
}

/* The j-th best (0: the best), taken off if it was not yet; j at most the number taken off. */
static const candidate *best(dsm_sampler *s, int64_t j)
{
    int64_t at = s->n - 1 - j;
    if (at < s->heaped) {
        candidate top = s->heap[0];
        s->heap[0] = s->heap[at];
        s->heap[at] = top;
        s->heaped = at;
        sift_down(s->heap, at, 0);
    }
    return &s->heap[at];
}

/* --- drawing ---------------------------------------------------------------------------------- */

/* All candidates in order of id, penalised; DSM_ENONFINITE names the first bad one. */
static dsm_status collect(dsm_sampler *s, const dsm_sampling *o, const float *logits, dsm_err *err)
{
    float p = (float)o->repeat_penalty;
    for (int64_t i = 0; i < s->n; i++) {
        float x = logits[i];
        if (!isfinite(x))
            return dsm_fail(err, DSM_ENONFINITE, "the logit of token %lld is %g", (long long)i,
                            (double)x);
        if (s->seen[i]) x = x > 0 ? x / p : x * p;
        s->heap[i] = (candidate){x, (int32_t)i};
    }
    return DSM_OK;
}

static const candidate *most_likely(const dsm_sampler *s)
{
    const candidate *top = &s->heap[0];
    for (int64_t i = 1; i < s->n; i++)
        if (better(&s->heap[i], top)) top = &s->heap[i];
    return top;
}

/* Probability of c relative to the most likely one's. */
static double weight(const candidate *c, float max, double temperature)
{
    return exp(((double)c->logit - (double)max) / temperature);
}

/* The first of n candidates, `step` apart from `first`, at which the running weight passes x. */
static int32_t walk(const candidate *first, int64_t n, int step, float max, double temperature,
                    double x)
{
    for (int64_t i = 0; i + 1 < n; i++) {
        x -= weight(first + i * step, max, temperature);
        if (x < 0) return first[i * step].id;
    }
    return first[(n - 1) * step].id;
}

static int32_t draw_from_all(dsm_sampler *s, const dsm_sampling *o, double u)
{
    float max = most_likely(s)->logit;
    double total = 0;
    for (int64_t i = 0; i < s->n; i++)
        total += weight(&s->heap[i], max, o->temperature);
    return walk(s->heap, s->n, 1, max, o->temperature, u * total);
}

/* How many of the best stay after top-k, top-p and min-p; their weight in *kept. */
static int64_t truncate_best(dsm_sampler *s, const dsm_sampling *o, float max, double *kept)
{
    int64_t limit = o->top_k > 0 && o->top_k < s->n ? o->top_k : s->n;
    double total = 0; /* of what top-k left */
    if (limit < s->n)
        for (int64_t j = 0; j < limit; j++)
            total += weight(best(s, j), max, o->temperature);
    else
        for (int64_t i = 0; i < s->n; i++)
            total += weight(&s->heap[i], max, o->temperature);
    int64_t m = 0;
    *kept = 0;
    while (m < limit && (m == 0 || *kept < o->top_p * total)) {
        double w = weight(best(s, m), max, o->temperature);
        if (m > 0 && w < o->min_p) break;
        *kept += w;
        m++;
    }
    return m;
}

static int32_t draw_from_best(dsm_sampler *s, const dsm_sampling *o, double u)
{
    make_heap(s);
    float max = s->heap[0].logit;
    double kept;
    int64_t m = truncate_best(s, o, max, &kept);
    return walk(&s->heap[s->n - 1], m, -1, max, o->temperature, u * kept);
}

dsm_status dsm_sampler_draw(dsm_sampler *s, const dsm_sampling *o, const float *logits,
                            uint64_t position, int32_t *id, dsm_err *err)
{
    DSM_TRY(collect(s, o, logits, err));
    dsm_rng rng = {.seed = o->seed, .stream = DSM_STREAM_SAMPLE};
    double u = dsm_rng_uniform53(&rng, position);
    if (o->temperature == 0)
        *id = most_likely(s)->id;
    else if (o->top_k == 0 && o->top_p >= 1 && o->min_p <= 0)
        *id = draw_from_all(s, o, u);
    else
        *id = draw_from_best(s, o, u);
    return DSM_OK;
}
