/* SPDX-License-Identifier: MIT */
/* dsmoe plan: what a model costs before anything is allocated. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "dsmoe/plan.h"
#include "dsmoe/train.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dsmoe plan CONFIG_OR_RECIPE [--seq N] [--batch N]\n"
    "\n"
    "Parameters, arithmetic and memory of a config.json (or the folder that holds one), or of the "
    "model\n"
    "of a recipe (.yaml). Nothing is allocated or downloaded.\n"
    "\n"
    "  --seq N     tokens of a sequence, and of the context when serving (the recipe's "
    "data.seq_len,\n"
    "              else max_position_embeddings, at most 4096)\n"
    "  --batch N   sequences computed at once (the recipe's batch.micro, else 1)\n"
    "\n"
    "Training memory is shown for each value of the recipe's key recompute. Where a step is one "
    "batch,\n"
    "activations are lent the memory of gradients that are not needed yet.\n";

/* --- what to plan ------------------------------------------------------------------------ */

static bool is_recipe(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* Sizes that the command line left at 0 come from the recipe or the config. */
static dsm_status find_model(const dsm_cli *cli, const char *path, dsm_model_config *c,
                             dsm_plan_options *o, dsm_err *err)
{
    if (!is_recipe(path)) {
        DSM_TRY(dsm_model_config_read(c, path, err));
    } else {
        dsm_recipe r;
        DSM_TRY(dsm_recipe_read(&r, path, cli->sets, cli->n_sets, err));
        DSM_TRY(dsm_model_config_read(c, r.model, err));
        if (o->seq_len == 0) o->seq_len = r.data.seq_len;
        if (o->sequences == 0) o->sequences = r.batch.micro;
        o->accumulates = o->sequences < r.batch.sequences;
    }
    if (o->seq_len == 0)
        o->seq_len = c->max_position_embeddings < 4096 ? c->max_position_embeddings : 4096;
    if (o->sequences == 0) o->sequences = 1;
    return DSM_OK;
}

/* --- printing ---------------------------------------------------------------------------- */

static json_t *training_json(const dsm_plan_memory *m)
{
    json_t *policies = json_object();
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        const dsm_plan_training *t = &m->train.with[i];
        json_object_set_new(policies, dsm_recompute_names[i],
                            json_pack("{s:I, s:I, s:I, s:I}", "activations",
                                      (json_int_t)t->activations, "lent", (json_int_t)t->lent,
                                      "scratch", (json_int_t)t->scratch, "total",
                                      (json_int_t)t->total));
    }
    return json_pack("{s:I, s:I, s:I, s:o}", "weights", (json_int_t)m->train.weights, "gradients",
                     (json_int_t)m->train.gradients, "moments", (json_int_t)m->train.moments,
                     "recompute", policies);
}

static json_t *memory_json(const dsm_plan_memory *m)
{
    return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}}", "train", training_json(m),
                     "serve", "weights_f32", (json_int_t)m->serve.weights_f32, "weights_bf16",
                     (json_int_t)m->serve.weights_bf16, "kv_cache", (json_int_t)m->serve.kv_cache,
                     "activations", (json_int_t)m->serve.activations, "total_f32",
                     (json_int_t)m->serve.total_f32, "total_bf16", (json_int_t)m->serve.total_bf16,
                     "active_weights_f32", (json_int_t)m->serve.active_weights_f32,
                     "active_weights_bf16", (json_int_t)m->serve.active_weights_bf16);
}

static json_t *plan_json(const dsm_plan *p)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:o}", "params",
                     (json_int_t)p->params, "active_params", (json_int_t)p->active_params,
                     "params_no_embedding", (json_int_t)p->params_no_embedding,
                     "active_params_no_embedding", (json_int_t)p->active_params_no_embedding,
                     "seq_len", (json_int_t)p->seq_len, "sequences", (json_int_t)p->sequences,
                     "train_flops_per_sequence", p->train_flops_papers, "train_flops_true_widths",
                     p->train_flops_true_widths, "train_flops_causal", p->train_flops_causal,
                     "active_ffns", p->active_ffns, "memory", memory_json(&p->memory));
}

static void print_row(const char *name, int64_t bytes)
{
    printf("  %-22s %8sB\n", name, dsm_print_count((double)bytes));
}

/* A figure of each policy. */
static void print_columns(const char *name, const int64_t bytes[DSM_N_RECOMPUTE])
{
    printf("  %-22s", name);
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        printf(" %8sB", dsm_print_count((double)bytes[i]));
    printf("\n");
}

static void print_training(const dsm_plan *p)
{
    int64_t kept[DSM_N_RECOMPUTE], lent[DSM_N_RECOMPUTE], scratch[DSM_N_RECOMPUTE];
    int64_t total[DSM_N_RECOMPUTE];
    printf("training memory, %lld sequence%s at once\n", (long long)p->sequences,
           p->sequences == 1 ? "" : "s");
    print_row("weights", p->memory.train.weights);
    print_row("gradients", p->memory.train.gradients);
    print_row("AdamW moments", p->memory.train.moments);
    printf("  %-22s", "with recompute");
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        const dsm_plan_training *t = &p->memory.train.with[i];
        kept[i] = t->activations, lent[i] = t->lent, scratch[i] = t->scratch, total[i] = t->total;
        printf(" %9s", dsm_recompute_names[i]);
    }
    printf("\n");
    print_columns("activations", kept);
    print_columns("  lent by gradients", lent);
    print_columns("scratch", scratch);
    print_columns("in all", total);
}

static void plan_print(const dsm_plan *p)
{
    printf("parameters    %s, active per token %s (without the input embedding: %s, %s)\n",
           dsm_print_count((double)p->params), dsm_print_count((double)p->active_params),
           dsm_print_count((double)p->params_no_embedding),
           dsm_print_count((double)p->active_params_no_embedding));
    printf("training      %sFLOP for a sequence of %lld tokens as the papers count (%.4g standard "
           "FFNs "
           "active),\n",
           dsm_print_count(p->train_flops_papers), (long long)p->seq_len, p->active_ffns);
    printf("              %sFLOP with every width as it is, %sFLOP with causal attention\n",
           dsm_print_count(p->train_flops_true_widths), dsm_print_count(p->train_flops_causal));
    print_training(p);
    printf("serving memory, one context of %lld tokens\n", (long long)p->seq_len);
    print_row("weights in f32", p->memory.serve.weights_f32);
    print_row("weights in bf16", p->memory.serve.weights_bf16);
    print_row("KV cache", p->memory.serve.kv_cache);
    print_row("activations", p->memory.serve.activations);
    print_row("in all, f32", p->memory.serve.total_f32);
    print_row("in all, bf16", p->memory.serve.total_bf16);
    print_row("read per token, bf16", p->memory.serve.active_weights_bf16);
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_plan_options o = {0};
    dsm_model_config config;
    dsm_plan plan;
    int n;
    const dsm_opt opts[] = {
        {"seq", DSM_OPT_INT, &o.seq_len, 1, 1 << 24, ""},
        {"batch", DSM_OPT_INT, &o.sequences, 1, 1 << 20, ""},
    };
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1)
        return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one CONFIG or RECIPE", n);
    DSM_TRY(find_model(cli, argv[0], &config, &o, err));
    DSM_TRY(dsm_plan_make(&plan, &config, &o, err));
    if (cli->json) return dsm_print_json(plan_json(&plan), err);
    plan_print(&plan);
    return DSM_OK;
}

const dsm_command dsm_cmd_plan = {
    .name = "plan",
    .summary = "parameters, FLOPs and memory of a model",
    .help = help,
    .run = run,
    .takes_sets = true,
};
