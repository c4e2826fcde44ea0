/* SPDX-License-Identifier: MIT */
/* What attention forward and backward on AMX share.
 *
 * Scores stand transposed, a row per key and a lane per query, in blocks of WIDE keys × WIDE
 * queries. So the maximum and the sum of a query are lanes of a vector, and two rows 16 keys apart
 * are the pairs of a B operand summed over keys, or one row the pairs of an A operand summed over
 * queries: no product of scores needs a shuffle. */
#ifndef DSMOE_KERNELS_X86_ATTN_AMX_H
#define DSMOE_KERNELS_X86_ATTN_AMX_H

#include "kernels/attn_at.h"
#include "kernels/chunk.h"
#include "kernels/variant.h"
#include "kernels/x86/amx.h"
#include "kernels/x86/vec_exp.h"

#include <assert.h>

enum { WIDE = 2 * STRIP }; /* keys or queries of a block of scores: two strips, one step */

static inline int64_t padded(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static inline int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* n × `width` bytes from the front of a worker's scratch, aligned. */
static inline void *take(unsigned char **at, int64_t n, size_t width)
{
    void *p = *at;
    *at += padded(n * (int64_t)width, DSM_ALIGN);
    return p;
}

static inline float *take_floats(unsigned char **at, int64_t n)
{
    return take(at, n, sizeof(float));
}

/* Room for the strips of `lanes` lanes by k values. */
static inline pair *take_strips(unsigned char **at, int64_t lanes, int64_t k)
{
    return take(at, padded(lanes, WIDE) / STRIP * strip_pairs(k), sizeof(pair));
}

/* ---- operands ------------------------------------------------------------------------------- */

typedef struct operand { /* from some step of some strip on */
    const pair *at;
    int64_t next; /* pairs between strips */
} operand;

static inline operand operand_from(const pair *base, int64_t next, int64_t strip, int64_t step)
{
    return (operand){base + strip * next + step * SPLITS * TILE, next};
}

/* ---- products, and vector work on the side -------------------------------------------------- */

/* The matrix unit and the vector units run at the same time if their instructions alternate:
 * `units` pieces of vector work spread over `groups` groups of tile products. */
typedef struct side_work {
    void (*run)(void *arg, int64_t unit);
    void *arg;
    int64_t units, groups;
    int64_t next, due;
} side_work;

INLINE void side_step(side_work *w)
{
    for (w->due += w->units; w->due >= w->groups && w->next < w->units; w->due -= w->groups)
        w->run(w->arg, w->next++);
}

static inline void side_finish(side_work *w)
{
    while (w->next < w->units)
        w->run(w->arg, w->next++);
}

/* Groups of tile products in a product of `steps` steps. */
enum { GROUPS = SPLITS == 3 ? 6 : 1 };

INLINE void product_of(int m, int n, int64_t steps, operand x, operand y, float *c, int64_t c_rs,
                       bool accumulate, side_work *w)
{
    const pair *a = x.at, *a2 = a + x.next, *b = y.at, *b2 = b + y.next;
    if (accumulate)
        load_c(m, n, c, c_rs);
    else
        clear_c();
    SUM_STEPS(steps, (void)0, side_step(w));
    store_c(m, n, c, c_rs);
}

/* C, of whole strips up to 32 × 32, (=|+=) A · B over `steps` steps. */
static inline void product(int64_t steps, operand a, operand b, float *c, int64_t c_rs,
                           int64_t rows, int64_t columns, bool accumulate, side_work *w)
{
    if (rows > STRIP && columns > STRIP)
        product_of(2, 2, steps, a, b, c, c_rs, accumulate, w);
    else if (rows > STRIP)
        product_of(2, 1, steps, a, b, c, c_rs, accumulate, w);
    else if (columns > STRIP)
        product_of(1, 2, steps, a, b, c, c_rs, accumulate, w);
    else
        product_of(1, 1, steps, a, b, c, c_rs, accumulate, w);
}

/* What tiles load is in memory before they do, and what they stored is read after. */
static inline void tiles_meet_vectors(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline void point(const float **row, const float *p, int64_t rs, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        row[i] = p + i * rs;
}

/* Rows of p as strips of 16 lanes, transposed: B over k. */
static inline void pack_lanes(pair *strips, const float *p, int64_t rs, int64_t rows, int64_t k)
{
    const float *row[STRIP];
    for (int64_t i = 0; i < rows; i += STRIP, strips += strip_pairs(k)) {
        point(row, p + i * rs, rs, least(rows - i, STRIP));
        pack_transposed(strips, row, least(rows - i, STRIP), k);
    }
}

/* Rows that will be read or written soon, asked for one by one between other work: heads lie far
 * apart in memory, where the hardware's guess does not reach. */
typedef struct rows_ahead {
    const float *p;
    int64_t rs, columns, rows;
} rows_ahead;

static inline void ask_for_row(rows_ahead *a)
{
    if (a->rows <= 0) return;
    for (int64_t d = 0; d < a->columns; d += STRIP)
        _mm_prefetch((const char *)(a->p + d), _MM_HINT_ET0);
    a->p += a->rs;
    a->rows--;
}

/* ---- blocks of scores ----------------------------------------------------------------------- */

/* The lanes of the 16 queries from t on that see key j and lie below `end`. */
static inline vec_mask seeing(int64_t t, int64_t j, int64_t end)
{
    const int64_t hidden = j <= t ? 0 : least(j - t, STRIP);
    return (vec_mask)(vec_first(end <= t ? 0 : end - t) & ~(vec_mask)((1u << hidden) - 1u));
}

/* Scores of keys j … against queries t … where a query does not see the key, or does not exist. */
static inline void hide(float *s, float value, int64_t t, int64_t j, int64_t end)
{
    for (int64_t i = 0; i < WIDE; i++)
        for (int64_t q = 0; q < WIDE; q += STRIP)
            vec_store_masked(s + i * WIDE + q, (vec_mask)~seeing(t + q, j + i, end),
                             vec_set1(value));
}

static inline bool needs_hiding(int64_t t, int64_t j, int64_t end)
{
    return j + WIDE - 1 > t || t + WIDE > end;
}

/* `to` (rows, columns) (=|+=) the transpose of `from`, whose rows are WIDE floats. */
static inline void store_transposed(float *to, int64_t to_rs, const float *from, int64_t rows,
                                    int64_t columns, bool accumulate)
{
    const float *row[STRIP];
    for (int64_t d = 0; d < columns; d += STRIP) {
        const vec_mask m = vec_first(columns - d);
        point(row, from + d * WIDE, WIDE, STRIP);
        for (int64_t i = 0; i < rows; i += 4) {
            vec column[4];
            columns_of(column, row, STRIP, i, WIDE);
            for (int64_t c = 0; c < least(4, rows - i); c++) {
                float *p = to + (i + c) * to_rs + d;
                vec_store_masked(
                    p, m, accumulate ? vec_add(vec_load_masked(p, m), column[c]) : column[c]);
            }
        }
    }
}

#endif
