/* SPDX-License-Identifier: MIT */
/* Token dropping by expert capacity (GShard algorithm 1, Switch section 2.2). One sequence is one
 * group; the walk is sequential because who comes first stays, and sequences are independent. */
#include "model/router.h"

#include <string.h>

static int64_t capacity_of(const dsm_route *r, double factor)
{
    int64_t room = (int64_t)((double)(r->K * r->seq_len) * factor / (double)r->E);
    return room > 1 ? room : 1;
}

/* Choices are counted down in room (E). */
static int64_t drop_in_sequence(const dsm_route *r, int64_t first, int64_t capacity, int32_t *room)
{
    int64_t dropped = 0;
    for (int64_t e = 0; e < r->E; e++)
        room[e] = capacity < INT32_MAX ? (int32_t)capacity : INT32_MAX;
    for (int64_t k = 0; k < r->K; k++)
        for (int64_t t = first; t < first + r->seq_len; t++) {
            int64_t i = t * r->K + k;
            if (r->pick[i] < 0 || room[r->pick[i]]-- > 0) continue;
            room[r->pick[i]] = 0;
            r->pick[i] = ~r->pick[i];
            r->gate[i] = 0;
            dropped++;
        }
    return dropped;
}

int64_t dsm_capacity_apply(const dsm_route *r, double factor)
{
    if (factor <= 0) return 0;
    int64_t dropped = 0, capacity = capacity_of(r, factor);
    _Static_assert(sizeof(dsm_real) >= sizeof(int32_t), "work holds the counters");
    for (int64_t first = 0; first < r->T; first += r->seq_len)
        dropped += drop_in_sequence(r, first, capacity, (int32_t *)r->work);
    return dropped;
}
