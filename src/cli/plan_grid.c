/* SPDX-License-Identifier: MIT */
#include "cli/plan_grid.h"

#include "cli/plan_rows.h"
#include "cli/print.h"

#include <stdio.h>
#include <stdlib.h>

/* --- stages ------------------------------------------------------------------------------------
 */

static double training_of(const dsm_stage_plan *p)
{
    return (double)p->train.total[DSM_RECOMPUTE_NONE];
}

static double serving_of(const dsm_stage_plan *p)
{
    return (double)p->serve.total_f32;
}

static double traffic_of(const dsm_stage_plan *p)
{
    return p->traffic_total;
}

/* The first of the stages where figure is largest. */
static const dsm_stage_plan *largest(const dsm_grid *g, double (*figure)(const dsm_stage_plan *p))
{
    const dsm_stage_plan *best = g->stages;
    for (int64_t i = 1; i < g->options.layout.pipe; i++)
        if (figure(&g->stages[i]) > figure(best)) best = &g->stages[i];
    return best;
}

static dsm_status plan_stages(dsm_grid *g, const dsm_model_config *c, dsm_err *err)
{
    for (int64_t i = 0; i < g->options.layout.pipe; i++)
        DSM_TRY(dsm_layout_plan(&g->stages[i], c, &g->options, i, err));
    return DSM_OK;
}

dsm_status dsm_grid_open(dsm_grid *g, const dsm_model_config *c, const dsm_layout_options *o,
                         dsm_err *err)
{
    *g = (dsm_grid){.options = *o};
    DSM_TRY(dsm_layout_check(c, &g->options, err));
    g->reach = dsm_layout_reach(c, o->layout.expert);
    g->reach_limit = dsm_layout_reach_limit(c, o->layout.expert);
    g->stages = calloc((size_t)o->layout.pipe, sizeof *g->stages);
    if (!g->stages) return dsm_fail(err, DSM_ENOMEM, "layout: out of memory");
    dsm_status status = plan_stages(g, c, err);
    if (status != DSM_OK) {
        dsm_grid_close(g);
        return status;
    }
    g->fullest = largest(g, training_of);
    g->fullest_serving = largest(g, serving_of);
    g->busiest = largest(g, traffic_of);
    return DSM_OK;
}

void dsm_grid_close(dsm_grid *g)
{
    free(g->stages);
    g->stages = NULL;
}

int64_t dsm_grid_training(const dsm_grid *g, dsm_recompute recompute)
{
    int64_t most = 0;
    for (int64_t i = 0; i < g->options.layout.pipe; i++)
        if (g->stages[i].train.total[recompute] > most) most = g->stages[i].train.total[recompute];
    return most;
}

dsm_plan_serving dsm_grid_serving(const dsm_grid *g)
{
    dsm_plan_serving most = g->fullest_serving->serve;
    for (int64_t i = 0; i < g->options.layout.pipe; i++)
        if (g->stages[i].serve.total_bf16 > most.total_bf16)
            most.total_bf16 = g->stages[i].serve.total_bf16;
    return most;
}

/* Share of a step in which a device waits for the pipeline to fill and to drain. */
static double bubble(const dsm_grid *g)
{
    double waits = (double)(g->options.layout.pipe - 1);
    return waits / ((double)g->fullest->micro_batches + waits);
}

/* --- JSON --------------------------------------------------------------------------------------
 */

static json_t *stage_json(const dsm_stage_plan *p)
{
    json_t *train = json_pack(
        "{s:I, s:I, s:I, s:o, s:o}", "weights", (json_int_t)p->train.weights, "gradients",
        (json_int_t)p->train.gradients, "optimizer", (json_int_t)p->train.optimizer, "activations",
        dsm_policies_json(p->train.activations), "total", dsm_policies_json(p->train.total));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "stage", (json_int_t)p->stage,
                     "first_layer", (json_int_t)p->first_layer, "layers", (json_int_t)p->n_layers,
                     "in_flight", (json_int_t)p->in_flight, "params", (json_int_t)p->params,
                     "expert_params", (json_int_t)p->expert_params, "train", train, "serve",
                     dsm_serving_json(&p->serve));
}

json_t *dsm_grid_layout_json(const dsm_grid *g)
{
    const dsm_layout *l = &g->options.layout;
    json_t *stages = json_array();
    for (int64_t i = 0; i < l->pipe; i++)
        json_array_append_new(stages, stage_json(&g->stages[i]));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:f, s:I, s:I, s:o}", "data",
                     (json_int_t)l->data, "expert", (json_int_t)l->expert, "tensor",
                     (json_int_t)l->tensor, "pipe", (json_int_t)l->pipe, "devices",
                     (json_int_t)dsm_layout_devices(l), "train_dtype",
                     dsm_train_dtype_names[g->options.dtype], "sequences_per_step",
                     (json_int_t)g->options.step, "micro_batch", (json_int_t)g->options.micro,
                     "micro_batches", (json_int_t)g->fullest->micro_batches, "bubble", bubble(g),
                     "fullest_training", (json_int_t)g->fullest->stage, "fullest_serving",
                     (json_int_t)g->fullest_serving->stage, "stages", stages);
}

static json_t *traffic_json(const dsm_stage_plan *p)
{
    json_t *out = json_object();
    for (int i = 0; i < DSM_N_TRAFFIC; i++)
        json_object_set_new(out, dsm_traffic_kinds[i].name, json_real(p->traffic[i]));
    json_object_set_new(out, "total", json_real(p->traffic_total));
    return out;
}

json_t *dsm_grid_communication_json(const dsm_grid *g)
{
    json_t *formulas = json_object(), *stages = json_array();
    for (int i = 0; i < DSM_N_TRAFFIC; i++)
        json_object_set_new(formulas, dsm_traffic_kinds[i].name,
                            json_string(dsm_traffic_kinds[i].formula));
    for (int64_t i = 0; i < g->options.layout.pipe; i++)
        json_array_append_new(stages, traffic_json(&g->stages[i]));
    return json_pack("{s:s, s:f, s:I, s:I, s:o, s:o}", "unit", "bytes sent per device and step",
                     "expert_devices_per_token", g->reach, "expert_devices_per_token_limit",
                     (json_int_t)g->reach_limit, "busiest", (json_int_t)g->busiest->stage,
                     "formulas", formulas, "stages", stages);
}

/* --- for people ----------------------------------------------------------------------------------
 */

static void print_stage(const char *what, const dsm_stage_plan *p)
{
    printf("%s, stage %lld (layers %lld to %lld)\n", what, (long long)p->stage,
           (long long)p->first_layer, (long long)(p->first_layer + p->n_layers - 1));
}

static void print_training(const dsm_grid *g)
{
    const dsm_stage_plan *p = g->fullest;
    char experts[64];
    print_stage("fullest device, training", p);
    snprintf(experts, sizeof experts, "%s of them in routed experts",
             dsm_print_count((double)p->expert_params));
    dsm_row("parameters", (double)p->params, "", experts);
    dsm_row("weights", (double)p->train.weights, "B", "");
    dsm_row("gradients", (double)p->train.gradients, "B", "");
    dsm_row("optimiser, its share", (double)p->train.optimizer, "B", "");
    dsm_row_policy_names();
    dsm_row_policies("activations", p->train.activations);
    dsm_row_policies("in all", p->train.total);
}

static void print_traffic(const dsm_grid *g)
{
    const dsm_stage_plan *p = g->busiest;
    print_stage("busiest device sends in a step", p);
    for (int i = 0; i < DSM_N_TRAFFIC; i++)
        dsm_row(dsm_traffic_kinds[i].label, p->traffic[i], "B", dsm_traffic_kinds[i].formula);
    dsm_row("in all", p->traffic_total, "B", "");
    printf("  (m micro-batches of t tokens, D wide; a, w, g bytes of an activation, a weight, a "
           "gradient)\n");
    if (g->options.layout.expert > 1)
        printf("  (a token's experts lie on %.3g devices on average, %lld at most; on r others)\n",
               g->reach, (long long)g->reach_limit);
}

static void print_layout(const dsm_grid *g)
{
    const dsm_layout *l = &g->options.layout;
    int64_t devices = dsm_layout_devices(l);
    printf("layout        data %lld x expert %lld x tensor %lld x pipe %lld: %lld device%s, ",
           (long long)l->data, (long long)l->expert, (long long)l->tensor, (long long)l->pipe,
           (long long)devices, devices == 1 ? "" : "s");
    printf("training in %s\n", dsm_train_dtype_names[g->options.dtype]);
    printf("              %lld sequences a step, in %lld micro-batches of %lld; ",
           (long long)g->options.step, (long long)g->fullest->micro_batches,
           (long long)g->options.micro);
    printf("%.3g %% of the time in the pipeline's bubble\n", 100 * bubble(g));
}

void dsm_grid_print(const dsm_grid *g)
{
    print_layout(g);
    print_training(g);
    print_stage("fullest device, serving one context", g->fullest_serving);
    dsm_serving_rows(&g->fullest_serving->serve);
    print_traffic(g);
}
