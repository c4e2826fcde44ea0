/* SPDX-License-Identifier: MIT */
/* The router interface: logits in, picks and gates out. One small file per kind.
 *
 * The MoE layer computes logits (T, E) = x · Wᵀ (f32), calls forward, and does not care which
 * router it was. A choice that is not taken (capacity, random second) keeps its expert e as ~e,
 * which is negative: it costs nothing and adds nothing, but balance losses and loads still count
 * it. Where experts choose tokens, K is E: slot e of a token says whether expert e took it, and
 * where it did not there is no pick at all. Gates are the weights of the combination.
 *
 * Random draws use step = the optimiser step and index = position + layer·2^40, where position
 * counts the tokens of the global batch (jitter: position·D + d). */
#ifndef DSMOE_MODEL_ROUTER_H
#define DSMOE_MODEL_ROUTER_H

#include "core/exec.h"
#include "core/real.h"
#include "dsmoe/config.h"

#include <stdbool.h>
#include <stdint.h>

/* How to route: the config's rule, and what an analysis may override for one run. */
typedef struct dsm_route_mode {
    bool training;  /* jitter, random second and capacity are applied only when training */
    bool distilled; /* StableMoE's second stage; without `training` it is always that */
    bool causal;    /* tokens to come are not known: Expert Choice picks token by token */
    uint64_t seed;
    uint32_t step;
    int64_t first_token; /* position of row 0 within the global batch */
    /* What an analysis changes, never in training: */
    int64_t active;   /* picks per token instead of K; 0: K */
    double mask_top;  /* no token may pick these: of all routed experts the share most probable */
    bool drop_shared; /* without the shared experts */
} dsm_route_mode;

typedef struct dsm_route {
    const dsm_model_config *config;
    const dsm_route_mode *mode;
    int layer;
    int64_t T, E, K;       /* tokens, routed experts, picks per token of this run */
    int64_t active;        /* experts per token: K, but of Expert Choice the average */
    int64_t seq_len;       /* T is a whole number of sequences: capacity groups, balance units */
    const int32_t *tokens; /* (T) ids, for hash */
    const int32_t *hash;   /* (V) */
    const dsm_real *bias;  /* (E) selection bias or NULL */
    dsm_real *logit;       /* (T, E) in; unused by hash */
    dsm_real *distilled;   /* (T, E) logits of StableMoE's distilled router, or NULL */
    dsm_real *score;       /* (T, E) out: affinities (softmax or sigmoid), original, never biased */
    int32_t *pick;         /* (T, K) out: expert e, ~e if not taken, or DSM_NO_PICK */
    dsm_real *gate;        /* (T, K) out: 0 if not taken */
    dsm_real *work;        /* (T, E) scratch */
    int32_t *order;        /* (T) scratch of Expert Choice */
} dsm_route;

typedef struct dsm_router {
    const char *name; /* as "dsmoe": {"router": …} spells it */
    bool has_weight;  /* needs logits and makes scores */
    bool sigmoid;     /* scores are independent of each other: they do not sum to one */
    bool by_expert;   /* experts choose tokens */
    bool ranks;       /* a token picks the K best by score: an analysis may change K and mask */
    int64_t picks;    /* K that the kind fixes; 0: num_experts_per_tok */
    void (*forward)(const dsm_exec *x, const dsm_route *r);
    /* dlogit (T, E) += from dgate (T, K) of the combination and dscore (T, E) of the balance
     * losses; dscore is used up. Picks are held fixed. */
    void (*backward)(const dsm_exec *x, const dsm_route *r, dsm_real *dlogit, const dsm_real *dgate,
                     dsm_real *dscore);
} dsm_router;

const dsm_router *dsm_router_of(dsm_router_kind kind);
enum { DSM_N_ROUTERS = DSM_ROUTER_STABLE + 1, DSM_MAX_GROUPS = 256 /* n_group */ };

/* Experts per token of a config (1 for switch, hash and stable, 2 for gshard, else
 * num_experts_per_tok; where experts choose, that is the average). */
int64_t dsm_router_picks(const dsm_model_config *c);

/* What memory is carved for where a token has K experts: choices of a token, and the most (token,
 * expert) pairs of T tokens. */
int64_t dsm_router_slots(const dsm_model_config *c, int64_t K);
int64_t dsm_router_pairs(const dsm_model_config *c, int64_t K, int64_t T);

/* Do experts choose in this run? Where the future is not known, Expert Choice picks the best of
 * each token instead. */
bool dsm_route_by_expert(const dsm_model_config *c, const dsm_route_mode *mode);

#define DSM_NO_PICK INT32_MIN /* a slot without an expert: counted nowhere */

/* What mode makes of a model: K of its routings, and how many experts mask_top disables. */
int64_t dsm_route_picks(const dsm_route_mode *mode, const dsm_model_config *c);
int64_t dsm_route_masked(const dsm_route_mode *mode, const dsm_model_config *c);

/* Can a model be routed so? DSM_EUSAGE where its router knows no such thing, DSM_ERANGE for numbers
 * that leave a token fewer experts than it picks. */
dsm_status dsm_route_mode_check(const dsm_route_mode *mode, const dsm_model_config *c,
                                dsm_err *err);

/* The expert of a pick other than DSM_NO_PICK, whether it was taken or not. */
static inline int32_t dsm_pick_expert(int32_t pick)
{
    return pick < 0 ? ~pick : pick;
}

/* Token dropping (capacity.c): with capacity C = max(1, floor(K·seq_len·factor / E)) per expert and
 * sequence, walk choice k = 0 … K-1, tokens in order (all first choices before the second), and
 * mark the picks beyond C as not taken, gate 0. Picks that are not taken already need no room.
 * factor <= 0: nothing. Returns how many were dropped. Uses r->work. */
int64_t dsm_capacity_apply(const dsm_route *r, double factor);

#endif
