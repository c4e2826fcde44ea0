/* SPDX-License-Identifier: MIT */
/* Frequencies of the rotated pairs under each kind of scaling.
 *
 *   default  f_j = theta^(-2j/d)
 *   linear   f_j / factor
 *   dynamic  theta grows with the length n beyond the original one: theta · (factor·n/orig - factor
 *            + 1)^(d/(d-2))  (NTK-aware)
 *   yarn     f_j for pairs that turn often in the original length, f_j / factor for those that turn
 *            rarely, linear between (arXiv 2309.00071); cos, sin · m(mscale) / m(mscale_all_dim)
 *   llama3   the same idea, linear in the reciprocal wavelength
 *
 * Transformers' modeling_rope_utils.py and DeepSeek's modeling_deepseek.py define them so. */
#include "model/rope.h"

#define TWO_PI 6.283185307179586

typedef struct pair { /* pair j of d/2 */
    const dsm_model_config *c;
    int64_t j, d, length;
} pair;

static double frequency(double theta, int64_t j, int64_t d)
{
    return pow(theta, -2.0 * (double)j / (double)d);
}

static double plain(const pair *p)
{
    return frequency(p->c->rope_theta, p->j, p->d);
}

static double linear(const pair *p)
{
    return plain(p) / p->c->rope.factor;
}

static double dynamic(const pair *p)
{
    const dsm_rope_scaling *r = &p->c->rope;
    double d = (double)p->d, ratio = 1;
    if (p->length > r->original_max_position_embeddings)
        ratio = (double)p->length / (double)r->original_max_position_embeddings;
    double growth = r->factor * ratio - (r->factor - 1);
    return frequency(p->c->rope_theta * pow(growth, d / (d - 2)), p->j, p->d);
}

/* The pair that turns n times in the original length. */
static double pair_of_turns(const pair *p, double n)
{
    double length = (double)p->c->rope.original_max_position_embeddings;
    return (double)p->d * log(length / (n * TWO_PI)) / (2 * log(p->c->rope_theta));
}

static double yarn(const pair *p)
{
    const dsm_rope_scaling *r = &p->c->rope;
    double low = fmax(floor(pair_of_turns(p, r->beta_fast)), 0);
    double high = fmin(ceil(pair_of_turns(p, r->beta_slow)), (double)p->d - 1);
    if (low == high) high += 0.001;
    double ramp = fmin(fmax(((double)p->j - low) / (high - low), 0), 1), f = plain(p);
    return f * (1 - ramp) + f / r->factor * ramp;
}

static double turns(const pair *p)
{
    return (double)p->c->rope.original_max_position_embeddings * plain(p) / TWO_PI;
}

static double llama3(const pair *p)
{
    const dsm_rope_scaling *r = &p->c->rope;
    double f = plain(p);
    double kept = (turns(p) - r->low_freq_factor) / (r->high_freq_factor - r->low_freq_factor);
    kept = fmin(fmax(kept, 0), 1);
    return f * kept + f / r->factor * (1 - kept);
}

double dsm_rope_turns(const dsm_model_config *c, int64_t j)
{
    return turns(&(pair){.c = c, .j = j, .d = dsm_model_config_rope_dim(c)});
}

double dsm_rope_slowdown(const dsm_model_config *c, int64_t j)
{
    const pair p = {.c = c, .j = j, .d = dsm_model_config_rope_dim(c)};
    return plain(&p) / llama3(&p);
}

/* m(s, k) of YaRN. */
static double yarn_magnitude(double factor, double k)
{
    return factor <= 1 ? 1 : 0.1 * k * log(factor) + 1;
}

static double amplitude(const dsm_rope_scaling *r)
{
    if (r->kind != DSM_ROPE_YARN) return 1;
    if (r->attention_factor > 0) return r->attention_factor;
    return yarn_magnitude(r->factor, r->mscale) / yarn_magnitude(r->factor, r->mscale_all_dim);
}

double dsm_rope_score_factor(const dsm_model_config *c)
{
    double m = yarn_magnitude(c->rope.factor, c->rope.mscale_all_dim);
    return c->rope.kind == DSM_ROPE_YARN && dsm_model_config_is_mla(c) ? m * m : 1;
}

void dsm_rope_fill(dsm_real *table, int64_t begin, int64_t end, const dsm_model_config *c,
                   int64_t length)
{
    static double (*const kinds[])(const pair *) = {
        [DSM_ROPE_DEFAULT] = plain, [DSM_ROPE_LINEAR] = linear, [DSM_ROPE_DYNAMIC] = dynamic,
        [DSM_ROPE_YARN] = yarn,     [DSM_ROPE_LLAMA3] = llama3,
    };
    pair at = {.c = c, .d = dsm_model_config_rope_dim(c), .length = length};
    double a = amplitude(&c->rope);
    int64_t half = at.d / 2;
    for (; at.j < half; at.j++) {
        double f = kinds[c->rope.kind](&at);
        for (int64_t p = begin; p < end; p++) {
            dsm_real *out = table + 2 * ((p - begin) * half + at.j);
            out[0] = (dsm_real)(a * cos((double)p * f));
            out[1] = (dsm_real)(a * sin((double)p * f));
        }
    }
}
