/* SPDX-License-Identifier: MIT */
/* Normal numbers for initialisation: out[i] = std · z(i), z(i) being number i % 4 of the four
 * normals that Philox block i / 4 of (seed, stream, step) gives by Box-Muller (Box & Muller 1958):
 *
 *   z, z' = sqrt(-2 ln u) · (cos, sin)(2π v),   u = (word + 1) / 2³², v = word' / 2³²
 *
 * The truth takes ln, cos and sin from the C library; the fast tier computes them by polynomials
 * that a vector runs through without a branch, good to about 1e-7 of std. */
#include "kernels/chunk.h"
#include "kernels/variant.h"

enum { CHUNK = 1 << 16, LANES = 64 /* Philox blocks computed side by side */ };

typedef struct normal_args {
    dsm_real *out;
    int64_t n;
    const dsm_rng *rng;
    double std;
} normal_args;

#ifdef DSM_FAST_TIER

/* dsm_rng_words (core/rng.c) for LANES blocks from `first` on. */
static void words(const dsm_rng *r, uint64_t first, uint32_t w[4][LANES])
{
    uint32_t k0 = (uint32_t)r->seed, k1 = (uint32_t)(r->seed >> 32);
    for (int i = 0; i < LANES; i++) {
        w[0][i] = (uint32_t)(first + (uint64_t)i);
        w[1][i] = (uint32_t)((first + (uint64_t)i) >> 32);
        w[2][i] = r->step;
        w[3][i] = r->stream;
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        DSM_SIMD
        for (int i = 0; i < LANES; i++) {
            uint64_t a = (uint64_t)0xD2511F53u * w[0][i], b = (uint64_t)0xCD9E8D57u * w[2][i];
            w[0][i] = (uint32_t)(b >> 32) ^ w[1][i] ^ k0;
            w[2][i] = (uint32_t)(a >> 32) ^ w[3][i] ^ k1;
            w[1][i] = (uint32_t)b;
            w[3][i] = (uint32_t)a;
        }
    }
}

/* radius[i] = sqrt(-2 ln((w + 1) / 2³²)). A power of two is split off u, which leaves f in
 * [-1/4, 1/2) around 1, and ln(1 + f) is an odd series in s = f / (2 + f). Near u = 1, where u as a
 * float has lost what ln needs, f is made of the bits below. */
static void radii(float radius[LANES], const uint32_t w[LANES])
{
    float u[LANES], f[LANES];
    uint32_t bits[LANES];
    DSM_SIMD
    for (int i = 0; i < LANES; i++)
        u[i] = ((float)w[i] + 1.0f) * 0x1p-32f;
    memcpy(bits, u, sizeof bits);
    DSM_SIMD
    for (int i = 0; i < LANES; i++) {
        int32_t e = (int32_t)((bits[i] + 0x00400000u) >> 23) - 127;
        bits[i] -= (uint32_t)e << 23;
        radius[i] = (float)e;
    }
    memcpy(f, bits, sizeof f);
    DSM_SIMD
    for (int i = 0; i < LANES; i++) {
        float near = -(float)(0xFFFFFFFFu - w[i]) * 0x1p-32f, far = f[i] - 1.0f;
        float top = radius[i] == 0.0f ? 1.0f : 0.0f; /* u in [3/4, 1] */
        float x = top * near + (1.0f - top) * far, s = x / (2.0f + x), z = s * s;
        float p = 2.0f / 9 + z * (2.0f / 11 + z * (2.0f / 13));
        p = 2.0f + z * (2.0f / 3 + z * (2.0f / 5 + z * (2.0f / 7 + z * p)));
        radius[i] = sqrtf(-2.0f * (radius[i] * 0.693147180559945f + s * p));
    }
}

/* Cosine and sine of 2π w / 2³²: the rest to the nearest quarter turn by polynomials on ±π/4. */
static void turns(float c[LANES], float s[LANES], const uint32_t w[LANES])
{
    DSM_SIMD
    for (int i = 0; i < LANES; i++) {
        uint32_t quarter = (w[i] + 0x20000000u) >> 30;
        float x = (float)(int32_t)(w[i] - (quarter << 30)) * (6.283185307179586f * 0x1p-32f);
        float z = x * x;
        float sn = -1.0f / 6 + z * (1.0f / 120 + z * (-1.0f / 5040 + z * (1.0f / 362880)));
        float cs = -0.5f + z * (1.0f / 24 + z * (-1.0f / 720 + z * (1.0f / 40320)));
        sn = x + x * z * sn;
        cs = 1.0f + z * cs;
        float a = quarter & 1 ? sn : cs, b = quarter & 1 ? cs : sn;
        float sign_c = (quarter + 1) & 2 ? -1.0f : 1.0f, sign_s = quarter & 2 ? -1.0f : 1.0f;
        c[i] = sign_c * a;
        s[i] = sign_s * b;
    }
}

static void fill_chunk(void *arg, int64_t item, int worker)
{
    const normal_args *a = arg;
    dsm_range at = dsm_chunk(a->n, CHUNK, item);
    const float std = (float)a->std;
    (void)worker;
    for (int64_t i = at.begin; i < at.end; i += 4 * LANES) {
        uint32_t w[4][LANES];
        float r[LANES], c[LANES], s[LANES], z[LANES][4];
        words(a->rng, (uint64_t)i / 4, w);
        for (int half = 0; half < 4; half += 2) {
            radii(r, w[half]);
            turns(c, s, w[half + 1]);
            for (int l = 0; l < LANES; l++) {
                z[l][half] = std * r[l] * c[l];
                z[l][half + 1] = std * r[l] * s[l];
            }
        }
        int64_t left = at.end - i;
        memcpy(a->out + i, z, (size_t)(left < 4 * LANES ? left : 4 * LANES) * sizeof(float));
    }
}

#else

/* Two independent normals of two words. */
static void box_muller(const uint32_t w[2], double std, dsm_real out[2])
{
    double radius = std * sqrt(-2.0 * log(((double)w[0] + 1.0) * 0x1p-32));
    double angle = 6.283185307179586476925 * 0x1p-32 * (double)w[1];
    out[0] = (dsm_real)(radius * cos(angle));
    out[1] = (dsm_real)(radius * sin(angle));
}

static void fill_chunk(void *arg, int64_t item, int worker)
{
    const normal_args *a = arg;
    dsm_range at = dsm_chunk(a->n, CHUNK, item);
    (void)worker;
    for (int64_t i = at.begin; i < at.end; i += 4) {
        uint32_t w[4];
        dsm_real four[4];
        dsm_rng_words(a->rng, (uint64_t)i / 4, w);
        box_muller(w, a->std, four);
        box_muller(w + 2, a->std, four + 2);
        for (int64_t j = 0; j < 4 && i + j < at.end; j++)
            a->out[i + j] = four[j];
    }
}

#endif

void DSM_K(normal)(const dsm_exec *x, dsm_real *out, int64_t n, const dsm_rng *rng, double std)
{
    normal_args a = {out, n, rng, std};
    dsm_pool_run(x->pool, dsm_chunk_count(n, CHUNK), fill_chunk, &a);
}
