/* SPDX-License-Identifier: MIT */
/* Fill in the middle: the prompt of models trained to write what lies between two texts (Bavarian
 * et al. 2022, prefix-suffix-middle order). Families differ only in how their tokens are called. */
#include "core/gguf.h"
#include "formats/checkpoint.h"
#include "infer/engine_impl.h"

#include <string.h>

/* In front of the prefix, of the suffix, and of the middle. */
static const char *const families[][3] = {
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},    /* DeepSeek Coder, V2, V3 */
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},    /* Qwen Coder */
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},          /* StarCoder, SmolLM2 */
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},          /* SantaCoder */
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"}, /* CodeGeeX */
};
enum { N_FAMILIES = sizeof families / sizeof *families };

/* The same as a GGUF file may name them, by what they stand in front of; old names behind new ones.
 */
static const char *const gguf_keys[][2] = {
    {"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"},
    {"tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"},
    {"tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"},
};

static bool all_there(const int32_t tokens[3])
{
    return tokens[0] >= 0 && tokens[1] >= 0 && tokens[2] >= 0;
}

static dsm_status gguf_tokens(const dsm_engine *e, int32_t tokens[3], dsm_err *err)
{
    dsm_gguf *f;
    int64_t last = dsm_tokenizer_size(e->loaded.tokenizer) - 1;
    dsm_status status = DSM_OK;
    DSM_TRY(dsm_gguf_open(&f, e->loaded.dir, err));
    for (int i = 0; i < 3; i++) {
        int64_t id = -1;
        for (int k = 0; k < 2 && id < 0 && status == DSM_OK; k++)
            status = dsm_gguf_int(f, gguf_keys[i][k], 0, last, &id, err);
        tokens[i] = (int32_t)id;
    }
    dsm_gguf_close(f);
    return status;
}

/* What the file says, else what the tokens are called. */
static dsm_status find_tokens(const dsm_engine *e, int32_t tokens[3], dsm_err *err)
{
    tokens[0] = tokens[1] = tokens[2] = -1;
    if (dsm_checkpoint_is_gguf(e->loaded.dir)) DSM_TRY(gguf_tokens(e, tokens, err));
    for (int f = 0; f < N_FAMILIES && !all_there(tokens); f++)
        for (int i = 0; i < 3; i++)
            tokens[i] = dsm_tokenizer_find(e->loaded.tokenizer, families[f][i]);
    if (all_there(tokens)) return DSM_OK;
    return dsm_fail(
        err, DSM_ENOTFOUND,
        "this model's tokenizer has no tokens to fill in the middle with, %s and its like: "
        "it was not trained for that",
        families[0][0]);
}

dsm_status dsm_engine_encode_middle(const dsm_engine *e, const char *prefix, const char *suffix,
                                    dsm_ids *ids, dsm_err *err)
{
    const dsm_tokenizer *t = e->loaded.tokenizer;
    int32_t tokens[3];
    DSM_TRY(find_tokens(e, tokens, err));
    DSM_TRY(dsm_tokenizer_encode(t, "", 0, DSM_ENCODE_POST, ids, err)); /* BOS, where it puts one */
    DSM_TRY(dsm_ids_push(ids, tokens[0], err));
    DSM_TRY(dsm_tokenizer_encode(t, prefix, strlen(prefix), DSM_ENCODE_PLAIN, ids, err));
    DSM_TRY(dsm_ids_push(ids, tokens[1], err));
    DSM_TRY(dsm_tokenizer_encode(t, suffix, strlen(suffix), DSM_ENCODE_PLAIN, ids, err));
    return dsm_ids_push(ids, tokens[2], err);
}
