/* SPDX-License-Identifier: MIT */
/* many_body.h with an instruction that multiplies four unsigned bytes of w with four signed ones of
 * x and adds all to 32 bits: `dot_fours` of whoever includes this. Any weight of 8 bits will do. */
#ifndef DSMOE_KERNELS_X86_MANY_VNNI_H
#define DSMOE_KERNELS_X86_MANY_VNNI_H

#include "kernels/x86/many_parts.h"
#include "kernels/x86/many_round.h"

MANY_INLINE void add_dots(int narrow, ivec sum[DSM_QUAD][ACROSS], const dsm_x8_quad *x,
                          const panel_part *w, int from, int steps)
{
    (void)narrow;
#pragma GCC unroll 8
    for (int s = from; s < from + steps; s++) {
#pragma GCC unroll 4
        for (int i = 0; i < DSM_QUAD; i++) {
            const ivec four = x_four(x, s, i);
#pragma GCC unroll 3
            for (int v = 0; v < ACROSS; v++)
                sum[i][v] = dot_fours(sum[i][v], w->q[s][v], four);
        }
    }
}

#include "kernels/x86/many_body.h"

#endif
