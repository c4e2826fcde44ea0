/* SPDX-License-Identifier: MIT */
#include "model/memory.h"

const char *const dsm_recompute_names[DSM_N_RECOMPUTE + 1] = {
    [DSM_RECOMPUTE_NONE] = "none",
    [DSM_RECOMPUTE_EXPERTS] = "experts",
    [DSM_RECOMPUTE_ALL] = "all",
};

dsm_keep dsm_keep_of(bool training, dsm_recompute recompute)
{
    static const dsm_keep policy[DSM_N_RECOMPUTE] = {
        [DSM_RECOMPUTE_NONE] = {.stream = true, .attention = true, .ffn = true, .experts = true},
        [DSM_RECOMPUTE_EXPERTS] = {.stream = true, .attention = true, .ffn = true},
        [DSM_RECOMPUTE_ALL] = {.stream = true},
    };
    return training ? policy[recompute] : (dsm_keep){0};
}

static size_t bytes_before(const dsm_model *m, int64_t l)
{
    return sizeof(dsm_real) * (size_t)dsm_model_layer_begin(m, l);
}

dsm_arena dsm_loan_open(const dsm_model *m, bool carve)
{
    return (dsm_arena){
        .base = carve ? (unsigned char *)m->grads : NULL,
        .used = m->config.tie_word_embeddings ? bytes_before(m, 0) : 0,
        .cap = bytes_before(m, m->config.num_hidden_layers),
    };
}

bool dsm_loan_fits(const dsm_arena *loan, const dsm_model *m, int64_t l, size_t bytes)
{
    return loan->used + bytes <= bytes_before(m, l);
}
