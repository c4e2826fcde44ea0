/* SPDX-License-Identifier: MIT */
#include "core/exec.h"

#include <string.h>

enum { WORKER_SCRATCH = 8 << 20 }; /* GEMM panels and attention tiles of one worker */

dsm_status dsm_exec_init(dsm_exec *x, const struct dsm_kernels *kernels, int n_threads,
                         dsm_err *err)
{
    memset(x, 0, sizeof *x);
    x->kernels = kernels;
    DSM_TRY(dsm_pool_open(&x->pool, n_threads, err));
    x->scratch_bytes = WORKER_SCRATCH;
    size_t bytes = x->scratch_bytes * (size_t)dsm_pool_threads(x->pool);
    dsm_status status = dsm_arena_init(&x->memory, bytes + 2 * DSM_ALIGN, "worker scratch", err);
    if (status != DSM_OK) {
        dsm_exec_free(x);
        return status;
    }
    x->scratch = dsm_arena_take(&x->memory, bytes);
    return DSM_OK;
}

void dsm_exec_free(dsm_exec *x)
{
    dsm_pool_close(x->pool);
    dsm_arena_free(&x->memory);
    memset(x, 0, sizeof *x);
}
