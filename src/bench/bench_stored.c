/* SPDX-License-Identifier: MIT */
/* Linear maps with weights as models store them, at the shapes of DeepSeekMoE 16B: a token's
 * experts (one row each), a prompt's (64 with 48 rows each: 512 tokens), a projection of a prompt.
 *
 * Method: that of bench_kernels.c. A call takes the next of several sets of weights, so that they
 * come from memory as in a model. One row is held against reading memory (bytes of the weights),
 * many against the int8 dots of these CPU flags, or FP32 where there are none. */
#include "bench/stored.h"

#include "bench/ceilings.h"
#include "core/dtype.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

enum { GROUPS = 64, ROWS_MOST = 64 * 48, SIDE = 2048, EXPERT = 1408, SEED_VALUES = 1 << 16 };

typedef struct shape {
    const char *name;
    int groups, rows; /* of a call; rows of each group */
    int64_t N;
} shape;

static const shape shapes[] = {{"decode, experts", 6, 1, EXPERT},
                               {"prompt, experts", GROUPS, 48, EXPERT},
                               {"prompt, projection", 1, 512, SIDE}};

static const dsm_dtype types[] = {DSM_Q8_0, DSM_Q4_0, DSM_Q4_1, DSM_Q4_K,
                                  DSM_Q5_K, DSM_Q6_K, DSM_BF16, DSM_F16};

typedef struct bench {
    const dsm_exec *x;
    dsm_arena arena;
    unsigned char *weights; /* of all experts, in the widest type */
    float *in, *out;        /* (ROWS_MOST, SIDE) */
    double read, ops;       /* ceilings so far */
    const dsm_peak *peak;
} bench;

typedef struct call {
    const dsm_exec *x;
    dsm_linear op;
    dsm_mat w[GROUPS];
    int32_t begin[GROUPS + 1];
    int sets, set; /* of weights that memory holds; the next */
} call;

static size_t weight_bytes(void)
{
    return dsm_dtype_bytes(DSM_BF16, (int64_t)GROUPS * EXPERT * SIDE);
}

/* Small values without structure, stored once and then repeated. */
static void fill_weights(bench *b, dsm_dtype t)
{
    const size_t piece = dsm_dtype_bytes(t, SEED_VALUES);
    for (int64_t i = 0; i < SEED_VALUES; i++)
        b->in[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-23f - 1;
    dsm_dtype_store(b->weights, t, b->in, SEED_VALUES);
    for (size_t at = piece; at + piece <= weight_bytes(); at += piece)
        memcpy(b->weights + at, b->weights, piece);
}

static void run_call(void *arg)
{
    call *c = arg;
    dsm_linear op = c->op;
    op.w = c->w + c->set * op.n_groups;
    c->set = (c->set + 1) % c->sets;
    c->x->kernels->linear(c->x, &op);
}

static void make_call(call *c, const bench *b, const shape *s, dsm_dtype t)
{
    const size_t bytes = dsm_dtype_bytes(t, s->N * SIDE);
    *c = (call){.x = b->x, .sets = s->groups > 1 ? GROUPS / s->groups : GROUPS / 2};
    for (int g = 0; g < c->sets * s->groups; g++)
        c->w[g] = (dsm_mat){b->weights + (size_t)g * bytes, t, s->N, SIDE};
    for (int g = 0; g < s->groups; g++)
        c->begin[g + 1] = c->begin[g] + s->rows;
    c->op = (dsm_linear){.n_groups = s->groups,
                         .begin = c->begin,
                         .N = s->N,
                         .K = SIDE,
                         .x = b->in,
                         .x_rs = SIDE,
                         .y = b->out,
                         .y_rs = s->N};
}

static double ceiling(bench *b, bool reading)
{
    const double now = reading ? dsm_ceiling_read(b->x, b->weights, weight_bytes())
                               : dsm_ceiling_ops(b->x, b->peak);
    double *best = reading ? &b->read : &b->ops;
    if (now > *best) *best = now;
    return *best;
}

static dsm_bench_kernel measure(bench *b, const shape *s, dsm_dtype t)
{
    const bool reading = s->rows == 1;
    const double values = (double)(s->groups * s->N) * SIDE;
    const size_t bytes = dsm_dtype_bytes(t, s->groups * s->N * SIDE);
    call c;
    make_call(&c, b, s, t);
    dsm_bench_kernel k = {.slot = dsm_kernel_slots[DSM_SLOT_linear],
                          .variant = b->x->kernels->variant[DSM_SLOT_linear],
                          .unit = reading ? "GB/s" : "Gop/s"};
    snprintf(k.shape, sizeof k.shape, "%s %dx%d %s", s->name, s->groups, s->rows,
             dsm_dtype_name(t));
    const double before = ceiling(b, reading);
    k.seconds = dsm_bench_best(b->x, run_call, &c);
    k.rate = (reading ? (double)bytes : 2 * values * s->rows) / k.seconds * 1e-9;
    k.ceiling = ceiling(b, reading);
    if (before > k.ceiling) k.ceiling = before;
    k.share = k.rate / k.ceiling;
    return k;
}

static const dsm_peak *int8_peak(unsigned cpu_flags)
{
    const dsm_peak *peak[DSM_MAX_PEAKS];
    for (int i = 0, n = dsm_peaks(peak, cpu_flags); i < n; i++)
        if (strcmp(peak[i]->name, "INT8 dot") == 0) return peak[i];
    return peak[0];
}

static void carve(bench *b, dsm_arena *a)
{
    b->weights = dsm_arena_take(a, weight_bytes());
    b->in = dsm_arena_take(a, sizeof(float) * ROWS_MOST * SIDE);
    b->out = dsm_arena_take(a, sizeof(float) * ROWS_MOST * SIDE);
}

dsm_status dsm_bench_stored(const dsm_exec *x, unsigned cpu_flags,
                            void (*row)(void *arg, const dsm_bench_kernel *k), void *arg,
                            dsm_err *err)
{
    bench b = {.x = x, .peak = int8_peak(cpu_flags)};
    dsm_arena measured = {0};
    carve(&b, &measured);
    DSM_TRY(dsm_arena_init(&b.arena, measured.used, "benchmark memory", err));
    carve(&b, &b.arena);
    for (int64_t i = 0; i < (int64_t)ROWS_MOST * SIDE; i++)
        b.in[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-23f - 1;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        fill_weights(&b, types[t]);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            const dsm_bench_kernel k = measure(&b, &shapes[s], types[t]);
            row(arg, &k);
        }
    }
    dsm_arena_free(&b.arena);
    return DSM_OK;
}
