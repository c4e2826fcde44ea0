/* SPDX-License-Identifier: MIT */
/* Fill in the middle: the prompt of models trained to write what lies between two texts (Bavarian
 * et al. 2022, prefix-suffix-middle order). Families differ only in how their tokens are called. */
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

static dsm_status find_tokens(const dsm_tokenizer *t, int32_t tokens[3], dsm_err *err)
{
    for (int f = 0; f < N_FAMILIES; f++) {
        bool all = true;
        for (int i = 0; i < 3; i++) {
            tokens[i] = dsm_tokenizer_find(t, families[f][i]);
            all = all && tokens[i] >= 0;
        }
        if (all) return DSM_OK;
    }
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
    DSM_TRY(find_tokens(t, tokens, err));
    DSM_TRY(dsm_tokenizer_encode(t, "", 0, DSM_ENCODE_POST, ids, err)); /* BOS, where it puts one */
    DSM_TRY(dsm_ids_push(ids, tokens[0], err));
    DSM_TRY(dsm_tokenizer_encode(t, prefix, strlen(prefix), DSM_ENCODE_PLAIN, ids, err));
    DSM_TRY(dsm_ids_push(ids, tokens[1], err));
    DSM_TRY(dsm_tokenizer_encode(t, suffix, strlen(suffix), DSM_ENCODE_PLAIN, ids, err));
    return dsm_ids_push(ids, tokens[2], err);
}
