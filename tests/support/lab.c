/* SPDX-License-Identifier: MIT */
#include "support/lab.h"

#include "core/rng.h"
#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, MAX_EXECS = 21, MAX_BLOCKS = 256, THREADS = 3 };

typedef struct lab_exec {
    const char *variant;
    int threads;
    double loose; /* times the tolerance: how much coarser operands are than f32 */
    dsm_kernels table;
    dsm_exec exec;
} lab_exec;

static lab_exec execs[MAX_EXECS]; /* [0] is the truth on one thread */
static int n_execs;
static void *blocks[MAX_BLOCKS];
static int n_blocks;

static void add_exec(const char *variant, unsigned flags, dsm_compute compute, int threads)
{
    lab_exec *e = &execs[n_execs++];
    dsm_err err;
    e->variant = variant;
    e->threads = threads;
    e->loose = compute == DSM_COMPUTE_BF16 ? 0x1p16 : 1;
    dsm_kernels_init(&e->table, flags);
    if (dsm_kernels_set_compute(&e->table, flags, compute, &err) != DSM_OK)
        fail_msg("%s", err.msg);
    if (dsm_exec_init(&e->exec, &e->table, threads, &err) != DSM_OK) fail_msg("%s", err.msg);
}

int lab_open(void **state)
{
    enum { avx512 = DSM_CPU_AVX2 | DSM_CPU_AVX512, vnni = avx512 | DSM_CPU_AVX512_VNNI,
           amx = vnni | DSM_CPU_AVX512_BF16 | DSM_CPU_AMX,
           avxvnni = DSM_CPU_AVX2 | DSM_CPU_AVX_VNNI };
    static const struct {
        const char *name;
        unsigned need, flags;
        dsm_compute compute;
    } variants[] = {{"none", 0, 0, DSM_COMPUTE_F32},
                    {"avx2", DSM_CPU_AVX2, DSM_CPU_AVX2, DSM_COMPUTE_F32},
                    {"avxvnni", avxvnni, avxvnni, DSM_COMPUTE_F32},
                    {"avx512", DSM_CPU_AVX512, avx512, DSM_COMPUTE_F32},
                    {"vnni", vnni, vnni, DSM_COMPUTE_F32},
                    {"amx", DSM_CPU_AMX, amx, DSM_COMPUTE_F32},
                    {"amx bf16", DSM_CPU_AMX, amx, DSM_COMPUTE_BF16}};
    unsigned have = dsm_cpu_flags();
    const bool reduced = sizeof(dsm_real) == sizeof(float); /* the oracle in double knows no other */
    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        if (variants[v].compute != DSM_COMPUTE_F32 && !reduced) continue;
        for (int threads = 1; threads <= THREADS; threads++)
            if ((have & variants[v].need) == variants[v].need)
                add_exec(variants[v].name, variants[v].flags, variants[v].compute, threads);
    }
    return 0;
}

int lab_close(void **state)
{
    (void)state;
    lab_release();
    for (int i = 0; i < n_execs; i++)
        dsm_exec_free(&execs[i].exec);
    n_execs = 0;
    return 0;
}

const dsm_exec *lab_truth(void)
{
    return &execs[0].exec;
}

void *lab_bytes(size_t n)
{
    assert_true(n_blocks < MAX_BLOCKS);
    unsigned char *p = calloc(1, n + sizeof(dsm_real));
    assert_non_null(p);
    blocks[n_blocks++] = p;
    return p + sizeof(dsm_real);
}

void lab_release(void)
{
    while (n_blocks > 0)
        free(blocks[--n_blocks]);
}

dsm_real *lab_random(int64_t n, double amp, unsigned seed)
{
    dsm_rng rng = {seed, DSM_STREAM_TEST, 0};
    dsm_real *v = lab_bytes((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = (dsm_real)(amp * (2 * dsm_rng_uniform53(&rng, (uint64_t)i) - 1));
    return v;
}

int32_t *lab_random_int(int64_t n, int64_t below, unsigned seed)
{
    dsm_rng rng = {seed, DSM_STREAM_TEST, 1};
    int32_t *v = lab_bytes((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = (int32_t)dsm_rng_below(&rng, (uint64_t)i, (uint64_t)below);
    return v;
}

double lab_sum_tol(int64_t n, double amp)
{
    return (double)DSM_REAL_EPS * (double)(n + 2) * amp;
}

/* One output between guards: GUARD bytes of 0xA5 before and after the misaligned data. */
typedef struct lab_buf {
    unsigned char *block;
    dsm_real *data;
} lab_buf;

static lab_buf buf_open(const lab_out *o)
{
    size_t bytes = (size_t)o->n * sizeof(dsm_real);
    lab_buf b = {malloc(bytes + 2 * GUARD + sizeof(dsm_real)), NULL};
    assert_non_null(b.block);
    memset(b.block, 0xA5, bytes + 2 * GUARD + sizeof(dsm_real));
    b.data = (dsm_real *)(void *)(b.block + GUARD + sizeof(dsm_real));
    for (int64_t i = 0; i < o->n; i++)
        b.data[i] = o->init ? o->init[i] : (dsm_real)NAN;
    return b;
}

static bool guards_intact(const lab_buf *b, const lab_out *o)
{
    size_t bytes = (size_t)o->n * sizeof(dsm_real), head = GUARD + sizeof(dsm_real);
    for (size_t i = 0; i < head; i++)
        if (b->block[i] != 0xA5) return false;
    for (size_t i = 0; i < GUARD; i++)
        if (b->block[head + bytes + i] != 0xA5) return false;
    return true;
}

static void run_case(const lab_case *c, const lab_exec *e, lab_buf *bufs)
{
    dsm_real *out[LAB_OUTPUTS] = {0};
    for (int i = 0; i < c->n_out; i++) {
        bufs[i] = buf_open(&c->out[i]);
        out[i] = bufs[i].data;
    }
    c->run(&e->exec, c->ctx, out);
    for (int i = 0; i < c->n_out; i++)
        if (!guards_intact(&bufs[i], &c->out[i]))
            fail_msg("%s [%s] %s, %d threads: wrote outside %s", c->op, c->shape, e->variant,
                     e->threads, c->out[i].name);
}

/* The element furthest outside its tolerance, or -1. Equal values, infinities too, are fine. */
static int64_t worst(const lab_out *o, const dsm_real *truth, const dsm_real *got, double loose)
{
    int64_t at = -1;
    double most = loose;
    for (int64_t i = 0; i < o->n; i++) {
        if (memcmp(&truth[i], &got[i], sizeof *got) == 0) continue;
        if (o->bits) return i;
        double t = (double)truth[i], g = (double)got[i];
        if (t == g || (isnan(t) && isnan(g))) continue;
        double excess = fabs(g - t) / (o->abs_tol + o->rel_tol * fabs(t) + 1e-300);
        if (!(excess <= most)) {
            at = i;
            most = excess;
        }
    }
    return at;
}

static void compare_truth(const lab_case *c, const lab_exec *e, const lab_buf *truth,
                          const lab_buf *got)
{
    for (int i = 0; i < c->n_out; i++) {
        const lab_out *o = &c->out[i];
        const double loose = c->coarse ? 1 : e->loose;
        int64_t at = worst(o, truth[i].data, got[i].data, loose);
        if (at >= 0)
            fail_msg("%s [%s] %s: %s[%lld] = %.9g, truth %.9g, tolerance (%g + %g rel) x %g", c->op,
                     c->shape, e->variant, o->name, (long long)at, (double)got[i].data[at],
                     (double)truth[i].data[at], o->abs_tol, o->rel_tol, loose);
    }
}

static void compare_bits(const lab_case *c, const lab_exec *e, const lab_buf *one,
                         const lab_buf *got)
{
    for (int i = 0; i < c->n_out; i++)
        if (memcmp(one[i].data, got[i].data, (size_t)c->out[i].n * sizeof(dsm_real)) != 0)
            fail_msg("%s [%s] %s: %s differs between 1 and %d threads", c->op, c->shape,
                     e->variant, c->out[i].name, e->threads);
}

static void free_bufs(const lab_case *c, lab_buf *bufs)
{
    for (int i = 0; i < c->n_out; i++)
        free(bufs[i].block);
}

void lab_check(const lab_case *c)
{
    lab_buf truth[LAB_OUTPUTS], one[LAB_OUTPUTS] = {{0}}, got[LAB_OUTPUTS];
    run_case(c, &execs[0], truth);
    for (int i = 0; i < n_execs; i++) {
        run_case(c, &execs[i], got);
        if (execs[i].threads == 1) {
            compare_truth(c, &execs[i], truth, got);
            free_bufs(c, one);
            memcpy(one, got, sizeof one);
        } else {
            compare_bits(c, &execs[i], one, got);
            free_bufs(c, got);
        }
    }
    free_bufs(c, one);
    free_bufs(c, truth);
}
