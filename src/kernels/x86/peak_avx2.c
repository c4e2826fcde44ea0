/* SPDX-License-Identifier: MIT */
/* The ceilings of AVX2: 12 independent chains cover the latency of two FMA ports. The int8 dot is
 * three instructions, or one with AVX-VNNI, which is turned on per function. */
#include "kernels/kernels.h"
#include "kernels/peak.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static float run_fp32(int64_t n)
{
    __m256 sum[CHAINS], a = _mm256_set1_ps(0.5f), b = _mm256_set1_ps(1);
#pragma GCC unroll 16
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm256_set1_ps((float)c);
    for (int64_t i = 0; i < n; i++) {
#pragma GCC unroll 16
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm256_fmadd_ps(sum[c], a, b);
    }
#pragma GCC unroll 16
    for (int c = 1; c < CHAINS; c++)
        sum[0] = _mm256_add_ps(sum[0], sum[c]);
    return _mm256_cvtss_f32(sum[0]);
}

/* Define run_<kind>: every chain stepped n times. */
#define RUN_INT8(kind, isa, step)                                                                  \
    __attribute__((target(isa))) static float run_##kind(int64_t n)                                \
    {                                                                                              \
        __m256i sum[CHAINS], w = _mm256_set1_epi8(1), x = _mm256_set1_epi8(2);                     \
        _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++) sum[c] = _mm256_set1_epi32(c);   \
        for (int64_t i = 0; i < n; i++) {                                                          \
            _Pragma("GCC unroll 16") for (int c = 0; c < CHAINS; c++)                              \
            {                                                                                      \
                __asm__("" : "+x"(w)); /* each product is made, none is remembered */              \
                sum[c] = step;                                                                     \
            }                                                                                      \
        }                                                                                          \
        _Pragma("GCC unroll 16") for (int c = 1; c < CHAINS; c++) sum[0] =                         \
            _mm256_add_epi32(sum[0], sum[c]);                                                      \
        return (float)_mm256_cvtsi256_si32(sum[0]);                                                \
    }

RUN_INT8(pairs, "avx2",
         _mm256_add_epi32(sum[c],
                          _mm256_madd_epi16(_mm256_maddubs_epi16(w, x), _mm256_set1_epi16(1))))
RUN_INT8(vnni, "avxvnni", _mm256_dpbusd_avx_epi32(sum[c], w, x))

extern const dsm_peak dsm_peaks_avx2[3];
const dsm_peak dsm_peaks_avx2[3] = {
    {"FP32 FMA", DSM_CPU_AVX2, 2.0 * 8 * CHAINS, run_fp32},
    {"INT8 dot", DSM_CPU_AVX2, 2.0 * 32 * CHAINS, run_pairs},
    {"INT8 dot", DSM_CPU_AVX2 | DSM_CPU_AVX_VNNI, 2.0 * 32 * CHAINS, run_vnni},
};
