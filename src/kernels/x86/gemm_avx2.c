/* SPDX-License-Identifier: MIT */
/* AVX2 micro-kernels: tiles of 6 rows × 16 or 8 columns. */
#include "kernels/x86/vec_avx2.h"

enum { TILE_ROWS = 6, TILE_VECTORS = 2, BLOCK_M = 512, BLOCK_K = 512 };

#include "kernels/x86/exp_body.h"
#include "kernels/x86/tile_body.h" /* after TILE_ROWS and TILE_VECTORS */

#define TILE_FNS(name, by_panel, v)                                                                \
    TILE_FN(name, by_panel, v, 1)                                                                  \
    TILE_FN(name, by_panel, v, 2)                                                                  \
    TILE_FN(name, by_panel, v, 3)                                                                  \
    TILE_FN(name, by_panel, v, 4)                                                                  \
    TILE_FN(name, by_panel, v, 5)                                                                  \
    TILE_FN(name, by_panel, v, 6)
#define TILE_ROW(name, v)                                                                          \
    {name##_##v##_1, name##_##v##_2, name##_##v##_3, name##_##v##_4, name##_##v##_5, name##_##v##_6}

TILE_FNS(rows, false, 1)
TILE_FNS(rows, false, 2)
TILE_FNS(panel, true, 1)
TILE_FNS(panel, true, 2)

DOT_FN(4, 1)
DOT_FN(4, 2)
DOT_FN(2, 3)
DOT_FN(2, 4)
DOT_FN(2, 5)
DOT_FN(1, 6)
DOT_FN(1, 7)
DOT_FN(1, 8)

const dsm_tile DSM_K(tile) = {
    .rows = TILE_ROWS,
    .lanes = LANES,
    .vectors = TILE_VECTORS,
    .block_m = BLOCK_M,
    .block_k = BLOCK_K,
    .by_rows = {TILE_ROW(rows, 1), TILE_ROW(rows, 2)},
    .by_panel = {TILE_ROW(panel, 1), TILE_ROW(panel, 2)},
    .dot = {dot_1, dot_2, dot_3, dot_4, dot_5, dot_6, dot_7, dot_8},
    .pack_transposed = pack_transposed,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .row_max = row_max,
    .row_exp = row_exp,
    .row_exp_grad = row_exp_grad,
    .row_swiglu = row_swiglu,
    .row_swiglu_bwd = row_swiglu_bwd,
};
