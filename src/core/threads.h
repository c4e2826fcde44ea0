/* SPDX-License-Identifier: MIT */
/* A fixed pool of worker threads and one parallel loop.
 *
 * The caller is worker 0. Items are claimed one by one, so which worker runs an item is not
 * defined and results must not depend on it: that is what keeps them bit-identical for any number
 * of threads. Loops do not nest. Idle workers spin briefly, then sleep. */
#ifndef DSMOE_CORE_THREADS_H
#define DSMOE_CORE_THREADS_H

#include "dsmoe/status.h"

#include <stdint.h>

typedef struct dsm_pool dsm_pool;
typedef void (*dsm_pool_fn)(void *arg, int64_t item, int worker);

/* n_threads >= 1, or 0 for one per available core. */
dsm_status dsm_pool_open(dsm_pool **out, int n_threads, dsm_err *err);
void dsm_pool_close(dsm_pool *pool); /* accepts NULL */
int dsm_pool_threads(const dsm_pool *pool);

/* Run fn(arg, item, worker) for item = 0 … n_items-1 and return when all are done.
 * A NULL pool runs everything on the caller. Only one thread may call this at a time. */
void dsm_pool_run(dsm_pool *pool, int64_t n_items, dsm_pool_fn fn, void *arg);

/* Cores this process may use (affinity and cgroup quota respected). */
int dsm_cores_available(void);

#endif
