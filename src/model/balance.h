/* SPDX-License-Identifier: MIT */
/* Balance losses, load statistics, and the loss-free bias update.
 *
 *   expert         a1 Σ_e f_e P_e        f_e = E/(K T) · picks of e, P_e = mean score of e
 *   device         a2 Σ_d f'_d P'_d      f'_d = mean of f_e on d, P'_d = sum of P_e on d
 *   communication  a3 Σ_d f''_d P'_d     f''_d = D/(M T) · tokens sent to d
 *   z              a_z (1/T) Σ_t logsumexp(logit_t)²
 * (DeepSeekMoE eq. 12-17, DeepSeek-V2 eq. 23-31, ST-MoE.) T is one sequence and the losses are
 * averaged over sequences (scope sequence), or the whole micro-batch (scope batch); z is always
 * over the micro-batch. f carries no gradient and counts choices before any drop. Sigmoid scores
 * enter as s / Σ s. A uniform load gives exactly a1, a2, a3.
 *
 * StableMoE has an expert loss of its own, in its first stage alone, with the scores of the chosen
 * experts as they are: a1 Σ_e (f_e - 1) (1/T) Σ_{t chose e} s_te; a uniform load gives 0. What its
 * distilled router loses is in distill.h. */
#ifndef DSMOE_MODEL_BALANCE_H
#define DSMOE_MODEL_BALANCE_H

#include "core/arena.h"
#include "model/drop.h"

typedef struct dsm_balance {
    double expert, device, communication, z; /* factors a1, a2, a3, a_z; 0: off */
    double distill;                          /* of StableMoE's distillation */
    int64_t devices;                         /* D: experts in that many contiguous groups; 0: 1 */
    int64_t device_limit;                    /* M: devices a token may use; 0: D */
    bool per_sequence;
    dsm_drop drop; /* of tokens, by device */
} dsm_balance;

/* Are the factors >= 0 and do the groups fit the model? DSM_ERANGE or DSM_ESHAPE. */
dsm_status dsm_balance_check(const dsm_balance *b, const dsm_model_config *c, dsm_err *err);

typedef struct dsm_balance_loss {
    double expert, device, communication, z, distill; /* with their factors */
} dsm_balance_loss;

/* What forward leaves for backward, and its own sums per sequence. */
typedef struct dsm_balance_act {
    double *count, *prob; /* (n_seq, E) choices of e; Σ of its probabilities */
    double *sent;         /* (n_seq, D) tokens sent to d */
    double *square;       /* (n_seq) Σ lse² */
    dsm_real
        *coefficient; /* (n_seq, E) derivative of the losses by each probability of the sequence */
    dsm_real *lse;    /* (T) logsumexp of the logits */
} dsm_balance_act;

/* Carve for T tokens in n_seq sequences. */
dsm_balance_act dsm_balance_carve(dsm_arena *a, const dsm_balance *b, int64_t n_seq, int64_t T,
                                  int64_t E);

/* Add one layer's losses to *loss. A router without scores (hash) has none. */
void dsm_balance_forward(const dsm_exec *x, const dsm_balance *b, const dsm_route *r,
                         const dsm_balance_act *s, dsm_balance_loss *loss);

/* Their gradients times weight: by the scores dscore (T, E), and by the logits (z alone) dlogit (T,
 * E), both overwritten. b == NULL: zeros. */
void dsm_balance_backward(const dsm_exec *x, const dsm_balance *b, const dsm_route *r,
                          const dsm_balance_act *s, double weight, dsm_real *dscore,
                          dsm_real *dlogit);

/* Load of one layer, accumulated over the micro-batches of a step or over an evaluation. */
typedef struct dsm_load {
    int64_t E;
    int64_t *count; /* (E) tokens that chose each expert, before any drop */
    int64_t tokens, picks, dropped;
    double entropy;   /* Σ over tokens of the router's entropy in nats; mean = entropy / tokens */
    double score_max; /* Σ over tokens of the largest score */
} dsm_load;

void dsm_load_clear(dsm_load *l);
void dsm_load_add(dsm_load *l, const dsm_route *r); /* counts picks and entropy of one routing */
double dsm_route_entropy(const dsm_route *r, int64_t t); /* of token t's scores; 0 without scores */
void dsm_load_merge(dsm_load *into, const dsm_load *from);
/* (max count - mean) / mean of Loss-Free Balancing; 0 when nothing was routed. */
double dsm_load_max_vio(const dsm_load *l);
int64_t dsm_load_dead(const dsm_load *l); /* experts that got no token */

/* Loss-free update (2408.15664, algorithm 1) from the counts of a whole global batch:
 *   e_i = mean - count_i;  sign: b_i += u·sign(e_i);  proportional and multiplicative: b_i +=
 * u·e_i/mean. */
typedef enum dsm_bias_rule { DSM_BIAS_SIGN, DSM_BIAS_PROPORTIONAL } dsm_bias_rule;
void dsm_bias_update(dsm_real *bias, const dsm_load *l, double rate, dsm_bias_rule rule);

#endif
