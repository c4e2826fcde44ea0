/* SPDX-License-Identifier: MIT */
/* bench machine: the ceilings of this machine, on one worker and on all. */
#include "bench/ceilings.h"
#include "dsmoe/bench.h"
#include "kernels/kernels.h"

#include <string.h>

enum { SMALL_BYTES = 1 << 20 };
static const size_t memory_bytes = (size_t)1 << 30; /* far above the caches of one socket's share */

static void add_rate(dsm_bench_machine *m, const char *name, const char *unit)
{
    dsm_bench_rate *r = &m->rate[m->n_rates++];
    r->name = name;
    r->unit = unit;
}

/* Fill one column: `one` or `all` of every row. */
static void measure(dsm_bench_machine *m, const dsm_exec *x, unsigned flags, unsigned char *buf,
                    bool all)
{
    const dsm_peak *peak[DSM_MAX_PEAKS];
    int n = dsm_peaks(peak, flags), row = 0;
    double rate[DSM_BENCH_RATES];
    for (int i = 0; i < n; i++)
        rate[row++] = dsm_ceiling_ops(x, peak[i]);
    rate[row++] = dsm_ceiling_read(x, buf, memory_bytes);
    rate[row++] = dsm_ceiling_copy(x, buf, memory_bytes);
    rate[row++] = dsm_ceiling_read(x, buf, (size_t)SMALL_BYTES * (size_t)dsm_pool_threads(x->pool));
    for (int i = 0; i < row; i++)
        *(all ? &m->rate[i].all : &m->rate[i].one) = rate[i];
}

static dsm_status measure_with(dsm_bench_machine *m, int n_threads, unsigned flags,
                               unsigned char *buf, bool all, dsm_err *err)
{
    dsm_kernels kernels;
    dsm_exec x;
    dsm_kernels_init(&kernels, flags);
    DSM_TRY(dsm_exec_init(&x, &kernels, n_threads, err));
    m->threads = dsm_pool_threads(x.pool);
    measure(m, &x, flags, buf, all);
    dsm_exec_free(&x);
    return DSM_OK;
}

dsm_status dsm_bench_machine_run(dsm_bench_machine *out, int n_threads, unsigned cpu_flags,
                                 dsm_err *err)
{
    const dsm_peak *peak[DSM_MAX_PEAKS];
    dsm_arena arena;
    memset(out, 0, sizeof *out);
    for (int i = 0, n = dsm_peaks(peak, cpu_flags); i < n; i++)
        add_rate(out, peak[i]->name, "Gop/s");
    add_rate(out, "memory read", "GB/s");
    add_rate(out, "memory copy", "GB/s");
    add_rate(out, "cache read", "GB/s");

    DSM_TRY(dsm_arena_init(&arena, memory_bytes + 2 * DSM_ALIGN, "benchmark memory", err));
    unsigned char *buf = dsm_arena_take(&arena, memory_bytes);
    memset(buf, 1, memory_bytes);
    dsm_status status = measure_with(out, 1, cpu_flags, buf, false, err);
    if (status == DSM_OK) status = measure_with(out, n_threads, cpu_flags, buf, true, err);
    dsm_arena_free(&arena);
    return status;
}
