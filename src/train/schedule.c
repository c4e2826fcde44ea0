/* SPDX-License-Identifier: MIT */
/* Schedules; see schedule.h. One function per kind, called after warm-up. */
#include "train/schedule.h"

#include <math.h>

/* Shares of a whole that come out a rounding error below an integer mean that integer. */
static int64_t share_of(double share, int64_t whole)
{
    return (int64_t)floor(share * (double)whole * (1.0 + 1e-12));
}

int64_t dsm_schedule_sequences(const dsm_recipe *r, int64_t tokens)
{
    const int64_t from = r->batch.ramp.from, to = r->batch.sequences;
    if (from <= 0 || tokens >= r->batch.ramp.tokens) return to;
    int64_t n = from + share_of((double)tokens / (double)r->batch.ramp.tokens, to - from);
    return n < r->batch.micro ? n : n - n % r->batch.micro;
}

static int64_t total_tokens(const dsm_recipe *r)
{
    int64_t tokens = 0;
    for (int64_t s = 0; s < r->steps; s++) {
        int64_t n = dsm_schedule_sequences(r, tokens);
        if (n == r->batch.sequences) /* the ramp is over */
            return tokens + (r->steps - s) * n * r->data.seq_len;
        tokens += n * r->data.seq_len;
    }
    return tokens;
}

/* The first step that begins with at least `tokens` trained. */
static int64_t step_at_tokens(const dsm_recipe *r, int64_t tokens)
{
    int64_t done = 0, s = 0;
    for (; s < r->steps && done < tokens; s++)
        done += dsm_schedule_sequences(r, done) * r->data.seq_len;
    return s;
}

void dsm_schedule_init(dsm_schedule *s, const dsm_recipe *r)
{
    s->recipe = r;
    s->total_tokens = total_tokens(r);
    s->n_decays = r->schedule.at.n;
    for (int i = 0; i < s->n_decays; i++) {
        double at = r->schedule.at.item[i];
        s->decay[i] = r->schedule.unit == DSM_UNIT_TOKENS
                          ? step_at_tokens(r, share_of(at, s->total_tokens))
                          : share_of(at, r->steps);
    }
}

int64_t dsm_schedule_freeze(const dsm_recipe *r)
{
    return share_of(r->balance.stable.until, r->steps);
}

static double step_decay(const dsm_schedule *s, int64_t step)
{
    double rate = 1.0;
    for (int i = 0; i < s->n_decays; i++)
        if (step >= s->decay[i]) rate *= s->recipe->schedule.factor;
    return rate;
}

static double constant(const dsm_schedule *s, int64_t step)
{
    (void)s, (void)step;
    return 1.0;
}

/* From 1 at the end of the warm-up to `final` at the last step. */
static double cosine(const dsm_schedule *s, int64_t step)
{
    const dsm_recipe *r = s->recipe;
    const double pi = 3.14159265358979323846;
    double length = (double)(r->steps - r->schedule.warmup);
    double done = (double)(step + 1 - r->schedule.warmup) / length;
    return r->schedule.final + (1.0 - r->schedule.final) * 0.5 * (1.0 + cos(pi * done));
}

static double (*const kinds[])(const dsm_schedule *s, int64_t step) = {
    [DSM_SCHEDULE_STEP_DECAY] = step_decay,
    [DSM_SCHEDULE_CONSTANT] = constant,
    [DSM_SCHEDULE_COSINE] = cosine,
};

double dsm_schedule_lr(const dsm_schedule *s, int64_t step)
{
    const dsm_recipe *r = s->recipe;
    const double peak = r->optimizer.peak_lr;
    if (step < r->schedule.warmup) return peak * (double)(step + 1) / (double)r->schedule.warmup;
    return peak * kinds[r->schedule.kind](s, step);
}
