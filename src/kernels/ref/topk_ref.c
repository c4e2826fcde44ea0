/* SPDX-License-Identifier: MIT */
/* The K largest columns of each row, by insertion into a short descending list. A column enters
 * before the first strictly smaller score, so ties stay with the lower column. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

#include <assert.h>

enum { ROWS = 32 };

typedef struct topk_args {
    int32_t *pick;
    const dsm_real *score;
    int64_t R, E, K;
} topk_args;

static void topk_row(int32_t *pick, const dsm_real *score, int64_t E, int64_t K)
{
    int64_t n = 0;
    for (int64_t e = 0; e < E; e++) {
        if (n == K && !(score[e] > score[pick[K - 1]])) continue;
        int64_t i = n < K ? n++ : K - 1;
        for (; i > 0 && score[e] > score[pick[i - 1]]; i--)
            pick[i] = pick[i - 1];
        pick[i] = (int32_t)e;
    }
}

static void topk_rows(void *arg, int64_t item, int worker)
{
    const topk_args *a = arg;
    dsm_range rows = dsm_chunk(a->R, ROWS, item);
    (void)worker;
    for (int64_t r = rows.begin; r < rows.end; r++)
        topk_row(a->pick + r * a->K, a->score + r * a->E, a->E, a->K);
}

void DSM_K(topk)(const dsm_exec *x, int32_t *pick, const dsm_real *score, int64_t R, int64_t E,
                 int64_t K)
{
    topk_args a = {pick, score, R, E, K};
    assert(K >= 1 && K <= E);
    dsm_pool_run(x->pool, dsm_chunk_count(R, ROWS), topk_rows, &a);
}
