/* SPDX-License-Identifier: MIT */
#include "model/ends.h"

void dsm_embed_forward(const dsm_ctx *c, const dsm_weight *embed, dsm_real *y)
{
    c->k->gather(c->exec, y, &embed->w, c->tokens, c->R);
    dsm_watch(c, "embedding", y, c->R * embed->w.cols);
    dsm_lap(c, DSM_PART_EMBED);
}

void dsm_embed_backward(const dsm_ctx *c, const dsm_weight *embed, const dsm_real *dy)
{
    if (embed->dw) c->k->gather_bwd(c->exec, embed->dw, dy, c->tokens, c->R, embed->w.cols);
    dsm_lap(c, DSM_PART_EMBED);
}
