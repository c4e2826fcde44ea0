/* SPDX-License-Identifier: MIT */
/* The pool: one generation counter publishes a loop, one atomic hands out its items.
 *
 * A loop is (fn, arg, n_items) written before `generation` is raised with release order. A worker
 * that sees the new generation claims items until none is left, then counts itself out. The caller
 * returns only when every worker has counted out, so no worker can see a later loop's items with an
 * earlier loop's function. */
#define _GNU_SOURCE
#include "core/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { SPINS = 4000 };

struct dsm_pool {
    int n_threads;
    pthread_t *threads; /* n_threads - 1 */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint generation;
    atomic_int running; /* workers that have not counted out of this generation */
    atomic_int sleeping;
    atomic_bool stop;
    dsm_pool_fn fn;
    void *arg;
    int64_t n_items;
    atomic_int_fast64_t next;
};

typedef struct worker_arg {
    dsm_pool *pool;
    int worker;
} worker_arg;

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void claim_items(dsm_pool *p, int worker)
{
    for (;;) {
        int64_t item = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (item >= p->n_items) return;
        p->fn(p->arg, item, worker);
    }
}

static unsigned wait_for_work(dsm_pool *p, unsigned seen)
{
    for (int i = 0; i < SPINS; i++) {
        unsigned g = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (g != seen) return g;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleeping, 1);
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleeping, 1);
    pthread_mutex_unlock(&p->lock);
    return atomic_load(&p->generation);
}

static void *worker_main(void *raw)
{
    worker_arg a = *(worker_arg *)raw;
    free(raw);
    unsigned seen = 0;
    for (;;) {
        seen = wait_for_work(a.pool, seen);
        if (atomic_load(&a.pool->stop)) return NULL;
        claim_items(a.pool, a.worker);
        atomic_fetch_sub_explicit(&a.pool->running, 1, memory_order_release);
    }
}

static void publish(dsm_pool *p)
{
    atomic_fetch_add(&p->generation, 1);
    if (atomic_load(&p->sleeping) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->wake);
        pthread_mutex_unlock(&p->lock);
    }
}

void dsm_pool_run(dsm_pool *p, int64_t n_items, dsm_pool_fn fn, void *arg)
{
    if (!p || p->n_threads == 1 || n_items <= 1) {
        for (int64_t i = 0; i < n_items; i++)
            fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n_items = n_items;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->running, p->n_threads - 1, memory_order_relaxed);
    publish(p);
    claim_items(p, 0);
    for (int i = 0; atomic_load_explicit(&p->running, memory_order_acquire) > 0; i++) {
        if (i < SPINS)
            relax();
        else
            sched_yield();
    }
}

/* The cgroup v2 quota in cores, rounded up; a large number when there is none. */
static int cgroup_cores(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!f) return 1 << 20;
    char quota[32];
    long period = 0;
    int n = fscanf(f, "%31s %ld", quota, &period);
    fclose(f);
    long q = n == 2 ? strtol(quota, NULL, 10) : 0;
    if (q <= 0 || period <= 0) return 1 << 20;
    return (int)((q + period - 1) / period);
}

int dsm_cores_available(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    int limit = cgroup_cores();
    if (n > limit) n = limit;
    return n < 1 ? 1 : n;
}

dsm_status dsm_pool_open(dsm_pool **out, int n_threads, dsm_err *err)
{
    *out = NULL;
    if (n_threads < 0 || n_threads > 1024)
        return dsm_fail(err, DSM_ERANGE, "threads: found %d, expected 0 (all cores) to 1024",
                        n_threads);
    if (n_threads == 0) n_threads = dsm_cores_available();
    dsm_pool *p = calloc(1, sizeof *p);
    if (!p) return dsm_fail(err, DSM_ENOMEM, "thread pool: out of memory");
    p->threads = calloc((size_t)n_threads, sizeof *p->threads);
    p->n_threads = 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    for (int i = 1; p->threads && i < n_threads; i++) {
        worker_arg *a = malloc(sizeof *a);
        if (!a) break;
        *a = (worker_arg){p, i};
        if (pthread_create(&p->threads[i - 1], NULL, worker_main, a) != 0) {
            free(a);
            break;
        }
        p->n_threads++;
    }
    if (p->n_threads != n_threads) {
        dsm_pool_close(p);
        return dsm_fail(err, DSM_ENOMEM, "thread pool: cannot start %d threads", n_threads);
    }
    *out = p;
    return DSM_OK;
}

void dsm_pool_close(dsm_pool *p)
{
    if (!p) return;
    atomic_store(&p->stop, true);
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads - 1; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

int dsm_pool_threads(const dsm_pool *p)
{
    return p ? p->n_threads : 1;
}
