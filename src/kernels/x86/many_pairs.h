/* SPDX-License-Identifier: MIT */
/* many_body.h where the widest product of bytes is the sum of two in 16 bits (AVX2, AVX-512 without
 * VNNI): unsigned weights times signed x, saturating. It never does:
 *
 *   bits of w    largest pair     steps until 16 bits are full (values of a lane: two a step)
 *   4            2 · 15 · 127     8     8 · 3810 = 30480
 *   5            2 · 31 · 127     4     4 · 7874 = 31496
 *   6            2 · 63 · 127     2     2 · 16002 = 32004
 *   8, signed    2 · 128 · 127    1     32512: magnitudes of w, their signs on x
 */
#ifndef DSMOE_KERNELS_X86_MANY_PAIRS_H
#define DSMOE_KERNELS_X86_MANY_PAIRS_H

enum { Q8_0_OFFSET = 0 };

#include "kernels/x86/many_parts.h"
#include "kernels/x86/many_round.h"

/* Products of step s, in pairs. */
MANY_INLINE ivec pairs_of(int narrow, ivec w, ivec four)
{
    return narrow > 1 ? ivec_pairs(w, four) : ivec_pairs(ivec_abs8(w), ivec_sign8(four, w));
}

MANY_INLINE void add_dots(int narrow, ivec sum[DSM_QUAD][ACROSS], const dsm_x8_quad *x,
                          const panel_part *w, int from, int steps)
{
    const int run = narrow < steps ? narrow : steps;
#pragma GCC unroll 8
    for (int at = from; at < from + steps; at += run) {
        ivec run_sum[DSM_QUAD][ACROSS];
#pragma GCC unroll 8
        for (int s = at; s < at + run; s++) {
#pragma GCC unroll 4
            for (int i = 0; i < DSM_QUAD; i++) {
                const ivec four = x_four(x, s, i);
#pragma GCC unroll 3
                for (int v = 0; v < ACROSS; v++) {
                    const ivec pairs = pairs_of(narrow, w->q[s][v], four);
                    run_sum[i][v] = s == at ? pairs : ivec_add16(run_sum[i][v], pairs);
                }
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < DSM_QUAD; i++)
#pragma GCC unroll 3
            for (int v = 0; v < ACROSS; v++)
                sum[i][v] = ivec_add(sum[i][v], ivec_join(run_sum[i][v]));
    }
}

#include "kernels/x86/many_body.h"

#endif
