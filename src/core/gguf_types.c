/* SPDX-License-Identifier: MIT */
/* The two tables of GGUF: types of metadata values, and types of tensors.
 * Source: ggml, include/gguf.h and src/ggml-common.h (block sizes). */
#include "core/gguf.h"

static const struct {
    const char *name;
    size_t size;
} types[DSM_GGUF_N_TYPES] = {
    [DSM_GGUF_U8] = {"u8", 1},      [DSM_GGUF_I8] = {"i8", 1},     [DSM_GGUF_U16] = {"u16", 2},
    [DSM_GGUF_I16] = {"i16", 2},    [DSM_GGUF_U32] = {"u32", 4},   [DSM_GGUF_I32] = {"i32", 4},
    [DSM_GGUF_F32] = {"f32", 4},    [DSM_GGUF_BOOL] = {"bool", 1}, [DSM_GGUF_TEXT] = {"string", 0},
    [DSM_GGUF_LIST] = {"array", 0}, [DSM_GGUF_U64] = {"u64", 8},   [DSM_GGUF_I64] = {"i64", 8},
    [DSM_GGUF_F64] = {"f64", 8},
};

/* clang-format off */
static const dsm_gguf_kind kinds[] = {
    { 0, "F32",       1,   4, DSM_F32},
    { 1, "F16",       1,   2, DSM_F16},
    { 2, "Q4_0",     32,  18, DSM_Q4_0},
    { 3, "Q4_1",     32,  20, DSM_Q4_1},
    { 6, "Q5_0",     32,  22, DSM_N_DTYPES},
    { 7, "Q5_1",     32,  24, DSM_N_DTYPES},
    { 8, "Q8_0",     32,  34, DSM_Q8_0},
    { 9, "Q8_1",     32,  36, DSM_N_DTYPES},
    {10, "Q2_K",    256,  84, DSM_N_DTYPES},
    {11, "Q3_K",    256, 110, DSM_N_DTYPES},
    {12, "Q4_K",    256, 144, DSM_Q4_K},
    {13, "Q5_K",    256, 176, DSM_Q5_K},
    {14, "Q6_K",    256, 210, DSM_Q6_K},
    {15, "Q8_K",    256, 292, DSM_N_DTYPES},
    {16, "IQ2_XXS", 256,  66, DSM_N_DTYPES},
    {17, "IQ2_XS",  256,  74, DSM_N_DTYPES},
    {18, "IQ3_XXS", 256,  98, DSM_N_DTYPES},
    {19, "IQ1_S",   256,  50, DSM_N_DTYPES},
    {20, "IQ4_NL",   32,  18, DSM_N_DTYPES},
    {21, "IQ3_S",   256, 110, DSM_N_DTYPES},
    {22, "IQ2_S",   256,  82, DSM_N_DTYPES},
    {23, "IQ4_XS",  256, 136, DSM_N_DTYPES},
    {24, "I8",        1,   1, DSM_N_DTYPES},
    {25, "I16",       1,   2, DSM_N_DTYPES},
    {26, "I32",       1,   4, DSM_I32},
    {27, "I64",       1,   8, DSM_I64},
    {28, "F64",       1,   8, DSM_F64},
    {29, "IQ1_M",   256,  56, DSM_N_DTYPES},
    {30, "BF16",      1,   2, DSM_BF16},
    {34, "TQ1_0",   256,  54, DSM_N_DTYPES},
    {35, "TQ2_0",   256,  66, DSM_N_DTYPES},
    {39, "MXFP4",    32,  17, DSM_N_DTYPES},
};
/* clang-format on */

enum { N_KINDS = sizeof kinds / sizeof *kinds };

const dsm_gguf_kind *dsm_gguf_kind_of_id(uint32_t id)
{
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].id == id) return &kinds[i];
    return NULL;
}

const dsm_gguf_kind *dsm_gguf_kind_of_dtype(dsm_dtype t)
{
    for (int i = 0; i < N_KINDS; i++)
        if (kinds[i].dtype == t && t != DSM_N_DTYPES) return &kinds[i];
    return NULL;
}

const char *dsm_gguf_type_name(dsm_gguf_type t)
{
    return types[t].name;
}

size_t dsm_gguf_type_size(dsm_gguf_type t)
{
    return types[t].size;
}
