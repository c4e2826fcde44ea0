/* SPDX-License-Identifier: MIT */
/* Chunked LM head and cross entropy:
 *   z = W x,  loss = logsumexp(z) - z[target];   dz = scale (softmax(z) - onehot(target))
 *   dx = Wᵀ dz,  dW += dz xᵀ
 * A chunk is as many rows as keep its logits near CHUNK_ELEMENTS, so that W is read few times and
 * the logits stay close. */
#include "model/ends.h"

enum { MAX_ROWS = 1024, MIN_ROWS = 32, CHUNK_ELEMENTS = 1 << 23 };

static int64_t chunk_rows(int64_t R, int64_t V)
{
    int64_t rows = CHUNK_ELEMENTS / V;
    rows = rows > MAX_ROWS ? MAX_ROWS : rows < MIN_ROWS ? MIN_ROWS : rows;
    return rows < R ? rows : R;
}

dsm_loss_scratch dsm_loss_carve(dsm_arena *a, int64_t R, int64_t V)
{
    int64_t rows = chunk_rows(R, V);
    return (dsm_loss_scratch){
        .rows = rows, .logits = dsm_take_reals(a, rows * V), .loss = dsm_take_reals(a, R)};
}

void dsm_loss_forward_backward(const dsm_ctx *c, const dsm_weight *head, const dsm_loss_scratch *w,
                               const dsm_real *x, const int32_t *targets, double scale,
                               dsm_real *dx)
{
    int64_t V = head->w.rows, D = head->w.cols;
    for (int64_t first = 0; first < c->R; first += w->rows) {
        int64_t rows = c->R - first < w->rows ? c->R - first : w->rows;
        const dsm_real *in = x + first * D;
        dsm_linear_forward(c, head, w->logits, V, false, in, rows);
        dsm_watch(c, "logits", w->logits, rows * V);
        c->k->xent(c->exec, w->logits, V, targets + first, w->loss + first, rows, V,
                   (dsm_real)scale);
        if (scale != 0) dsm_linear_backward(c, head, dx + first * D, false, w->logits, V, in, rows);
    }
    dsm_lap(c, DSM_PART_HEAD);
}
