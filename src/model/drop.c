/* SPDX-License-Identifier: MIT */
/* Scores are not negative, so their bits as doubles are in their order: the score at which a device
 * begins to drop is found by halving the range of bits and counting, without sorting or memory.
 * Devices look for it side by side, each at all picks; so the dropping itself comes after. */
#include "model/drop.h"

#include "core/rng.h"

#include <string.h>

/* What a device drops: n picks, of which `below` lie below the limit and the others at it. */
typedef struct excess {
    uint64_t limit;
    int64_t n, below;
} excess;

typedef struct job {
    const dsm_drop *d;
    const dsm_route *r;
    int64_t budget;
    dsm_rng spare;
    excess of[DSM_MAX_GROUPS]; /* by device */
} job;

static bool is_spared(const job *j, int64_t t)
{
    int64_t sequence = (j->r->mode->first_token + t) / j->r->seq_len;
    return (double)dsm_rng_uniform(&j->spare, (uint64_t)sequence) < j->d->spared;
}

static uint64_t bits_of(dsm_real score)
{
    double x = (double)score;
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* Pick i's bits, if it is taken on this device. */
static bool is_on(const job *j, int64_t device, int64_t i, uint64_t *bits)
{
    const dsm_route *r = j->r;
    int32_t e = r->pick[i];
    if (e < 0 || e / (r->E / j->d->devices) != device) return false;
    *bits = bits_of(r->score[i / r->K * r->E + e]);
    return true;
}

/* Picks taken on a device; below: those of them below `limit` that may be dropped. */
static int64_t count(const job *j, int64_t device, uint64_t limit, int64_t *below)
{
    const dsm_route *r = j->r;
    int64_t n = 0;
    uint64_t bits;
    *below = 0;
    for (int64_t t = 0; t < r->T; t++) {
        bool spared = is_spared(j, t);
        for (int64_t i = t * r->K; i < (t + 1) * r->K; i++)
            if (is_on(j, device, i, &bits)) {
                n++;
                *below += !spared && bits < limit;
            }
    }
    return n;
}

/* The largest limit below which there are at most n picks that may be dropped. */
static uint64_t find_limit(const job *j, int64_t device, int64_t n)
{
    uint64_t limit = 0;
    int64_t below;
    for (int bit = 62; bit >= 0; bit--) {
        (void)count(j, device, limit | UINT64_C(1) << bit, &below);
        if (below <= n) limit |= UINT64_C(1) << bit;
    }
    return limit;
}

static void find_excess(void *arg, int64_t device, int worker)
{
    job *j = arg;
    excess *x = &j->of[device];
    (void)worker;
    x->n = count(j, device, UINT64_MAX, &x->below) - j->budget;
    if (x->n <= 0) return;
    x->limit = find_limit(j, device, x->n);
    (void)count(j, device, x->limit, &x->below);
}

/* Drop all picks below the limit, and from the end those at it. */
static int64_t drop(const job *j, int64_t device)
{
    const dsm_route *r = j->r;
    const excess *x = &j->of[device];
    int64_t dropped = 0, at_limit = x->n - x->below;
    uint64_t bits;
    for (int64_t i = r->T * r->K - 1; i >= 0 && x->n > 0; i--) {
        if (!is_on(j, device, i, &bits) || bits > x->limit || is_spared(j, i / r->K)) continue;
        if (bits == x->limit && at_limit-- <= 0) continue;
        r->pick[i] = ~r->pick[i];
        r->gate[i] = 0;
        dropped++;
    }
    return dropped;
}

int64_t dsm_drop_apply(const dsm_exec *x, const dsm_drop *d, const dsm_route *r)
{
    if (d->factor <= 0 || !r->mode->training) return 0;
    job j = {.d = d,
             .r = r,
             .budget = (int64_t)(d->factor * (double)(r->T * r->K) / (double)d->devices),
             .spare = {r->mode->seed, DSM_STREAM_DROP, r->mode->step}};
    int64_t dropped = 0;
    dsm_pool_run(x->pool, d->devices, find_excess, &j);
    for (int64_t device = 0; device < d->devices; device++)
        dropped += drop(&j, device);
    return dropped;
}
