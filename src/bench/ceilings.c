/* SPDX-License-Identifier: MIT */
/* How each ceiling is measured: one loop per worker (arithmetic) or per megabyte (memory), time
 * around the whole, the best of TRIES. */
#include "bench/ceilings.h"

#include "core/clock.h"
#include "kernels/chunk.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { TRIES = 5, PIECE = 1 << 20 };
enum { MIN_CALLS = 5 };
static const double min_seconds = 0.2;
/* Reading: several streams, asked for ahead, get half as much again out of memory as one. */
enum { STREAMS = 4, LINE = 64, AHEAD = 2048 };

double dsm_bench_clock(const dsm_exec *x)
{
    struct timespec t;
    if (dsm_pool_threads(x->pool) > 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return dsm_clock();
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double dsm_bench_best(const dsm_exec *x, void (*run)(void *arg), void *arg)
{
    double best = HUGE_VAL, total = 0;
    run(arg);
    for (int i = 0; i < MIN_CALLS || total < min_seconds; i++) {
        const double start = dsm_bench_clock(x);
        run(arg);
        const double t = dsm_bench_clock(x) - start;
        total += t;
        if (t < best) best = t;
    }
    return best;
}

/* Best rate of running fn over n_items: amount per second, in 1e9. */
static double best_rate(const dsm_exec *x, int64_t n_items, dsm_pool_fn fn, void *arg,
                        double amount)
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = dsm_bench_clock(x);
        dsm_pool_run(x->pool, n_items, fn, arg);
        double rate = amount / (dsm_bench_clock(x) - start) * 1e-9;
        if (rate > best) best = rate;
    }
    return best;
}

/* ---- arithmetic ----------------------------------------------------------------------------- */

typedef struct ops_run {
    const dsm_peak *peak;
    int64_t iterations;
} ops_run;

static void run_ops(void *arg, int64_t item, int worker)
{
    const ops_run *r = arg;
    volatile float kept = r->peak->run(r->iterations);
    (void)kept, (void)item, (void)worker;
}

double dsm_ceiling_ops(const dsm_exec *x, const dsm_peak *peak)
{
    const double per_item = 1e9; /* operations: long against handing out an item */
    int64_t items = 2 * dsm_pool_threads(x->pool);
    ops_run r = {peak, (int64_t)(per_item / peak->ops)};
    return best_rate(x, items, run_ops, &r, per_item * (double)items);
}

double dsm_ceiling_fp32(const dsm_exec *x, unsigned cpu_flags)
{
    const dsm_peak *peak[DSM_MAX_PEAKS];
    dsm_peaks(peak, cpu_flags);
    return dsm_ceiling_ops(x, peak[0]);
}

/* ---- memory --------------------------------------------------------------------------------- */

typedef struct memory_run {
    unsigned char *to;
    const unsigned char *from;
    size_t bytes;
} memory_run;

static void run_read(void *arg, int64_t item, int worker)
{
    const memory_run *r = arg;
    dsm_range c = dsm_chunk((int64_t)r->bytes, PIECE, item);
    const int64_t run = (c.end - c.begin) / STREAMS / LINE * LINE;
    uint64_t sum[STREAMS] = {0}, total = 0;
    for (int64_t at = 0; at < run; at += LINE)
        for (int s = 0; s < STREAMS; s++) {
            const uint64_t *p = (const void *)(r->from + c.begin + s * run + at);
            __builtin_prefetch((const char *)p + AHEAD);
            for (int j = 0; j < LINE / 8; j++)
                sum[s] += p[j];
        }
    for (int s = 0; s < STREAMS; s++)
        total += sum[s];
    volatile uint64_t kept = total;
    (void)kept, (void)worker;
}

static void run_copy(void *arg, int64_t item, int worker)
{
    const memory_run *r = arg;
    dsm_range c = dsm_chunk((int64_t)r->bytes, PIECE, item);
    memcpy(r->to + c.begin, r->from + c.begin, (size_t)(c.end - c.begin));
    (void)worker;
}

double dsm_ceiling_read(const dsm_exec *x, const void *buf, size_t bytes)
{
    memory_run r = {NULL, buf, bytes};
    return best_rate(x, dsm_chunk_count((int64_t)bytes, PIECE), run_read, &r, (double)bytes);
}

double dsm_ceiling_copy(const dsm_exec *x, void *buf, size_t bytes)
{
    unsigned char *half = buf;
    memory_run r = {half + bytes / 2, half, bytes / 2};
    return best_rate(x, dsm_chunk_count((int64_t)r.bytes, PIECE), run_copy, &r, (double)bytes);
}
