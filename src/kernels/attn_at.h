/* SPDX-License-Identifier: MIT */
/* Where a position's query, key, value and output stand: offsets in floats into the buffers of a
 * dsm_attention, for sequence b, query head h or key head hk, position t or key j. */
#ifndef DSMOE_KERNELS_ATTN_AT_H
#define DSMOE_KERNELS_ATTN_AT_H

#include "kernels/kernels.h"

static inline int64_t dsm_q_at(const dsm_attention *op, int64_t b, int64_t h, int64_t t)
{
    return (b * op->T + t) * op->q_rs + h * op->Dk;
}

static inline int64_t dsm_k_at(const dsm_attention *op, int64_t b, int64_t hk, int64_t j)
{
    return (b * op->k_seq + j) * op->k_rs + hk * op->Dk;
}

static inline int64_t dsm_v_at(const dsm_attention *op, int64_t b, int64_t hk, int64_t j)
{
    return (b * op->k_seq + j) * op->v_rs + hk * (op->v_hs ? op->v_hs : op->Dv);
}

/* Keys that queries before position `end` see. */
static inline int64_t dsm_keys_seen(const dsm_attention *op, int64_t end)
{
    int64_t n = op->past + end;
    return op->limit && op->limit < n ? op->limit : n;
}

static inline int64_t dsm_out_at(const dsm_attention *op, int64_t b, int64_t h, int64_t t)
{
    return (b * op->T + t) * op->out_rs + h * op->Dv;
}

/* Of lse and delta. */
static inline int64_t dsm_lse_at(const dsm_attention *op, int64_t b, int64_t h, int64_t t)
{
    return (b * op->H + h) * op->T + t;
}

#endif
