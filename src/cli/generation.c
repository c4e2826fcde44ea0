/* SPDX-License-Identifier: MIT */
#include "cli/generation.h"

#include "cli/print.h"

#include <stdio.h>
#include <string.h>

void dsm_generation_opts(dsm_generation_flags *f, const dsm_cli *cli, dsm_opt *table)
{
    memset(f, 0, sizeof *f);
    dsm_generate_defaults(&f->generate);
    dsm_engine_defaults(&f->engine);
    f->generate.sampling.seed = cli->seed;
    f->engine.n_threads = cli->threads;
    f->engine.cpu_flags = cli->cpu_flags;
    dsm_sampling *s = &f->generate.sampling;
    const dsm_opt rows[DSM_GENERATION_OPTS] = {
        {"max-tokens", DSM_OPT_INT, &f->generate.max_tokens, 0, 1e9, ""},
        {"temperature", DSM_OPT_REAL, &s->temperature, 0, 1000, ""},
        {"top-k", DSM_OPT_INT, &s->top_k, 0, 1e9, ""},
        {"top-p", DSM_OPT_REAL, &s->top_p, 0, 1, ""},
        {"min-p", DSM_OPT_REAL, &s->min_p, 0, 1, ""},
        {"repeat-penalty", DSM_OPT_REAL, &s->repeat_penalty, 0.001, 1000, ""},
        {"stop", DSM_OPT_LIST, &f->stops, 0, 0, ""},
        {"ignore-eos", DSM_OPT_FLAG, &f->generate.ignore_eos, 0, 0, ""},
        {"cache-type", DSM_OPT_STRING, &f->engine.cache_type, 0, 0, ""},
        {"context", DSM_OPT_INT, &f->context, 1, 1e9, ""},
    };
    memcpy(table, rows, sizeof rows);
}

void dsm_generation_settle(dsm_generation_flags *f)
{
    f->generate.stops = f->stops.items;
    f->generate.n_stops = f->stops.n;
}

/* --- memory ----------------------------------------------------------------------------------- */

void dsm_print_bill(const dsm_engine_bill *b, const char *cache_type)
{
    fprintf(stderr,
            "memory: %sB of weights (mapped), %sB of buffers, %sB of cache for %lld tokens (%s)\n",
            dsm_print_count((double)b->weights), dsm_print_count((double)b->buffers),
            dsm_print_count((double)b->cache), (long long)b->context, cache_type);
}

json_t *dsm_bill_json(const dsm_engine_bill *b)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "context", (json_int_t)b->context, "weights",
                     (json_int_t)b->weights, "buffers", (json_int_t)b->buffers, "cache",
                     (json_int_t)b->cache);
}

/* --- experts ----------------------------------------------------------------------- */

void dsm_print_experts(const dsm_engine *e, const dsm_session *s, int32_t id)
{
    char text[128];
    size_t n;
    const int32_t *pick;
    const float *gate;
    const char *bytes = dsm_tokenizer_bytes(dsm_engine_tokenizer(e), id, &n);
    dsm_print_quoted(bytes, n, text, sizeof text);
    fprintf(stderr, "%d %s\n", id, text);
    for (int64_t l = 0; l < dsm_engine_config(e)->num_hidden_layers; l++) {
        int64_t K = dsm_session_routing(s, l, &pick, &gate);
        if (K > 0) fprintf(stderr, "  layer %lld:", (long long)l);
        for (int64_t k = 0; k < K; k++)
            fprintf(stderr, "%s %d %.3f", k > 0 ? "," : "", pick[k], (double)gate[k]);
        if (K > 0) fputc('\n', stderr);
    }
}

json_t *dsm_experts_json(const dsm_engine *e, const dsm_session *s)
{
    json_t *layers = json_array();
    const int32_t *pick;
    const float *gate;
    for (int64_t l = 0; l < dsm_engine_config(e)->num_hidden_layers; l++) {
        int64_t K = dsm_session_routing(s, l, &pick, &gate);
        json_t *picks = json_array(), *gates = json_array();
        for (int64_t k = 0; k < K; k++) {
            json_array_append_new(picks, json_integer(pick[k]));
            json_array_append_new(gates, dsm_json_number((double)gate[k]));
        }
        json_t *layer =
            json_pack("{s:I, s:o, s:o}", "layer", (json_int_t)l, "experts", picks, "gates", gates);
        if (K > 0)
            json_array_append_new(layers, layer);
        else
            json_decref(layer);
    }
    return layers;
}
