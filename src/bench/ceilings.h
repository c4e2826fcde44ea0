/* SPDX-License-Identifier: MIT */
/* The ceilings that measurements are shares of, taken on the pool that runs them. Each call takes a
 * few hundredths of a second and returns the best of several tries: quote it beside figures
 * measured just before or after, for clocks and neighbours change. */
#ifndef DSMOE_BENCH_CEILINGS_H
#define DSMOE_BENCH_CEILINGS_H

#include "core/exec.h"
#include "kernels/peak.h"

#include <stddef.h>

/* Seconds, for differences: wall time; with one worker its CPU time, which neighbours on a shared
 * machine cannot take away. */
double dsm_bench_clock(const dsm_exec *x);

/* Seconds of the fastest call of run(arg), of many, after one that is not counted. */
double dsm_bench_best(const dsm_exec *x, void (*run)(void *arg), void *arg);

/* Operations per second / 1e9 of one kind of multiply-add, all workers together. */
double dsm_ceiling_ops(const dsm_exec *x, const dsm_peak *peak);

/* FP32 multiply-add: what matrix products are held against. */
double dsm_ceiling_fp32(const dsm_exec *x, unsigned cpu_flags);

/* GB/s of reading `bytes` at buf, and of copying its first half to its second, read + write
 * counted. buf is 64-byte aligned; the figure is of memory when bytes is far above the caches. */
double dsm_ceiling_read(const dsm_exec *x, const void *buf, size_t bytes);
double dsm_ceiling_copy(const dsm_exec *x, void *buf, size_t bytes);

#endif
