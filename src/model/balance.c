/* SPDX-License-Identifier: MIT */
/* Each sequence is summed by one work item, in token order; units (sequences, or all of them as
 * one) are then finished in order by the caller. So results do not depend on threads. */
#include "model/balance.h"

#include <string.h>

static int64_t devices(const dsm_balance *b)
{
    return b->devices > 0 ? b->devices : 1;
}

static int64_t device_limit(const dsm_balance *b)
{
    return b->device_limit > 0 ? b->device_limit : devices(b);
}

static dsm_status check_drop(const dsm_drop *d, const dsm_model_config *c, dsm_err *err)
{
    if (d->factor == 0 || c->n_routed_experts == 0) return DSM_OK;
    if (!(d->factor > 0 && d->factor < 1e6 && d->spared >= 0 && d->spared <= 1))
        return dsm_fail(err, DSM_ERANGE,
                        "balance.drop: found %g and %g, expected a number >= 0 and one of 0 to 1",
                        d->factor, d->spared);
    if (d->devices < 1 || d->devices > DSM_MAX_GROUPS || c->n_routed_experts % d->devices != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "balance.drop: found %lld devices, expected a divisor of n_routed_experts "
                        "%lld, at most %d",
                        (long long)d->devices, (long long)c->n_routed_experts, DSM_MAX_GROUPS);
    if (c->router == DSM_ROUTER_SOFTMAX || c->router == DSM_ROUTER_SIGMOID) return DSM_OK;
    return dsm_fail(
        err, DSM_EUSAGE,
        "balance.drop: expected router softmax or sigmoid; others have capacity_factor");
}

dsm_status dsm_balance_check(const dsm_balance *b, const dsm_model_config *c, dsm_err *err)
{
    const struct {
        const char *name;
        double value;
    } factors[] = {{"expert", b->expert},
                   {"device", b->device},
                   {"communication", b->communication},
                   {"z", b->z},
                   {"stable.distill", b->distill}};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!(factors[i].value >= 0 && factors[i].value < 1e6))
            return dsm_fail(err, DSM_ERANGE, "balance.%s: found %g, expected a number >= 0",
                            factors[i].name, factors[i].value);
    if (c->router == DSM_ROUTER_STABLE && (b->device > 0 || b->communication > 0))
        return dsm_fail(err, DSM_EUSAGE,
                        "balance.%s: found %g with router stable, which has no such loss; "
                        "expected 0",
                        b->device > 0 ? "device" : "communication",
                        b->device > 0 ? b->device : b->communication);
    if (b->devices < 0 || (c->n_routed_experts > 0 && c->n_routed_experts % devices(b) != 0))
        return dsm_fail(err, DSM_ESHAPE,
                        "balance.devices: found %lld, expected a divisor of n_routed_experts %lld",
                        (long long)b->devices, (long long)c->n_routed_experts);
    if (b->device_limit < 0 || b->device_limit > devices(b))
        return dsm_fail(err, DSM_ERANGE,
                        "balance.device_limit: found %lld, expected 0 to devices %lld",
                        (long long)b->device_limit, (long long)devices(b));
    return check_drop(&b->drop, c, err);
}

dsm_balance_act dsm_balance_carve(dsm_arena *a, const dsm_balance *b, int64_t n_seq, int64_t T,
                                  int64_t E)
{
    size_t table = (size_t)(n_seq * E);
    return (dsm_balance_act){
        .count = dsm_arena_take(a, sizeof(double) * table),
        .prob = dsm_arena_take(a, sizeof(double) * table),
        .sent = dsm_arena_take(a, sizeof(double) * (size_t)(n_seq * devices(b))),
        .square = dsm_arena_take(a, sizeof(double) * (size_t)n_seq),
        .coefficient = dsm_arena_take(a, sizeof(dsm_real) * table),
        .lse = dsm_arena_take(a, sizeof(dsm_real) * (size_t)T),
    };
}

/* --- forward ----------------------------------------------------------------------------- */

typedef struct job {
    const dsm_balance *b;
    const dsm_route *r;
    const dsm_balance_act *s;
    double weight;
    dsm_real *dscore, *dlogit;
} job;

static double sum_of(const dsm_real *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)v[i];
    return sum;
}

static bool is_sigmoid(const dsm_route *r)
{
    return dsm_router_of(r->config->router)->sigmoid;
}

/* StableMoE's loss reads the scores of the experts that were chosen, as they are. */
static bool reads_chosen(const dsm_route *r)
{
    return r->config->router == DSM_ROUTER_STABLE;
}

/* What a token's scores are divided by so that they sum to one. */
static double score_sum(const dsm_route *r, int64_t t)
{
    return is_sigmoid(r) ? sum_of(r->score + t * r->E, r->E) : 1.0;
}

static double log_sum_exp(const dsm_real *z, int64_t n)
{
    double top = (double)z[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        if ((double)z[i] > top) top = (double)z[i];
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)z[i] - top);
    return top + log(sum);
}

static bool sent_before(const dsm_route *r, int64_t t, int64_t k, int64_t per_device)
{
    int64_t d = dsm_pick_expert(r->pick[t * r->K + k]) / per_device;
    for (int64_t j = 0; j < k; j++)
        if (r->pick[t * r->K + j] != DSM_NO_PICK &&
            dsm_pick_expert(r->pick[t * r->K + j]) / per_device == d)
            return true;
    return false;
}

static void sum_picks(const job *j, int64_t t, double *count, double *sent)
{
    const dsm_route *r = j->r;
    int64_t per_device = r->E / devices(j->b);
    for (int64_t k = 0; k < r->K; k++) {
        if (r->pick[t * r->K + k] == DSM_NO_PICK) continue;
        int32_t e = dsm_pick_expert(r->pick[t * r->K + k]);
        count[e] += 1;
        if (!sent_before(r, t, k, per_device)) sent[e / per_device] += 1;
    }
}

static void sum_scores(const job *j, int64_t t, double *prob)
{
    const dsm_route *r = j->r;
    const dsm_real *score = r->score + t * r->E;
    if (reads_chosen(r)) {
        prob[r->pick[t]] += (double)score[r->pick[t]];
        return;
    }
    double scale = 1 / score_sum(r, t);
    for (int64_t e = 0; e < r->E; e++)
        prob[e] += (double)score[e] * scale;
}

static void sum_sequence(void *arg, int64_t seq, int worker)
{
    (void)worker;
    const job *j = arg;
    const dsm_route *r = j->r;
    int64_t E = r->E, D = devices(j->b);
    double *count = j->s->count + seq * E, *prob = j->s->prob + seq * E,
           *sent = j->s->sent + seq * D;
    memset(count, 0, sizeof *count * (size_t)E);
    memset(prob, 0, sizeof *prob * (size_t)E);
    memset(sent, 0, sizeof *sent * (size_t)D);
    j->s->square[seq] = 0;
    for (int64_t t = seq * r->seq_len; t < (seq + 1) * r->seq_len; t++) {
        sum_scores(j, t, prob);
        sum_picks(j, t, count, sent);
        if (j->b->z == 0) continue;
        double lse = log_sum_exp(r->logit + t * E, E);
        j->s->lse[t] = (dsm_real)lse;
        j->s->square[seq] += lse * lse;
    }
}

/* Sum the rows of a (n_seq, n) table into row 0. */
static void fold(double *table, int64_t n_seq, int64_t n)
{
    for (int64_t i = n; i < n_seq * n; i++)
        table[i % n] += table[i];
}

/* a1; StableMoE's second stage, and whatever is not training, has no such loss. */
static double expert_factor(const job *j)
{
    const dsm_route_mode *mode = j->r->mode;
    bool off = reads_chosen(j->r) && (mode->distilled || !mode->training);
    return off ? 0 : j->b->expert;
}

/* Losses of one unit of `tokens` tokens, and the derivative by each of its probabilities. */
static void finish_unit(const job *j, int64_t unit, int64_t n_units, double tokens,
                        dsm_balance_loss *loss)
{
    const dsm_balance *b = j->b;
    int64_t E = j->r->E, D = devices(b), per_device = E / D;
    const double *count = j->s->count + unit * E, *prob = j->s->prob + unit * E;
    double share = 1 / (double)n_units, f_scale = (double)E / ((double)j->r->active * tokens);
    double a1 = expert_factor(j), even = reads_chosen(j->r) ? 1 : 0;
    for (int64_t d = 0; d < D; d++) {
        double f_device = 0, p_device = 0;
        double f_sent = (double)D / ((double)device_limit(b) * tokens) * j->s->sent[unit * D + d];
        for (int64_t e = d * per_device; e < (d + 1) * per_device; e++) {
            f_device += f_scale * count[e] / (double)per_device;
            p_device += prob[e] / tokens;
            loss->expert +=
                (share * a1 * f_scale * count[e] - share * a1 * even) * prob[e] / tokens;
        }
        loss->device += share * b->device * f_device * p_device;
        loss->communication += share * b->communication * f_sent * p_device;
        for (int64_t e = d * per_device; e < (d + 1) * per_device; e++)
            j->s->coefficient[unit * E + e] =
                (dsm_real)(share / tokens *
                           (a1 * f_scale * count[e] - a1 * even + b->device * f_device +
                            b->communication * f_sent));
    }
}

void dsm_balance_forward(const dsm_exec *x, const dsm_balance *b, const dsm_route *r,
                         const dsm_balance_act *s, dsm_balance_loss *loss)
{
    if (r->config->router == DSM_ROUTER_HASH || r->T == 0) return;
    job j = {.b = b, .r = r, .s = s};
    int64_t n_seq = r->T / r->seq_len, units = b->per_sequence ? n_seq : 1;
    dsm_pool_run(x->pool, n_seq, sum_sequence, &j);
    fold(s->square, n_seq, 1);
    loss->z += b->z * s->square[0] / (double)r->T;
    if (units == 1) {
        fold(s->count, n_seq, r->E);
        fold(s->prob, n_seq, r->E);
        fold(s->sent, n_seq, devices(b));
    }
    for (int64_t u = 0; u < units; u++)
        finish_unit(&j, u, units, (double)r->T / (double)units, loss);
}

/* With p = s / S:  ds_e = (dp_e - Σ_i p_i dp_i) / S  (softmax scores have S = 1 by themselves: ds =
 * dp). z:  dlogit_e = a_z 2 lse / T · softmax(logit)_e. */

static void clear_sequence(const job *j, int64_t first, int64_t n)
{
    memset(j->dscore + first, 0, sizeof *j->dscore * (size_t)n);
    memset(j->dlogit + first, 0, sizeof *j->dlogit * (size_t)n);
}

static void score_gradient(const job *j, int64_t t, const dsm_real *coefficient)
{
    const dsm_route *r = j->r;
    dsm_real *ds = j->dscore + t * r->E;
    if (reads_chosen(r)) {
        ds[r->pick[t]] = (dsm_real)(j->weight * (double)coefficient[r->pick[t]]);
        return;
    }
    double sum = score_sum(r, t), mean = 0;
    if (is_sigmoid(r))
        for (int64_t e = 0; e < r->E; e++)
            mean += (double)r->score[t * r->E + e] / sum * (double)coefficient[e];
    for (int64_t e = 0; e < r->E; e++)
        ds[e] = (dsm_real)(j->weight * ((double)coefficient[e] - mean) / sum);
}

static void z_gradient(const job *j, int64_t t)
{
    const dsm_route *r = j->r;
    double lse = (double)j->s->lse[t];
    double scale = j->weight * j->b->z * 2 * lse / (double)r->T;
    for (int64_t i = t * r->E; i < (t + 1) * r->E; i++)
        j->dlogit[i] = (dsm_real)(scale * exp((double)r->logit[i] - lse));
}

static void sequence_gradient(void *arg, int64_t seq, int worker)
{
    (void)worker;
    const job *j = arg;
    const dsm_route *r = j->r;
    int64_t first = seq * r->seq_len;
    clear_sequence(j, first * r->E, r->seq_len * r->E);
    if (!j->b) return;
    const dsm_real *coefficient = j->s->coefficient + (j->b->per_sequence ? seq * r->E : 0);
    for (int64_t t = first; t < first + r->seq_len; t++) {
        score_gradient(j, t, coefficient);
        if (j->b->z != 0) z_gradient(j, t);
    }
}

void dsm_balance_backward(const dsm_exec *x, const dsm_balance *b, const dsm_route *r,
                          const dsm_balance_act *s, double weight, dsm_real *dscore,
                          dsm_real *dlogit)
{
    job j = {.b = b, .r = r, .s = s, .weight = weight, .dscore = dscore, .dlogit = dlogit};
    dsm_pool_run(x->pool, r->T / r->seq_len, sequence_gradient, &j);
}

/* --- load -------------------------------------------------------------------------------- */

void dsm_load_clear(dsm_load *l)
{
    for (int64_t e = 0; e < l->E; e++)
        l->count[e] = 0;
    *l = (dsm_load){.E = l->E, .count = l->count};
}

/* Entropy of a token's distribution. Softmax: ln s_e = z_e - lse with lse = z_top - ln s_top, so
 * one logarithm does: H = lse - Σ s_e z_e. Sigmoid, p = s / S: H = ln S - Σ s ln s / S. */
static double entropy_of(const dsm_route *r, int64_t t, int64_t top)
{
    const dsm_real *s = r->score + t * r->E, *z = r->logit + t * r->E;
    double sum = 0;
    if (is_sigmoid(r)) {
        double total = score_sum(r, t);
        for (int64_t e = 0; e < r->E; e++)
            if (s[e] > 0) sum += (double)s[e] * log((double)s[e]);
        return log(total) - sum / total;
    }
    for (int64_t e = 0; e < r->E; e++)
        sum += (double)s[e] * ((double)z[e] - (double)z[top]);
    return -log((double)s[top]) - sum;
}

static int64_t top_of(const dsm_route *r, int64_t t)
{
    const dsm_real *s = r->score + t * r->E;
    int64_t top = 0;
    for (int64_t e = 1; e < r->E; e++)
        if (s[e] > s[top]) top = e;
    return top;
}

double dsm_route_entropy(const dsm_route *r, int64_t t)
{
    return r->config->router == DSM_ROUTER_HASH ? 0 : entropy_of(r, t, top_of(r, t));
}

static void add_scores(dsm_load *l, const dsm_route *r)
{
    for (int64_t t = 0; t < r->T; t++) {
        int64_t top = top_of(r, t);
        l->score_max += (double)r->score[t * r->E + top];
        l->entropy += entropy_of(r, t, top);
    }
}

void dsm_load_add(dsm_load *l, const dsm_route *r)
{
    for (int64_t i = 0; i < r->T * r->K; i++) {
        if (r->pick[i] == DSM_NO_PICK) continue;
        l->count[dsm_pick_expert(r->pick[i])]++;
        l->dropped += r->pick[i] < 0;
        l->picks++;
    }
    l->tokens += r->T;
    if (r->config->router != DSM_ROUTER_HASH) add_scores(l, r);
}

void dsm_load_merge(dsm_load *into, const dsm_load *from)
{
    for (int64_t e = 0; e < into->E; e++)
        into->count[e] += from->count[e];
    into->tokens += from->tokens;
    into->picks += from->picks;
    into->dropped += from->dropped;
    into->entropy += from->entropy;
    into->score_max += from->score_max;
}

static double mean_load(const dsm_load *l)
{
    return l->E ? (double)l->picks / (double)l->E : 0.0;
}

double dsm_load_max_vio(const dsm_load *l)
{
    int64_t most = 0;
    for (int64_t e = 0; e < l->E; e++)
        if (l->count[e] > most) most = l->count[e];
    return l->picks ? ((double)most - mean_load(l)) / mean_load(l) : 0.0;
}

int64_t dsm_load_dead(const dsm_load *l)
{
    int64_t dead = 0;
    for (int64_t e = 0; e < l->E; e++)
        dead += l->count[e] == 0;
    return dead;
}

void dsm_bias_update(dsm_real *bias, const dsm_load *l, double rate, dsm_bias_rule rule)
{
    double mean = mean_load(l);
    if (mean == 0) return;
    for (int64_t e = 0; e < l->E; e++) {
        double error = mean - (double)l->count[e];
        double step =
            rule == DSM_BIAS_SIGN ? (double)(error > 0) - (double)(error < 0) : error / mean;
        bias[e] = (dsm_real)((double)bias[e] + rate * step);
    }
}
