/* SPDX-License-Identifier: MIT */
#include "model/dispatch.h"

#include <string.h>

dsm_dispatch dsm_dispatch_carve(dsm_arena *a, int64_t slots, int64_t P, int64_t E)
{
    return (dsm_dispatch){
        .begin = dsm_arena_take(a, sizeof(int32_t) * (size_t)(E + 1)),
        .rows = dsm_arena_take(a, sizeof(int32_t) * (size_t)P),
        .pos = dsm_arena_take(a, sizeof(int32_t) * (size_t)slots),
        .gate = dsm_arena_take(a, sizeof(dsm_real) * (size_t)P),
    };
}

/* begin[e] is first the number of e's rows, then (after the running sum) the end of its rows;
 * filling from the last pair backwards lowers it to the start. */
void dsm_dispatch_sort(const dsm_dispatch *d, const dsm_route *r)
{
    int64_t slots = r->T * r->K;
    memset(d->begin, 0, sizeof *d->begin * (size_t)(r->E + 1));
    for (int64_t i = 0; i < slots; i++)
        if (r->pick[i] >= 0) d->begin[r->pick[i]]++;
    for (int64_t e = 1; e <= r->E; e++)
        d->begin[e] += d->begin[e - 1];
    for (int64_t i = slots - 1; i >= 0; i--) {
        d->pos[i] = r->pick[i] < 0 ? -1 : --d->begin[r->pick[i]];
        if (d->pos[i] < 0) continue;
        d->rows[d->pos[i]] = (int32_t)(i / r->K);
        d->gate[d->pos[i]] = r->gate[i];
    }
}

void dsm_dispatch_unsort(const dsm_dispatch *d, const dsm_route *r, dsm_real *out,
                         const dsm_real *row)
{
    for (int64_t i = 0; i < r->T * r->K; i++)
        out[i] = d->pos[i] < 0 ? 0 : row[d->pos[i]];
}
