/* SPDX-License-Identifier: MIT */
/* Element types of stored tensors: sizes, names, and conversion to and from f32.
 *
 * A plain type stores each value by itself; a quantised one stores blocks of 32 or 256 values that
 * share scales (core/quant.h). A row of a quantised matrix is whole blocks. */
#ifndef DSMOE_CORE_DTYPE_H
#define DSMOE_CORE_DTYPE_H

#include "core/real.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dsm_dtype {
    DSM_F32,
    DSM_F64,
    DSM_BF16,
    DSM_F16,
    DSM_I32,
    DSM_I64,
    DSM_U8,
    DSM_F8_E4M3, /* read only */
    DSM_Q8_0,
    DSM_Q4_0,
    DSM_Q4_1,
    DSM_Q4_K,
    DSM_Q5_K,
    DSM_Q6_K,
    DSM_N_DTYPES
} dsm_dtype;

#ifdef DSM_REAL_DOUBLE
#define DSM_REAL_DTYPE DSM_F64
#else
#define DSM_REAL_DTYPE DSM_F32
#endif

size_t dsm_dtype_size(dsm_dtype t);             /* bytes of a block */
int64_t dsm_dtype_block(dsm_dtype t);           /* values of a block; 1: a plain type */
size_t dsm_dtype_bytes(dsm_dtype t, int64_t n); /* bytes of n values, n a multiple of the block */
const char *dsm_dtype_name(dsm_dtype t);        /* "f32", "bf16", … as --dtype spells them */

/* Look a --dtype name up; DSM_EUSAGE names the known ones. */
dsm_status dsm_dtype_parse(dsm_dtype *out, const char *name, dsm_err *err);

/* Scalar conversions; to 16 bits they round to nearest even, NaN stays NaN. */
float dsm_bf16_to_f32(uint16_t x);
uint16_t dsm_f32_to_bf16(float x);
float dsm_f16_to_f32(uint16_t x);
uint16_t dsm_f32_to_f16(float x);

float dsm_f8_to_f32(uint8_t x); /* E4M3: bias 7, no infinities, NaN is 0x7F and 0xFF */

/* Types that hold real numbers: what load, and but for DSM_F8_E4M3 store, accept. */
bool dsm_dtype_is_real(dsm_dtype t);

/* dst[i] = src[i] for n elements between a real type and dsm_real / back, n a multiple of the
 * block. src and dst need no alignment on the typed side (files promise none). Storing rounds to
 * the nearest value the type has; for quantised types, to what its encoder finds. */
void dsm_dtype_load(dsm_real *dst, const void *src, dsm_dtype t, int64_t n);
void dsm_dtype_store(void *dst, dsm_dtype t, const dsm_real *src, int64_t n);

#endif
