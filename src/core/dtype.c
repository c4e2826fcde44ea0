/* SPDX-License-Identifier: MIT */
#include "core/dtype.h"

#include "core/quant.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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

float dsm_f8_to_f32(uint8_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x80u) << 24, rest = x & 0x7Fu;
    if (rest == 0x7F) return float_of(sign | 0x7FC00000u);
    if (rest >= 0x08) return float_of(sign | ((rest << 20) + 0x3C000000u));
    const float v = (float)rest * 0x1p-9f; /* subnormal */
    return sign ? -v : v;
}

/* ---- arrays --------------------------------------------------------------------------------- */

/* load_<name> and store_<name> of a plain type: element by element, through memcpy for arrays that
 * are not aligned. */
#define PLAIN_LOAD(name, type, to_real)                                                            \
    static void load_##name(dsm_real *dst, const unsigned char *src, int64_t n)                    \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            type v;                                                                                \
            memcpy(&v, src + (size_t)i * sizeof v, sizeof v);                                      \
            dst[i] = (dsm_real)to_real(v);                                                         \
        }                                                                                          \
    }
#define PLAIN_STORE(name, type, from_real)                                                         \
    static void store_##name(unsigned char *dst, const dsm_real *src, int64_t n)                   \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const type v = from_real(src[i]);                                                      \
            memcpy(dst + (size_t)i * sizeof v, &v, sizeof v);                                      \
        }                                                                                          \
    }
PLAIN_LOAD(f32, float, )
PLAIN_LOAD(f64, double, )
PLAIN_LOAD(bf16, uint16_t, dsm_bf16_to_f32)
PLAIN_LOAD(f16, uint16_t, dsm_f16_to_f32)
PLAIN_LOAD(f8, uint8_t, dsm_f8_to_f32)
#define BF16_OF(x) dsm_f32_to_bf16((float)(x))
#define F16_OF(x)  dsm_f32_to_f16((float)(x))
PLAIN_STORE(f32, float, (float))
PLAIN_STORE(f64, double, (double))
PLAIN_STORE(bf16, uint16_t, BF16_OF)
PLAIN_STORE(f16, uint16_t, F16_OF)

/* The same of a quantised type: block by block, through floats. */
#define BLOCKS(name, values)                                                                       \
    static void load_##name(dsm_real *dst, const unsigned char *src, int64_t n)                    \
    {                                                                                              \
        float v[values];                                                                           \
        dsm_##name b;                                                                              \
        for (; n > 0; n -= values, src += sizeof b) {                                              \
            memcpy(&b, src, sizeof b);                                                             \
            dsm_##name##_decode(v, &b);                                                            \
            for (int i = 0; i < values; i++)                                                       \
                *dst++ = (dsm_real)v[i];                                                           \
        }                                                                                          \
    }                                                                                              \
    static void store_##name(unsigned char *dst, const dsm_real *src, int64_t n)                   \
    {                                                                                              \
        float v[values];                                                                           \
        dsm_##name b;                                                                              \
        for (; n > 0; n -= values, dst += sizeof b) {                                              \
            for (int i = 0; i < values; i++)                                                       \
                v[i] = (float)*src++;                                                              \
            dsm_##name##_encode(&b, v);                                                            \
            memcpy(dst, &b, sizeof b);                                                             \
        }                                                                                          \
    }
BLOCKS(q8_0, DSM_Q_VALUES)
BLOCKS(q4_0, DSM_Q_VALUES)
BLOCKS(q4_1, DSM_Q_VALUES)
BLOCKS(q4_k, DSM_QK_VALUES)
BLOCKS(q5_k, DSM_QK_VALUES)
BLOCKS(q6_k, DSM_QK_VALUES)

/* ---- the table ------------------------------------------------------------------------------ */

/* clang-format off */
static const struct {
    const char *name;
    size_t size;   /* bytes and */
    int64_t block; /* values of a block */
    bool choice;   /* --dtype knows it */
    void (*load)(dsm_real *dst, const unsigned char *src, int64_t n);
    void (*store)(unsigned char *dst, const dsm_real *src, int64_t n);
} dtypes[DSM_N_DTYPES] = {
    [DSM_F32]     = {"f32", 4, 1, true, load_f32, store_f32},
    [DSM_F64]     = {"f64", 8, 1, false, load_f64, store_f64},
    [DSM_BF16]    = {"bf16", 2, 1, true, load_bf16, store_bf16},
    [DSM_F16]     = {"f16", 2, 1, true, load_f16, store_f16},
    [DSM_I32]     = {"i32", 4, 1, false, NULL, NULL},
    [DSM_I64]     = {"i64", 8, 1, false, NULL, NULL},
    [DSM_U8]      = {"u8", 1, 1, false, NULL, NULL},
    [DSM_F8_E4M3] = {"f8_e4m3", 1, 1, false, load_f8, NULL},
    [DSM_Q8_0]    = {"q8_0", sizeof(dsm_q8_0), DSM_Q_VALUES, true, load_q8_0, store_q8_0},
    [DSM_Q4_0]    = {"q4_0", sizeof(dsm_q4_0), DSM_Q_VALUES, true, load_q4_0, store_q4_0},
    [DSM_Q4_1]    = {"q4_1", sizeof(dsm_q4_1), DSM_Q_VALUES, true, load_q4_1, store_q4_1},
    [DSM_Q4_K]    = {"q4_k", sizeof(dsm_q4_k), DSM_QK_VALUES, true, load_q4_k, store_q4_k},
    [DSM_Q5_K]    = {"q5_k", sizeof(dsm_q5_k), DSM_QK_VALUES, true, load_q5_k, store_q5_k},
    [DSM_Q6_K]    = {"q6_k", sizeof(dsm_q6_k), DSM_QK_VALUES, true, load_q6_k, store_q6_k},
};
/* clang-format on */

size_t dsm_dtype_size(dsm_dtype t)
{
    return dtypes[t].size;
}

int64_t dsm_dtype_block(dsm_dtype t)
{
    return dtypes[t].block;
}

size_t dsm_dtype_bytes(dsm_dtype t, int64_t n)
{
    assert(n % dtypes[t].block == 0);
    return (size_t)(n / dtypes[t].block) * dtypes[t].size;
}

const char *dsm_dtype_name(dsm_dtype t)
{
    return dtypes[t].name;
}

bool dsm_dtype_is_real(dsm_dtype t)
{
    return dtypes[t].load != NULL;
}

dsm_status dsm_dtype_parse(dsm_dtype *out, const char *name, dsm_err *err)
{
    char known[128] = "";
    for (int t = 0; t < DSM_N_DTYPES; t++) {
        if (!dtypes[t].choice) continue;
        if (strcmp(name, dtypes[t].name) == 0) return *out = (dsm_dtype)t, DSM_OK;
        const size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, "%s%s", at ? ", " : "", dtypes[t].name);
    }
    return dsm_fail(err, DSM_EUSAGE, "dtype: found \"%s\", expected one of %s", name, known);
}

void dsm_dtype_load(dsm_real *dst, const void *src, dsm_dtype t, int64_t n)
{
    assert(dtypes[t].load && n % dtypes[t].block == 0);
    dtypes[t].load(dst, src, n);
}

void dsm_dtype_store(void *dst, dsm_dtype t, const dsm_real *src, int64_t n)
{
    assert(dtypes[t].store && n % dtypes[t].block == 0);
    dtypes[t].store(dst, src, n);
}
