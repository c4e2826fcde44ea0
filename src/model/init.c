/* SPDX-License-Identifier: MIT */
/* Random initialisation: N(0, initializer_range) for every matrix (all DeepSeek papers: 0.006),
 * ones for norms, zeros for biases.
 *
 * Element i of a parameter is normal number i of the stream (seed, INIT, name): it depends on
 * nothing but the seed, the name and i. */
#include "model/params.h"

void dsm_param_init_random(dsm_real *out, const dsm_param *p, const dsm_exec *x, double std,
                           uint64_t seed)
{
    dsm_rng rng = {.seed = seed, .stream = DSM_STREAM_INIT, .step = dsm_rng_name(p->name)};
    if (p->init == DSM_INIT_NORMAL)
        x->kernels->normal(x, out, p->rows * p->cols, &rng, std);
    else
        for (int64_t j = 0; j < p->cols; j++)
            out[j] = p->init == DSM_INIT_ONE ? 1 : 0;
}

void dsm_model_init_random(dsm_model *m, const dsm_exec *x, uint64_t seed)
{
    for (int64_t i = 0; i < m->n_params; i++) {
        const dsm_param *p = &m->params[i];
        if (p->offset >= 0)
            dsm_param_init_random(m->values + p->offset, p, x, m->config.initializer_range, seed);
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
