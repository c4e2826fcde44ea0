/* SPDX-License-Identifier: MIT */
/* The FP32 ceiling of AVX2: 12 independent chains cover the latency of two FMA ports. */
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

extern const dsm_peak dsm_peaks_avx2[1];
const dsm_peak dsm_peaks_avx2[1] = {{"FP32 FMA", DSM_CPU_AVX2, 2.0 * 8 * CHAINS, run_fp32}};
