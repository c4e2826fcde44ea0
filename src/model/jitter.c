/* SPDX-License-Identifier: MIT */
/* Multiplicative noise on the router's input while training (Switch, section 2.2). The draws are a
 * pure function of (seed, step, position, layer), so backward draws them again instead of keeping
 * them. */
#include "core/rng.h"
#include "model/moe.h"

typedef struct jitter_job {
    const dsm_ctx *c;
    dsm_real *out;
    const dsm_real *in;
    bool accumulate;
} jitter_job;

static void jitter_row(void *arg, int64_t t, int worker)
{
    (void)worker;
    const jitter_job *job = arg;
    const dsm_ctx *c = job->c;
    int64_t d = c->config->hidden_size;
    double eps = c->config->jitter;
    dsm_rng rng = {c->mode->seed, DSM_STREAM_JITTER, c->mode->step};
    uint64_t first = (uint64_t)((c->mode->first_token + t) * d) + ((uint64_t)c->layer << 40);
    for (int64_t i = 0; i < d; i++) {
        double u = (double)dsm_rng_uniform(&rng, first + (uint64_t)i);
        dsm_real noisy = job->in[t * d + i] * (dsm_real)(1 - eps + 2 * eps * u);
        job->out[t * d + i] = job->accumulate ? job->out[t * d + i] + noisy : noisy;
    }
}

void dsm_jitter_forward(const dsm_ctx *c, dsm_real *out, const dsm_real *x)
{
    dsm_pool_run(c->exec->pool, c->R, jitter_row, &(jitter_job){c, out, x, false});
}

void dsm_jitter_backward(const dsm_ctx *c, dsm_real *dx, const dsm_real *dout)
{
    dsm_pool_run(c->exec->pool, c->R, jitter_row, &(jitter_job){c, dx, dout, true});
}
