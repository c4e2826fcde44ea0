/* SPDX-License-Identifier: MIT */
/* `analyze`: one pass of the model as it is, during which its routing is watched, and one more for
 * every change of the routing that is asked about. All of them are the network's own forward in
 * another mode (router.h). */
#include "dsmoe/analyze.h"

#include "eval/analyze_routing.h"
#include "eval/analyze_source.h"
#include "eval/perplexity.h"
#include "eval/windows.h"

#include <stdlib.h>
#include <string.h>

const char *const dsm_analyze_kinds[DSM_ANALYZE_N_KINDS] = {
    [DSM_ANALYZE_MASK_TOP] = "mask_top",
    [DSM_ANALYZE_DROP_SHARED] = "drop_shared",
    [DSM_ANALYZE_ACTIVE] = "active",
};

void dsm_analyze_defaults(dsm_analyze_options *o)
{
    *o = (dsm_analyze_options){.top = 10, .context = 8, .samples = 256};
}

/* One analysis at work. */
typedef struct work {
    const dsm_analyze_options *o;
    dsm_analysis *result;
    dsm_loaded loaded;
    dsm_passages passages;
    dsm_net *net;
    dsm_look look;
    int64_t micro;
    int32_t *tokens, *targets; /* (micro, T) of a batch */
    double done, total;        /* windows of all passes */
} work;

/* --- what is asked about ---------------------------------------------------------------------- */

static dsm_route_mode mode_of(const dsm_analyze_point *p, const dsm_model_config *c)
{
    dsm_route_mode m = {.drop_shared = !p->shared && c->n_shared_experts > 0};
    if (p->kind == DSM_ANALYZE_MASK_TOP) m.mask_top = p->x;
    if (p->active != dsm_router_picks(c)) m.active = p->active;
    return m;
}

/* Is it the model as it is? */
static bool changes_nothing(const dsm_analyze_point *p, const dsm_model_config *c)
{
    const dsm_route_mode m = mode_of(p, c);
    return m.active == 0 && !m.drop_shared && p->masked == 0;
}

static dsm_status add_point(dsm_analysis *a, const dsm_model_config *c, dsm_analyze_point p,
                            dsm_err *err)
{
    if (p.active < 1)
        return dsm_fail(err, DSM_ERANGE, "active experts: found %lld, expected 1 to %lld",
                        (long long)p.active, (long long)c->n_routed_experts);
    p.masked = p.kind == DSM_ANALYZE_MASK_TOP
                   ? dsm_route_masked(&(dsm_route_mode){.mask_top = p.x}, c)
                   : 0;
    const dsm_route_mode m = mode_of(&p, c);
    DSM_TRY(dsm_route_mode_check(&m, c, err));
    a->points[a->n_points++] = p;
    return DSM_OK;
}

/* A model is told from its control, x = 0, which is the model as it is. */
static dsm_status add_drop(dsm_analysis *a, const dsm_model_config *c, dsm_err *err)
{
    int64_t K = dsm_router_picks(c);
    for (int x = 0; x < 2; x++) {
        dsm_analyze_point p = {.kind = DSM_ANALYZE_DROP_SHARED,
                               .x = x,
                               .shared = x == 0,
                               .active = K + x * c->n_shared_experts};
        if (c->n_shared_experts == 0)
            return dsm_fail(err, DSM_EUSAGE, "the model has no shared experts to drop");
        DSM_TRY(add_point(a, c, p, err));
    }
    return DSM_OK;
}

static dsm_status add_points(dsm_analysis *a, const dsm_model_config *c,
                             const dsm_analyze_options *o, dsm_err *err)
{
    int64_t K = dsm_router_picks(c);
    bool shared = c->n_shared_experts > 0;
    for (int i = 0; i < o->n_mask_top; i++)
        DSM_TRY(add_point(
            a, c,
            (dsm_analyze_point){
                .kind = DSM_ANALYZE_MASK_TOP, .x = o->mask_top[i], .active = K, .shared = shared},
            err));
    if (o->drop_shared) DSM_TRY(add_drop(a, c, err));
    for (int i = 0; i < o->n_active; i++)
        DSM_TRY(add_point(a, c,
                          (dsm_analyze_point){.kind = DSM_ANALYZE_ACTIVE,
                                              .x = (double)o->active[i],
                                              .active = o->active[i],
                                              .shared = shared},
                          err));
    return DSM_OK;
}

static dsm_status check_options(const dsm_analyze_options *o, dsm_err *err)
{
    if (o->n_mask_top + o->n_active + 2 > DSM_ANALYZE_POINTS)
        return dsm_fail(err, DSM_EUSAGE, "found %d shares and counts, expected at most %d",
                        o->n_mask_top + o->n_active, DSM_ANALYZE_POINTS - 2);
    if (o->context < 0 || o->context > DSM_ANALYZE_CONTEXT)
        return dsm_fail(err, DSM_ERANGE, "context: found %lld tokens, expected 0 to %d",
                        (long long)o->context, DSM_ANALYZE_CONTEXT);
    if (o->top < 0 || o->top > 1000 || o->samples < 0)
        return dsm_fail(err, DSM_ERANGE, "top: found %lld, expected 0 to 1000", (long long)o->top);
    return DSM_OK;
}

static dsm_status check_model(const dsm_model_config *c, const char *model, dsm_err *err)
{
    bool routed = false;
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        routed = routed || (c->n_routed_experts > 0 && dsm_model_config_is_moe(c, l));
    if (routed) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE,
                    "%s: the model is dense, it has no experts to look at; see dsmoe eval", model);
}

/* --- the result's memory ---------------------------------------------------------------------- */

static double *take_doubles(dsm_arena *a, int64_t n)
{
    return dsm_arena_take(a, sizeof(double) * (size_t)n);
}

static void carve_experts(dsm_arena *m, dsm_analyze_expert *x, int64_t E, int64_t top)
{
    dsm_analyze_token *tokens = dsm_arena_take(m, sizeof *tokens * (size_t)(E * top));
    dsm_analyze_example *examples = dsm_arena_take(m, sizeof *examples * (size_t)(E * top));
    for (int64_t e = 0; x && e < E; e++)
        x[e] = (dsm_analyze_expert){.tokens = tokens + e * top, .examples = examples + e * top};
}

static void carve_layer(dsm_analysis *a, dsm_arena *m, dsm_analyze_layer *l,
                        const dsm_analyze_options *o)
{
    int64_t E = a->n_experts, n = a->n_domains;
    dsm_analyze_layer at = {.gate_by_rank = take_doubles(m, a->active),
                            .domain_share = take_doubles(m, n * E),
                            .domain_distance = take_doubles(m, n * n),
                            .experts = dsm_arena_take(m, sizeof *at.experts * (size_t)E)};
    carve_experts(m, at.experts, E, o->experts ? o->top : 0);
    if (o->experts) {
        at.coactivation = take_doubles(m, E * E);
        at.weight_similarity = take_doubles(m, E * E);
        at.output_similarity = take_doubles(m, E * E);
    }
    if (l) *l = at;
}

static void carve(dsm_analysis *a, dsm_arena *m, const dsm_passages *p,
                  const dsm_analyze_options *o)
{
    a->points = dsm_arena_take(m, sizeof *a->points * DSM_ANALYZE_POINTS);
    a->domains = dsm_arena_take(m, sizeof *a->domains * (size_t)a->n_domains);
    a->layers = dsm_arena_take(m, sizeof *a->layers * (size_t)a->n_layers);
    for (int i = 0; i < a->n_layers; i++)
        carve_layer(a, m, a->layers ? &a->layers[i] : NULL, o);
    for (int d = 0; d < a->n_domains; d++) {
        size_t n = strlen(p->domains[d]) + 1;
        char *name = dsm_arena_take(m, n);
        if (name) a->domains[d].name = memcpy(name, p->domains[d], n);
    }
}

static void describe(dsm_analysis *a, const dsm_model *m, const dsm_passages *p)
{
    const dsm_model_config *c = &m->config;
    a->n_experts = c->n_routed_experts;
    a->n_shared = c->n_shared_experts;
    a->active = dsm_router_picks(c);
    a->seq_len = p->seq_len;
    a->n_domains = p->n_domains;
    a->n_layers = 0;
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        a->n_layers += m->layers[l].moe.experts.n_groups > 0;
}

static void number_layers(dsm_analysis *a, const dsm_model *m)
{
    int n = 0;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        if (m->layers[l].moe.experts.n_groups > 0) a->layers[n++].layer = l;
}

static dsm_status make_result(work *w, dsm_err *err)
{
    dsm_analysis *a = w->result;
    dsm_arena measure = {0};
    describe(a, w->loaded.model, &w->passages);
    a->samples = w->o->experts ? w->o->samples : 0;
    if (a->samples > w->passages.tokens) a->samples = w->passages.tokens;
    a->memory = calloc(1, sizeof *a->memory);
    if (!a->memory) return dsm_fail(err, DSM_ENOMEM, "analysis: out of memory");
    carve(a, &measure, &w->passages, w->o);
    DSM_TRY(dsm_arena_init(a->memory, measure.used, "the analysis", err));
    carve(a, a->memory, &w->passages, w->o);
    number_layers(a, w->loaded.model);
    return DSM_OK;
}

void dsm_analysis_free(dsm_analysis *a)
{
    dsm_tokenizer_close(a->tokenizer);
    if (a->memory) dsm_arena_free(a->memory);
    free(a->memory);
    memset(a, 0, sizeof *a);
}

/* --- a pass over the sources ------------------------------------------------------------------ */

static dsm_status run_batch(work *w, const dsm_route_mode *mode, int passage, int64_t first,
                            int64_t n, dsm_perplexity *sum, bool looks, dsm_err *err)
{
    dsm_losses losses = {0};
    uint64_t bytes;
    int domain = w->passages.items[passage].domain;
    DSM_TRY(dsm_passages_read(&w->passages, passage, first, n, w->tokens, w->targets, &bytes, err));
    if (looks) {
        const dsm_look_batch b = {w->tokens, w->targets, n, w->passages.seq_len, domain};
        DSM_TRY(dsm_look_begin(&w->look, &b, err));
    }
    DSM_TRY(dsm_net_step(w->net, w->tokens, w->targets, n, mode, 1.0, &losses, NULL, NULL, err));
    sum[domain].nll += losses.lm;
    sum[domain].tokens += (uint64_t)losses.targets;
    sum[domain].bytes += bytes;
    w->done += (double)n;
    if (w->o->progress) w->o->progress(w->o->progress_arg, w->done, w->total);
    return DSM_OK;
}

/* All windows in a mode; sum (n_domains), zeroed before. */
static dsm_status run_pass(work *w, const dsm_route_mode *mode, dsm_perplexity *sum, bool looks,
                           dsm_err *err)
{
    for (int i = 0; i < w->passages.n; i++) {
        int64_t all = w->passages.items[i].windows;
        for (int64_t at = 0; at < all; at += w->micro) {
            int64_t n = all - at < w->micro ? all - at : w->micro;
            DSM_TRY(run_batch(w, mode, i, at, n, sum, looks, err));
        }
    }
    return DSM_OK;
}

static dsm_perplexity total_of(const dsm_perplexity *sum, int n)
{
    dsm_perplexity all = {0};
    for (int d = 0; d < n; d++) {
        all.nll += sum[d].nll;
        all.tokens += sum[d].tokens;
        all.bytes += sum[d].bytes;
    }
    return all;
}

static void report_model(dsm_analysis *a, const dsm_perplexity *sum)
{
    dsm_perplexity all = total_of(sum, a->n_domains);
    a->tokens = all.tokens;
    a->bytes = all.bytes;
    a->loss = dsm_perplexity_loss(&all);
    a->perplexity = dsm_perplexity_value(&all);
    a->bits_per_byte = dsm_perplexity_bits_per_byte(&all);
    for (int d = 0; d < a->n_domains; d++) {
        dsm_analyze_domain *out = &a->domains[d];
        out->tokens = sum[d].tokens;
        out->bytes = sum[d].bytes;
        out->loss = dsm_perplexity_loss(&sum[d]);
        out->perplexity = dsm_perplexity_value(&sum[d]);
        out->bits_per_byte = dsm_perplexity_bits_per_byte(&sum[d]);
    }
}

/* The model as it is, watched. */
static dsm_status run_model(work *w, dsm_err *err)
{
    const dsm_route_mode plain = {0};
    const dsm_observer observer = {dsm_look_layer, &w->look};
    dsm_perplexity sum[DSM_ANALYZE_SOURCES] = {{0}};
    DSM_TRY(dsm_look_open(&w->look, w->result, w->o, w->loaded.model,
                          w->micro * w->passages.seq_len, w->passages.tokens, err));
    dsm_net_observe(w->net, &observer);
    dsm_status status = run_pass(w, &plain, sum, true, err);
    dsm_net_observe(w->net, NULL);
    if (status == DSM_OK) dsm_look_finish(&w->look);
    report_model(w->result, sum);
    return status;
}

static dsm_status run_point(work *w, dsm_analyze_point *p, dsm_err *err)
{
    const dsm_model_config *c = &w->loaded.model->config;
    dsm_analysis *a = w->result;
    dsm_perplexity sum[DSM_ANALYZE_SOURCES] = {{0}};
    const dsm_route_mode mode = mode_of(p, c);
    p->loss = a->loss, p->perplexity = a->perplexity, p->bits_per_byte = a->bits_per_byte;
    if (changes_nothing(p, c)) return DSM_OK;
    DSM_TRY(run_pass(w, &mode, sum, false, err));
    dsm_perplexity all = total_of(sum, a->n_domains);
    p->loss = dsm_perplexity_loss(&all);
    p->perplexity = dsm_perplexity_value(&all);
    p->bits_per_byte = dsm_perplexity_bits_per_byte(&all);
    return DSM_OK;
}

static dsm_status compare_weights(work *w, dsm_err *err)
{
    dsm_analysis *a = w->result;
    for (int i = 0; i < a->n_layers; i++) {
        dsm_analyze_layer *l = &a->layers[i];
        const dsm_ffn_params *p = &w->loaded.model->layers[l->layer].moe.experts;
        DSM_TRY(dsm_overlap_weights(l->weight_similarity, p, &w->loaded.exec, err));
        l->weight_mean = dsm_overlap_mean(l->weight_similarity, a->n_experts);
    }
    return DSM_OK;
}

/* --- all of it -------------------------------------------------------------------------------- */

static dsm_status open_net(work *w, dsm_err *err)
{
    const dsm_analysis *a = w->result;
    dsm_net_options shape = {.seq_len = w->passages.seq_len, .max_active = a->active};
    int passes = 1;
    for (int i = 0; i < a->n_points; i++) {
        if (a->points[i].active > shape.max_active) shape.max_active = a->points[i].active;
        passes += !changes_nothing(&a->points[i], &w->loaded.model->config);
    }
    w->micro = shape.max_sequences =
        dsm_window_batch(&w->loaded.model->config, shape.seq_len, w->passages.windows);
    w->total = (double)passes * (double)w->passages.windows;
    w->tokens = malloc(2 * sizeof *w->tokens * (size_t)(w->micro * shape.seq_len));
    if (!w->tokens) return dsm_fail(err, DSM_ENOMEM, "analysis: out of memory");
    w->targets = w->tokens + w->micro * shape.seq_len;
    return dsm_net_open(&w->net, w->loaded.model, &w->loaded.exec, &shape, err);
}

/* What reads the ids: the model's tokenizer, or the one that lies with the data. */
static dsm_status keep_tokenizer(work *w, const dsm_analyze_source *sources, dsm_err *err)
{
    w->result->tokenizer = w->loaded.tokenizer;
    w->loaded.tokenizer = NULL;
    if (w->result->tokenizer || sources[0].text || !dsm_tokenizer_exists(sources[0].path))
        return DSM_OK;
    return dsm_tokenizer_open(&w->result->tokenizer, sources[0].path, err);
}

static dsm_status run(work *w, const char *model, const dsm_analyze_source *sources, int n_sources,
                      dsm_err *err)
{
    const dsm_analyze_options *o = w->o;
    DSM_TRY(check_options(o, err));
    DSM_TRY(dsm_loaded_open(&w->loaded, model, o->n_threads, o->cpu_flags, err));
    const dsm_model_config *c = &w->loaded.model->config;
    DSM_TRY(check_model(c, model, err));
    DSM_TRY(dsm_passages_open(&w->passages, &w->loaded, model, sources, n_sources, o, err));
    DSM_TRY(make_result(w, err));
    dsm_status status = add_points(w->result, c, o, err);
    if (status != DSM_OK) return dsm_fail_context(err, status, "%s", model);
    DSM_TRY(open_net(w, err));
    DSM_TRY(run_model(w, err));
    for (int i = 0; i < w->result->n_points; i++)
        DSM_TRY(run_point(w, &w->result->points[i], err));
    if (o->experts) DSM_TRY(compare_weights(w, err));
    return keep_tokenizer(w, sources, err);
}

dsm_status dsm_analyze(dsm_analysis *a, const char *model, const dsm_analyze_source *sources,
                       int n_sources, const dsm_analyze_options *o, dsm_err *err)
{
    memset(a, 0, sizeof *a);
    work w = {.o = o, .result = a};
    dsm_status status = run(&w, model, sources, n_sources, err);
    free(w.tokens);
    dsm_look_close(&w.look);
    dsm_net_close(w.net);
    dsm_passages_close(&w.passages);
    dsm_loaded_close(&w.loaded);
    if (status != DSM_OK) dsm_analysis_free(a);
    return status;
}
