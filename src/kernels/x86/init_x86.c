/* SPDX-License-Identifier: MIT */
/* Which slots AVX2 and AVX-512 take. Later lines win, so the order is from plain to best. */
#include "kernels/init.h"
#include "kernels/tiled/tile.h"

/* Slots with an algorithm over hand-written micro-kernels (tiled/ over gemm_<isa>.c). */
#define TILED_LIST(X)                                                                              \
    X(linear)                                                                                      \
    X(linear_input)                                                                                \
    X(linear_weight)                                                                               \
    X(attention) X(attention_bwd) X(decode) X(softmax) X(xent) X(swiglu) X(swiglu_bwd) X(topk)

#define X(op) dsm_##op##_fn dsm_##op##_avx2, dsm_##op##_avx512;
DSM_KERNEL_LIST(X)
#undef X
#define X(op) dsm_##op##_fn dsm_##op##_tiled_avx2, dsm_##op##_tiled_avx512;
TILED_LIST(X)
#undef X
/* Slots on AMX (linear_amx.c, attn_amx.c, attn_bwd_amx.c). */
#define AMX_LIST(X)                                                                                \
    X(linear) X(linear_input) X(linear_weight) X(attention) X(attention_bwd) X(decode)
#define X(op) dsm_##op##_fn dsm_##op##_amx, dsm_##op##_amx_bf16;
AMX_LIST(X)
#undef X
/* Quantised weights with VNNI (blocks_<isa>.c); all others as linear_tiled_<isa>. */
dsm_linear_fn dsm_linear_avxvnni, dsm_linear_vnni;
extern const dsm_tile dsm_tile_avx2, dsm_tile_avx512;
extern const dsm_peak dsm_peaks_avx2[3], dsm_peaks_avx512[5];

static void note_tile(dsm_kernels *k, const dsm_tile *t)
{
    k->tile_m = t->rows;
    k->tile_n = (int64_t)t->vectors * t->lanes;
    k->block_m = t->block_m;
    k->block_n = k->tile_n;
    k->block_k = t->block_k;
}

static void kernels_avx2(dsm_kernels *k)
{
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_avx2, "avx2");
    DSM_KERNEL_LIST(X)
#undef X
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_tiled_avx2, "avx2 tiled");
    TILED_LIST(X)
#undef X
    note_tile(k, &dsm_tile_avx2);
}

static void kernels_avx512(dsm_kernels *k)
{
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_avx512, "avx512");
    DSM_KERNEL_LIST(X)
#undef X
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_tiled_avx512, "avx512 tiled");
    TILED_LIST(X)
#undef X
    note_tile(k, &dsm_tile_avx512);
}

static void kernels_amx(dsm_kernels *k)
{
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_amx, "amx 3 x bf16");
    AMX_LIST(X)
#undef X
}

static bool has_amx(unsigned flags)
{
    const unsigned needed =
        DSM_CPU_AVX512 | DSM_CPU_AVX512_VNNI | DSM_CPU_AVX512_BF16 | DSM_CPU_AMX;
    return (flags & needed) == needed;
}

bool dsm_kernels_x86_bf16(dsm_kernels *k, unsigned flags)
{
    if (!has_amx(flags)) return false;
#define X(op) DSM_KERNEL_SET(k, op, dsm_##op##_amx_bf16, "amx bf16");
    AMX_LIST(X)
#undef X
    return true;
}

void dsm_kernels_x86(dsm_kernels *k, unsigned flags)
{
    if (flags & DSM_CPU_AVX2) kernels_avx2(k);
    if ((flags & DSM_CPU_AVX2) && (flags & DSM_CPU_AVX_VNNI))
        DSM_KERNEL_SET(k, linear, dsm_linear_avxvnni, "avx2 vnni tiled");
    if (flags & DSM_CPU_AVX512) kernels_avx512(k);
    if ((flags & DSM_CPU_AVX512) && (flags & DSM_CPU_AVX512_VNNI))
        DSM_KERNEL_SET(k, linear, dsm_linear_vnni, "avx512 vnni tiled");
    if (has_amx(flags)) kernels_amx(k);
}

int dsm_peaks_x86(const dsm_peak *out[DSM_MAX_PEAKS], unsigned flags)
{
    int n = 0;
    for (int i = 0; i < 5; i++) {
        const dsm_peak *p = &dsm_peaks_avx512[i];
        if (p->run && (flags & p->flags) == p->flags) out[n++] = p;
    }
    if (n > 0 || !(flags & DSM_CPU_AVX2)) return n;
    out[n++] = &dsm_peaks_avx2[0];
    out[n++] = &dsm_peaks_avx2[flags & DSM_CPU_AVX_VNNI ? 2 : 1];
    return n;
}
