/* SPDX-License-Identifier: MIT */
/* What every sublayer is told: where to run, which rows, and who is watching.
 *
 * One dsm_ctx describes one pass over R = n_seq·T rows (token positions). It is passed first to
 * every forward and backward; nothing in it changes during the pass but the layer number and the
 * stop watch. */
#ifndef DSMOE_MODEL_CTX_H
#define DSMOE_MODEL_CTX_H

#include "model/balance.h"
#include "model/cache.h"
#include "model/memory.h"
#include "model/net.h"
#include "model/params.h"

#include <string.h>

typedef struct dsm_stopwatch {
    double last; /* dsm_clock of the last lap */
    double seconds[DSM_N_PARTS];
} dsm_stopwatch;

/* Filled with the first tensor that is not finite. */
typedef struct dsm_probe {
    char where[160];
} dsm_probe;

typedef struct dsm_ctx {
    const dsm_exec *exec;
    const dsm_kernels *k;
    const dsm_model_config *config;
    const dsm_route_mode *mode;
    int64_t n_seq, T, R;        /* sequences, positions of each, rows */
    const int32_t *tokens;      /* (R) */
    dsm_cache *cache;           /* keys and values of the positions before, or NULL */
    const dsm_real *rope;       /* (T, Dr/2, 2) cos, sin of this pass's positions */
    const dsm_real *ones;       /* (R) of 1 */
    const dsm_balance *balance; /* NULL: no balance losses */
    dsm_balance_loss *balance_loss;
    double weight;        /* of this pass in the gradient */
    bool first_gradients; /* the layers' matrices have no gradients yet: = instead of += */
    int layer;
    dsm_stopwatch *watch;
    const dsm_observer *observer; /* NULL: nobody */
    dsm_probe *probe; /* NULL: no checks */
} dsm_ctx;

/* Add the time since the last lap to a part. */
void dsm_lap(const dsm_ctx *c, dsm_part part);

/* While searching for non-finite values: remember the first tensor that has one. */
void dsm_watch(const dsm_ctx *c, const char *tensor, const dsm_real *v, int64_t n);

/* Copy, or clear, a whole activation; threads share the work. dst == src: nothing. */
void dsm_copy(const dsm_ctx *c, dsm_real *dst, const dsm_real *src, int64_t n);
void dsm_clear(const dsm_ctx *c, dsm_real *dst, int64_t n);

/* One plain linear map on R rows, y (R, N) with row stride y_rs:
 *   forward   y (=|+=) x · wᵀ
 *   backward  dx (R, K) (=|+=) dy · w, where dx may be NULL;  dw += dyᵀ · x, unless w is frozen
 * A bias b (N) is the linear map of the constant 1 with weight (N, 1). */
void dsm_linear_forward(const dsm_ctx *c, const dsm_weight *w, dsm_real *y, int64_t y_rs,
                        bool accumulate, const dsm_real *x, int64_t rows);
/* Forward of up to DSM_MAPS maps of the same rows of x in one call: decoding reads all their
 * weights in one loop. */
enum { DSM_MAPS = 3 };
typedef struct dsm_linear_map {
    const dsm_weight *w;
    dsm_real *y;
    int64_t y_rs;
} dsm_linear_map;
void dsm_linear_forward_all(const dsm_ctx *c, const dsm_linear_map *map, int n, const dsm_real *x,
                            int64_t rows);
void dsm_linear_backward(const dsm_ctx *c, const dsm_weight *w, dsm_real *dx, bool accumulate,
                         const dsm_real *dy, int64_t y_rs, const dsm_real *x, int64_t rows);
void dsm_bias_forward(const dsm_ctx *c, const dsm_vector *b, dsm_real *y, int64_t y_rs,
                      int64_t rows);
void dsm_bias_backward(const dsm_ctx *c, const dsm_vector *b, const dsm_real *dy, int64_t y_rs,
                       int64_t rows);

#endif
