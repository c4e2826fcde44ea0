/* SPDX-License-Identifier: MIT */
/* Where a kernel runs: the kernel table, the pool, and scratch for each worker.
 *
 * Passed first to every kernel and sublayer. Worker scratch belongs to whoever runs an item and
 * holds nothing between items. */
#ifndef DSMOE_CORE_EXEC_H
#define DSMOE_CORE_EXEC_H

#include "core/arena.h"
#include "core/threads.h"

struct dsm_kernels;

typedef struct dsm_exec {
    const struct dsm_kernels *kernels;
    dsm_pool *pool;   /* may be NULL: run on the caller */
    dsm_arena memory; /* owns the scratch below */
    unsigned char *scratch;
    size_t scratch_bytes; /* per worker, a multiple of 64 */
} dsm_exec;

/* Open a pool of n_threads (0: all cores) with scratch for each worker; kernels is borrowed. */
dsm_status dsm_exec_init(dsm_exec *x, const struct dsm_kernels *kernels, int n_threads,
                         dsm_err *err);
void dsm_exec_free(dsm_exec *x); /* accepts a zeroed struct */

/* Scratch of one worker: x->scratch_bytes bytes, 64-byte aligned. */
static inline void *dsm_exec_scratch(const dsm_exec *x, int worker)
{
    return x->scratch + (size_t)worker * x->scratch_bytes;
}

#endif
