/* SPDX-License-Identifier: MIT */
/* bench kernels: every slot at the shapes one training step has.
 *
 * Method: the fastest of many calls (dsm_bench_best). Arithmetic is held against the FP32
 * multiply-add ceiling, everything else against copying memory: measured after every row, the best
 * so far counts. Bytes are those that must move once: operands read, results written; rows that fit
 * a cache can therefore exceed the ceiling. */
#include "bench/ceilings.h"
#include "bench/stored.h"
#include "core/rng.h"
#include "dsmoe/bench.h"
#include "kernels/chunk.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_GROUPS = 64, HEAD_ROWS = 512, FEW_TOKENS = 64 /* of an expert */, N_BUFFERS = 5 };
static const int64_t buffer_floats = (int64_t)32 << 20;

typedef struct shape {
    const char *name;
    int64_t tokens, seq, D, H, Dh, F, E, K, dense_F, V;
} shape;

static const shape models[] = {
    {"tiny", 4096, 256, 256, 4, 64, 176, 31, 7, 688, 4096},
    {"small", 4096, 512, 512, 8, 64, 344, 63, 7, 1376, 8192},
};

typedef struct bench {
    shape s;
    dsm_kernels kernels;
    dsm_exec x;
    unsigned flags;
    dsm_compute compute;
    dsm_arena arena;
    float *buf[N_BUFFERS]; /* buffer_floats each, side by side */
    int32_t *id;           /* (tokens · K): below tokens and below V, whichever is needed */
    int32_t *pos;          /* (tokens · K): a permutation */
    const char *slot;      /* only this one, or NULL */
    double fp32, copy;     /* ceilings so far */
    void (*row)(void *arg, const dsm_bench_kernel *k);
    void *arg;
} bench;

/* ---- one row -------------------------------------------------------------------------------- */

typedef struct work {
    int slot; /* enum dsm_kernel_slot */
    const char *label;
    double amount; /* operations or bytes of a call */
    bool arithmetic;
    void (*run)(const bench *b, const void *ctx);
    const void *ctx;
} work;

typedef struct call {
    const bench *b;
    const work *w;
} call;

static void run_call(void *arg)
{
    const call *c = arg;
    c->w->run(c->b, c->w->ctx);
}

static double larger(double *best, double now)
{
    if (now > *best) *best = now;
    return *best;
}

static double ceiling(bench *b, bool arithmetic)
{
    const size_t bytes = (size_t)buffer_floats * N_BUFFERS * sizeof(float);
    return arithmetic ? larger(&b->fp32, dsm_ceiling_fp32(&b->x, b->flags))
                      : larger(&b->copy, dsm_ceiling_copy(&b->x, b->buf[0], bytes));
}

static void measure(bench *b, const work *w)
{
    dsm_bench_kernel k = {.slot = dsm_kernel_slots[w->slot],
                          .variant = b->kernels.variant[w->slot],
                          .unit = w->arithmetic ? "GFLOP/s" : "GB/s"};
    if (b->slot && strcmp(b->slot, k.slot) != 0) return;
    snprintf(k.shape, sizeof k.shape, "%s", w->label);
    k.seconds = dsm_bench_best(&b->x, run_call, &(call){b, w});
    k.rate = w->amount / k.seconds * 1e-9;
    k.ceiling = ceiling(b, w->arithmetic);
    k.share = k.rate / k.ceiling;
    b->row(b->arg, &k);
}

/* Small values without structure; the copies of the last row may have overwritten them. */
static void fill(const bench *b)
{
    for (int i = 0; i < N_BUFFERS; i++)
        for (int64_t j = 0; j < buffer_floats; j++)
            b->buf[i][j] = (float)((uint32_t)j * 2654435761u >> 8) * 0x1p-23f - 1;
}

/* ---- linear maps ---------------------------------------------------------------------------- */

typedef struct linear_ctx {
    dsm_linear op;
    dsm_mat w[MAX_GROUPS];
    float *dw[MAX_GROUPS];
    int32_t begin[MAX_GROUPS + 1];
} linear_ctx;

static void run_linear(const bench *b, const void *ctx)
{
    b->kernels.linear(&b->x, &((const linear_ctx *)ctx)->op);
}

static void run_linear_input(const bench *b, const void *ctx)
{
    b->kernels.linear_input(&b->x, &((const linear_ctx *)ctx)->op);
}

static void run_linear_weight(const bench *b, const void *ctx)
{
    b->kernels.linear_weight(&b->x, &((const linear_ctx *)ctx)->op);
}

/* Which operand is read through a row map: tokens go to experts, their gradients come from tokens.
 */
typedef enum row_map { NO_MAP, MAP_X, MAP_DY } row_map;

/* x in buffer 0, y in 1, weights in 2, dx in 3, dw in 4. */
static void make_linear(const bench *b, linear_ctx *c, int groups, int64_t rows, int64_t N,
                        int64_t K, row_map map)
{
    for (int g = 0; g < groups; g++) {
        c->begin[g + 1] = (int32_t)(rows * (g + 1) / groups);
        c->w[g] = (dsm_mat){b->buf[2] + g * N * K, DSM_F32, N, K};
        c->dw[g] = b->buf[4] + g * N * K;
    }
    c->op = (dsm_linear){.n_groups = groups,
                         .begin = c->begin,
                         .N = N,
                         .K = K,
                         .w = c->w,
                         .x = b->buf[0],
                         .x_rs = K,
                         .x_rows = map == MAP_X ? b->id : NULL,
                         .y = b->buf[1],
                         .y_rs = N,
                         .dy_rows = map == MAP_DY ? b->id : NULL,
                         .dx = b->buf[3],
                         .dx_rs = K,
                         .dw = c->dw};
}

static void measure_linear(bench *b, const char *what, int groups, int64_t rows, int64_t N,
                           int64_t K, row_map map)
{
    static const struct {
        int slot;
        void (*run)(const bench *b, const void *ctx);
    } maps[] = {{DSM_SLOT_linear, run_linear},
                {DSM_SLOT_linear_input, run_linear_input},
                {DSM_SLOT_linear_weight, run_linear_weight}};
    linear_ctx c = {0};
    char label[64];
    make_linear(b, &c, groups, rows, N, K, map);
    snprintf(label, sizeof label, "%s %dx%d N=%d K=%d", what, groups, (int)(rows / groups), (int)N,
             (int)K);
    const double flops = 2.0 * (double)(rows * N) * (double)K,
                 weights = 4.0 * (double)(groups * N * K);
    if (rows == groups) { /* decoding: bound by reading the weights */
        measure(b, &(work){DSM_SLOT_linear, label, weights, false, run_linear, &c});
        return;
    }
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        measure(b, &(work){maps[i].slot, label, flops, true, maps[i].run, &c});
}

static void measure_linears(bench *b)
{
    const shape *s = &b->s;
    int E = (int)s->E, K = (int)s->K;
    measure_linear(b, "experts up", E, s->tokens * s->K, s->F, s->D, MAP_X);
    measure_linear(b, "experts down", E, s->tokens * s->K, s->D, s->F, MAP_DY);
    measure_linear(b, "experts up", E, s->E * FEW_TOKENS, s->F, s->D, MAP_X);
    measure_linear(b, "experts down", E, s->E * FEW_TOKENS, s->D, s->F, MAP_DY);
    measure_linear(b, "projection", 1, s->tokens, s->D, s->D, NO_MAP);
    measure_linear(b, "dense up", 1, s->tokens, s->dense_F, s->D, NO_MAP);
    measure_linear(b, "dense down", 1, s->tokens, s->D, s->dense_F, NO_MAP);
    measure_linear(b, "head", 1, HEAD_ROWS, s->V, s->D, NO_MAP);
    measure_linear(b, "router", 1, s->tokens, s->E, s->D, NO_MAP);
    measure_linear(b, "decode head", 1, 1, s->V, s->D, NO_MAP);
    measure_linear(b, "decode experts", K, K, s->F, s->D, MAP_X);
}

/* ---- attention ------------------------------------------------------------------------------ */

static void run_attention(const bench *b, const void *ctx)
{
    b->kernels.attention(&b->x, ctx);
}

static void run_attention_bwd(const bench *b, const void *ctx)
{
    b->kernels.attention_bwd(&b->x, ctx);
}

/* q, k, v; out; dout; dq, dk, dv; lse and delta: n floats each, one after another in the buffers.
 */
static void measure_attention(bench *b, int64_t n_seq, int64_t T, int64_t past, int64_t Dh)
{
    const int64_t H = b->s.H * b->s.Dh / Dh;
    int64_t rs = H * Dh, S = past + T, n = n_seq * S * rs;
    float *p[10];
    for (int i = 0; i < 10; i++)
        p[i] = b->buf[i / 2] + i % 2 * n;
    dsm_attention op = {.n_seq = n_seq,
                        .T = T,
                        .past = past,
                        .k_seq = S,
                        .H = H,
                        .Hk = H,
                        .Dk = Dh,
                        .Dv = Dh,
                        .scale = 1 / sqrtf((float)Dh),
                        .q = p[0],
                        .k = p[1],
                        .v = p[2],
                        .q_rs = rs,
                        .k_rs = rs,
                        .v_rs = rs,
                        .out = p[3],
                        .out_rs = rs,
                        .dout = p[4],
                        .dq = p[5],
                        .dk = p[6],
                        .dv = p[7],
                        .lse = p[8],
                        .delta = p[9]};
    char label[64];
    if (T == 1) {
        snprintf(label, sizeof label, "decode past=%d H=%d Dh=%d", (int)past, (int)H, (int)Dh);
        measure(b, &(work){DSM_SLOT_attention, label, 8.0 * (double)n, false, run_attention, &op});
        return;
    }
    /* products under the diagonal: 2 forward, 5 backward */
    double product = 2.0 * (double)(n_seq * H * Dh) * (double)(T * (T + 1) / 2);
    snprintf(label, sizeof label, "B=%d T=%d H=%d Dh=%d", (int)n_seq, (int)T, (int)H, (int)Dh);
    measure(b, &(work){DSM_SLOT_attention, label, 2 * product, true, run_attention, &op});
    fill(b); /* random scores again, then what backward needs of the forward */
    b->kernels.attention(&b->x, &op);
    measure(b, &(work){DSM_SLOT_attention_bwd, label, 5 * product, true, run_attention_bwd, &op});
}

/* ---- rows and flat memory: one line each ---------------------------------------------------- */

#define ROW_FN(name, call)                                                                         \
    static void run_##name(const bench *b, const void *ctx)                                        \
    {                                                                                              \
        const shape *s = &b->s;                                                                    \
        float *const *v = b->buf;                                                                  \
        (void)ctx, (void)s, (void)v;                                                               \
        call;                                                                                      \
    }
#define OPS (b->kernels)

ROW_FN(rmsnorm, OPS.rmsnorm(&b->x, v[1], v[2], v[0], v[3], s->tokens, s->D, 1e-6f))
ROW_FN(rmsnorm_bwd,
       OPS.rmsnorm_bwd(&b->x, v[1], v[4], v[2], v[0], v[3], v[4] + s->D, s->tokens, s->D))
ROW_FN(rope, OPS.rope(&b->x, &(dsm_rope){v[0], s->D, s->Dh, s->tokens, s->seq, s->H, s->Dh, v[1], 1,
                                         false}))
ROW_FN(swiglu, OPS.swiglu(&b->x, v[2], v[0], v[1], s->F, NULL, s->tokens * s->K, s->F))
ROW_FN(swiglu_bwd, OPS.swiglu_bwd(&b->x, v[3], v[4], NULL, v[2], v[0], v[1], s->F, NULL,
                                  s->tokens * s->K, s->F))
ROW_FN(softmax, OPS.softmax(&b->x, v[1], v[0], s->tokens, s->E))
ROW_FN(xent, OPS.xent(&b->x, v[0], s->V, b->id, v[1], HEAD_ROWS, s->V, 1e-3f))
ROW_FN(topk, OPS.topk(&b->x, (int32_t *)(void *)v[1], v[0], s->tokens, s->E, s->K))
ROW_FN(combine, OPS.combine(&b->x, v[0], v[1], b->pos, s->tokens, s->K, s->D))
ROW_FN(gather,
       OPS.gather(&b->x, v[0], &((dsm_mat){v[1], DSM_F32, s->tokens, s->D}), b->id, s->tokens))
ROW_FN(gather_bwd, OPS.gather_bwd(&b->x, v[1], v[0], b->id, s->tokens, s->D))
ROW_FN(add, OPS.add(&b->x, v[0], v[1], s->tokens * s->D))
ROW_FN(sum_squares, bool finite; OPS.sum_squares(&b->x, v[0], buffer_floats, &finite))

static void run_adamw(const bench *b, const void *ctx)
{
    b->kernels.adamw(&b->x, b->buf[0], b->buf[1], b->buf[2], b->buf[3], buffer_floats, ctx);
}

static void measure_rows(bench *b)
{
    static const dsm_adamw step = {.lr = 1e-3f,
                                   .beta1 = 0.9f,
                                   .beta2 = 0.95f,
                                   .eps = 1e-8f,
                                   .decay = 0.1f,
                                   .bias1 = 0.1f,
                                   .bias2 = 0.05f,
                                   .grad_scale = 1};
    const shape *s = &b->s;
    const double td = (double)(s->tokens * s->D), tk = (double)(s->tokens * s->K);
    const double tf = tk * (double)s->F, te = (double)(s->tokens * s->E);
    const struct {
        int slot;
        void (*run)(const bench *b, const void *ctx);
        double floats; /* that move in one call */
    } rows[] = {
        {DSM_SLOT_rmsnorm, run_rmsnorm, 2 * td},
        {DSM_SLOT_rmsnorm_bwd, run_rmsnorm_bwd, 6 * td},
        {DSM_SLOT_rope, run_rope, 2 * td},
        {DSM_SLOT_swiglu, run_swiglu, 3 * tf},
        {DSM_SLOT_swiglu_bwd, run_swiglu_bwd, 6 * tf},
        {DSM_SLOT_softmax, run_softmax, 2 * te},
        {DSM_SLOT_xent, run_xent, 2.0 * HEAD_ROWS * (double)s->V},
        {DSM_SLOT_topk, run_topk, te + tk},
        {DSM_SLOT_combine, run_combine, 2 * td + tk * (double)s->D},
        {DSM_SLOT_gather, run_gather, 2 * td},
        {DSM_SLOT_gather_bwd, run_gather_bwd, 3 * td},
        {DSM_SLOT_add, run_add, 3 * td},
        {DSM_SLOT_sum_squares, run_sum_squares, (double)buffer_floats},
        {DSM_SLOT_adamw, run_adamw, 7 * (double)buffer_floats},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fill(b);
        measure(b, &(work){rows[i].slot, s->name, 4 * rows[i].floats, false, rows[i].run, &step});
    }
}

/* ---- the command ---------------------------------------------------------------------------- */

static void carve(bench *b, dsm_arena *a)
{
    size_t n = (size_t)(b->s.tokens * b->s.K) * sizeof(int32_t);
    float *all = dsm_arena_take(a, (size_t)buffer_floats * N_BUFFERS * sizeof(float));
    for (int i = 0; all && i < N_BUFFERS; i++)
        b->buf[i] = all + i * buffer_floats;
    b->id = dsm_arena_take(a, n);
    b->pos = dsm_arena_take(a, n);
}

static dsm_status open_bench(bench *b, int n_threads, dsm_err *err)
{
    dsm_arena measured = {0};
    dsm_rng rng = {1, DSM_STREAM_TEST, 0};
    carve(b, &measured);
    DSM_TRY(dsm_arena_init(&b->arena, measured.used, "benchmark memory", err));
    carve(b, &b->arena);
    int64_t n = b->s.tokens * b->s.K, ids = b->s.tokens < b->s.V ? b->s.tokens : b->s.V;
    for (int64_t i = 0; i < n; i++) {
        b->id[i] = (int32_t)dsm_rng_below(&rng, (uint64_t)i, (uint64_t)ids);
        b->pos[i] = (int32_t)dsm_rng_permute(&rng, (uint64_t)i, (uint64_t)n);
    }
    dsm_kernels_init(&b->kernels, b->flags);
    DSM_TRY(dsm_kernels_set_compute(&b->kernels, b->flags, b->compute, err));
    return dsm_exec_init(&b->x, &b->kernels, n_threads, err);
}

static dsm_status choose_model(shape *out, const char *name, dsm_err *err)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        if (strcmp(models[i].name, name) == 0) {
            *out = models[i];
            return DSM_OK;
        }
    return dsm_fail(err, DSM_EUSAGE, "model: found \"%s\", expected tiny, small or 16b", name);
}

static dsm_status check_slot(const char *slot, dsm_err *err)
{
    for (int i = 0; slot && i <= DSM_N_SLOTS; i++) {
        if (i == DSM_N_SLOTS)
            return dsm_fail(err, DSM_EUSAGE, "slot: found \"%s\"; dsmoe info --kernels lists them",
                            slot);
        if (strcmp(dsm_kernel_slots[i], slot) == 0) break;
    }
    return DSM_OK;
}

/* Weights as files store them have their own shapes and memory. */
static dsm_status run_stored(int n_threads, unsigned cpu_flags, dsm_compute compute,
                             void (*row)(void *arg, const dsm_bench_kernel *k), void *arg,
                             dsm_err *err)
{
    dsm_kernels kernels;
    dsm_exec x;
    dsm_kernels_init(&kernels, cpu_flags);
    DSM_TRY(dsm_kernels_set_compute(&kernels, cpu_flags, compute, err));
    DSM_TRY(dsm_exec_init(&x, &kernels, n_threads, err));
    dsm_status status = dsm_bench_stored(&x, cpu_flags, row, arg, err);
    dsm_exec_free(&x);
    return status;
}

dsm_status dsm_bench_kernels_run(const char *model, const char *slot, int n_threads,
                                 unsigned cpu_flags, dsm_compute compute,
                                 void (*row)(void *arg, const dsm_bench_kernel *k), void *arg,
                                 dsm_err *err)
{
    bench b = {.flags = cpu_flags, .compute = compute, .slot = slot, .row = row, .arg = arg};
    if (strcmp(model, "16b") == 0) return run_stored(n_threads, cpu_flags, compute, row, arg, err);
    DSM_TRY(choose_model(&b.s, model, err));
    DSM_TRY(check_slot(slot, err));
    dsm_status status = open_bench(&b, n_threads, err);
    if (status == DSM_OK) {
        (void)ceiling(&b, true); /* a first look, so that the first row is held against it too */
        fill(&b);
        measure_linears(&b);
        fill(&b);
        measure_attention(&b, b.s.tokens / b.s.seq, b.s.seq, 0, b.s.Dh);
        measure_attention(&b, 1, 2048, 0, b.s.Dh);
        measure_attention(&b, 1, 2048, 0, 2 * b.s.Dh);
        measure_attention(&b, 1, 1, 4095, b.s.Dh);
        measure_rows(&b);
    }
    dsm_exec_free(&b.x);
    dsm_arena_free(&b.arena);
    return status;
}
