/* SPDX-License-Identifier: MIT */
/* Products of panels with many rows of x (tiled/many.h), over the vector names of vec_<isa>.h and,
 * of the instruction set that includes this,
 *
 *   Q8_0_OFFSET             128 where dots take unsigned weights of any size, 0 where not
 *   add_dots(sum, w, x, …)  the integer products of some steps (many_vnni.h, many_pairs.h).
 *
 * Integer and float sums of 4 rows by a panel's width stay in registers. After a part the former
 * are scaled; the scales of x wait until they change: after a part, or after a block of 256. */
#ifndef DSMOE_KERNELS_X86_MANY_BODY_H
#define DSMOE_KERNELS_X86_MANY_BODY_H

#include "kernels/x86/many_parts.h"

/* What tells types apart here. */
typedef struct kind {
    int run;      /* parts that share a scale of x */
    int halves;   /* scales of w in a part */
    bool offsets; /* of w */
    int narrow;   /* steps whose products can be summed in 16 bits */
} kind;

MANY_INLINE kind kind_of(dsm_dtype t)
{
    switch (t) {
    case DSM_Q8_0:
        return (kind){1, 1, false, 1};
    case DSM_Q4_0:
        return (kind){1, 1, false, 8};
    case DSM_Q4_1:
        return (kind){1, 1, true, 8};
    case DSM_Q4_K:
        return (kind){PARTS, 1, true, 8};
    case DSM_Q5_K:
        return (kind){PARTS, 1, true, 4};
    default:
        return (kind){PARTS, 2, false, 2};
    }
}

MANY_INLINE vec scaled(vec total, bool first, ivec sum, vec scale)
{
    const vec s = vec_from_ints(sum);
    return first ? vec_mul(s, scale) : vec_fma(s, scale, total);
}

/* total (=|+=) what a part adds, in units of x's step. */
MANY_INLINE void add_part(kind k, vec total[DSM_QUAD][ACROSS], bool first, const dsm_x8_quad *x,
                          const panel_part *w)
{
    const int steps = STEPS / k.halves;
#pragma GCC unroll 3
    for (int h = 0; h < k.halves; h++) {
        ivec sum[DSM_QUAD][ACROSS];
#pragma GCC unroll 4
        for (int i = 0; i < DSM_QUAD; i++)
#pragma GCC unroll 3
            for (int v = 0; v < ACROSS; v++)
                sum[i][v] = ivec_set1_32(x->start[h][i]);
        add_dots(k.narrow, sum, x, w, h * steps, steps);
#pragma GCC unroll 4
        for (int i = 0; i < DSM_QUAD; i++)
#pragma GCC unroll 3
            for (int v = 0; v < ACROSS; v++)
                total[i][v] =
                    scaled(total[i][v], first && h == 0, sum[i][v], vec_load(w->scale[h][v]));
    }
    if (!k.offsets) return;
#pragma GCC unroll 4
    for (int i = 0; i < DSM_QUAD; i++) {
        const vec sum = vec_set1(x->sum[i]);
#pragma GCC unroll 3
        for (int v = 0; v < ACROSS; v++)
            total[i][v] = vec_fma(sum, vec_load(w->offset[v]), total[i][v]);
    }
}

MANY_INLINE void multiply_typed(dsm_dtype t, float *c, const dsm_x8_quad *x, const panel_part *w,
                                int64_t n)
{
    const kind k = kind_of(t);
    for (int64_t p = 0; p < n; p += k.run) {
        vec total[DSM_QUAD][ACROSS];
        add_part(k, total, true, x + p, w + p);
        for (int r = 1; r < k.run; r++)
            add_part(k, total, false, x + p + r, w + p + r);
#pragma GCC unroll 4
        for (int i = 0; i < DSM_QUAD; i++) {
            const vec d = vec_set1(x[p].d[i]);
#pragma GCC unroll 3
            for (int v = 0; v < ACROSS; v++) {
                float *at = c + (i * ACROSS + v) * LANES;
                vec_store(at, vec_fma(d, total[i][v], vec_load(at)));
            }
        }
    }
}

#define MULTIPLY_CASE(t)                                                                           \
    case t:                                                                                        \
        multiply_typed(t, c, x, panel, n);                                                         \
        break;

static void multiply_quad(float *c, const dsm_x8_quad *x, const void *panel, dsm_dtype type,
                          int64_t n)
{
    switch (type) {
        QUANT_TYPES(MULTIPLY_CASE)
    default:
        break;
    }
}

/* What an instruction set makes its dsm_many of. */
#define MANY_TABLE                                                                                 \
    {                                                                                              \
        .width = ACROSS * LANES, .part_bytes = sizeof(panel_part), .round = round_rows,            \
        .pack = pack_panel, .multiply = multiply_quad                                              \
    }

#endif
