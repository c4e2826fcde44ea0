/* SPDX-License-Identifier: MIT */
/* A device's part of a model is itself a model: fewer layers, fewer heads, narrower FFNs, a smaller
 * vocabulary. So its weights, activations and cache are measured by what measures models; only
 * experts that lie elsewhere, the embedding and the head have to be looked at besides. */
#include "dsmoe/layout.h"

#include "core/nearest.h"
#include "model/bill.h"
#include "model/count.h"
#include "model/net.h"
#include "model/traffic.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AXIS = 32768 }; /* so that the product of four is an int64_t */

const char *const dsm_train_dtype_names[DSM_N_TRAIN_DTYPES + 1] = {
    [DSM_TRAIN_F32] = "f32",
    [DSM_TRAIN_BF16] = "bf16",
};

/* --- the grid ----------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    size_t field;
} axes[] = {
    {"data", offsetof(dsm_layout, data)},
    {"expert", offsetof(dsm_layout, expert)},
    {"tensor", offsetof(dsm_layout, tensor)},
    {"pipe", offsetof(dsm_layout, pipe)},
};
enum { N_AXES = sizeof axes / sizeof *axes };

/* The axis called name (length long); N_AXES: none. */
static int find_axis(const char *name, size_t length)
{
    for (int i = 0; i < N_AXES; i++)
        if (strlen(axes[i].name) == length && memcmp(axes[i].name, name, length) == 0) return i;
    return N_AXES;
}

static dsm_status unknown_axis(const char *item, size_t length, dsm_err *err)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)length, item);
    const char *near = dsm_nearest(name, axes, N_AXES, sizeof *axes);
    if (near)
        return dsm_fail(err, DSM_EUSAGE, "layout: unknown axis %s; did you mean %s?", name, near);
    return dsm_fail(err, DSM_EUSAGE,
                    "layout: found \"%s\", expected data, expert, tensor or pipe, as in data=8",
                    name);
}

/* One "name=number"; seen: bits of the axes that were named before. */
static dsm_status parse_axis(dsm_layout *out, const char *item, unsigned *seen, dsm_err *err)
{
    size_t length = strcspn(item, "=");
    int i = find_axis(item, length);
    char *end;
    if (i == N_AXES) return unknown_axis(item, length, err);
    const char *number = item[length] == '=' ? item + length + 1 : "";
    long value = strtol(number, &end, 10);
    if (*number == '\0' || *end != '\0' || value < 1 || value > MAX_AXIS)
        return dsm_fail(err, DSM_EUSAGE, "layout: %s: found \"%s\", expected 1 to %d", axes[i].name,
                        number, MAX_AXIS);
    if (*seen >> i & 1)
        return dsm_fail(err, DSM_EUSAGE, "layout: %s: found twice, expected once", axes[i].name);
    *seen |= 1u << i;
    *(int64_t *)(void *)((char *)out + axes[i].field) = value;
    return DSM_OK;
}

dsm_status dsm_layout_parse(dsm_layout *out, const char *text, dsm_err *err)
{
    unsigned seen = 0;
    *out = (dsm_layout){1, 1, 1, 1};
    for (const char *at = text;; at++) {
        char item[64];
        size_t length = strcspn(at, ",");
        snprintf(item, sizeof item, "%.*s", (int)length, at);
        DSM_TRY(parse_axis(out, item, &seen, err));
        at += length;
        if (*at == '\0') return DSM_OK;
    }
}

int64_t dsm_layout_devices(const dsm_layout *l)
{
    return l->data * l->expert * l->tensor * l->pipe;
}

/* --- does it fit the model
 * ------------------------------------------------------------------------ */

static bool has_dense_layer(const dsm_model_config *c)
{
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        if (!dsm_model_config_is_moe(c, l)) return true;
    return false;
}

static bool has_moe_layer(const dsm_model_config *c)
{
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        if (dsm_model_config_is_moe(c, l)) return true;
    return false;
}

/* Sizes that an axis of the grid has to divide. */
static dsm_status check_divisors(const dsm_model_config *c, const dsm_layout *l, dsm_err *err)
{
    const struct {
        const char *key;
        int64_t size;
        const char *axis;
        int64_t ways;
        bool applies;
    } rules[] = {
        {"num_attention_heads", c->num_attention_heads, "tensor", l->tensor, true},
        {"num_key_value_heads", c->num_key_value_heads, "tensor", l->tensor, true},
        {"intermediate_size", c->intermediate_size, "tensor", l->tensor, has_dense_layer(c)},
        {"moe_intermediate_size", c->moe_intermediate_size, "tensor", l->tensor, has_moe_layer(c)},
        {"vocab_size", c->vocab_size, "tensor", l->tensor, true},
        {"n_routed_experts", c->n_routed_experts, "expert", l->expert, true},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].applies && rules[i].size % rules[i].ways != 0)
            return dsm_fail(err, DSM_ESHAPE, "%s: found %lld, expected a multiple of %s %lld",
                            rules[i].key, (long long)rules[i].size, rules[i].axis,
                            (long long)rules[i].ways);
    return DSM_OK;
}

static dsm_status check_spread(const dsm_model_config *c, const dsm_layout *l, dsm_err *err)
{
    if (l->expert > 1 && !(c->n_routed_experts > 0 && has_moe_layer(c)))
        return dsm_fail(err, DSM_ESHAPE,
                        "n_routed_experts: found none, expected some to spread over expert %lld",
                        (long long)l->expert);
    if (dsm_is_device_limited(c) && l->expert % c->n_group != 0 && c->n_group % l->expert != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "expert: found %lld, expected a divisor or a multiple of n_group %lld",
                        (long long)l->expert, (long long)c->n_group);
    if (l->pipe > c->num_hidden_layers)
        return dsm_fail(err, DSM_ESHAPE,
                        "pipe: found %lld, expected at most num_hidden_layers %lld",
                        (long long)l->pipe, (long long)c->num_hidden_layers);
    if (l->pipe > 1 && c->moe_layer_freq > 1)
        return dsm_fail(err, DSM_ESHAPE, "moe_layer_freq: found %lld, expected 1 with pipe %lld",
                        (long long)c->moe_layer_freq, (long long)l->pipe);
    return DSM_OK;
}

/* Sequences that all devices compute at once. */
static int64_t at_once(const dsm_layout_options *o)
{
    return o->layout.data * o->layout.expert * o->micro;
}

static dsm_status check_step(dsm_layout_options *o, dsm_err *err)
{
    const dsm_layout *l = &o->layout;
    DSM_TRY(dsm_bill_check_batch(o->micro, o->seq_len, err));
    if (o->step == 0) o->step = at_once(o) * l->pipe;
    if (o->step < 1 || o->step % at_once(o) != 0)
        return dsm_fail(err, DSM_ERANGE,
                        "step: found %lld sequences, expected a multiple of %lld (data %lld x "
                        "expert %lld x %lld at once)",
                        (long long)o->step, (long long)at_once(o), (long long)l->data,
                        (long long)l->expert, (long long)o->micro);
    return DSM_OK;
}

dsm_status dsm_layout_check(const dsm_model_config *c, dsm_layout_options *o, dsm_err *err)
{
    DSM_TRY(dsm_model_config_check(c, "model", err));
    DSM_TRY(check_divisors(c, &o->layout, err));
    DSM_TRY(check_spread(c, &o->layout, err));
    return check_step(o, err);
}

/* --- a device's part
 * ------------------------------------------------------------------------------ */

static int64_t stage_begin(const dsm_model_config *c, const dsm_layout *l, int64_t stage)
{
    return stage * c->num_hidden_layers / l->pipe;
}

/* The model that a device has, but for where experts, embedding and head lie. */
static dsm_model_config part_of(const dsm_model_config *c, const dsm_layout *l, int64_t stage)
{
    dsm_model_config part = *c;
    int64_t begin = stage_begin(c, l, stage), end = stage_begin(c, l, stage + 1);
    int64_t dense = c->first_k_dense_replace - begin;
    part.num_hidden_layers = end - begin;
    part.first_k_dense_replace = dense > 0 ? dense : 0;
    part.num_attention_heads /= l->tensor;
    part.num_key_value_heads /= l->tensor;
    if (has_dense_layer(c)) part.intermediate_size /= l->tensor;
    if (has_moe_layer(c)) part.moe_intermediate_size /= l->tensor;
    part.vocab_size /= l->tensor;
    return part;
}

static int64_t count_moe(const dsm_model *m)
{
    int64_t n = 0;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        n += m->layers[l].is_moe;
    return n;
}

/* Embedding and head of the part that this stage does not have; tied ones are one matrix, which
 * the first and the last stage have. */
static int64_t absent_ends(const dsm_model_config *part, const dsm_layout *l, int64_t stage)
{
    int64_t matrix = part->vocab_size * part->hidden_size, absent = 0;
    bool is_first = stage == 0, is_last = stage == l->pipe - 1;
    if (!is_last) absent += part->hidden_size; /* the final norm */
    if (part->tie_word_embeddings) return absent + (is_first || is_last ? 0 : matrix);
    return absent + (is_first ? 0 : matrix) + (is_last ? 0 : matrix);
}

static void count_params(dsm_stage_plan *p, const dsm_model *part, const dsm_layout *l)
{
    const dsm_model_config *c = &part->config;
    int64_t expert = 3 * c->hidden_size * c->moe_intermediate_size;
    int64_t all = count_moe(part) * c->n_routed_experts * expert;
    p->expert_params = all / l->expert;
    p->params =
        dsm_model_count(part).params - (all - p->expert_params) - absent_ends(c, l, p->stage);
}

/* A share of n, rounded up. */
static int64_t share(int64_t n, int64_t ways)
{
    return (n + ways - 1) / ways;
}

static int64_t activation_bytes(const dsm_stage_plan *p, const dsm_model *part,
                                const dsm_layout_options *o, dsm_recompute recompute)
{
    const dsm_net_options net = {
        .max_sequences = o->micro, .seq_len = o->seq_len, .training = true, .recompute = recompute};
    dsm_net_memory need;
    dsm_net_measure(part, &net, &need);
    int64_t in_f32 = p->in_flight * (int64_t)need.activations + (int64_t)need.scratch;
    return in_f32 / 4 * dsm_train_bytes_of(o->dtype).activation;
}

static void plan_training(dsm_stage_plan *p, const dsm_model *part, const dsm_layout_options *o)
{
    const dsm_layout *l = &o->layout;
    const dsm_train_bytes b = dsm_train_bytes_of(o->dtype);
    int64_t others = p->params - p->expert_params;
    p->train.weights = b.weight * p->params;
    p->train.gradients = b.gradient * p->params;
    p->train.optimizer =
        b.optimizer * (share(p->expert_params, l->data) + share(others, l->data * l->expert));
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        p->train.activations[i] = activation_bytes(p, part, o, (dsm_recompute)i);
        p->train.total[i] =
            p->train.weights + p->train.gradients + p->train.optimizer + p->train.activations[i];
    }
}

dsm_status dsm_layout_plan(dsm_stage_plan *out, const dsm_model_config *c,
                           const dsm_layout_options *o, int64_t stage, dsm_err *err)
{
    const dsm_layout *l = &o->layout;
    const dsm_model_config config = part_of(c, l, stage);
    dsm_model *part;
    DSM_TRY(dsm_model_create(&part, &config, 0, err));
    int64_t m = o->step / at_once(o), depth = l->pipe - stage;
    *out = (dsm_stage_plan){.stage = stage,
                            .first_layer = stage_begin(c, l, stage),
                            .n_layers = config.num_hidden_layers,
                            .micro_batches = m,
                            .in_flight = m < depth ? m : depth};
    count_params(out, part, l);
    plan_training(out, part, o);
    out->serve = dsm_bill_serving(part, out->params, o->seq_len);
    dsm_traffic_fill(out, c, o, count_moe(part));
    dsm_model_free(part);
    return DSM_OK;
}
