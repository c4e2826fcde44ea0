/* SPDX-License-Identifier: MIT */
/* The bill of a model, from its parameter table (count.h) and from the layouts that would carve its
 * memory. */
#include "dsmoe/plan.h"

#include "model/count.h"
#include "model/net.h"

enum { PREFILL_CHUNK = 512 };

/* Is `width` what `nominal` becomes as an integer, or rounded up to a multiple of 64 or of 256? */
static bool is_rounded(double nominal, double width)
{
    double added = width - nominal;
    if (fabs(added) < 1) return true;
    return added > 0 &&
           ((added < 64 && fmod(width, 64) == 0) || (added < 256 && fmod(width, 256) == 0));
}

/* The relative size a width was rounded from: 1408 is a quarter of a standard 5461.33, rounded up
 * to a multiple of 64. The papers' FLOPs are of such nominal sizes. */
static double nominal_size(double width, double standard)
{
    static const double parts[] = {1, 2, 4, 5, 8, 10, 16};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double size = round(width / standard * parts[i]) / parts[i];
        if (size > 0 && is_rounded(size * standard, width)) return size;
    }
    return width / standard;
}

static double active_ffns(const dsm_model_config *c)
{
    double standard = 8.0 / 3.0 * (double)c->hidden_size;
    int64_t experts = c->n_shared_experts;
    if (c->n_routed_experts > 0) experts += dsm_router_picks(c);
    if (experts == 0) return nominal_size((double)c->intermediate_size, standard);
    return (double)experts * nominal_size((double)c->moe_intermediate_size, standard);
}

static double papers_flops(const dsm_model_config *c, double n_act, double T)
{
    double d = (double)c->hidden_size, L = (double)c->num_hidden_layers, V = (double)c->vocab_size;
    return 6 * T * (4 * d * d * L + n_act * 8 * d * d * L + V * d) + 12 * L * d * T * T;
}

static void plan_arithmetic(dsm_plan *p, const dsm_model *m)
{
    const dsm_model_config *c = &m->config;
    double T = (double)p->seq_len;
    double widths = (double)((dsm_model_config_q_width(c) + dsm_model_config_o_width(c)) *
                             c->num_hidden_layers);
    dsm_counts n = dsm_model_count(m);
    p->params = n.params;
    p->active_params = n.active;
    p->active_params_no_embedding = n.matmul;
    p->params_no_embedding = n.params - (n.active - n.matmul);
    p->active_ffns = active_ffns(c);
    p->train_flops_true_widths = 6 * T * (double)n.matmul + 6 * widths * T * T;
    p->train_flops_papers = dsm_model_config_is_mla(c) ? p->train_flops_true_widths
                                                       : papers_flops(c, p->active_ffns, T);
    p->train_flops_causal = T * dsm_model_train_flops(m, p->seq_len);
}

static dsm_plan_training plan_policy(const dsm_plan *p, const dsm_model *m, bool accumulates,
                                     dsm_recompute recompute)
{
    const dsm_net_options o = {.max_sequences = p->sequences,
                               .seq_len = p->seq_len,
                               .training = true,
                               .recompute = recompute,
                               .whole_step = !accumulates};
    dsm_net_memory need;
    dsm_net_measure(m, &o, &need);
    return (dsm_plan_training){
        .activations = (int64_t)need.activations,
        .lent = (int64_t)need.lent,
        .scratch = (int64_t)need.scratch,
        .total = 4 * p->memory.train.weights + (int64_t)(need.activations + need.scratch),
    };
}

static void plan_training(dsm_plan *p, const dsm_model *m, bool accumulates)
{
    int64_t weights = m->n_elements * 4;
    p->memory.train.weights = p->memory.train.gradients = weights;
    p->memory.train.moments = 2 * weights;
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        p->memory.train.with[i] = plan_policy(p, m, accumulates, (dsm_recompute)i);
}

static void plan_serving(dsm_plan *p, const dsm_model *m)
{
    int64_t chunk = p->seq_len < PREFILL_CHUNK ? p->seq_len : PREFILL_CHUNK;
    const dsm_net_options o = {.max_sequences = 1, .seq_len = chunk};
    dsm_net_memory need;
    dsm_net_measure(m, &o, &need);
    p->memory.serve.weights_f32 = 4 * p->params;
    p->memory.serve.weights_bf16 = 2 * p->params;
    p->memory.serve.kv_cache = (int64_t)dsm_cache_bytes(m, p->seq_len, DSM_F32);
    p->memory.serve.activations = (int64_t)(need.activations + need.scratch);
    int64_t state = p->memory.serve.kv_cache + p->memory.serve.activations;
    p->memory.serve.total_f32 = p->memory.serve.weights_f32 + state;
    p->memory.serve.total_bf16 = p->memory.serve.weights_bf16 + state;
    p->memory.serve.active_weights_f32 = 4 * p->active_params_no_embedding;
    p->memory.serve.active_weights_bf16 = 2 * p->active_params_no_embedding;
}

dsm_status dsm_plan_make(dsm_plan *out, const dsm_model_config *c, const dsm_plan_options *o,
                         dsm_err *err)
{
    dsm_model *m;
    if (o->seq_len < 1 || o->sequences < 1 || o->seq_len > INT32_MAX / o->sequences)
        return dsm_fail(err, DSM_ERANGE,
                        "found %lld sequences of %lld tokens, expected 1 to 2^31 tokens in all",
                        (long long)o->sequences, (long long)o->seq_len);
    DSM_TRY(dsm_model_create(&m, c, 0, err));
    *out = (dsm_plan){.seq_len = o->seq_len, .sequences = o->sequences};
    plan_arithmetic(out, m);
    plan_training(out, m, o->accumulates);
    plan_serving(out, m);
    dsm_model_free(m);
    return DSM_OK;
}
