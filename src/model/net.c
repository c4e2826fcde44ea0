/* SPDX-License-Identifier: MIT */
/* The whole network, straight-line: embedding, layers, final norm, head and loss; and back.
 *
 * One forward serves training, evaluation and generation; what differs is which activations are
 * kept (layout below), whether attention has a cache, and what is asked of the final stream. */
#include "model/net.h"

#include "core/clock.h"
#include "model/block.h"
#include "model/ends.h"
#include "model/rope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dsm_part_names[DSM_N_PARTS] = {
    [DSM_PART_EMBED] = "embed",     [DSM_PART_NORM] = "norm",
    [DSM_PART_PROJECT] = "project", [DSM_PART_ATTENTION] = "attention",
    [DSM_PART_ROUTER] = "router",   [DSM_PART_DISPATCH] = "dispatch",
    [DSM_PART_EXPERTS] = "experts", [DSM_PART_SHARED] = "shared",
    [DSM_PART_DENSE] = "dense",     [DSM_PART_HEAD] = "head",
    [DSM_PART_CLEAR] = "clear",
};

struct dsm_net {
    dsm_model *model;
    const dsm_exec *exec;
    dsm_net_options options;
    dsm_arena activations, scratch;
    size_t lent; /* bytes of activations in the memory of gradients */

    dsm_block_act *layers;        /* (L) */
    dsm_real *last;               /* (R, D) stream after the last layer */
    dsm_real *last_norm;          /* (R, D) */
    dsm_real *last_rstd;          /* (R) */
    dsm_real *rope;               /* (seq_len, Dr/2, 2) of the positions that */
    int64_t rope_begin, rope_end; /* it holds, */
    int64_t rope_length;          /* in a text so long */
    int64_t expected;             /* length of a text that comes in pieces */
    dsm_real *ones;               /* (R) */
    int32_t *tokens, *targets;    /* (R) of the last micro-batch */
    dsm_block_scratch block;
    dsm_loss_scratch loss;
    dsm_real *dstream;    /* (R, D) gradient of the stream */
    dsm_real *dlast_norm; /* (R, D) */

    dsm_route_mode mode; /* of the last call */
    int64_t n_seq;       /* of the last micro-batch; 0: none */
    dsm_stopwatch watch;
    const dsm_observer *observer;
};

/* --- memory ------------------------------------------------------------------------------ */

static int64_t rows_of(const dsm_net_options *o)
{
    return o->max_sequences * o->seq_len;
}

/* Picks per token that there is memory for. */
static int64_t picks_of(const dsm_model_config *c, const dsm_net_options *o)
{
    if (c->n_routed_experts == 0) return 0;
    return o->max_active > 0 ? o->max_active : dsm_router_picks(c);
}

/* Carve one layer where it fits: in the memory of gradients, or in `own`. */
static dsm_block_act lay_out_layer(dsm_net *n, dsm_arena *own, dsm_arena *loan, const dsm_shape *g,
                                   int64_t l)
{
    bool is_moe = dsm_model_config_is_moe(g->config, l);
    dsm_arena need = {0}, none = {0};
    dsm_block_carve(&(dsm_homes){&none, &need}, g, is_moe, &n->block); /* measure */
    bool fits = g->training && n->options.whole_step && dsm_loan_fits(loan, n->model, l, need.used);
    if (fits) n->lent += need.used;
    return dsm_block_carve(&(dsm_homes){own, fits ? loan : own}, g, is_moe, &n->block);
}

static void lay_out_layers(dsm_net *n, dsm_arena *a, const dsm_shape *g)
{
    dsm_arena loan = dsm_loan_open(n->model, a->base != NULL);
    n->lent = 0;
    n->layers = dsm_arena_take(a, sizeof *n->layers * (size_t)g->config->num_hidden_layers);
    for (int64_t l = 0; l < g->config->num_hidden_layers; l++) {
        dsm_block_act act = lay_out_layer(n, a, &loan, g, l);
        if (n->layers) n->layers[l] = act;
    }
    n->last = g->training ? dsm_take_reals(a, g->R * g->config->hidden_size) : n->block.shared.x;
}

static void lay_out(dsm_net *n, dsm_arena *a, dsm_arena *s)
{
    const dsm_model_config *c = &n->model->config;
    int64_t R = rows_of(&n->options), size = R * c->hidden_size;
    const dsm_net_options *o = &n->options;
    const dsm_shape g = {c,
                         &o->balance,
                         o->max_sequences,
                         R,
                         picks_of(c, o),
                         o->training,
                         dsm_keep_of(o->training, o->recompute)};
    n->block = dsm_block_carve_scratch(s, &g);
    lay_out_layers(n, a, &g);
    n->last_norm = dsm_take_reals(a, size);
    n->last_rstd = dsm_take_reals(a, R);
    n->rope = dsm_take_reals(a, n->options.seq_len * dsm_model_config_rope_dim(c));
    n->ones = dsm_take_reals(a, R);
    n->tokens = dsm_take_ints(a, R);
    n->targets = dsm_take_ints(a, R);

    n->loss = dsm_loss_carve(s, R, c->vocab_size);
    if (!g.training) return;
    n->dstream = dsm_take_reals(s, size);
    n->dlast_norm = n->block.dnorm; /* the same thing, above the layers */
}

void dsm_net_measure(const dsm_model *m, const dsm_net_options *o, dsm_net_memory *out)
{
    dsm_net n = {.model = (dsm_model *)(uintptr_t)m, .options = *o};
    dsm_arena activations = {0}, scratch = {0};
    lay_out(&n, &activations, &scratch);
    *out = (dsm_net_memory){activations.used, scratch.used, n.lent};
}

dsm_net_memory dsm_net_holds(const dsm_net *n)
{
    return (dsm_net_memory){n->activations.cap, n->scratch.cap, n->lent};
}

static dsm_status check_options(const dsm_model *m, const dsm_net_options *o, dsm_err *err)
{
    if (o->max_sequences < 1 || o->seq_len < 1)
        return dsm_fail(err, DSM_ERANGE,
                        "batch: found %lld sequences of %lld tokens, expected >= 1",
                        (long long)o->max_sequences, (long long)o->seq_len);
    int64_t slots = dsm_router_slots(&m->config, picks_of(&m->config, o));
    if ((slots > 1 ? slots : 1) > INT32_MAX / o->seq_len / o->max_sequences)
        return dsm_fail(err, DSM_ERANGE,
                        "batch: found %lld sequences of %lld tokens, expected fewer than 2^31 "
                        "(token, expert) rows",
                        (long long)o->max_sequences, (long long)o->seq_len);
    if (o->training && !m->grads)
        return dsm_fail(err, DSM_EUSAGE, "model: has no gradients, expected a trainable model");
    return dsm_balance_check(&o->balance, &m->config, err);
}

static dsm_status take_memory(dsm_net *n, dsm_err *err)
{
    dsm_net_memory need;
    dsm_net_measure(n->model, &n->options, &need);
    DSM_TRY(dsm_arena_init(&n->activations, need.activations, "activations", err));
    DSM_TRY(dsm_arena_init(&n->scratch, need.scratch, "scratch of a step", err));
    lay_out(n, &n->activations, &n->scratch);
    return DSM_OK;
}

dsm_status dsm_net_open(dsm_net **out, dsm_model *m, const dsm_exec *x, const dsm_net_options *o,
                        dsm_err *err)
{
    *out = NULL;
    DSM_TRY(check_options(m, o, err));
    dsm_net *n = calloc(1, sizeof *n);
    if (!n) return dsm_fail(err, DSM_ENOMEM, "network: out of memory");
    n->model = m;
    n->exec = x;
    n->options = *o;
    dsm_status status = take_memory(n, err);
    if (status != DSM_OK) {
        dsm_net_close(n);
        return status;
    }
    for (int64_t i = 0; i < rows_of(o); i++)
        n->ones[i] = 1;
    *out = n;
    return DSM_OK;
}

void dsm_net_close(dsm_net *n)
{
    if (!n) return;
    dsm_arena_free(&n->scratch);
    dsm_arena_free(&n->activations);
    free(n);
}

/* --- forward and backward ---------------------------------------------------------------- */

/* The rotations of positions `begin` … `end`-1, the last so far of a text. */
static void hold_positions(dsm_net *n, int64_t begin, int64_t end)
{
    int64_t length = end > n->expected ? end : n->expected;
    bool other = n->model->config.rope.kind == DSM_ROPE_DYNAMIC && n->rope_length != length;
    if (n->rope_begin == begin && n->rope_end >= end && !other) return;
    dsm_rope_fill(n->rope, begin, end, &n->model->config, length);
    n->rope_begin = begin;
    n->rope_end = end;
    n->rope_length = length;
}

void dsm_net_expect(dsm_net *n, int64_t length)
{
    n->expected = length;
}

/* T positions of each sequence from `begin` on. */
static dsm_ctx context(dsm_net *n, const int32_t *tokens, int64_t n_seq, int64_t begin, int64_t T)
{
    hold_positions(n, begin, begin + T);
    n->watch.last = dsm_clock();
    return (dsm_ctx){.exec = n->exec,
                     .k = n->exec->kernels,
                     .config = &n->model->config,
                     .mode = &n->mode,
                     .n_seq = n_seq,
                     .T = T,
                     .R = n_seq * T,
                     .tokens = tokens,
                     .rope = n->rope,
                     .ones = n->ones,
                     .layer = -1,
                     .observer = n->observer,
                     .watch = &n->watch};
}

/* Tokens to the stream after the last layer. loads: (L) or NULL. */
static void forward(dsm_net *n, dsm_ctx *c, dsm_load *loads)
{
    const dsm_model *m = n->model;
    int64_t L = m->config.num_hidden_layers;
    dsm_embed_forward(c, &m->embed, n->layers[0].x);
    for (int64_t l = 0; l < L; l++) {
        dsm_block_act *act = &n->layers[l];
        c->layer = (int)l;
        dsm_block_forward(c, &m->layers[l], act, &n->block, l + 1 < L ? act[1].x : n->last);
        if (loads && m->layers[l].moe.experts.n_groups > 0)
            dsm_load_add(&loads[l], &act->moe.route);
    }
    c->layer = -1;
}

/* Where the gradients of a part of the model begin; -1: what stands before the layers, L: after
 * them. */
static int64_t gradients_begin(const dsm_model *m, int64_t part)
{
    int64_t L = m->config.num_hidden_layers;
    return part < 0 ? 0 : part > L ? m->n_elements : dsm_model_layer_begin(m, part);
}

/* With whole_step, gradients begin to live: those of a layer's matrices when they are first
 * written, the others, and those of a distilled router, as zeros. Else the caller has cleared them
 * all. */
static void begin_gradients(const dsm_net *n, const dsm_ctx *c, int64_t part)
{
    if (!n->options.whole_step) return;
    int64_t begin = gradients_begin(n->model, part), end = gradients_begin(n->model, part + 1);
    dsm_clear(c, n->model->grads + begin, end - begin);
    dsm_lap(c, DSM_PART_CLEAR);
}

static void begin_layer_gradients(const dsm_net *n, dsm_ctx *c, int64_t layer)
{
    const dsm_model *m = n->model;
    c->first_gradients = n->options.whole_step;
    if (!n->options.whole_step) return;
    int64_t begin = gradients_begin(m, layer), end = gradients_begin(m, layer + 1);
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        int64_t size = p->rows * p->cols, written = p->ndim == 1 || p->distilled ? 0 : size;
        if (p->offset < begin || p->offset >= end) continue;
        memset(m->grads + p->offset + written, 0,
               sizeof(dsm_real) * (size_t)(dsm_model_row_elements(size) - written));
    }
    dsm_lap(c, DSM_PART_CLEAR);
}

/* From the gradient of the normed last stream to all parameters. */
static void backward(dsm_net *n, dsm_ctx *c)
{
    const dsm_model *m = n->model;
    dsm_clear(c, n->dstream, c->R * m->config.hidden_size);
    dsm_norm_backward(c, &m->norm, n->dstream, n->dlast_norm, n->last, n->last_rstd, c->R);
    for (int64_t l = m->config.num_hidden_layers - 1; l >= 0; l--) {
        c->layer = (int)l;
        begin_layer_gradients(n, c, l);
        dsm_block_backward(c, &m->layers[l], &n->layers[l], &n->block, n->dstream);
    }
    c->layer = -1;
    c->first_gradients = false;
    if (!m->config.tie_word_embeddings) begin_gradients(n, c, -1);
    dsm_embed_backward(c, &m->embed, n->dstream);
}

/* Final norm of `rows` rows of the last stream, from row `first`. */
static const dsm_real *final_norm(dsm_net *n, const dsm_ctx *c, int64_t first, int64_t rows)
{
    int64_t D = n->model->config.hidden_size;
    dsm_norm_forward(c, &n->model->norm, n->last_norm + first * D, n->last_rstd + first,
                     n->last + first * D, rows);
    dsm_watch(c, "final norm", n->last_norm + first * D, rows * D);
    return n->last_norm + first * D;
}

/* --- a micro-batch ----------------------------------------------------------------------- */

static dsm_status check_ids(const char *what, const int32_t *id, int64_t n, int32_t low, int64_t V,
                            dsm_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (id[i] < low || id[i] >= V)
            return dsm_fail(
                err, DSM_ERANGE,
                "%s %lld: found id %d, expected %d to %lld (is the vocabulary larger than "
                "the model's?)",
                what, (long long)i, (int)id[i], (int)low, (long long)V - 1);
    return DSM_OK;
}

static dsm_status check_step(const dsm_net *n, const int32_t *tokens, const int32_t *targets,
                             int64_t n_seq, const dsm_route_mode *mode, double weight, dsm_err *err)
{
    const dsm_model_config *c = &n->model->config;
    int64_t R = n_seq * n->options.seq_len;
    if (n_seq < 1 || n_seq > n->options.max_sequences)
        return dsm_fail(err, DSM_ERANGE, "batch: found %lld sequences, expected 1 to %lld",
                        (long long)n_seq, (long long)n->options.max_sequences);
    if (mode->training && !n->options.training)
        return dsm_fail(err, DSM_EUSAGE, "network: opened for evaluation, expected for training");
    if (mode->training && !(weight > 0))
        return dsm_fail(err, DSM_ERANGE, "batch weight: found %g, expected a number above 0",
                        weight);
    DSM_TRY(dsm_route_mode_check(mode, c, err));
    if (mode->active > picks_of(c, &n->options))
        return dsm_fail(err, DSM_ERANGE,
                        "active experts: found %lld, the network was opened for at most %lld",
                        (long long)mode->active, (long long)picks_of(c, &n->options));
    DSM_TRY(check_ids("token", tokens, R, 0, c->vocab_size, err));
    return check_ids("target", targets, R, -1, c->vocab_size, err);
}

static int64_t count_targets(const int32_t *targets, int64_t R)
{
    int64_t count = 0;
    for (int64_t i = 0; i < R; i++)
        count += targets[i] >= 0;
    return count;
}

static double sum_rows(const dsm_real *loss, int64_t R)
{
    double sum = 0;
    for (int64_t i = 0; i < R; i++)
        sum += (double)loss[i];
    return sum;
}

static void add_losses(dsm_losses *into, const dsm_losses *step)
{
    into->lm += step->lm;
    into->targets += step->targets;
    into->balance.expert += step->balance.expert;
    into->balance.device += step->balance.device;
    into->balance.communication += step->balance.communication;
    into->balance.z += step->balance.z;
    into->balance.distill += step->balance.distill;
}

static double total_loss(const dsm_losses *l)
{
    return l->lm + l->balance.expert + l->balance.device + l->balance.communication + l->balance.z +
           l->balance.distill;
}

/* Gradients of the head, which the loss adds to, and of the final norm. */
static void begin_head_gradients(const dsm_net *n, const dsm_ctx *c)
{
    begin_gradients(n, c, n->model->config.num_hidden_layers);
    if (n->model->config.tie_word_embeddings) begin_gradients(n, c, -1);
}

/* Forward and loss of the micro-batch that n holds; weight 0: no gradients. */
static dsm_losses run_micro_batch(dsm_net *n, dsm_ctx *c, double weight, dsm_load *loads)
{
    dsm_losses step = {.targets = count_targets(n->targets, c->R)};
    double scale = weight / (double)(step.targets > 0 ? step.targets : 1);
    c->balance = &n->options.balance;
    c->balance_loss = &step.balance;
    c->weight = weight;
    forward(n, c, loads);
    if (weight > 0) begin_head_gradients(n, c);
    dsm_loss_forward_backward(c, &n->model->head, &n->loss, final_norm(n, c, 0, c->R), n->targets,
                              scale, n->dlast_norm);
    step.lm = sum_rows(n->loss.loss, c->R);
    c->balance_loss = NULL;
    return step;
}

dsm_status dsm_net_step(dsm_net *n, const int32_t *tokens, const int32_t *targets, int64_t n_seq,
                        const dsm_route_mode *mode, double weight, dsm_losses *losses,
                        dsm_load *loads, dsm_real *token_loss, dsm_err *err)
{
    DSM_TRY(check_step(n, tokens, targets, n_seq, mode, weight, err));
    size_t R = (size_t)(n_seq * n->options.seq_len);
    memcpy(n->tokens, tokens, R * sizeof *tokens);
    memcpy(n->targets, targets, R * sizeof *targets);
    n->mode = *mode;
    n->n_seq = n_seq;
    dsm_ctx c = context(n, n->tokens, n_seq, 0, n->options.seq_len);
    dsm_losses step = run_micro_batch(n, &c, mode->training ? weight : 0, loads);
    add_losses(losses, &step);
    if (token_loss) memcpy(token_loss, n->loss.loss, R * sizeof *token_loss);
    if (!isfinite(total_loss(&step))) {
        char where[160];
        dsm_net_find_nonfinite(n, where, sizeof where);
        return dsm_fail(err, DSM_ENONFINITE, "loss is not finite; first seen in %s",
                        where[0] ? where : "the loss itself");
    }
    if (mode->training) backward(n, &c);
    return DSM_OK;
}

/* --- searching for non-finite values ----------------------------------------------------- */

static void probe_parameters(const dsm_net *n, dsm_probe *probe)
{
    const dsm_model *m = n->model;
    for (int64_t i = 0; m->values && i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        bool finite = true;
        if (p->offset < 0) continue;
        n->exec->kernels->sum_squares(n->exec, m->values + p->offset, p->rows * p->cols, &finite);
        if (finite) continue;
        snprintf(probe->where, sizeof probe->where, "parameter %s", p->name);
        return;
    }
}

void dsm_net_find_nonfinite(dsm_net *n, char *where, size_t size)
{
    dsm_probe probe = {""};
    probe_parameters(n, &probe);
    if (!probe.where[0] && n->n_seq > 0) {
        dsm_ctx c = context(n, n->tokens, n->n_seq, 0, n->options.seq_len);
        c.probe = &probe;
        run_micro_batch(n, &c, 0, NULL);
    }
    snprintf(where, size, "%s", probe.where);
}

/* --- generation -------------------------------------------------------------------------- */

dsm_status dsm_net_feed(dsm_net *n, dsm_cache *cache, const int32_t *tokens, int64_t n_tokens,
                        dsm_real *logits, int64_t n_logits, dsm_err *err)
{
    const dsm_model *m = n->model;
    if (n_tokens < 1 || n_tokens > n->options.seq_len || n_logits < 0 || n_logits > n_tokens)
        return dsm_fail(err, DSM_ERANGE,
                        "feed: found %lld tokens and %lld logits, expected 1 to %lld",
                        (long long)n_tokens, (long long)n_logits, (long long)n->options.seq_len);
    if (cache->length + n_tokens > cache->capacity)
        return dsm_fail(err, DSM_ELIMIT, "context: found %lld tokens, expected at most %lld",
                        (long long)(cache->length + n_tokens), (long long)cache->capacity);
    DSM_TRY(check_ids("token", tokens, n_tokens, 0, m->config.vocab_size, err));
    n->mode = (dsm_route_mode){.first_token = cache->length, .causal = true};
    n->n_seq = 0;
    dsm_ctx c = context(n, tokens, 1, cache->length, n_tokens);
    c.cache = cache;
    forward(n, &c, NULL);
    cache->length += n_tokens;
    if (n_logits == 0) return DSM_OK;
    const dsm_real *x = final_norm(n, &c, n_tokens - n_logits, n_logits);
    dsm_linear_forward(&c, &m->head, logits, m->config.vocab_size, false, x, n_logits);
    dsm_lap(&c, DSM_PART_HEAD);
    return DSM_OK;
}

/* --- looking in -------------------------------------------------------------------------- */

int64_t dsm_net_routing(const dsm_net *n, int64_t layer, const int32_t **pick,
                        const dsm_real **gate, int64_t *K)
{
    if (n->model->layers[layer].moe.experts.n_groups == 0) return 0;
    const dsm_route *r = &n->layers[layer].moe.route;
    *pick = r->pick;
    *gate = r->gate;
    *K = r->K;
    return r->T;
}

void dsm_net_observe(dsm_net *n, const dsm_observer *o)
{
    n->observer = o;
}

const dsm_real *dsm_net_hidden(const dsm_net *n)
{
    return n->last_norm;
}

const double *dsm_net_times(const dsm_net *n)
{
    return n->watch.seconds;
}

void dsm_net_clear_times(dsm_net *n)
{
    memset(n->watch.seconds, 0, sizeof n->watch.seconds);
}
