/* SPDX-License-Identifier: MIT */
/* Latent attention of a few positions on AMX (amx.h): many queries over one key head whose values
 * are the first part of its keys, stored as f16 or q8_0. Other cases are left to decode_tiled.c,
 * whose items and results these are.
 *
 *                    A, lanes × k              B, lanes × k
 *   Sᵀ = K Qᵀ        keys by rows              queries by rows, transposed
 *   O += P V         P, transposed in pairs    keys by pairs of rows
 *
 * Each step of 32 keys is turned to f32 in cache once, and from there packed both ways. An f16 has
 * 11 significant bits, a q8_0 value hardly more that its rounding did not lose: two bf16 hold
 * either to 2^-17, and so they do the queries and exponentials. Three products of four, then. */
#if DSM_AMX_SPLITS == 3
#undef DSM_AMX_SPLITS
#define DSM_AMX_SPLITS 2
#endif
#include "core/quant.h"
#include "kernels/decode_at.h"
#include "kernels/variant.h"
#include "kernels/x86/amx.h"
#include "kernels/x86/vec_exp.h"

#include <assert.h>
#include <math.h>

enum {
    BLOCK = 128, /* keys that share one look at the maximum */
    STEPS = BLOCK / STEP,
    QUERIES = STRIP,  /* of an item */
    LEAST_QUERIES = 8 /* worth a strip */
};

dsm_decode_fn dsm_decode_tiled_avx512, dsm_decode_join_avx512;

typedef struct decode_job {
    const dsm_exec *x;
    const dsm_decode *op;
    int64_t rows, row_blocks, chunks;
} decode_job;

typedef struct decode_scratch {
    unsigned char *zeros; /* a stored row of a key that is not there */
    pair *q, *k, *v;      /* queries; keys of a block by rows; the same by pairs, Dv lanes */
    int64_t v_next;       /* between strips of v: off the powers of two, which meet in cache */
    pair *p;              /* exponentials of a block */
    float *s;             /* (BLOCK, STRIP) scores */
    float *o;             /* (STRIP, o_rs) */
    int64_t o_rs;         /* whole groups of four strips */
    float *top, *sum;     /* (STRIP) */
} decode_scratch;

static void *take(unsigned char **at, int64_t n, size_t width)
{
    void *p = *at;
    *at += dsm_chunk_count(n * (int64_t)width, DSM_ALIGN) * DSM_ALIGN;
    return p;
}

static decode_scratch carve(const decode_job *j, int worker)
{
    const dsm_decode *op = j->op;
    unsigned char *base = dsm_exec_scratch(j->x, worker), *at = base;
    decode_scratch w = {.v_next = strip_pairs(BLOCK) + STRIP,
                        .o_rs = dsm_chunk_count(op->Dv, TOGETHER) * TOGETHER};
    w.zeros = take(&at, (int64_t)op->rs, 1);
    memset(w.zeros, 0, op->rs);
    w.q = take(&at, strip_pairs(op->Dk), sizeof(pair));
    w.k = take(&at, BLOCK / STRIP * strip_pairs(op->Dk), sizeof(pair));
    w.v = take(&at, (w.o_rs / STRIP + 1) * w.v_next, sizeof(pair));
    w.p = take(&at, strip_pairs(BLOCK), sizeof(pair));
    w.s = take(&at, BLOCK * STRIP, sizeof(float));
    w.o = take(&at, STRIP * w.o_rs, sizeof(float));
    w.top = take(&at, STRIP, sizeof(float));
    w.sum = take(&at, STRIP, sizeof(float));
    assert((size_t)(at - base) <= j->x->scratch_bytes);
    return w;
}

/* ---- packing -------------------------------------------------------------------------------- */

/* Values c … c + 31 of a stored row, c a multiple of 32. */
INLINE void load_values(vec v[2], const unsigned char *row, bool is_f16, int64_t c)
{
    if (is_f16) {
        v[0] = vec_load_f16((const void *)(row + c * 2));
        v[1] = vec_load_f16((const void *)(row + c * 2 + 2 * STRIP));
        return;
    }
    const dsm_q8_0 *b = (const dsm_q8_0 *)(const void *)row + c / DSM_Q_VALUES;
    const vec d = _mm512_cvtph_ps(_mm256_set1_epi16((short)b->d));
    for (int i = 0; i < 2; i++) {
        const __m128i q = _mm_loadu_si128((const void *)(b->q + i * STRIP));
        v[i] = vec_mul(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)));
    }
}

/* A value's bf16 parts, each in the upper half of its lane; the lower half of the last is anything.
 */
INLINE void split(__m512i part[SPLITS], vec v)
{
    const vec first = to_bf16(v);
    part[0] = _mm512_castps_si512(first);
    if (SPLITS > 1)
        part[SPLITS - 1] =
            _mm512_add_epi32(_mm512_castps_si512(vec_sub(v, first)), _mm512_set1_epi32(0x8000));
}

INLINE void store_pairs(pair *to, __m512i low, __m512i high) /* low: shifted down already */
{
    const __m512i upper = _mm512_set1_epi32((int)0xFFFF0000);
    _mm512_store_si512(to, _mm512_ternarylogic_epi32(high, upper, low, 0xEA));
}

/* Columns c … c + 31 of two keys, r and r + 16 of a step: a row of each tile that they are in. v is
 * NULL beyond the values. */
INLINE void pack_two(pair *k, int64_t k_next, pair *v, int64_t v_next,
                     const unsigned char *const key[2], bool is_f16, int64_t c)
{
    __m512i part[2][2][SPLITS], low[2][2][SPLITS]; /* key, column group */
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        vec value[2];
        load_values(value, key[i], is_f16, c);
#pragma GCC unroll 2
        for (int g = 0; g < 2; g++) {
            split(part[i][g], value[g]);
#pragma GCC unroll 2
            for (int s = 0; s < SPLITS; s++)
                low[i][g][s] = _mm512_srli_epi32(part[i][g][s], 16);
        }
    }
#pragma GCC unroll 2
    for (int s = 0; s < SPLITS; s++, k += TILE) {
        store_pairs(k, low[0][0][s], part[0][1][s]);
        store_pairs(k + k_next, low[1][0][s], part[1][1][s]);
        if (!v) continue;
        store_pairs(v + s * TILE, low[0][0][s], part[1][0][s]);
        store_pairs(v + s * TILE + v_next, low[0][1][s], part[1][1][s]);
    }
}

INLINE void pack_keys(const dsm_decode *op, const decode_scratch *w,
                      const unsigned char *const *row, int64_t i, bool is_f16)
{
    const int64_t k_next = strip_pairs(op->Dk), ahead = (int64_t)(STEP * op->rs);
    pair *k = w->k + i * STEP / STRIP * k_next, *v = w->v + i * SPLITS * TILE;
    for (int64_t c = 0; c < op->Dk; c += STEP) {
        const size_t at = dsm_dtype_bytes(is_f16 ? DSM_F16 : DSM_Q8_0, c);
        pair *values = c < op->Dv ? v + c / STRIP * w->v_next : NULL;
        for (int64_t r = 0; r < STRIP; r++) {
            const unsigned char *const key[2] = {row[r], row[STRIP + r]};
            _mm_prefetch((const char *)(key[0] + at) + ahead, _MM_HINT_T0);
            _mm_prefetch((const char *)(key[1] + at) + ahead, _MM_HINT_T0);
            pack_two(k + c / STEP * SPLITS * TILE + r * STRIP, k_next,
                     values ? values + r * STRIP : NULL, w->v_next, key, is_f16, c);
        }
    }
}

/* Keys at … at + n - 1 (n <= STEP) as step i of a block; keys that are not there are zeros. */
static void pack_step(const dsm_decode *op, const decode_scratch *w, int64_t at, int64_t n,
                      int64_t i)
{
    const unsigned char *row[STEP];
    for (int64_t r = 0; r < STEP; r++)
        row[r] = r < n ? dsm_decode_key(op, 0, at + r) : w->zeros;
    if (op->dtype == DSM_F16)
        pack_keys(op, w, row, i, true);
    else
        pack_keys(op, w, row, i, false);
}

/* ---- products ------------------------------------------------------------------------------- */

static inline void tiles_meet_vectors(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Four C tiles side by side have one operand in common, tiles 4 and 5, and one each, 6 and 7. */
#define MULTIPLY_ONE(c, common_is_a, each)                                                         \
    do {                                                                                           \
        LOAD(6, each);                                                                             \
        if (common_is_a)                                                                           \
            MULTIPLY(c, 4, 6);                                                                     \
        else                                                                                       \
            MULTIPLY(c, 6, 4);                                                                     \
        if (SPLITS == 1) break;                                                                    \
        LOAD(7, (each) + TILE);                                                                    \
        if (common_is_a) {                                                                         \
            MULTIPLY(c, 5, 6);                                                                     \
            MULTIPLY(c, 4, 7);                                                                     \
        } else {                                                                                   \
            MULTIPLY(c, 6, 5);                                                                     \
            MULTIPLY(c, 7, 4);                                                                     \
        }                                                                                          \
    } while (0)

#define SUM_FOUR(common_is_a)                                                                      \
    for (int64_t i = 0; i < steps; i++, common += SPLITS * TILE, each += SPLITS * TILE) {          \
        LOAD(4, common);                                                                           \
        if (SPLITS > 1) LOAD(5, common + TILE);                                                    \
        MULTIPLY_ONE(0, common_is_a, each);                                                        \
        MULTIPLY_ONE(1, common_is_a, each + next);                                                 \
        MULTIPLY_ONE(2, common_is_a, each + 2 * next);                                             \
        MULTIPLY_ONE(3, common_is_a, each + 3 * next);                                             \
    }

/* Scores of four strips of keys, below one another. */
static void scores_of_four(float *s, int64_t steps, const pair *each, int64_t next,
                           const pair *common)
{
    clear_c();
    SUM_FOUR(false)
    _tile_stored(0, s, 64);
    _tile_stored(1, s + TILE, 64);
    _tile_stored(2, s + 2 * TILE, 64);
    _tile_stored(3, s + 3 * TILE, 64);
}

/* Four strips of columns of O, side by side. */
static void values_of_four(float *o, int64_t o_rs, int64_t steps, const pair *common,
                           const pair *each, int64_t next)
{
    const int64_t bytes = o_rs * 4;
    _tile_loadd(0, o, bytes);
    _tile_loadd(1, o + STRIP, bytes);
    _tile_loadd(2, o + 2 * STRIP, bytes);
    _tile_loadd(3, o + 3 * STRIP, bytes);
    SUM_FOUR(true)
    _tile_stored(0, o, bytes);
    _tile_stored(1, o + STRIP, bytes);
    _tile_stored(2, o + 2 * STRIP, bytes);
    _tile_stored(3, o + 3 * STRIP, bytes);
}

/* ---- softmax -------------------------------------------------------------------------------- */

/* Scores that a query does not see, or of keys that are not there. */
static void hide(const dsm_decode *op, const decode_scratch *w, dsm_range rows, int64_t at,
                 int64_t n)
{
    for (int64_t i = 0; i < rows.end - rows.begin; i++) {
        int64_t seen = dsm_decode_seen(op, rows.begin + i, at + n) - at;
        for (int64_t j = seen > 0 ? seen : 0; j < BLOCK; j++)
            w->s[j * STRIP + i] = -INFINITY;
    }
}

/* The block's maximum joins the running one; what was summed so far shrinks. */
static vec look(const dsm_decode *op, const decode_scratch *w)
{
    const vec old = vec_load(w->top);
    vec now = vec_load(w->s);
    for (int64_t j = 1; j < BLOCK; j++)
        now = vec_max(now, vec_load(w->s + j * STRIP));
    now = vec_max(old, vec_mul(now, vec_set1(op->scale)));
    float shrink[STRIP];
    const vec ratio = vec_exp(vec_sub(old, now));
    vec_store(shrink, ratio);
    for (int64_t i = 0; i < STRIP; i++)
        if (shrink[i] != 1)
            for (int64_t d = 0; d < w->o_rs; d += STRIP)
                vec_store(w->o + i * w->o_rs + d,
                          vec_mul(vec_load(w->o + i * w->o_rs + d), vec_set1(shrink[i])));
    vec_store(w->sum, vec_mul(vec_load(w->sum), ratio));
    vec_store(w->top, now);
    return now;
}

/* Step i of P: pairs of exponentials, a row per pair and a lane per query, then the other way
 * round.
 */
static void pack_exponentials(const dsm_decode *op, const decode_scratch *w, int64_t i, vec top)
{
    pair by_pair[SPLITS * TILE] __attribute__((aligned(64)));
    const float *s = w->s + i * STEP * STRIP, *row[STRIP];
    const vec scale = vec_set1(op->scale);
    vec sum = vec_load(w->sum);
    for (int64_t p = 0; p < STRIP; p++) {
        const vec a = vec_exp(vec_sub(vec_mul(vec_load(s + p * STRIP), scale), top));
        const vec b = vec_exp(vec_sub(vec_mul(vec_load(s + (STRIP + p) * STRIP), scale), top));
        sum = vec_add(sum, vec_add(a, b));
        store_splits(by_pair + p * STRIP, a, b);
    }
    vec_store(w->sum, sum);
    for (int64_t k = 0; k < SPLITS; k++) {
        for (int64_t p = 0; p < STRIP; p++)
            row[p] = (const float *)(const void *)(by_pair + k * TILE + p * STRIP);
        for (int64_t c = 0; c < STRIP; c += 4) {
            vec column[4];
            columns_of(column, row, STRIP, c, STRIP);
            for (int64_t d = 0; d < 4; d++)
                vec_store((float *)(void *)(w->p + (i * SPLITS + k) * TILE + (c + d) * STRIP),
                          column[d]);
        }
    }
}

/* ---- items ---------------------------------------------------------------------------------- */

static void run_block(const dsm_decode *op, const decode_scratch *w, dsm_range rows, int64_t at,
                      int64_t n)
{
    const int64_t k_next = strip_pairs(op->Dk);
    for (int64_t i = 0; i < STEPS; i++) {
        int64_t left = n - i * STEP;
        pack_step(op, w, at + i * STEP, left < 0 ? 0 : left < STEP ? left : STEP, i);
    }
    tiles_meet_vectors();
    for (int64_t i = 0; i < BLOCK / STRIP; i += 4)
        scores_of_four(w->s + i * TILE, step_count(op->Dk), w->k + i * k_next, k_next, w->q);
    tiles_meet_vectors();
    if (n < BLOCK || at + n > op->past) hide(op, w, rows, at, n);
    const vec top = look(op, w);
    for (int64_t i = 0; i < STEPS; i++)
        pack_exponentials(op, w, i, top);
    tiles_meet_vectors();
    for (int64_t d = 0; d < w->o_rs; d += TOGETHER)
        values_of_four(w->o + d, w->o_rs, STEPS, w->p, w->v + d / STRIP * w->v_next, w->v_next);
    tiles_meet_vectors();
}

static void run_item(void *arg, int64_t item, int worker)
{
    const decode_job *j = arg;
    const dsm_decode *op = j->op;
    const dsm_range rows = dsm_chunk(j->rows, QUERIES, item / j->chunks);
    const dsm_range keys = dsm_chunk(op->past + op->T, op->chunk, item % j->chunks);
    const int64_t m = rows.end - rows.begin;
    const float *q[STRIP];
    decode_scratch w = carve(j, worker);
    for (int64_t i = 0; i < m; i++)
        q[i] = dsm_decode_q(op, 0, rows.begin + i);
    pack_transposed(w.q, q, m, op->Dk);
    memset(w.o, 0, (size_t)(STRIP * w.o_rs) * sizeof *w.o);
    vec_store(w.top, vec_set1(-1e30f)); /* no score is as low, and differences stay finite */
    vec_store(w.sum, vec_zero());
    open_tiles();
    for (int64_t at = keys.begin; at < keys.end; at += BLOCK)
        run_block(op, &w, rows, at, keys.end - at < BLOCK ? keys.end - at : BLOCK);
    _tile_release();
    for (int64_t i = 0; i < m; i++) {
        float *part = dsm_decode_part(op, 0, rows.begin + i, item % j->chunks);
        memcpy(part, w.o + i * w.o_rs, (size_t)op->Dv * sizeof *part);
        part[op->Dv] = w.top[i];
        part[op->Dv + 1] = w.sum[i];
    }
}

static bool is_latent(const dsm_decode *op)
{
    bool stored = op->dtype == DSM_F16 || op->dtype == DSM_Q8_0;
    return op->Hk == 1 && op->k == op->v && stored && op->Dk % STEP == 0 && op->Dv <= op->Dk &&
           dsm_decode_rows(op) >= LEAST_QUERIES;
}

void DSM_K(decode)(const dsm_exec *x, const dsm_decode *op)
{
    decode_job j = {x, op, dsm_decode_rows(op), 0, dsm_decode_chunks(op)};
    if (!is_latent(op)) {
        dsm_decode_tiled_avx512(x, op);
        return;
    }
    j.row_blocks = dsm_chunk_count(j.rows, QUERIES);
    dsm_pool_run(x->pool, j.row_blocks * j.chunks, run_item, &j);
    dsm_decode_join_avx512(x, op);
}
