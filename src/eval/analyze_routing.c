/* SPDX-License-Identifier: MIT */
#include "eval/analyze_routing.h"

#include "eval/analyze_lists.h"
#include "model/balance.h"

#include <math.h>
#include <stdlib.h>

/* --- memory ----------------------------------------------------------------------------------- */

static dsm_status no_memory(dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "analysis: out of memory");
}

/* Which layers are looked at, and tables for what their experts see. */
static dsm_status open_layers(dsm_look *k, dsm_err *err)
{
    int64_t L = k->model->config.num_hidden_layers, n = 0;
    k->at = malloc(sizeof *k->at * (size_t)L);
    k->seen = calloc((size_t)k->result->n_layers, sizeof *k->seen);
    if (!k->at || !k->seen) return no_memory(err);
    for (int64_t l = 0; l < L; l++) {
        bool routed = k->model->layers[l].moe.experts.n_groups > 0;
        k->at[l] = routed ? n++ : -1;
    }
    return DSM_OK;
}

static dsm_status open_vocabulary(dsm_vocabulary_seen *v, int64_t V, dsm_err *err)
{
    v->row = malloc(sizeof *v->row * (size_t)V);
    if (!v->row) return no_memory(err);
    memset(v->row, 0xff, sizeof *v->row * (size_t)V);
    return DSM_OK;
}

dsm_status dsm_look_open(dsm_look *k, dsm_analysis *result, const dsm_analyze_options *o,
                         const dsm_model *m, int64_t R, int64_t all, dsm_err *err)
{
    *k = (dsm_look){.result = result, .options = o, .model = m, .all = all};
    k->row = malloc(sizeof *k->row * (size_t)R);
    k->samples = malloc(sizeof *k->samples * (size_t)R);
    if (!k->row || !k->samples) return no_memory(err);
    DSM_TRY(open_layers(k, err));
    DSM_TRY(open_vocabulary(&k->vocabulary, m->config.vocab_size, err));
    return o->experts ? dsm_overlap_open(&k->overlap, &m->config, err) : DSM_OK;
}

void dsm_look_close(dsm_look *k)
{
    for (int i = 0; k->seen && i < k->result->n_layers; i++)
        free(k->seen[i]);
    free(k->seen);
    free(k->at);
    free(k->row);
    free(k->samples);
    free(k->vocabulary.row);
    free(k->vocabulary.id);
    free(k->vocabulary.total);
    dsm_overlap_close(&k->overlap);
    memset(k, 0, sizeof *k);
}

/* Make p hold n items, those beyond `was` as zeros. */
static dsm_status grow(void *p, size_t item, int64_t was, int64_t n, dsm_err *err)
{
    void **place = p;
    char *more = realloc(*place, item * (size_t)n);
    if (!more) return no_memory(err);
    memset(more + item * (size_t)was, 0, item * (size_t)(n - was));
    *place = more;
    return DSM_OK;
}

/* Room for n more tokens in the vocabulary and in every table. */
static dsm_status make_room(dsm_look *k, int64_t n, dsm_err *err)
{
    dsm_vocabulary_seen *v = &k->vocabulary;
    int64_t was = v->cap, cap = was ? was : 1024, V = k->model->config.vocab_size;
    while (cap < v->n + n)
        cap *= 2;
    if (cap > V) cap = V;
    if (cap <= was) return DSM_OK;
    DSM_TRY(grow(&v->id, sizeof *v->id, was, cap, err));
    DSM_TRY(grow(&v->total, sizeof *v->total, was, cap, err));
    size_t line = sizeof **k->seen * (size_t)k->result->n_experts;
    for (int i = 0; k->options->experts && i < k->result->n_layers; i++)
        DSM_TRY(grow(&k->seen[i], line, was, cap, err));
    v->cap = cap;
    return DSM_OK;
}

/* --- a batch ---------------------------------------------------------------------------------- */

static int32_t see_token(dsm_vocabulary_seen *v, int32_t id)
{
    if (v->row[id] < 0) {
        v->row[id] = (int32_t)v->n;
        v->id[v->n++] = id;
    }
    v->total[v->row[id]]++;
    return v->row[id];
}

/* Samples lie evenly among all tokens to come. */
static bool is_sample(const dsm_look *k, int64_t token)
{
    int64_t n = k->result->samples;
    return k->options->experts && (token + 1) * n / k->all > token * n / k->all;
}

dsm_status dsm_look_begin(dsm_look *k, const dsm_look_batch *b, dsm_err *err)
{
    DSM_TRY(make_room(k, b->n_seq * b->T, err));
    k->batch = *b;
    k->n_samples = 0;
    for (int64_t t = 0; t < b->n_seq * b->T; t++) {
        k->row[t] = -1;
        if (b->targets[t] < 0) continue;
        k->row[t] = see_token(&k->vocabulary, b->tokens[t]);
        if (is_sample(k, k->begun++)) k->samples[k->n_samples++] = (int32_t)t;
    }
    return DSM_OK;
}

/* --- a layer of it ---------------------------------------------------------------------------- */

/* The tokens of t's window, as far as they are no padding: those read, and the last one predicted.
 */
static dsm_surroundings around(const dsm_look_batch *b, int64_t t)
{
    dsm_surroundings s = {.tokens = b->tokens + t / b->T * b->T, .at = t % b->T};
    const int32_t *targets = b->targets + t / b->T * b->T;
    s.n = s.at + 1;
    while (s.n < b->T && targets[s.n] >= 0)
        s.n++;
    s.after = targets[s.n - 1];
    return s;
}

/* Token t was sent to expert e with gate g. */
static void see_pick(dsm_look *k, dsm_analyze_layer *layer, int64_t e, double g, int64_t t)
{
    int64_t E = k->result->n_experts;
    dsm_analyze_expert *x = &layer->experts[e];
    x->count++;
    x->gate += g;
    if (g > x->gate_max) x->gate_max = g;
    layer->domain_share[k->batch.domain * E + e]++;
    layer->gate_sum += g;
    if (!k->options->experts) return;
    k->seen[layer - k->result->layers][k->row[t] * E + e]++;
    if (!dsm_examples_want(x, g, k->options->top)) return;
    dsm_surroundings s = around(&k->batch, t);
    dsm_examples_offer(x, g, k->batch.domain, &s, k->options);
}

static void see_pairs(dsm_analyze_layer *layer, const int32_t *pick, int64_t K, int64_t E)
{
    for (int64_t a = 0; a < K; a++)
        for (int64_t b = 0; b < a; b++)
            if (pick[a] >= 0 && pick[b] >= 0) {
                layer->coactivation[pick[a] * E + pick[b]]++;
                layer->coactivation[pick[b] * E + pick[a]]++;
            }
}

static void see_routing(dsm_look *k, dsm_analyze_layer *layer, const dsm_route *r, int64_t t)
{
    const int32_t *pick = r->pick + t * r->K;
    const dsm_real *gate = r->gate + t * r->K;
    layer->routing_entropy += dsm_route_entropy(r, t);
    for (int64_t i = 0; i < r->K; i++) {
        if (pick[i] < 0) continue; /* not taken */
        if (i < k->result->active) layer->gate_by_rank[i] += (double)gate[i];
        see_pick(k, layer, pick[i], (double)gate[i], t);
    }
    if (k->options->experts) see_pairs(layer, pick, r->K, r->E);
}

void dsm_look_layer(void *arg, const struct dsm_ctx *c, const dsm_moe_params *p, const dsm_route *r,
                    const dsm_real *x)
{
    dsm_look *k = arg;
    dsm_analyze_layer *layer = &k->result->layers[k->at[c->layer]];
    for (int64_t t = 0; t < r->T; t++)
        if (k->row[t] >= 0) see_routing(k, layer, r, t);
    if (k->n_samples > 0)
        dsm_overlap_add(&k->overlap, layer->output_similarity, c, &p->experts, x, k->samples,
                        k->n_samples);
}

/* --- from sums to figures --------------------------------------------------------------------- */

static double plogp(double p)
{
    return p > 0 ? p * log(p) : 0;
}

static void finish_load(dsm_analyze_layer *l, int64_t E)
{
    double picks = 0, most = 0;
    for (int64_t e = 0; e < E; e++) {
        picks += (double)l->experts[e].count;
        if ((double)l->experts[e].count > most) most = (double)l->experts[e].count;
    }
    for (int64_t e = 0; e < E; e++) {
        dsm_analyze_expert *x = &l->experts[e];
        x->share = picks > 0 ? (double)x->count / picks : 0;
        x->load = x->share * (double)E;
        if (x->count > 0) x->gate /= (double)x->count;
        l->dead += x->count == 0;
        l->load_entropy -= plogp(x->share);
    }
    if (picks > 0) l->max_vio = most * (double)E / picks - 1;
}

static void finish_gates(dsm_analyze_layer *l, int64_t K, double tokens)
{
    l->routing_entropy /= tokens;
    l->gate_sum /= tokens;
    for (int64_t i = 0; i < K; i++)
        l->gate_by_rank[i] /= tokens;
}

/* Jensen-Shannon divergence of two distributions, bits: 0 for the same, 1 for disjoint ones. */
static double divergence(const double *p, const double *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (plogp(p[i]) + plogp(q[i])) / 2 - plogp((p[i] + q[i]) / 2);
    return sum > 0 ? sum / log(2) : 0;
}

static void finish_domains(dsm_analyze_layer *l, int64_t E, int64_t n)
{
    for (int64_t d = 0; d < n; d++) {
        double sum = 0, *share = l->domain_share + d * E;
        for (int64_t e = 0; e < E; e++)
            sum += share[e];
        for (int64_t e = 0; e < E && sum > 0; e++)
            share[e] /= sum;
    }
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b < n; b++)
            l->domain_distance[a * n + b] =
                divergence(l->domain_share + a * E, l->domain_share + b * E, E);
}

static void finish_coactivation(dsm_analyze_layer *l, int64_t E)
{
    for (int64_t i = 0; i < E; i++)
        for (int64_t j = 0; j < E; j++) {
            double *v = &l->coactivation[i * E + j];
            double n = sqrt((double)l->experts[i].count) * sqrt((double)l->experts[j].count);
            *v = i == j ? 1 : n > 0 ? *v / n : 0;
        }
}

/* Sums of cosines to their mean. */
static void finish_outputs(dsm_analyze_layer *l, int64_t E, int64_t samples)
{
    for (int64_t i = 0; i < E * E; i++)
        l->output_similarity[i] /= (double)(samples > 0 ? samples : 1);
    for (int64_t e = 0; e < E; e++)
        l->output_similarity[e * E + e] = 1;
    l->output_mean = dsm_overlap_mean(l->output_similarity, E);
}

/* How often an expert must have seen a token to be known for it. */
static int64_t least_count(const dsm_analyze_options *o, const dsm_analyze_expert *x)
{
    if (o->min_count > 0) return o->min_count;
    return x->count / 1000 > 5 ? x->count / 1000 : 5;
}

static void finish_tokens(dsm_look *k, dsm_analyze_layer *l)
{
    const dsm_vocabulary_seen *v = &k->vocabulary;
    int64_t E = k->result->n_experts;
    const uint32_t *seen = k->seen[l - k->result->layers];
    for (int64_t e = 0; e < E; e++) {
        dsm_analyze_expert *x = &l->experts[e];
        for (int64_t i = 0; i < v->n; i++) {
            dsm_analyze_token t = {.id = v->id[i], .count = seen[i * E + e], .total = v->total[i]};
            if (t.count >= least_count(k->options, x)) dsm_tokens_offer(x, &t, k->options->top);
        }
        for (int i = 0; i < x->n_tokens; i++)
            x->tokens[i].lift = (double)x->tokens[i].count / (double)x->count * (double)k->begun /
                                (double)x->tokens[i].total;
    }
}

void dsm_look_finish(dsm_look *k)
{
    const dsm_analysis *a = k->result;
    for (int i = 0; i < a->n_layers; i++) {
        dsm_analyze_layer *l = &a->layers[i];
        finish_load(l, a->n_experts);
        finish_gates(l, a->active, (double)k->begun);
        finish_domains(l, a->n_experts, a->n_domains);
        if (!k->options->experts) continue;
        finish_coactivation(l, a->n_experts);
        finish_outputs(l, a->n_experts, a->samples);
        finish_tokens(k, l);
    }
}
