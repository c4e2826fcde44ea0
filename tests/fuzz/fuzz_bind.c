/* SPDX-License-Identifier: MIT */
/* A safetensors file as the weights of a model, which its last byte chooses: names, shapes, types,
 * FP8 with scales, all experts in one tensor. What is bound has values everywhere; anything else is
 * refused by name. */
#include "fuzz.h"

#include "formats/bind.h"

#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_safetensors(data, size, max, seed);
}

/* clang-format off */
static const char *const configs[] = {
#define SIZES "\"vocab_size\": 4, \"hidden_size\": 4, \"intermediate_size\": 4, " \
    "\"num_hidden_layers\": 1, \"num_attention_heads\": 2"
#define EXPERTS ", \"moe_intermediate_size\": 2, \"n_routed_experts\": 2, \"n_shared_experts\": 1, " \
    "\"num_experts_per_tok\": 1, \"first_k_dense_replace\": 0"
#define LATENT ", \"q_lora_rank\": null, \"kv_lora_rank\": 2, \"qk_nope_head_dim\": 2, " \
    "\"qk_rope_head_dim\": 2, \"v_head_dim\": 2, \"n_group\": 1, \"topk_group\": 1"
    "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, \"attention_bias\": true, " SIZES "}",
    "{\"model_type\": \"deepseek\", \"dsmoe\": {\"router\": \"hash\"}, " SIZES EXPERTS "}",
    "{\"model_type\": \"deepseek_v2\", " SIZES EXPERTS LATENT "}",
    "{\"model_type\": \"deepseek_v3\", \"quantization_config\": {\"quant_method\": \"fp8\", "
        "\"fmt\": \"e4m3\", \"weight_block_size\": [3, 2]}, " SIZES EXPERTS LATENT "}",
};
/* clang-format on */
enum { N_CONFIGS = sizeof configs / sizeof *configs };

static void close_file(void *owner)
{
    dsm_st_close(owner);
}

/* The tensors of f, which is taken over, as a set. */
static dsm_weights *set_of(dsm_st_file *f)
{
    dsm_err err;
    dsm_weights *w = calloc(1, sizeof *w);
    FUZZ_ASSERT(w);
    w->tensors = calloc((size_t)dsm_st_count(f) + 1, sizeof *w->tensors);
    FUZZ_ASSERT(w->tensors);
    for (; w->n < dsm_st_count(f); w->n++)
        w->tensors[w->n] = dsm_st_at(f, w->n);
    w->owner = f;
    w->close_owner = close_file;
    FUZZ_ASSERT(dsm_weights_sort(w, "fuzz", &err) == DSM_OK);
    return w;
}

static dsm_model *model_of(uint8_t choice)
{
    dsm_err err;
    dsm_model_config c;
    dsm_model *m;
    const char *text = configs[choice % N_CONFIGS];
    unsigned flags = choice / N_CONFIGS % 2 ? DSM_MODEL_VALUES : 0;
    if (dsm_model_config_parse(&c, text, strlen(text), "config", &err) != DSM_OK)
        fprintf(stderr, "%s\n", err.msg), abort();
    FUZZ_ASSERT(dsm_model_create(&m, &c, flags, &err) == DSM_OK);
    return m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_st_file *f;
    if (dsm_st_open_memory(&f, data, size, "fuzz", &err) != DSM_OK) return 0;
    dsm_model *m = model_of(data[size - 1]);
    dsm_bound *b = calloc(1, sizeof *b);
    FUZZ_ASSERT(b);
    b->weights = set_of(f);
    dsm_status status = dsm_bind(b, m, "fuzz", &err);
    if (status != DSM_OK) fuzz_check_error(status, &err);
    for (int64_t i = 0; status == DSM_OK && i < m->n_params; i++) {
        const dsm_mat *mat = &m->params[i].mat;
        fuzz_touch(mat->data, dsm_dtype_bytes(mat->dtype, mat->rows * mat->cols));
    }
    dsm_model_free(m);
    dsm_bound_close(b);
    return 0;
}
