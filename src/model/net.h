/* SPDX-License-Identifier: MIT */
/* The network: one forward for training, evaluation, analysis and generation, and its backward.
 *
 * A dsm_net is a model, where it runs, and the arenas that one shape of batch needs; all memory is
 * taken when it is opened. With a dsm_cache the same forward appends to a sequence and logits are
 * computed for the rows asked for. */
#ifndef DSMOE_MODEL_NET_H
#define DSMOE_MODEL_NET_H

#include "dsmoe/plan.h"
#include "model/balance.h"
#include "model/params.h"

typedef struct dsm_net dsm_net;
struct dsm_ctx; /* ctx.h */

typedef struct dsm_net_options {
    int64_t max_sequences; /* sequences of a micro-batch */
    int64_t seq_len;       /* T of a training or evaluation sequence; of one prefill chunk */
    int64_t max_active;    /* picks per token that a mode may ask for; 0: those of the model */
    bool training;         /* keep what backward needs */
    dsm_balance balance;
    dsm_recompute recompute; /* what backward computes again; the same bits */
    bool whole_step; /* each training micro-batch is a step of its own: gradients are overwritten,
                        not added to, and until then their memory holds activations (memory.h) */
} dsm_net_options;

/* model and x are borrowed and must outlive the net. */
dsm_status dsm_net_open(dsm_net **out, dsm_model *m, const dsm_exec *x, const dsm_net_options *o,
                        dsm_err *err);
void dsm_net_close(dsm_net *n); /* accepts NULL */
/* Bytes dsm_net_open would take, by purpose, without taking them; m may be made of no memory. */
typedef struct dsm_net_memory {
    size_t activations, scratch;
    size_t lent; /* activations besides those, in the memory of gradients */
} dsm_net_memory;
void dsm_net_measure(const dsm_model *m, const dsm_net_options *o, dsm_net_memory *out);
dsm_net_memory dsm_net_holds(const dsm_net *n); /* what an open one has */

typedef struct dsm_losses {
    double lm;                /* Σ over target tokens of -log p, nats */
    int64_t targets;          /* tokens counted in lm */
    dsm_balance_loss balance; /* summed over MoE layers, of this micro-batch */
} dsm_losses;

/* Forward and loss of one micro-batch: tokens, targets (n_seq, T), T = seq_len; target -1 = not
 * counted.
 *
 * Losses are added to *losses, without weight. With mode->training gradients are added to
 * model->grads (with whole_step: put there; any other call leaves them unusable): of the LM loss
 * (mean over this micro-batch's targets) and of the balance losses, both times `weight` > 0, which
 * is 1 / micro-batches of a step. loads: (L) entries to add routing statistics to, or NULL.
 * token_loss (n_seq·T): loss of each token, or NULL.
 *
 * Errors: DSM_ERANGE for ids outside the vocabulary or a batch too large; DSM_ENONFINITE names the
 * first layer and tensor, and the gradients are then unusable. */
dsm_status dsm_net_step(dsm_net *n, const int32_t *tokens, const int32_t *targets, int64_t n_seq,
                        const dsm_route_mode *mode, double weight, dsm_losses *losses,
                        dsm_load *loads, dsm_real *token_loss, dsm_err *err);

/* --- generation ------------------------------------------------------------------------------- */

/* Keys and values of one sequence (cache.h), stored as f32, f16 or q8_0. */
typedef struct dsm_cache dsm_cache;
dsm_status dsm_cache_open(dsm_cache **out, const dsm_model *m, int64_t capacity, dsm_dtype dtype,
                          dsm_err *err);
void dsm_cache_close(dsm_cache *c); /* accepts NULL */
int64_t dsm_cache_length(const dsm_cache *c);
int64_t dsm_cache_capacity(const dsm_cache *c);
void dsm_cache_truncate(dsm_cache *c, int64_t length); /* forget positions >= length */
size_t dsm_cache_bytes(const dsm_model *m, int64_t capacity, dsm_dtype dtype);

/* The texts fed from now on have at least `length` tokens: what rotary scaling of type dynamic looks
 * at, when a text is fed in pieces. 0, as at first: it looks at the end of each piece. */
void dsm_net_expect(dsm_net *n, int64_t length);

/* Feed n tokens (n <= seq_len of the net) that follow the cached ones; logits (n_logits, V) of the
 * last n_logits of them. DSM_ELIMIT when the cache is full. */
dsm_status dsm_net_feed(dsm_net *n, dsm_cache *c, const int32_t *tokens, int64_t n_tokens,
                        dsm_real *logits, int64_t n_logits, dsm_err *err);

/* Routing of the last call, layer l: picks and gates (T, K), borrowed; 0 tokens for a dense layer.
 * For analysis and --show-experts. */
int64_t dsm_net_routing(const dsm_net *n, int64_t layer, const int32_t **pick,
                        const dsm_real **gate, int64_t *K);

/* Who is told what an MoE layer is about to do: its input x (R, D) and its routing r of R rows,
 * with scores; p are its experts. Called by every forward, layer after layer, on the calling
 * thread. */
typedef struct dsm_observer {
    void (*moe)(void *arg, const struct dsm_ctx *c, const dsm_moe_params *p, const dsm_route *r,
                const dsm_real *x);
    void *arg;
} dsm_observer;
void dsm_net_observe(dsm_net *n, const dsm_observer *o); /* borrowed; NULL: nobody */

/* The final normed stream of the last call (rows, D), which the head makes logits of; borrowed. */
const dsm_real *dsm_net_hidden(const dsm_net *n);

/* Seconds spent per part since the last clear, for `bench train`. */
typedef enum dsm_part {
    DSM_PART_EMBED,
    DSM_PART_NORM,
    DSM_PART_PROJECT,
    DSM_PART_ATTENTION,
    DSM_PART_ROUTER,
    DSM_PART_DISPATCH,
    DSM_PART_EXPERTS,
    DSM_PART_SHARED,
    DSM_PART_DENSE,
    DSM_PART_HEAD,
    DSM_PART_CLEAR, /* gradients, with whole_step */
    DSM_N_PARTS
} dsm_part;
extern const char *const dsm_part_names[DSM_N_PARTS];
const double *dsm_net_times(const dsm_net *n);
void dsm_net_clear_times(dsm_net *n);

/* The first tensor found non-finite after a failed step ("layer 3 attention output"), or "" if all
 * is finite: reruns the forward of the last micro-batch with checks. */
void dsm_net_find_nonfinite(dsm_net *n, char *where, size_t size);

#endif
