/* SPDX-License-Identifier: MIT */
/* With F the factor, t the turns a pair takes in the original length and [low, high] the band,
 *
 *   slow = 1 / (k + (1 - k) / F),   k = (t - low) / (high - low), kept to [0, 1]
 *
 * so pairs above the band have slow = 1 and those below it slow = F. Backwards: F is the largest
 * slow; each pair inside the band says t = low + k · (high - low) with k and t known, so two of
 * them give the band, and with fewer of them any band that ends between the right pairs does the
 * same. The original length and the band are known but for a common factor, which changes nothing.
 * Source: llama.cpp, convert_hf_to_gguf.py (LlamaModel); transformers, modeling_rope_utils.py. */
#include "formats/gguf_rope.h"

#include "model/rope.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double close_enough = 1e-4; /* of a slow that is recomputed */
static const double at_the_end = 1e-6;   /* as far from 1 or F a slow counts as that */

void dsm_gguf_rope_fill(float *slow, const dsm_model_config *c)
{
    for (int64_t j = 0; j < dsm_model_config_rope_dim(c) / 2; j++)
        slow[j] = (float)dsm_rope_slowdown(c, j);
}

/* Pairs [first, last) are inside the band. */
typedef struct fit {
    dsm_model_config *c;
    const dsm_real *slow; /* (n) */
    int64_t n, first, last;
    double factor, low, high;
} fit;

/* k of a pair. */
static double share_of(const fit *f, int64_t j)
{
    return (1 / (double)f->slow[j] - 1 / f->factor) / (1 - 1 / f->factor);
}

static double turns_of(const fit *f, int64_t j)
{
    return dsm_rope_turns(f->c, j);
}

/* F and who is inside; false if these are no slowdowns from 1 up to some F. */
static bool find_band(fit *f)
{
    f->factor = 1;
    for (int64_t j = 0; j < f->n; j++) {
        double slow = (double)f->slow[j];
        if (!(slow >= 1 - at_the_end && slow < 1e6)) return false;
        f->factor = fmax(f->factor, slow);
    }
    while (f->first < f->n && (double)f->slow[f->first] <= 1 + at_the_end)
        f->first++;
    f->last = f->first;
    while (f->last < f->n && (double)f->slow[f->last] < f->factor * (1 - at_the_end))
        f->last++;
    return true;
}

static void from_two_pairs(fit *f)
{
    int64_t a = f->first, b = f->last - 1;
    double width = (turns_of(f, a) - turns_of(f, b)) / (share_of(f, a) - share_of(f, b));
    f->low = turns_of(f, b) - share_of(f, b) * width;
    f->high = f->low + width;
}

/* The band may begin at the pair below; if it then ends above the pair above, it ends there. */
static void from_one_pair(fit *f)
{
    double k = share_of(f, f->first), t = turns_of(f, f->first);
    f->low = turns_of(f, f->last);
    f->high = f->low + (t - f->low) / k;
    if (f->first == 0 || f->high <= turns_of(f, f->first - 1)) return;
    f->high = turns_of(f, f->first - 1);
    f->low = (t - k * f->high) / (1 - k);
}

static void from_ends(fit *f)
{
    f->low = turns_of(f, f->last);
    f->high = f->first > 0 ? turns_of(f, f->first - 1) : 2 * f->low;
}

/* Does the config's scaling come to what the file says? */
static bool agrees(const fit *f)
{
    for (int64_t j = 0; j < f->n; j++)
        if (!(fabs(dsm_rope_slowdown(f->c, j) / (double)f->slow[j] - 1) <= close_enough))
            return false;
    return true;
}

/* 1.00000012, out of floats, was 1. */
static double rounded(double x)
{
    char text[32];
    snprintf(text, sizeof text, "%.5g", x);
    return strtod(text, NULL);
}

static bool try_numbers(fit *f, double (*as)(double))
{
    dsm_rope_scaling *r = &f->c->rope;
    r->kind = DSM_ROPE_LLAMA3;
    r->factor = as(f->factor);
    r->low_freq_factor = as(f->low);
    r->high_freq_factor = as(f->high);
    return r->high_freq_factor > r->low_freq_factor && agrees(f);
}

static double as_it_is(double x)
{
    return x;
}

dsm_status dsm_gguf_rope_fit(dsm_model_config *c, const dsm_real *slow, int64_t n, const char *what,
                             dsm_err *err)
{
    fit f = {.c = c, .slow = slow, .n = n};
    bool known = n == dsm_model_config_rope_dim(c) / 2 && find_band(&f);
    c->rope.kind = DSM_ROPE_DEFAULT;
    if (known && f.first == n) return DSM_OK;
    if (known)
        (f.last - f.first > 1 ? from_two_pairs : f.last > f.first ? from_one_pair : from_ends)(&f);
    if (known && (try_numbers(&f, rounded) || try_numbers(&f, as_it_is))) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: " DSM_GGUF_ROPE_TENSOR
                    ": expected what scaling of type llama3 comes to for "
                    "%" PRId64 " pairs",
                    what, dsm_model_config_rope_dim(c) / 2);
}
