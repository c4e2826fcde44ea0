/* SPDX-License-Identifier: MIT */
/* The kernel table: every operation once as a typed pointer, filled at run time.
 *
 * dsm_kernels_init starts each slot at the truth (ref/) and overwrites it with the fastest variant
 * that the CPU flags allow. Model code calls only through this table. A kernel takes where to run
 * first, then its operands; it never allocates, logs or asks the CPU. Preconditions are asserts.
 *
 * Shapes use the letters of docs/notation.md; arrays are row-major; `_rs` is the distance between
 * rows in elements. "=" overwrites, "+=" accumulates. Results do not depend on the number of
 * threads: each output element is summed by one item, in a fixed order. */
#ifndef DSMOE_KERNELS_KERNELS_H
#define DSMOE_KERNELS_KERNELS_H

#include "core/dtype.h"
#include "core/exec.h"
#include "core/real.h"
#include "core/rng.h"
#include "dsmoe/compute.h"

#include <stdbool.h>
#include <stdint.h>

/* A weight matrix (N, K), row-major and contiguous, as file or trainer holds it. K is whole blocks
 * of its dtype. */
typedef struct dsm_mat {
    const void *data;
    dsm_dtype dtype; /* DSM_REAL_DTYPE; for forward and input only any other that holds reals */
    int64_t rows, cols;
} dsm_mat;

/* A grouped linear map: the rows begin[g] … begin[g+1]-1 use weight w[g]; every w[g] is (N, K).
 * A plain linear map is n_groups = 1. Experts are groups, tokens sorted by expert are rows.
 *
 *   forward   y  (R, N)      y[r]  (=|+=) x[x_rows[r]] · w[g]ᵀ
 *   input     dx (R, K)      dx[r] (=|+=) dy[dy_rows[r]] · w[g]
 *   weight    dw[g] (N, K)   dw[g] (=|+=) Σ_r dy[dy_rows[r]]ᵀ · x[x_rows[r]]   (zero for no rows)
 */
typedef struct dsm_linear {
    int n_groups;
    const int32_t *begin; /* (G+1), ascending, begin[0] = 0; R = begin[G] */
    int64_t N, K;
    const dsm_mat *w;  /* (G) */
    const dsm_real *x; /* rows of K */
    int64_t x_rs;
    const int32_t *x_rows; /* (R) which row of x; NULL: r itself */
    dsm_real *y;           /* forward: out (R, N); input, weight: dy, read only */
    int64_t y_rs;
    const int32_t *dy_rows; /* (R) which row of dy; NULL: r itself */
    dsm_real *dx;           /* input: out (R, K) */
    int64_t dx_rs;
    dsm_real *const *dw; /* (G) weight: (N, K), row stride K */
    bool accumulate;     /* forward and input: += instead of = */
    bool first;          /* weight: = instead of += */
    bool exact;          /* f32 products whatever the compute precision (the router's) */
    /* forward: another map to do in the same call, whose y is no x of these; NULL: no more */
    const struct dsm_linear *next;
} dsm_linear;

/* Causal attention of T new positions per sequence over S = past + T keys.
 * Query t sees keys j <= past + t. Query head h uses key head h / (H / Hk). Softmax in f32.
 * Row t of sequence b: q + (b·T + t)·q_rs, heads side by side; keys: k + (b·k_seq + j)·k_rs. */
typedef struct dsm_attention {
    int64_t n_seq, T, past;
    int64_t k_seq;         /* rows between two sequences' keys and values (T, or cache length) */
    int64_t H, Hk, Dk, Dv; /* heads, key heads, key width, value width */
    dsm_real scale;
    const dsm_real *q, *k, *v;
    int64_t q_rs, k_rs, v_rs;
    int64_t v_hs;  /* between value heads; 0: Dv */
    int64_t limit; /* forward: keys there are, a multiple of 32; 0: past + T */
    dsm_real *out; /* (n_seq·T, H·Dv) */
    int64_t out_rs;
    dsm_real *lse; /* (n_seq, H, T) log-sum-exp of scaled scores; NULL: not wanted */
    /* backward: dout in; dq, dk, dv out (overwritten), strides as q, k, v; past = 0 */
    const dsm_real *dout; /* (n_seq·T, H·Dv), row stride out_rs */
    dsm_real *dq, *dk, *dv;
    dsm_real *delta; /* (n_seq, H, T) scratch: Σ dout·out */
} dsm_attention;

/* Causal attention of a few positions over stored keys and values of any float type or q8_0, which
 * are read once for all queries that share a key head. Row j of key head hk: k + j·rs + hk·(bytes
 * of Dk values), and so for v; v may be k, a value being the first part of its key.
 *
 * Keys are cut into chunks whatever the threads, so results do not depend on them. */
typedef struct dsm_decode {
    int64_t T, past; /* queries see keys j <= past + t */
    int64_t H, Hk, Dk, Dv;
    dsm_real scale;
    const dsm_real *q; /* (T, H·Dk), row stride q_rs */
    int64_t q_rs;
    const void *k, *v;
    dsm_dtype dtype;
    size_t rs;     /* bytes between rows */
    dsm_real *out; /* (T, H·Dv), row stride out_rs */
    int64_t out_rs;
    int64_t chunk;  /* keys of an item, a multiple of 64 */
    dsm_real *work; /* dsm_decode_work of it */
} dsm_decode;

/* Each chunk's result: of every query Σ p v, the top score and Σ p. */
static inline int64_t dsm_decode_work(int64_t T, int64_t H, int64_t Dv, int64_t chunks)
{
    return chunks * T * H * (Dv + 2);
}

/* Rotary positions of n_heads parts of Dh values each, in place: head h of row r is v + r·rs +
 * h·head_rs, and row r stands at position r % T of the table. */
typedef struct dsm_rope {
    dsm_real *v;
    int64_t rs, head_rs;
    int64_t R, T, n_heads, Dh;
    const dsm_real *cos_sin; /* (T, Dh/2, 2) */
    int sign;                /* 1, or -1: backward */
    bool adjacent;           /* pairs (2j, 2j + 1) instead of (j, j + Dh/2) */
} dsm_rope;

/* The keys of latent attention, H heads of Dn + Dr: Dn from the head's part of kv (row stride
 * kv_rs, heads kv_hs apart), Dr shared by all heads. */
typedef struct dsm_keys {
    int64_t R, H, Dn, Dr;
    dsm_real *k; /* (R, H·(Dn + Dr)) */
    dsm_real *kv;
    int64_t kv_rs, kv_hs;
    dsm_real *shared; /* (R, Dr) */
} dsm_keys;

/* AdamW over one flat run of elements that share a decay (Loshchilov & Hutter 2019). */
typedef struct dsm_adamw {
    dsm_real lr, beta1, beta2, eps, decay;
    dsm_real bias1, bias2; /* 1 - beta^step */
    dsm_real grad_scale;   /* clip factor (and 1/accumulation), applied to g first */
} dsm_adamw;

/* ---- one type per slot ---------------------------------------------------------------------- */

typedef void dsm_linear_fn(const dsm_exec *x, const dsm_linear *op);
typedef void dsm_linear_input_fn(const dsm_exec *x, const dsm_linear *op);
typedef void dsm_linear_weight_fn(const dsm_exec *x, const dsm_linear *op);

/* y[r] = w ⊙ in[r] · rstd[r], rstd = 1/sqrt(mean in² + eps).  in, y (R, D), rstd (R) or NULL. */
typedef void dsm_rmsnorm_fn(const dsm_exec *x, dsm_real *y, dsm_real *rstd, const dsm_real *in,
                            const dsm_real *w, int64_t R, int64_t D, dsm_real eps);
/* dx (R, D) += (residual stream) and dw (D) +=, rows summed in fixed chunks and order. */
typedef void dsm_rmsnorm_bwd_fn(const dsm_exec *x, dsm_real *dx, dsm_real *dw, const dsm_real *dy,
                                const dsm_real *in, const dsm_real *w, const dsm_real *rstd,
                                int64_t R, int64_t D);

/* Rotate heads in place. */
typedef void dsm_rope_fn(const dsm_exec *x, const dsm_rope *op);

/* h[r] = gate[r] · silu(g[r]) ⊙ u[r] over R rows of F; g and u have row stride gu_rs. gate (R) is
 * an expert's weight for its row; NULL: all 1. */
typedef void dsm_swiglu_fn(const dsm_exec *x, dsm_real *h, const dsm_real *g, const dsm_real *u,
                           int64_t gu_rs, const dsm_real *gate, int64_t R, int64_t F);
/* Everything from dh (R, F), the gradient by h, in one pass: dg, du (stride gu_rs; may be g and u
 * in place), dgate (R; NULL with gate), and h itself again, written over dh. */
typedef void dsm_swiglu_bwd_fn(const dsm_exec *x, dsm_real *dg, dsm_real *du, dsm_real *dgate,
                               dsm_real *dh, const dsm_real *g, const dsm_real *u, int64_t gu_rs,
                               const dsm_real *gate, int64_t R, int64_t F);

typedef void dsm_attention_fn(const dsm_exec *x, const dsm_attention *op);
typedef void dsm_decode_fn(const dsm_exec *x, const dsm_decode *op);
typedef void dsm_attention_bwd_fn(const dsm_exec *x, const dsm_attention *op);

/* score[r] = softmax(logit[r]) over E columns, (R, E); may be in place. */
typedef void dsm_softmax_fn(const dsm_exec *x, dsm_real *score, const dsm_real *logit, int64_t R,
                            int64_t E);

/* Cross entropy of rows of V logits against target[r] in [0, V), -1 = ignored:
 * loss[r] = logsumexp - logit[target] (0 if ignored). When `dlogit_scale` is not 0, logits are
 * overwritten by dlogit_scale · (softmax - onehot) (zeros for ignored rows). */
typedef void dsm_xent_fn(const dsm_exec *x, dsm_real *logits, int64_t rs, const int32_t *target,
                         dsm_real *loss, int64_t R, int64_t V, dsm_real dlogit_scale);

/* pick[r] (K) = columns of the K largest of score[r] (E), descending, ties to the lower column. */
typedef void dsm_topk_fn(const dsm_exec *x, int32_t *pick, const dsm_real *score, int64_t R,
                         int64_t E, int64_t K);

/* y[t] += Σ_k rows[pos[t,k]] for pos >= 0, k ascending. y (T, D), rows (R, D). Its backward is a
 * gather: drows[r] = dy[token of r]. */
typedef void dsm_combine_fn(const dsm_exec *x, dsm_real *y, const dsm_real *rows,
                            const int32_t *pos, int64_t T, int64_t K, int64_t D);

/* y[r] = table[id[r]] (table: dtype any float); dtable[id[r]] += dy[r] in row order. */
typedef void dsm_gather_fn(const dsm_exec *x, dsm_real *y, const dsm_mat *table, const int32_t *id,
                           int64_t R);
typedef void dsm_gather_bwd_fn(const dsm_exec *x, dsm_real *dtable, const dsm_real *dy,
                               const int32_t *id, int64_t R, int64_t D);

/* y[r] = in[r] for n columns of R rows, strides y_rs and in_rs. */
typedef void dsm_columns_fn(const dsm_exec *x, dsm_real *y, int64_t y_rs, const dsm_real *in,
                            int64_t in_rs, int64_t R, int64_t n);
/* The same between dsm_real and rows stored as t, y_rs or in_rs bytes apart. */
typedef void dsm_store_rows_fn(const dsm_exec *x, void *y, dsm_dtype t, size_t y_rs,
                               const dsm_real *in, int64_t in_rs, int64_t R, int64_t n);
typedef void dsm_load_rows_fn(const dsm_exec *x, dsm_real *y, int64_t y_rs, const void *in,
                              dsm_dtype t, size_t in_rs, int64_t R, int64_t n);
/* k from kv and shared; backward: kv's key parts and shared (summed over heads) from k. */
typedef void dsm_keys_fn(const dsm_exec *x, const dsm_keys *op);
typedef void dsm_keys_bwd_fn(const dsm_exec *x, const dsm_keys *op);

/* Attention over some keys, out (T, H·Dv) and lse (H, T), becomes that over those of more as well.
 */
typedef void dsm_join_fn(const dsm_exec *x, dsm_real *out, dsm_real *lse, const dsm_real *more,
                         const dsm_real *more_lse, int64_t T, int64_t H, int64_t Dv);

typedef void dsm_add_fn(const dsm_exec *x, dsm_real *y, const dsm_real *a, int64_t n); /* y += a */
/* Σ v² in double over fixed chunks in fixed order; *finite = no inf or nan seen. */
typedef double dsm_sum_squares_fn(const dsm_exec *x, const dsm_real *v, int64_t n, bool *finite);
/* One pass: w, m, v updated from g; g is left as it was. */
typedef void dsm_adamw_fn(const dsm_exec *x, dsm_real *w, dsm_real *m, dsm_real *v,
                          const dsm_real *g, int64_t n, const dsm_adamw *p);

/* out[i] = std · z, independent normals that are a function of (rng, i) alone: Philox block i / 4,
 * Box-Muller (ref/normal_ref.c). */
typedef void dsm_normal_fn(const dsm_exec *x, dsm_real *out, int64_t n, const dsm_rng *rng,
                           double std);

/* Every slot, once: the table, its names and every variant's prototypes are made from this list. */
/* clang-format off */
#define DSM_KERNEL_LIST(X)                                                                         \
    X(linear) X(linear_input) X(linear_weight) X(rmsnorm) X(rmsnorm_bwd) X(rope) X(swiglu)         \
    X(swiglu_bwd) X(attention) X(attention_bwd) X(decode) X(softmax) X(xent) X(topk) X(combine) X(gather)    \
    X(gather_bwd) X(columns) X(store_rows) X(load_rows) X(keys) X(keys_bwd) X(join) X(add) X(sum_squares) X(adamw) X(normal)
/* clang-format on */

enum dsm_kernel_slot {
#define X(op) DSM_SLOT_##op,
    DSM_KERNEL_LIST(X)
#undef X
        DSM_N_SLOTS
};

typedef struct dsm_kernels {
#define X(op) dsm_##op##_fn *op;
    DSM_KERNEL_LIST(X)
#undef X
    const char *variant[DSM_N_SLOTS];  /* what runs in each slot, for `info --kernels` */
    int64_t block_m, block_n, block_k; /* GEMM block sizes of the chosen variant; 0: not blocked */
    int64_t tile_m, tile_n;
} dsm_kernels;

enum {
    DSM_CPU_AVX2 = 1u << 0,   /* AVX2, FMA, F16C */
    DSM_CPU_AVX512 = 1u << 1, /* F, BW, DQ, VL, CD */
    DSM_CPU_AVX512_VNNI = 1u << 2,
    DSM_CPU_AVX512_BF16 = 1u << 3,
    DSM_CPU_AVX512_FP16 = 1u << 4,
    DSM_CPU_AMX = 1u << 5,     /* TILE and BF16 */
    DSM_CPU_AVX_VNNI = 1u << 6 /* the dots of VNNI without AVX-512 */
};

/* Flags of this CPU (and operating system); kernels/cpu.c. `mask` of DSM_CPU_MASK / --cpu-mask is
 * and-ed by the caller. */
unsigned dsm_cpu_flags(void);

/* Parse "none", "avx2", "avxvnni", "avx512", "all" or a number into a mask; DSM_EUSAGE otherwise.
 */
dsm_status dsm_cpu_mask_parse(unsigned *mask, const char *text, dsm_err *err);

/* Fill the table: a pure function of flags. */
void dsm_kernels_init(dsm_kernels *k, unsigned flags);

/* Compute precision of the matrix products (linear maps, attention): what their operands are
 * rounded to on the way in. Stored values, sums and everything else stay f32. BF16 needs
 * DSM_CPU_AMX: DSM_EUSAGE where flags lack it, for anything else would be slower than f32. */
dsm_status dsm_kernels_set_compute(dsm_kernels *k, unsigned flags, dsm_compute compute,
                                   dsm_err *err);

/* Slot names in table order, NULL-terminated; variant[i] belongs to slot i. */
extern const char *const dsm_kernel_slots[DSM_N_SLOTS + 1];

#endif
