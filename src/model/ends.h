/* SPDX-License-Identifier: MIT */
/* The two ends of the network: token embedding, and LM head with its loss. */
#ifndef DSMOE_MODEL_ENDS_H
#define DSMOE_MODEL_ENDS_H

#include "model/ctx.h"

/* embed.c: y (R, D) = embed[tokens], and dembed[tokens] += dy. */
void dsm_embed_forward(const dsm_ctx *c, const dsm_weight *embed, dsm_real *y);
void dsm_embed_backward(const dsm_ctx *c, const dsm_weight *embed, const dsm_real *dy);

/* loss.c. The head works on a few hundred rows at a time, so logits of a batch are never stored. */
typedef struct dsm_loss_scratch {
    int64_t rows;     /* of a chunk */
    dsm_real *logits; /* (rows, V) */
    dsm_real *loss;   /* (R) cross entropy of each row, 0 where the target is -1 */
} dsm_loss_scratch;

dsm_loss_scratch dsm_loss_carve(dsm_arena *a, int64_t R, int64_t V);

/* w->loss = cross entropy of x · headᵀ against targets (R). With scale != 0 also the gradient of
 * scale · Σ loss: dx (R, D) = by x, and the head's is accumulated. Both halves share one pass
 * because the logits are overwritten by their own gradient. */
void dsm_loss_forward_backward(const dsm_ctx *c, const dsm_weight *head, const dsm_loss_scratch *w,
                               const dsm_real *x, const int32_t *targets, double scale,
                               dsm_real *dx);

#endif
