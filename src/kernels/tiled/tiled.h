/* SPDX-License-Identifier: MIT */
/* The tiled algorithms, compiled once per instruction set (DSM_VARIANT) over that set's dsm_tile. */
#ifndef DSMOE_KERNELS_TILED_TILED_H
#define DSMOE_KERNELS_TILED_TILED_H

#include "kernels/tiled/tile.h"
#include "kernels/variant.h"

extern const dsm_tile DSM_K(tile);

dsm_linear_fn DSM_K(linear_tiled), DSM_K(linear_input_tiled), DSM_K(linear_weight_tiled);

#endif
