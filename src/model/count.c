/* SPDX-License-Identifier: MIT */
#include "model/count.h"

#include "model/router.h"

/* Values of one routed expert, over all MoE layers those that a token does not use. */
static int64_t idle(const dsm_model *m)
{
    const dsm_model_config *c = &m->config;
    int64_t expert = 3 * c->hidden_size * c->moe_intermediate_size, n_layers = 0;
    if (c->n_routed_experts == 0) return 0;
    for (int64_t l = 0; l < c->num_hidden_layers; l++)
        n_layers += m->layers[l].is_moe;
    return n_layers * (c->n_routed_experts - dsm_router_picks(c)) * expert;
}

static int64_t ffn_values(const dsm_ffn_params *p)
{
    return 3 * p->n_groups * p->D * p->F;
}

/* Of the distilled routers' embeddings, the rows of other tokens. */
static int64_t idle_rows(const dsm_model *m)
{
    int64_t values = 0;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++) {
        const dsm_mat *table = &m->layers[l].moe.distilled.embed.w;
        if (table->rows > 0) values += (table->rows - 1) * table->cols;
    }
    return values;
}

dsm_counts dsm_model_count(const dsm_model *m)
{
    dsm_counts n = {0};
    for (int64_t i = 0; i < m->n_params; i++)
        if (m->params[i].offset >= 0) n.params += m->params[i].rows * m->params[i].cols;
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++)
        n.ffn += ffn_values(&m->layers[l].ffn) + ffn_values(&m->layers[l].moe.shared) +
                 ffn_values(&m->layers[l].moe.experts);
    n.active = n.params - idle(m) - idle_rows(m);
    n.active_ffn = n.ffn - idle(m);
    n.matmul = n.active;
    if (!m->config.tie_word_embeddings) n.matmul -= m->config.vocab_size * m->config.hidden_size;
    return n;
}

static int64_t mat_bytes(const dsm_mat *w)
{
    return (int64_t)dsm_dtype_bytes(w->dtype, w->rows * w->cols);
}

/* Of a layer's routed experts, those a token does not pick, on average. */
static int64_t idle_bytes(const dsm_model *m, const dsm_ffn_params *p)
{
    int64_t all = 0;
    for (int g = 0; g < p->n_groups; g++)
        all += mat_bytes(&p->gate[g]) + mat_bytes(&p->up[g]) + mat_bytes(&p->down[g]);
    return all / p->n_groups * (p->n_groups - dsm_router_picks(&m->config));
}

int64_t dsm_model_active_bytes(const dsm_model *m)
{
    int64_t bytes = 0;
    for (int64_t i = 0; i < m->n_params; i++)
        if (m->params[i].offset >= 0) bytes += mat_bytes(&m->params[i].mat);
    if (!m->config.tie_word_embeddings) bytes -= mat_bytes(&m->embed.w);
    for (int64_t l = 0; l < m->config.num_hidden_layers; l++) {
        const dsm_moe_params *moe = &m->layers[l].moe;
        if (moe->experts.n_groups > 0) bytes -= idle_bytes(m, &moe->experts);
        bytes -= mat_bytes(&moe->distilled.embed.w);
    }
    return bytes;
}

double dsm_model_train_flops(const dsm_model *m, int64_t T)
{
    const dsm_model_config *c = &m->config;
    double widths = (double)(dsm_model_config_q_width(c) + dsm_model_config_o_width(c));
    return 6.0 * (double)dsm_model_count(m).matmul +
           3.0 * (double)c->num_hidden_layers * (double)T * widths;
}
