/* SPDX-License-Identifier: MIT */
/* Encoding q4_k, q5_k and q6_k: a search for scales.
 *
 * For each part of a block several step widths are tried. Each gives integers; for those integers
 * the best scale (and min) is a weighted least-squares problem with a closed solution, and its
 * error follows from the same sums:
 *
 *   x ≈ s·l - m:   E = Σ w (x - s l + m)²,   s = (Σw Σwxl - Σwx Σwl) / D,   m = (Σwl Σwxl - Σwl²
 * Σwx) / D, D = Σw Σwl² - (Σwl)² x ≈ s·l:       E = Σwx² - (Σwxl)² / Σwl²,   s = Σwxl / Σwl²
 *
 * The part scales are then rounded to integers of the block's own scale, and the values once more
 * to what those make. Weights grow with |x|, for large weights matter more (as in ggml's
 * reference). */
#include "core/dtype.h"
#include "core/quant.h"

#include <math.h>
#include <string.h>

static const uint16_t nan_f16 = 0x7E00;

enum { WAYS = 8 }; /* independent sums, so that loops vectorise without reordering one */

/* Rounded to 0 … top. */
static float level(float v, float top)
{
    v = v + 0.5f;
    v = v < top ? v : top;
    return v > 0 ? (float)(int)v : 0;
}

static int all_finite(const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * 0;
    return sum == 0;
}

/* ---- x ≈ s·l - m ---------------------------------------------------------------------------- */

typedef struct affine {
    float scale, min; /* min >= 0 */
} affine;

/* How q4_k and q5_k differ: levels 0 … top, step widths (high - low) / (top + first + i/10). */
typedef struct affine_search {
    float top, first;
    int steps;
} affine_search;

enum { PART = 32 };

typedef struct part_sums {
    double w, x, xx;  /* Σw, Σwx, Σwx² */
    double l, ll, xl; /* Σwl, Σwl², Σwxl */
} part_sums;

static double total(const float s[WAYS])
{
    double sum = 0;
    for (int i = 0; i < WAYS; i++)
        sum += (double)s[i];
    return sum;
}

static void sum_values(part_sums *s, const float *x, const float *w)
{
    float sw[WAYS] = {0}, sx[WAYS] = {0}, sxx[WAYS] = {0};
    for (int i = 0; i < PART; i += WAYS)
        for (int j = 0; j < WAYS; j++) {
            const float v = x[i + j], u = w[i + j];
            sw[j] += u;
            sx[j] += u * v;
            sxx[j] += u * v * v;
        }
    s->w = total(sw), s->x = total(sx), s->xx = total(sxx);
}

static void sum_levels(part_sums *s, const float *x, const float *w, float low, float per_step,
                       float top)
{
    float sl[WAYS] = {0}, sll[WAYS] = {0}, sxl[WAYS] = {0};
    for (int i = 0; i < PART; i += WAYS)
        for (int j = 0; j < WAYS; j++) {
            const float l = level((x[i + j] - low) * per_step, top), wl = w[i + j] * l;
            sl[j] += wl;
            sll[j] += wl * l;
            sxl[j] += wl * x[i + j];
        }
    s->l = total(sl), s->ll = total(sll), s->xl = total(sxl);
}

static double affine_error(const part_sums *s, double scale, double min)
{
    return s->xx - 2 * (scale * s->xl - min * s->x) + scale * scale * s->ll -
           2 * scale * min * s->l + min * min * s->w;
}

/* The best affine map for these levels; a min below zero cannot be stored. */
static affine solve(const part_sums *s)
{
    const double D = s->w * s->ll - s->l * s->l;
    if (!(D > 0)) return (affine){0, 0};
    double scale = (s->w * s->xl - s->x * s->l) / D, min = (s->l * s->xl - s->ll * s->x) / D;
    if (min < 0) scale = s->xl / s->ll, min = 0;
    return (affine){(float)scale, (float)min};
}

static affine fit_affine(const float *x, const affine_search *how)
{
    float low = 0, high = x[0], w[PART], square = 0;
    for (int i = 0; i < PART; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
        square += x[i] * x[i];
    }
    if (!(high > low)) return (affine){0, -low};
    for (int i = 0; i < PART; i++)
        w[i] = sqrtf(square / PART) + fabsf(x[i]);
    part_sums s;
    sum_values(&s, x, w);
    affine best = {(high - low) / how->top, -low};
    sum_levels(&s, x, w, low, how->top / (high - low), how->top);
    double least = affine_error(&s, (double)best.scale, (double)best.min);
    for (int i = 0; i <= how->steps; i++) {
        const float per_step = (how->top + how->first + 0.1f * (float)i) / (high - low);
        if (!isfinite(per_step)) break;
        sum_levels(&s, x, w, low, per_step, how->top);
        const affine a = solve(&s);
        const double error = affine_error(&s, (double)a.scale, (double)a.min);
        if (a.scale > 0 && error < least) least = error, best = a;
    }
    return best;
}

/* ---- q4_k and q5_k -------------------------------------------------------------------------- */

/* What both store of a block before the values. */
typedef struct k_header {
    uint16_t d, dmin;
    uint8_t scales[12];
} k_header;

static void put_scale(uint8_t s[12], int j, int scale, int min)
{
    if (j < 4) {
        s[j] = (uint8_t)scale;
        s[j + 4] = (uint8_t)min;
    } else {
        s[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
        s[j - 4] |= (uint8_t)(scale >> 4 << 6);
        s[j] |= (uint8_t)(min >> 4 << 6);
    }
}

static k_header fit_header(const float *x, const affine_search *how)
{
    affine part[8];
    float most_scale = 0, most_min = 0;
    k_header h = {0};
    for (int j = 0; j < 8; j++) {
        part[j] = fit_affine(x + j * PART, how);
        if (part[j].scale > most_scale) most_scale = part[j].scale;
        if (part[j].min > most_min) most_min = part[j].min;
    }
    const float scale_steps = most_scale > 0 ? 63 / most_scale : 0;
    const float min_steps = most_min > 0 ? 63 / most_min : 0;
    h.d = dsm_f32_to_f16(most_scale / 63);
    h.dmin = dsm_f32_to_f16(most_min / 63);
    for (int j = 0; j < 8; j++)
        put_scale(h.scales, j, (int)level(part[j].scale * scale_steps, 63),
                  (int)level(part[j].min * min_steps, 63));
    return h;
}

/* The levels that the header's rounded scales give best. */
static void round_levels(uint8_t *l, const float *x, const k_header *h, float top)
{
    const float d = dsm_f16_to_f32(h->d), dmin = dsm_f16_to_f32(h->dmin);
    for (int j = 0; j < 8; j++) {
        const float scale = d * (float)dsm_qk_scale(h->scales, j);
        const float min = dmin * (float)dsm_qk_min(h->scales, j);
        for (int i = j * PART; i < (j + 1) * PART; i++)
            l[i] = scale > 0 ? (uint8_t)level((x[i] + min) / scale, top) : 0;
    }
}

static k_header encode_levels(uint8_t *l, const float *x, const affine_search *how)
{
    memset(l, 0, DSM_QK_VALUES);
    if (!all_finite(x, DSM_QK_VALUES)) return (k_header){.d = nan_f16, .dmin = nan_f16};
    k_header h = fit_header(x, how);
    round_levels(l, x, &h, how->top);
    return h;
}

static void put_nibbles(uint8_t q[128], const uint8_t *l)
{
    for (int k = 0; k < 4; k++, l += 64)
        for (int i = 0; i < 32; i++)
            q[k * 32 + i] = (uint8_t)((l[i] & 15) | (l[32 + i] & 15) << 4);
}

void dsm_q4_k_encode(dsm_q4_k *b, const float *x)
{
    static const affine_search how = {15, -1, 20};
    uint8_t l[DSM_QK_VALUES];
    k_header h = encode_levels(l, x, &how);
    b->d = h.d;
    b->dmin = h.dmin;
    memcpy(b->scales, h.scales, sizeof b->scales);
    put_nibbles(b->q, l);
}

void dsm_q5_k_encode(dsm_q5_k *b, const float *x)
{
    static const affine_search how = {31, -0.5f, 15};
    uint8_t l[DSM_QK_VALUES];
    k_header h = encode_levels(l, x, &how);
    b->d = h.d;
    b->dmin = h.dmin;
    memcpy(b->scales, h.scales, sizeof b->scales);
    memset(b->high, 0, sizeof b->high);
    for (int v = 0; v < DSM_QK_VALUES; v++)
        b->high[v % 32] |= (uint8_t)(l[v] >> 4 << v / 32);
    put_nibbles(b->q, l);
}

/* ---- q6_k: x ≈ s·l, l in -32 … 31 ----------------------------------------------------------- */

enum { FINE = 16 }; /* values that share a scale */

/* Rounded to -32 … 31. */
static float signed_level(float v)
{
    return level(v + 32, 63) - 32;
}

/* The best scale of 16 values, weighted by x²; 0 for zeros. */
static float fit_scale(const float *x)
{
    float top = 0, best = 0;
    double gain = 0; /* (Σwxl)² / Σwl²: what a scale explains of Σwx² */
    for (int i = 0; i < FINE; i++)
        if (fabsf(x[i]) > fabsf(top)) top = x[i];
    if (fabsf(top) < 1e-15f) return 0;
    for (int step = -9; step <= 9; step++) {
        const float per_step = -(32 + 0.1f * (float)step) / top;
        float xl = 0, ll = 0;
        for (int i = 0; i < FINE; i++) {
            const float l = signed_level(per_step * x[i]), w = x[i] / top * (x[i] / top);
            xl += w * x[i] * l;
            ll += w * l * l;
        }
        const double explained = ll > 0 ? (double)xl * (double)xl / (double)ll : 0;
        if (explained > gain) gain = explained, best = xl / ll;
    }
    return best;
}

/* The 16 scales as integers of d, whose sign makes the largest -128. */
static void fit_scales(dsm_q6_k *b, const float *x)
{
    float scale[DSM_QK_VALUES / FINE], top = 0;
    for (int j = 0; j < DSM_QK_VALUES / FINE; j++) {
        scale[j] = fit_scale(x + j * FINE);
        if (fabsf(scale[j]) > fabsf(top)) top = scale[j];
    }
    if (top == 0) return;
    b->d = dsm_f32_to_f16(top / -128);
    for (int j = 0; j < DSM_QK_VALUES / FINE; j++)
        b->scales[j] = (int8_t)(level(scale[j] / top * -128 + 128, 255) - 128);
}

static void put_six_bits(dsm_q6_k *b, int v, int q)
{
    const int half = v / 128, part = v % 128 / 32, i = v % 32;
    b->low[half * 64 + part % 2 * 32 + i] |= (uint8_t)((q & 15) << part / 2 * 4);
    b->high[half * 32 + i] |= (uint8_t)(q >> 4 << 2 * part);
}

void dsm_q6_k_encode(dsm_q6_k *b, const float *x)
{
    memset(b, 0, sizeof *b);
    if (!all_finite(x, DSM_QK_VALUES)) {
        b->d = nan_f16;
        return;
    }
    fit_scales(b, x);
    const float d = dsm_f16_to_f32(b->d);
    for (int v = 0; v < DSM_QK_VALUES; v++) {
        const float scale = d * (float)b->scales[v / FINE];
        put_six_bits(b, v, (int)(scale != 0 ? signed_level(x[v] / scale) : 0) + 32);
    }
}
