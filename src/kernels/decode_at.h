/* SPDX-License-Identifier: MIT */
/* Where things of a dsm_decode stand. A "row" is one query of one key head: row i of key head hk is
 * query head hk·group + i / T at position i % T. */
#ifndef DSMOE_KERNELS_DECODE_AT_H
#define DSMOE_KERNELS_DECODE_AT_H

#include "kernels/chunk.h"
#include "kernels/kernels.h"

static inline int64_t dsm_decode_rows(const dsm_decode *op) /* of one key head */
{
    return op->H / op->Hk * op->T;
}

static inline int64_t dsm_decode_chunks(const dsm_decode *op)
{
    return dsm_chunk_count(op->past + op->T, op->chunk);
}

static inline int64_t dsm_decode_head(const dsm_decode *op, int64_t hk, int64_t i)
{
    return hk * (op->H / op->Hk) + i / op->T;
}

static inline const dsm_real *dsm_decode_q(const dsm_decode *op, int64_t hk, int64_t i)
{
    return op->q + i % op->T * op->q_rs + dsm_decode_head(op, hk, i) * op->Dk;
}

static inline dsm_real *dsm_decode_out(const dsm_decode *op, int64_t hk, int64_t i)
{
    return op->out + i % op->T * op->out_rs + dsm_decode_head(op, hk, i) * op->Dv;
}

/* Keys below `end` that row i sees. */
static inline int64_t dsm_decode_seen(const dsm_decode *op, int64_t i, int64_t end)
{
    int64_t n = op->past + i % op->T + 1;
    return n < end ? n : end;
}

static inline const void *dsm_decode_key(const dsm_decode *op, int64_t hk, int64_t j)
{
    return (const unsigned char *)op->k + (size_t)j * op->rs +
           (size_t)hk * dsm_dtype_bytes(op->dtype, op->Dk);
}

static inline const void *dsm_decode_value(const dsm_decode *op, int64_t hk, int64_t j)
{
    return (const unsigned char *)op->v + (size_t)j * op->rs +
           (size_t)hk * dsm_dtype_bytes(op->dtype, op->Dv);
}

/* What a chunk leaves of one row: Σ p v (Dv), the top scaled score, Σ p. */
static inline dsm_real *dsm_decode_part(const dsm_decode *op, int64_t hk, int64_t i, int64_t chunk)
{
    int64_t rows = dsm_decode_rows(op);
    return op->work + ((hk * rows + i) * dsm_decode_chunks(op) + chunk) * (op->Dv + 2);
}

#endif
