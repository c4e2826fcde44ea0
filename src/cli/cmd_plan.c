/* SPDX-License-Identifier: MIT */
/* dsmoe plan: what a model costs before anything is allocated. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/plan_fit.h"
#include "cli/plan_grid.h"
#include "cli/plan_rows.h"
#include "cli/print.h"
#include "dsmoe/plan.h"
#include "dsmoe/train.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dsmoe plan CONFIG_OR_RECIPE [--seq N] [--batch N] [--device-memory SIZE]\n"
    "                  [--layout data=N,expert=N,tensor=N,pipe=N] [--step N] [--train-dtype T]\n"
    "\n"
    "Parameters, arithmetic and memory of a config.json (or the folder that holds one), or of the "
    "model\n"
    "of a recipe (.yaml). Nothing is allocated or downloaded.\n"
    "\n"
    "  --seq N     tokens of a sequence, and of the context when serving (the recipe's "
    "data.seq_len,\n"
    "              else max_position_embeddings, at most 4096)\n"
    "  --batch N   sequences computed at once by a device (the recipe's batch.micro, else 1)\n"
    "  --device-memory SIZE   what fits into a device of 40GB (or GiB, MB, ...)\n"
    "  --layout L  memory of a device and what it sends in a step, for a grid of devices: "
    "replicas\n"
    "              (data), routed experts spread (expert), matrices split (tensor), layers split\n"
    "              (pipe); axes that are not named are 1\n"
    "  --step N    sequences of a step over all devices (the recipe's batch.sequences, else pipe\n"
    "              micro-batches for each)\n"
    "  --train-dtype T        f32, or bf16: weights and activations in bf16, gradients and\n"
    "              optimiser in f32; of the layout (without --layout: one device)\n"
    "\n"
    "Training memory is shown for each value of the recipe's key recompute. Where a step is one "
    "batch,\n"
    "activations are lent the memory of gradients that are not needed yet (not in a layout).\n";

typedef struct request {
    dsm_plan_options options;
    int64_t step;
    const char *layout, *train_dtype, *device_memory; /* NULL: not given */
    int64_t device;                                   /* bytes */
} request;

/* --- what to plan ------------------------------------------------------------------------ */

static bool is_recipe(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* Sizes that the command line left at 0 come from the recipe or the config. */
static dsm_status find_model(const dsm_cli *cli, const char *path, dsm_model_config *c, request *q,
                             dsm_err *err)
{
    dsm_plan_options *o = &q->options;
    if (!is_recipe(path)) {
        DSM_TRY(dsm_model_config_read(c, path, err));
    } else {
        dsm_recipe r;
        DSM_TRY(dsm_recipe_read(&r, path, cli->sets, cli->n_sets, err));
        DSM_TRY(dsm_model_config_read(c, r.model, err));
        if (o->seq_len == 0) o->seq_len = r.data.seq_len;
        if (o->sequences == 0) o->sequences = r.batch.micro;
        o->accumulates = o->sequences < r.batch.sequences;
        if (q->step == 0) q->step = r.batch.sequences;
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
    json_t *serve = dsm_serving_json(&m->serve);
    json_object_set_new(serve, "active_weights_f32",
                        json_integer((json_int_t)m->active_weights_f32));
    json_object_set_new(serve, "active_weights_bf16",
                        json_integer((json_int_t)m->active_weights_bf16));
    return json_pack("{s:o, s:o}", "train", training_json(m), "serve", serve);
}

static json_t *plan_json(const dsm_plan *p)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o}",
                     "params", (json_int_t)p->params, "active_params", (json_int_t)p->active_params,
                     "params_no_embedding", (json_int_t)p->params_no_embedding,
                     "active_params_no_embedding", (json_int_t)p->active_params_no_embedding,
                     "ffn_params", (json_int_t)p->ffn_params, "active_ffn_params",
                     (json_int_t)p->active_ffn_params, "seq_len", (json_int_t)p->seq_len,
                     "sequences", (json_int_t)p->sequences, "train_flops_per_sequence",
                     p->train_flops_papers, "train_flops_rounded", p->train_flops_rounded,
                     "train_flops_true_widths", p->train_flops_true_widths, "train_flops_causal",
                     p->train_flops_causal, "non_embedding_flops_per_token", p->non_embedding_flops,
                     "active_ffns", p->active_ffns, "memory", memory_json(&p->memory));
}

static void print_training(const dsm_plan *p)
{
    int64_t kept[DSM_N_RECOMPUTE], lent[DSM_N_RECOMPUTE], scratch[DSM_N_RECOMPUTE];
    int64_t total[DSM_N_RECOMPUTE];
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        const dsm_plan_training *t = &p->memory.train.with[i];
        kept[i] = t->activations, lent[i] = t->lent, scratch[i] = t->scratch, total[i] = t->total;
    }
    printf("training memory, %lld sequence%s at once\n", (long long)p->sequences,
           p->sequences == 1 ? "" : "s");
    dsm_row("weights", (double)p->memory.train.weights, "B", "");
    dsm_row("gradients", (double)p->memory.train.gradients, "B", "");
    dsm_row("AdamW moments", (double)p->memory.train.moments, "B", "");
    dsm_row_policy_names();
    dsm_row_policies("activations", kept);
    dsm_row_policies("  lent by gradients", lent);
    dsm_row_policies("scratch", scratch);
    dsm_row_policies("in all", total);
}

static void print_arithmetic(const dsm_plan *p, bool is_latent)
{
    char nominal[64], rounded[64];
    snprintf(nominal, sizeof nominal, "%.4g standard FFNs active", p->active_ffns);
    snprintf(rounded, sizeof rounded, "%.4g", p->active_ffns_rounded);
    printf("training, forward and backward of %lld tokens\n", (long long)p->seq_len);
    if (!is_latent) {
        dsm_row("as the papers count", p->train_flops_papers, "FLOP", nominal);
        dsm_row("  FFNs not nominal", p->train_flops_rounded, "FLOP", rounded);
    }
    dsm_row("all widths as they are", p->train_flops_true_widths, "FLOP", "");
    dsm_row("  causal attention", p->train_flops_causal, "FLOP", "what is computed here");
    dsm_row("of one token", p->non_embedding_flops, "FLOP", "without embedding and head");
}

static void plan_print(const dsm_plan *p, bool is_latent)
{
    printf("parameters    %s, active per token %s (without the input embedding: %s, %s)\n",
           dsm_print_count((double)p->params), dsm_print_count((double)p->active_params),
           dsm_print_count((double)p->params_no_embedding),
           dsm_print_count((double)p->active_params_no_embedding));
    print_arithmetic(p, is_latent);
    print_training(p);
    printf("serving memory, one context of %lld tokens\n", (long long)p->seq_len);
    dsm_serving_rows(&p->memory.serve);
    dsm_row("read per token, bf16", (double)p->memory.active_weights_bf16, "B", "");
}

/* --- layout and device ------------------------------------------------------------------- */

static dsm_status find_dtype(dsm_train_dtype *out, const char *name, dsm_err *err)
{
    for (int i = 0; i < DSM_N_TRAIN_DTYPES; i++)
        if (strcmp(dsm_train_dtype_names[i], name) == 0) {
            *out = (dsm_train_dtype)i;
            return DSM_OK;
        }
    return dsm_fail(err, DSM_EUSAGE, "--train-dtype: found \"%s\", expected f32 or bf16", name);
}

static dsm_status plan_grid(dsm_grid *g, const dsm_model_config *c, const request *q, dsm_err *err)
{
    dsm_layout_options o = {.layout = {1, 1, 1, 1},
                            .seq_len = q->options.seq_len,
                            .micro = q->options.sequences,
                            .step = q->step};
    if (q->train_dtype) DSM_TRY(find_dtype(&o.dtype, q->train_dtype, err));
    if (q->layout) DSM_TRY(dsm_layout_parse(&o.layout, q->layout, err));
    return dsm_grid_open(g, c, &o, err);
}

/* The bill that has to fit: of the fullest device of a layout, or of the only one. */
static dsm_fit fit_of(const request *q, const dsm_plan *p, const dsm_grid *g)
{
    dsm_fit f = {.device = q->device,
                 .seq_len = p->seq_len,
                 .serve = p->memory.serve,
                 .train_dtype = dsm_train_dtype_names[g->options.dtype]};
    if (g->stages) f.serve = dsm_grid_serving(g);
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        f.train[i] =
            g->stages ? dsm_grid_training(g, (dsm_recompute)i) : p->memory.train.with[i].total;
    return f;
}

static json_t *answer_json(const request *q, const dsm_plan *p, const dsm_grid *g)
{
    json_t *out = plan_json(p);
    if (g->stages) {
        json_object_set_new(out, "layout", dsm_grid_layout_json(g));
        json_object_set_new(out, "communication", dsm_grid_communication_json(g));
    }
    const dsm_fit fit = fit_of(q, p, g);
    if (q->device_memory) json_object_set_new(out, "device_memory", dsm_fit_json(&fit));
    return out;
}

static void answer_print(const request *q, const dsm_plan *p, const dsm_grid *g, bool is_latent)
{
    plan_print(p, is_latent);
    if (g->stages) dsm_grid_print(g);
    const dsm_fit fit = fit_of(q, p, g);
    if (q->device_memory) dsm_fit_print(&fit);
}

static dsm_status parse(request *q, int argc, char **argv, dsm_err *err)
{
    int n;
    const dsm_opt opts[] = {
        {"seq", DSM_OPT_INT, &q->options.seq_len, 1, 1 << 24, ""},
        {"batch", DSM_OPT_INT, &q->options.sequences, 1, 1 << 20, ""},
        {"step", DSM_OPT_INT, &q->step, 1, 1 << 30, ""},
        {"layout", DSM_OPT_STRING, &q->layout, 0, 0, ""},
        {"train-dtype", DSM_OPT_STRING, &q->train_dtype, 0, 0, ""},
        {"device-memory", DSM_OPT_STRING, &q->device_memory, 0, 0, ""},
    };
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1)
        return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one CONFIG or RECIPE", n);
    if (q->device_memory) DSM_TRY(dsm_fit_parse(&q->device, q->device_memory, err));
    return DSM_OK;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    request q = {0};
    dsm_model_config config;
    dsm_plan plan;
    dsm_grid grid = {0};
    DSM_TRY(parse(&q, argc, argv, err));
    DSM_TRY(find_model(cli, argv[0], &config, &q, err));
    DSM_TRY(dsm_plan_make(&plan, &config, &q.options, err));
    if (q.layout || q.train_dtype) DSM_TRY(plan_grid(&grid, &config, &q, err));
    dsm_status status = DSM_OK;
    if (cli->json)
        status = dsm_print_json(answer_json(&q, &plan, &grid), err);
    else
        answer_print(&q, &plan, &grid, dsm_model_config_is_mla(&config));
    dsm_grid_close(&grid);
    return status;
}

const dsm_command dsm_cmd_plan = {
    .name = "plan",
    .summary = "parameters, FLOPs and memory of a model",
    .help = help,
    .run = run,
    .takes_sets = true,
};
