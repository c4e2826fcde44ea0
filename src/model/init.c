/* SPDX-License-Identifier: MIT */
/* Random initialisation: N(0, initializer_range) for every matrix (all DeepSeek papers: 0.006),
 * ones for norms, zeros for biases.
 *
 * Element i of a parameter is number i % 4 of the four normals that Philox block i / 4 of the
 * stream (seed, INIT, name) gives by Box-Muller, so it depends on nothing but the seed, the name
 * and i. */
#include "core/rng.h"
#include "model/params.h"

enum { CHUNK = 1 << 16 }; /* elements of one work item, a multiple of 4 */

typedef struct fill_job {
    dsm_real *out;
    int64_t n;
    dsm_rng rng;
    double std;
} fill_job;

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
    (void)worker;
    const fill_job *job = arg;
    int64_t end = (item + 1) * CHUNK < job->n ? (item + 1) * CHUNK : job->n;
    for (int64_t i = item * CHUNK; i < end; i += 4) {
        uint32_t w[4];
        dsm_real four[4];
        dsm_rng_words(&job->rng, (uint64_t)i / 4, w);
        box_muller(w, job->std, four);
        box_muller(w + 2, job->std, four + 2);
        for (int64_t j = 0; j < 4 && i + j < end; j++)
            job->out[i + j] = four[j];
    }
}

static void fill_normal(const dsm_exec *x, dsm_real *out, const dsm_param *p, uint64_t seed,
                        double std)
{
    fill_job job = {
        .out = out,
        .n = p->rows * p->cols,
        .rng = {.seed = seed, .stream = DSM_STREAM_INIT, .step = dsm_rng_name(p->name)},
        .std = std,
    };
    dsm_pool_run(x->pool, (job.n + CHUNK - 1) / CHUNK, fill_chunk, &job);
}

void dsm_model_init_random(dsm_model *m, const dsm_exec *x, uint64_t seed)
{
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        if (p->offset < 0) continue;
        dsm_real *out = m->values + p->offset;
        if (p->init == DSM_INIT_NORMAL)
            fill_normal(x, out, p, seed, m->config.initializer_range);
        else
            for (int64_t j = 0; j < p->cols; j++)
                out[j] = p->init == DSM_INIT_ONE ? 1 : 0;
    }
    dsm_model_reset_state(m);
}

void dsm_model_reset_state(dsm_model *m)
{
    dsm_real start = m->config.bias == DSM_BIAS_MULTIPLICATIVE ? 1 : 0;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        if (m->layers[l].moe.bias)
            for (int64_t e = 0; e < m->config.n_routed_experts; e++)
                m->layers[l].moe.bias[e] = start;
    dsm_model_hash_reset(m);
}
