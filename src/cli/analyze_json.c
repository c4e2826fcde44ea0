/* SPDX-License-Identifier: MIT */
/* An analysis as one JSON object; docs/analysis.md names its keys. */
#include "cli/analyze_print.h"
#include "cli/print.h"

#include <math.h>

/* A string of bytes; what is no UTF-8 becomes U+FFFD. */
static json_t *text_json(const char *bytes, size_t n)
{
    dsm_buf repaired = {0};
    dsm_utf8_repair(&repaired, bytes, n);
    json_t *s = json_stringn(repaired.data ? repaired.data : "", repaired.len);
    dsm_buf_free(&repaired);
    return s;
}

/* A token alone; one that is a part of a character as bytes, "<0xE5><0xA4>". */
static json_t *token_json(const dsm_analysis *a, int32_t id)
{
    dsm_buf text = {0}, bytes = {0};
    dsm_analyze_text(&text, a, &id, 1);
    if (dsm_utf8_valid_prefix(text.data ? text.data : "", text.len) < text.len)
        for (size_t i = 0; i < text.len; i++)
            dsm_buf_fmt(&bytes, "<0x%02X>", (unsigned char)text.data[i]);
    const dsm_buf *shown = bytes.len ? &bytes : &text;
    json_t *s = text_json(shown->data ? shown->data : "", shown->len);
    dsm_buf_free(&text);
    dsm_buf_free(&bytes);
    return s;
}

/* Figures between -1 and 1 with four digits: matrices of them are most of the output. */
static json_t *vector_json(const double *v, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++)
        json_array_append_new(list, dsm_json_number(round(v[i] * 1e4) / 1e4));
    return list;
}

static json_t *matrix_json(const double *v, int64_t rows, int64_t cols)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < rows; i++)
        json_array_append_new(list, vector_json(v + i * cols, cols));
    return list;
}

static void set_figures(json_t *o, double loss, double perplexity, double bits_per_byte)
{
    json_object_set_new(o, "loss", dsm_json_number(loss));
    json_object_set_new(o, "perplexity", dsm_json_number(perplexity));
    json_object_set_new(o, "bits_per_byte", dsm_json_number(bits_per_byte));
}

static json_t *points_json(const dsm_analysis *a)
{
    json_t *list = json_array();
    for (int i = 0; i < a->n_points; i++) {
        const dsm_analyze_point *p = &a->points[i];
        json_t *o = json_pack("{s:s, s:o, s:I, s:I, s:b}", "kind", dsm_analyze_kinds[p->kind], "x",
                              dsm_json_number(p->x), "active", (json_int_t)p->active, "masked",
                              (json_int_t)p->masked, "shared", p->shared);
        set_figures(o, p->loss, p->perplexity, p->bits_per_byte);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *domains_json(const dsm_analysis *a)
{
    json_t *list = json_array();
    for (int i = 0; i < a->n_domains; i++) {
        const dsm_analyze_domain *d = &a->domains[i];
        json_t *o = json_pack("{s:s, s:I, s:I}", "name", d->name, "tokens", (json_int_t)d->tokens,
                              "bytes", (json_int_t)d->bytes);
        set_figures(o, d->loss, d->perplexity, d->bits_per_byte);
        json_array_append_new(list, o);
    }
    return list;
}

/* --- experts ---------------------------------------------------------------------------------- */

static json_t *tokens_json(const dsm_analysis *a, const dsm_analyze_expert *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->n_tokens; i++) {
        const dsm_analyze_token *t = &x->tokens[i];
        json_array_append_new(list, json_pack("{s:i, s:o, s:I, s:I, s:o}", "id", t->id, "text",
                                              token_json(a, t->id), "count", (json_int_t)t->count,
                                              "total", (json_int_t)t->total, "lift",
                                              dsm_json_number(t->lift)));
    }
    return list;
}

static bool within_character(const dsm_buf *text, size_t at)
{
    return at > 0 && at < text->len && ((unsigned char)text->data[at] & 0xC0) == 0x80;
}

/* The text around a token in three parts; of a character that the token is a part of, the token has
 * all. */
static json_t *context_json(const dsm_analysis *a, const dsm_analyze_example *e)
{
    dsm_buf text = {0};
    dsm_analyze_text(&text, a, e->ids, e->at);
    size_t begin = text.len;
    dsm_analyze_text(&text, a, e->ids + e->at, 1);
    size_t end = text.len;
    dsm_analyze_text(&text, a, e->ids + e->at + 1, e->n - e->at - 1);
    while (within_character(&text, begin))
        begin--;
    while (within_character(&text, end))
        end++;
    const char *s = text.data ? text.data : "";
    json_t *o =
        json_pack("{s:o, s:s, s:o, s:o, s:o}", "gate", dsm_json_number(e->gate), "domain",
                  a->domains[e->domain].name, "before", text_json(s, begin), "token",
                  text_json(s + begin, end - begin), "after", text_json(s + end, text.len - end));
    dsm_buf_free(&text);
    return o;
}

static json_t *contexts_json(const dsm_analysis *a, const dsm_analyze_expert *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->n_examples; i++)
        json_array_append_new(list, context_json(a, &x->examples[i]));
    return list;
}

static json_t *experts_json(const dsm_analysis *a, const dsm_analyze_layer *l, bool portraits)
{
    json_t *list = json_array();
    for (int64_t e = 0; e < a->n_experts; e++) {
        const dsm_analyze_expert *x = &l->experts[e];
        json_t *o = json_pack("{s:I, s:o, s:o, s:o, s:o}", "tokens", (json_int_t)x->count, "share",
                              dsm_json_number(x->share), "load", dsm_json_number(x->load), "gate",
                              dsm_json_number(x->gate), "gate_max", dsm_json_number(x->gate_max));
        if (portraits) {
            json_object_set_new(o, "top_tokens", tokens_json(a, x));
            json_object_set_new(o, "contexts", contexts_json(a, x));
        }
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *layer_json(const dsm_analysis *a, const dsm_analyze_layer *l, bool portraits)
{
    int64_t E = a->n_experts, n = a->n_domains;
    json_t *o = json_pack(
        "{s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "layer", (json_int_t)l->layer,
        "max_vio", dsm_json_number(l->max_vio), "dead", (json_int_t)l->dead, "load_entropy",
        dsm_json_number(l->load_entropy), "routing_entropy", dsm_json_number(l->routing_entropy),
        "gate_sum", dsm_json_number(l->gate_sum), "gate_by_rank",
        vector_json(l->gate_by_rank, a->active), "domain_share", matrix_json(l->domain_share, n, E),
        "domain_distance", matrix_json(l->domain_distance, n, n), "experts",
        experts_json(a, l, portraits));
    if (!o || !portraits) return o;
    json_object_set_new(o, "weight_similarity_mean", dsm_json_number(l->weight_mean));
    json_object_set_new(o, "output_similarity_mean", dsm_json_number(l->output_mean));
    json_object_set_new(o, "coactivation", matrix_json(l->coactivation, E, E));
    json_object_set_new(o, "weight_similarity", matrix_json(l->weight_similarity, E, E));
    json_object_set_new(o, "output_similarity", matrix_json(l->output_similarity, E, E));
    return o;
}

static json_t *sources_json(const dsm_analyze_view *v)
{
    if (v->n_sources == 1) return json_string(v->sources[0].path);
    json_t *list = json_array();
    for (int i = 0; i < v->n_sources; i++)
        json_array_append_new(list, json_string(v->sources[i].path));
    return list;
}

json_t *dsm_analyze_json(const dsm_analysis *a, const dsm_analyze_view *v)
{
    json_t *o = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "model", v->model,
                          "data", sources_json(v), "tokens", (json_int_t)a->tokens, "bytes",
                          (json_int_t)a->bytes, "seq_len", (json_int_t)a->seq_len, "n_experts",
                          (json_int_t)a->n_experts, "n_shared", (json_int_t)a->n_shared, "active",
                          (json_int_t)a->active, "samples", (json_int_t)a->samples);
    if (!o) return NULL;
    set_figures(o, a->loss, a->perplexity, a->bits_per_byte);
    json_object_set_new(o, "points", points_json(a));
    json_object_set_new(o, "domains", domains_json(a));
    json_t *layers = json_array();
    for (int i = 0; i < a->n_layers; i++)
        json_array_append_new(layers, layer_json(a, &a->layers[i], v->experts));
    json_object_set_new(o, "layers", layers);
    return o;
}
