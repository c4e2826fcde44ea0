/* SPDX-License-Identifier: MIT */
/* The ceilings of AVX-512: 16 independent chains of each kind of multiply-add. The extensions are
 * turned on per function; whoever calls checks their flags. */
#include "kernels/kernels.h"
#include "kernels/peak.h"

#include <immintrin.h>

enum { CHAINS = 16 };

/* Define run_<kind>: start every chain, step it n times, add the chains up. */
#define RUN(kind, isa, vector, first, step, add, lowest)                                           \
    __attribute__((target(isa))) static float run_##kind(int64_t n)                                \
    {                                                                                              \
        vector sum[CHAINS];                                                                        \
        _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++) sum[c] = first;                  \
        for (int64_t i = 0; i < n; i++) {                                                          \
            _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++)                              \
            {                                                                                      \
                sum[c] = step;                                                                     \
                __asm__("" : "+v"(sum[c])); /* each step is done, none is folded */                \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 16") for (int c = 1; c < CHAINS; c++) sum[0] = add(sum[0], sum[c]);    \
        return (float)lowest(sum[0]);                                                              \
    }

RUN(fp32, "avx512f", __m512, _mm512_set1_ps((float)c),
    _mm512_fmadd_ps(sum[c], _mm512_set1_ps(0.5f), _mm512_set1_ps(1)), _mm512_add_ps,
    _mm512_cvtss_f32)
#if defined(__clang__) && __clang_major__ < 15 /* does not know vectors of halves */
#define run_fp16 NULL
#else
/* Halves by their bits: ISO C has no such type. */
#define HALVES(bits)   _mm512_castsi512_ph(_mm512_set1_epi16(bits))
#define LOWEST_HALF(v) _mm512_cvtsi512_si32(_mm512_castph_si512(v))
RUN(fp16, "avx512fp16", __m512h, HALVES((short)c),
    _mm512_fmadd_ph(sum[c], HALVES(0x3800), HALVES(0x3C00)), _mm512_add_ph, LOWEST_HALF)
#endif
RUN(bf16, "avx512bf16", __m512, _mm512_set1_ps((float)c),
    _mm512_dpbf16_ps(sum[c], (__m512bh)_mm512_set1_epi16(0x3F80),
                     (__m512bh)_mm512_set1_epi16(0x3F00)),
    _mm512_add_ps, _mm512_cvtss_f32)
RUN(int8, "avx512vnni", __m512i, _mm512_set1_epi32(c),
    _mm512_dpbusd_epi32(sum[c], _mm512_set1_epi8(1), _mm512_set1_epi8(2)), _mm512_add_epi32,
    _mm512_cvtsi512_si32)

/* Four tiles of sums, 16 × 16 × 32 products each time. */
__attribute__((target("amx-tile,amx-bf16,avx512f"))) static float run_amx(int64_t n)
{
    const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {1, 0, {0}, {64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16}};
    uint32_t ones[16 * 16]; /* not zeros: they cost less power, and the clock rises */
    float sum[16 * 16];
    for (int i = 0; i < 16 * 16; i++)
        ones[i] = 0x3F803F80;
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, ones, 64);
    _tile_loadd(5, ones, 64);
    for (int64_t i = 0; i < n; i++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(0, sum, 64);
    _tile_release();
    return sum[0];
}

extern const dsm_peak dsm_peaks_avx512[5];
const dsm_peak dsm_peaks_avx512[5] = {
    {"FP32 FMA", DSM_CPU_AVX512, 2.0 * 16 * CHAINS, run_fp32},
    {"FP16 FMA", DSM_CPU_AVX512 | DSM_CPU_AVX512_FP16, 2.0 * 32 * CHAINS, run_fp16},
    {"BF16 dot", DSM_CPU_AVX512 | DSM_CPU_AVX512_BF16, 2.0 * 32 * CHAINS, run_bf16},
    {"INT8 dot", DSM_CPU_AVX512 | DSM_CPU_AVX512_VNNI, 2.0 * 64 * CHAINS, run_int8},
    {"BF16 AMX", DSM_CPU_AVX512 | DSM_CPU_AMX, 2.0 * 16 * 16 * 32 * 4, run_amx},
};
