/* SPDX-License-Identifier: MIT */
/* RMSNorm (arXiv 1910.07467): r = 1 / sqrt(mean x² + eps), y = r w ⊙ x
 *   dx += r (w ⊙ dy) - x r³ mean(x ⊙ w ⊙ dy),   dw += Σ_rows r x ⊙ dy */
#include "model/block.h"

void dsm_norm_forward(const dsm_ctx *c, const dsm_vector *w, dsm_real *y, dsm_real *rstd,
                      const dsm_real *x, int64_t rows)
{
    c->k->rmsnorm(c->exec, y, rstd, x, w->w, rows, w->n, (dsm_real)c->config->rms_norm_eps);
    dsm_lap(c, DSM_PART_NORM);
}

void dsm_norm_backward(const dsm_ctx *c, const dsm_vector *w, dsm_real *dx, const dsm_real *dy,
                       const dsm_real *x, const dsm_real *rstd, int64_t rows)
{
    c->k->rmsnorm_bwd(c->exec, dx, w->dw, dy, x, w->w, rstd, rows, w->n);
    dsm_lap(c, DSM_PART_NORM);
}
