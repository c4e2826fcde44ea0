/* SPDX-License-Identifier: MIT */
#include "model/attention.h"

const dsm_attention_kind *dsm_attention_of(const dsm_model_config *c)
{
    return dsm_model_config_is_mla(c) ? &dsm_attention_mla : &dsm_attention_gqa;
}

void dsm_attend_stored(const dsm_ctx *c, dsm_decode *op)
{
    op->dtype = c->cache->dtype;
    op->rs = c->cache->row_bytes;
    op->chunk = c->cache->chunk;
    op->work = c->cache->work;
    c->k->decode(c->exec, op);
    dsm_lap(c, DSM_PART_ATTENTION);
}

void dsm_attend_past(const dsm_ctx *c, dsm_attention *op, const dsm_past *past, dsm_show_fn *show,
                     void *arg)
{
    const int64_t length = c->cache->length, whole = length / DSM_CACHE_PAST * DSM_CACHE_PAST;
    dsm_attention before = *op;
    show(c, arg, whole, length + op->T);
    op->past = length - whole;
    c->k->attention(c->exec, op);
    dsm_lap(c, DSM_PART_ATTENTION);
    before.out = past->part;
    before.lse = past->part_lse;
    before.past = before.limit = DSM_CACHE_PAST;
    for (int64_t at = 0; at < whole; at += DSM_CACHE_PAST) {
        show(c, arg, at, at + DSM_CACHE_PAST);
        c->k->attention(c->exec, &before);
        c->k->join(c->exec, op->out, op->lse, past->part, past->part_lse, op->T, op->H, op->Dv);
        dsm_lap(c, DSM_PART_ATTENTION);
    }
}
