/* SPDX-License-Identifier: MIT */
/* bench kernels 16b: linear maps with stored weights at the shapes that inference has. */
#ifndef DSMOE_BENCH_STORED_H
#define DSMOE_BENCH_STORED_H

#include "core/exec.h"
#include "dsmoe/bench.h"

/* A row for every type of weight and every shape, with the kernels of x. Errors: no memory. */
dsm_status dsm_bench_stored(const dsm_exec *x, unsigned cpu_flags,
                            void (*row)(void *arg, const dsm_bench_kernel *k), void *arg,
                            dsm_err *err);

#endif
