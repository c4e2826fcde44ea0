/* SPDX-License-Identifier: MIT */
#include "core/dtype.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[DSM_N_DTYPES] = {
    [DSM_F32] = {"f32", 4}, [DSM_F64] = {"f64", 8}, [DSM_BF16] = {"bf16", 2},
    [DSM_F16] = {"f16", 2}, [DSM_I32] = {"i32", 4}, [DSM_I64] = {"i64", 8},
    [DSM_U8] = {"u8", 1},
};

size_t dsm_dtype_size(dsm_dtype t)
{
    return dtypes[t].size;
}

const char *dsm_dtype_name(dsm_dtype t)
{
    return dtypes[t].name;
}

dsm_status dsm_dtype_parse(dsm_dtype *out, const char *name, dsm_err *err)
{
    static const dsm_dtype floats[] = {DSM_F32, DSM_BF16, DSM_F16};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (strcmp(name, dtypes[floats[i]].name) == 0) {
            *out = floats[i];
            return DSM_OK;
        }
    return dsm_fail(err, DSM_EUSAGE, "dtype: found \"%s\", expected f32, bf16 or f16", name);
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float dsm_bf16_to_f32(uint16_t x)
{
    return float_of((uint32_t)x << 16);
}

uint16_t dsm_f32_to_bf16(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)((u >> 16) | 0x40u); /* quiet NaN */
    return (uint16_t)((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
}

float dsm_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7FFFu;
    if (rest >= 0x7C00u) return float_of(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    if (rest >= 0x0400u) return float_of(sign | ((rest << 13) + 0x38000000u));
    float x = (float)rest * 0x1p-24f; /* subnormal */
    return sign ? -x : x;
}

uint16_t dsm_f32_to_f16(float x)
{
    uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000u, a = u & 0x7FFFFFFFu;
    if (a > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    if (a >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u); /* rounds past the largest half */
    if (a < 0x38800000u) {                                   /* subnormal: units of 2^-24 */
        float scaled = float_of(a) * 0x1p24f;
        return (uint16_t)(sign | (uint32_t)lrintf(scaled));
    }
    uint32_t odd = (a >> 13) & 1u;
    return (uint16_t)(sign | ((a - 0x38000000u + 0xFFFu + odd) >> 13));
}

/* One loop per type: read or write element i of an unaligned array through memcpy. */
#define EACH(type, expr_body)                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                              \
        type v;                                                                                    \
        expr_body                                                                                  \
    }                                                                                              \
    break

void dsm_dtype_load(dsm_real *dst, const void *src, dsm_dtype t, int64_t n)
{
    const unsigned char *p = src;
    switch (t) {
    case DSM_F32:
        EACH(float, memcpy(&v, p + 4 * i, 4); dst[i] = (dsm_real)v;);
    case DSM_F64:
        EACH(double, memcpy(&v, p + 8 * i, 8); dst[i] = (dsm_real)v;);
    case DSM_BF16:
        EACH(uint16_t, memcpy(&v, p + 2 * i, 2); dst[i] = dsm_bf16_to_f32(v););
    case DSM_F16:
        EACH(uint16_t, memcpy(&v, p + 2 * i, 2); dst[i] = dsm_f16_to_f32(v););
    default:
        assert(!"a float type");
    }
}

void dsm_dtype_store(void *dst, dsm_dtype t, const dsm_real *src, int64_t n)
{
    unsigned char *p = dst;
    switch (t) {
    case DSM_F32:
        EACH(float, v = (float)src[i]; memcpy(p + 4 * i, &v, 4););
    case DSM_F64:
        EACH(double, v = (double)src[i]; memcpy(p + 8 * i, &v, 8););
    case DSM_BF16:
        EACH(uint16_t, v = dsm_f32_to_bf16((float)src[i]); memcpy(p + 2 * i, &v, 2););
    case DSM_F16:
        EACH(uint16_t, v = dsm_f32_to_f16((float)src[i]); memcpy(p + 2 * i, &v, 2););
    default:
        assert(!"a float type");
    }
}
