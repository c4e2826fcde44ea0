/* SPDX-License-Identifier: MIT */
/* Top-k of LANES rows at a time, one row to a lane: what topk_ref.c says, with its insertion as
 * selections, for a jump on every score costs more than the comparisons (7 of 63 experts on
 * AVX-512: 200 ns a row instead of 530). */
#include "kernels/tiled/tiled.h"

enum { LANES = 16, LISTED = 8 /* at most; longer lists stay with topk_ref.c */ };

typedef struct topk_args {
    int32_t *pick;
    const float *score;
    int64_t R, E, K;
} topk_args;

/* The lists of LANES rows: place i of lane l, descending. */
typedef struct topk_lists {
    float score[LISTED][LANES];
    int32_t pick[LISTED][LANES];
} topk_lists;

/* Column e goes in front of the first smaller one, or behind all while the list grows. */
static void insert(topk_lists *t, const float *column, int64_t e, int64_t K)
{
    float s[LANES];
    int32_t pick[LANES], placed[LANES] = {0};
    for (int l = 0; l < LANES; l++)
        s[l] = column[l], pick[l] = (int32_t)e;
    const int64_t end = e < K ? e : K;
    for (int64_t i = 0; i < end; i++) {
        float *at = t->score[i];
        int32_t *of = t->pick[i];
        DSM_SIMD
        for (int l = 0; l < LANES; l++) {
            const float s_was = at[l];
            const int32_t pick_was = of[l];
            placed[l] |= -(s[l] > s_was);
            at[l] = placed[l] ? s[l] : s_was;
            of[l] = placed[l] ? pick[l] : pick_was;
            s[l] = placed[l] ? s_was : s[l];
            pick[l] = placed[l] ? pick_was : pick[l];
        }
    }
    if (e < K) {
        memcpy(t->score[e], s, sizeof s);
        memcpy(t->pick[e], pick, sizeof pick);
    }
}

static void topk_lanes(void *arg, int64_t item, int worker)
{
    const topk_args *a = arg;
    const dsm_range rows = dsm_chunk(a->R, LANES, item);
    const int64_t n = rows.end - rows.begin;
    float column[LANES] = {0};
    topk_lists t;
    (void)worker;
    for (int64_t e = 0; e < a->E; e++) {
        for (int64_t l = 0; l < n; l++)
            column[l] = a->score[(rows.begin + l) * a->E + e];
        insert(&t, column, e, a->K);
    }
    for (int64_t l = 0; l < n; l++)
        for (int64_t i = 0; i < a->K; i++)
            a->pick[(rows.begin + l) * a->K + i] = t.pick[i][l];
}

void DSM_K(topk_tiled)(const dsm_exec *x, int32_t *pick, const float *score, int64_t R, int64_t E,
                       int64_t K)
{
    if (K > LISTED || R < LANES / 2) {
        DSM_K(topk)(x, pick, score, R, E, K);
        return;
    }
    topk_args a = {pick, score, R, E, K};
    dsm_pool_run(x->pool, dsm_chunk_count(R, LANES), topk_lanes, &a);
}
