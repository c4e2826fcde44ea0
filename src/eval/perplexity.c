/* SPDX-License-Identifier: MIT */
#include "eval/perplexity.h"

#include <math.h>
#include <stdlib.h>

dsm_status dsm_perplexity_add(dsm_perplexity *p, dsm_net *n, const int32_t *tokens,
                              const int32_t *targets, int64_t n_seq, uint64_t bytes,
                              dsm_load *loads, dsm_err *err)
{
    const dsm_route_mode mode = {.training = false};
    dsm_losses losses = {0};
    dsm_status status =
        dsm_net_step(n, tokens, targets, n_seq, &mode, 1.0, &losses, loads, NULL, err);
    if (status != DSM_OK) return dsm_fail_context(err, status, "evaluation");
    p->nll += losses.lm;
    p->tokens += (uint64_t)losses.targets;
    p->bytes += bytes;
    return DSM_OK;
}

static dsm_status run(dsm_perplexity *p, dsm_net *n, const dsm_perplexity_data *d, int32_t *work,
                      dsm_load *loads, dsm_err *err)
{
    const dsm_loader_state start = {0};
    int32_t *targets = work + d->micro * d->seq_len;
    int64_t left = (int64_t)dsm_loader_epoch_sequences(d->loader);
    if (d->n_sequences < left) left = d->n_sequences;
    int64_t all = left;
    DSM_TRY(dsm_loader_set_state(d->loader, &start, err));
    for (; left > 0; left -= d->micro) {
        int64_t n_seq = left < d->micro ? left : d->micro;
        uint64_t bytes;
        DSM_TRY(dsm_loader_next(d->loader, n_seq, work, targets, &bytes, err));
        DSM_TRY(dsm_perplexity_add(p, n, work, targets, n_seq, bytes, loads, err));
        if (d->progress) d->progress(d->progress_arg, (double)(all - left + n_seq), (double)all);
    }
    return DSM_OK;
}

dsm_status dsm_perplexity_run(dsm_perplexity *p, dsm_net *n, const dsm_perplexity_data *d,
                              dsm_load *loads, dsm_err *err)
{
    int32_t *work = malloc(2 * sizeof *work * (size_t)(d->micro * d->seq_len));
    if (!work) return dsm_fail(err, DSM_ENOMEM, "evaluation: out of memory");
    dsm_status status = run(p, n, d, work, loads, err);
    free(work);
    return status;
}

double dsm_perplexity_loss(const dsm_perplexity *p)
{
    return p->tokens ? p->nll / (double)p->tokens : 0.0;
}

double dsm_perplexity_value(const dsm_perplexity *p)
{
    return exp(dsm_perplexity_loss(p));
}

double dsm_perplexity_bits_per_byte(const dsm_perplexity *p)
{
    return p->bytes ? p->nll / log(2.0) / (double)p->bytes : (double)NAN;
}
