/* SPDX-License-Identifier: MIT */
/* What one device holds and sends when a model is spread over a grid of them, before there are any.
 *
 * The grid is data × expert × tensor × pipe (X, N, P below: the last three).
 *
 *   data    replicas: each computes sequences of its own
 *   expert  so do these, but they share the routed experts of each layer, E / X on each device
 *   tensor  heads, FFN widths and the vocabulary split N ways (Megatron-LM: first matrix of a pair
 *           by columns, second by rows); norms, routers and the down-projections of latent
 *           attention are copied
 *   pipe    stage s of P has layers s·L/P up to (s+1)·L/P, the first also the embedding, the last
 *           the final norm and the head; 1F1B: P - s micro-batches of stage s are in flight
 *
 * The optimiser's state lies once among the devices that hold the same parameters (ZeRO-1):
 * experts' over data, all other over data · expert. Sizes are those of the structures this program
 * would carve; that routing is even is assumed.
 *
 * Source: DeepSeekMoE §5 and §7, DeepSeek-V2 §2.2 and §3.1; docs/plan.md explains each figure. */
#ifndef DSMOE_LAYOUT_H
#define DSMOE_LAYOUT_H

#include "dsmoe/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dsm_layout {
    int64_t data, expert, tensor, pipe; /* at least 1 each */
} dsm_layout;

/* "data=8,expert=4,tensor=2,pipe=2", in any order; what is not named is 1. */
dsm_status dsm_layout_parse(dsm_layout *out, const char *text, dsm_err *err);
int64_t dsm_layout_devices(const dsm_layout *l);

/* Bytes per parameter (weights + gradients + optimiser) and per activation:
 *   f32   4 + 4 + 8  (moments), 4: as this program trains
 *   bf16  2 + 4 + 12 (weights in f32, moments), 2: DeepSeek LLM's way, gradients added up in f32;
 *         all activations are taken to be bf16 */
typedef enum dsm_train_dtype { DSM_TRAIN_F32, DSM_TRAIN_BF16, DSM_N_TRAIN_DTYPES } dsm_train_dtype;
extern const char *const dsm_train_dtype_names[DSM_N_TRAIN_DTYPES + 1]; /* NULL-terminated */

typedef struct dsm_layout_options {
    dsm_layout layout;
    dsm_train_dtype dtype;
    int64_t seq_len; /* T: of training sequences, and of the context when serving */
    int64_t micro;   /* sequences that a device computes at once */
    int64_t step;    /* sequences of a step, of all devices; 0: P micro-batches for each */
} dsm_layout_options;

/* What a device sends in a step (and receives: every pattern is symmetric), in bytes. t: tokens of
 * a micro-batch, m: its number, D: width of the stream, a, w, g: bytes of an activation, a weight,
 * a gradient. */
typedef enum dsm_traffic {
    DSM_TRAFFIC_EXPERTS, /* Ψ_e (g + w) (n-1)/n over n = data: gradients of routed experts summed
                            (reduce-scatter), their new weights gathered */
    DSM_TRAFFIC_OTHERS,  /* Ψ_o (g + w) (n-1)/n over n = data · X: the same of everything else */
    DSM_TRAFFIC_TOKENS, /* 4 · MoE layers · m t D a · r: each token's state to the r other devices
                           with an expert of it and the outputs back, and the gradients of both */
    DSM_TRAFFIC_TENSOR, /* 2 (N-1)/N · m t D a · (4 · layers + 1 first + 1 last): all-reduces after
                           attention and FFN, forward and backward; embedding, head */
    DSM_TRAFFIC_PIPE,   /* m t D a · neighbours: the stream forward, its gradient backward */
    DSM_N_TRAFFIC
} dsm_traffic;

typedef struct dsm_traffic_kind {
    const char *name, *label, *formula; /* in JSON, for people, and how it is counted */
} dsm_traffic_kind;
extern const dsm_traffic_kind dsm_traffic_kinds[DSM_N_TRAFFIC];

/* A device of one stage; all of them are alike. Memory in bytes. */
typedef struct dsm_stage_plan {
    int64_t stage, first_layer, n_layers;
    int64_t micro_batches, in_flight;
    int64_t params, expert_params; /* held: all; those of routed experts */
    struct {
        int64_t weights, gradients, optimizer;
        int64_t activations[DSM_N_RECOMPUTE]; /* of micro-batches in flight, and scratch; none lie
                                                 in the gradients' memory, which adds up a step */
        int64_t total[DSM_N_RECOMPUTE];
    } train;
    dsm_plan_serving serve;
    double traffic[DSM_N_TRAFFIC], traffic_total; /* without recompute */
} dsm_stage_plan;

/* Can the grid hold the model? DSM_ESHAPE names the size that it does not divide, DSM_ERANGE a step
 * that is no whole number of micro-batches. Fills in o->step. */
dsm_status dsm_layout_check(const dsm_model_config *c, dsm_layout_options *o, dsm_err *err);

/* The bill of stage `stage`, 0 to pipe - 1, of a grid that was checked. */
dsm_status dsm_layout_plan(dsm_stage_plan *out, const dsm_model_config *c,
                           const dsm_layout_options *o, int64_t stage, dsm_err *err);

/* Devices of X on which a token's experts lie: the mean when all experts are picked equally often
 * (inside a device limit, if the model has one), and at most. X divides E, and X divides the
 * model's groups or they divide X. */
double dsm_layout_reach(const dsm_model_config *c, int64_t expert);
int64_t dsm_layout_reach_limit(const dsm_model_config *c, int64_t expert);

#ifdef __cplusplus
}
#endif
#endif
