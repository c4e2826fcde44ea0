/* SPDX-License-Identifier: MIT */
/* The bill of a model, from its parameter table (count.h) and from the layouts that would carve its
 * memory. */
#include "model/bill.h"

#include "model/count.h"
#include "model/net.h"

enum { PREFILL_CHUNK = 512 };

/* Is `width` what `nominal` becomes rounded up to a multiple of 64 or of 256? */
static bool is_rounded(double nominal, double width)
{
    double added = width - nominal;
    return added > 0 &&
           ((added < 64 && fmod(width, 64) == 0) || (added < 256 && fmod(width, 256) == 0));
}

/* The relative size a width was rounded from: 1408 is a quarter of a standard 5461.33, rounded up
 * to a multiple of 64. The papers' FLOPs are of such nominal sizes. What is one as it stands needs
 * no rounding. */
static double nominal_size(double width, double standard)
{
    static const double parts[] = {1, 2, 4, 5, 8, 10, 16};
    const size_t n = sizeof parts / sizeof *parts;
    for (size_t i = 0; i < 2 * n; i++) {
        double part = parts[i % n], size = round(width / standard * part) / part;
        bool fits = i < n ? fabs(width - size * standard) < 1 : is_rounded(size * standard, width);
        if (size > 0 && fits) return size;
    }
    return width / standard;
}

static double as_it_is(double width, double standard)
{
    return width / standard;
}

/* Standard FFNs that a token uses in each layer. */
static double active_ffns(const dsm_model_config *c, double (*size)(double width, double standard))
{
    double standard = 8.0 / 3.0 * (double)c->hidden_size;
    int64_t experts = c->n_shared_experts;
    if (c->n_routed_experts > 0) experts += dsm_router_picks(c);
    if (experts == 0) return size((double)c->intermediate_size, standard);
    return (double)experts * size((double)c->moe_intermediate_size, standard);
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
    p->ffn_params = n.ffn;
    p->active_ffn_params = n.active_ffn;
    p->active_ffns = active_ffns(c, nominal_size);
    p->active_ffns_rounded = active_ffns(c, as_it_is);
    p->train_flops_true_widths = 6 * T * (double)n.matmul + 6 * widths * T * T;
    p->train_flops_causal = T * dsm_model_train_flops(m, p->seq_len);
    p->train_flops_papers = p->train_flops_rounded = p->train_flops_true_widths;
    if (!dsm_model_config_is_mla(c)) {
        p->train_flops_papers = papers_flops(c, p->active_ffns, T);
        p->train_flops_rounded = papers_flops(c, p->active_ffns_rounded, T);
    }
    p->non_embedding_flops =
        p->train_flops_papers / T - 6 * (double)c->vocab_size * (double)c->hidden_size;
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

dsm_plan_serving dsm_bill_serving(const dsm_model *m, int64_t params, int64_t seq_len)
{
    int64_t chunk = seq_len < PREFILL_CHUNK ? seq_len : PREFILL_CHUNK;
    const dsm_net_options o = {.max_sequences = 1, .seq_len = chunk};
    dsm_net_memory need;
    dsm_net_measure(m, &o, &need);
    dsm_plan_serving s = {.weights_f32 = 4 * params,
                          .weights_bf16 = 2 * params,
                          .kv_cache = (int64_t)dsm_cache_bytes(m, seq_len, DSM_F16),
                          .activations = (int64_t)(need.activations + need.scratch)};
    s.total_f32 = s.weights_f32 + s.kv_cache + s.activations;
    s.total_bf16 = s.weights_bf16 + s.kv_cache + s.activations;
    return s;
}

dsm_status dsm_bill_check_batch(int64_t sequences, int64_t seq_len, dsm_err *err)
{
    if (seq_len >= 1 && sequences >= 1 && seq_len <= INT32_MAX / sequences) return DSM_OK;
    return dsm_fail(err, DSM_ERANGE,
                    "found %lld sequences of %lld tokens, expected 1 to 2^31 tokens in all",
                    (long long)sequences, (long long)seq_len);
}

dsm_status dsm_plan_make(dsm_plan *out, const dsm_model_config *c, const dsm_plan_options *o,
                         dsm_err *err)
{
    dsm_model *m;
    DSM_TRY(dsm_bill_check_batch(o->sequences, o->seq_len, err));
    DSM_TRY(dsm_model_create(&m, c, 0, err));
    *out = (dsm_plan){.seq_len = o->seq_len, .sequences = o->sequences};
    plan_arithmetic(out, m);
    plan_training(out, m, o->accumulates);
    out->memory.serve = dsm_bill_serving(m, out->params, o->seq_len);
    out->memory.active_weights_f32 = 4 * out->active_params_no_embedding;
    out->memory.active_weights_bf16 = 2 * out->active_params_no_embedding;
    dsm_model_free(m);
    return DSM_OK;
}
