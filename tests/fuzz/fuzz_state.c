/* SPDX-License-Identifier: MIT */
/* What a checkpoint keeps of a training run: trainer.json, and behind a 0xFF byte
 * optimizer.safetensors, of a model of one layer. What is accepted can be saved and loaded again.
 */
#include "fuzz.h"

#include "core/fs.h"
#include "train/state.h"

#include <string.h>

static dsm_model *model;
static dsm_optimizer optimizer;

static void make_optimizer(void)
{
    dsm_err err;
    dsm_model_config c;
    dsm_model_config_defaults(&c);
    c.vocab_size = 4;
    c.hidden_size = c.intermediate_size = c.head_dim = 2;
    c.num_hidden_layers = c.num_attention_heads = c.num_key_value_heads = 1;
    FUZZ_ASSERT(dsm_model_create(&model, &c, DSM_MODEL_VALUES | DSM_MODEL_GRADS, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_optimizer_init(&optimizer, model, &err) == DSM_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_train_state s = {0}, back = {0};
    fuzz_bytes rest = {(const char *)data, size};
    if (!model) make_optimizer();
    fuzz_file("trainer.json", fuzz_take(&rest));
    fuzz_file("optimizer.safetensors", rest);
    dsm_status status = dsm_state_load(&s, &optimizer, fuzz_folder(), &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        return 0;
    }
    char saved[4096];
    snprintf(saved, sizeof saved, "%s/saved", fuzz_folder());
    FUZZ_ASSERT(dsm_fs_make_dirs(saved, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_state_save(&s, &optimizer, true, saved, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_state_load(&back, &optimizer, saved, &err) == DSM_OK);
    FUZZ_ASSERT(s.step == back.step && s.tokens == back.tokens && s.seed == back.seed);
    FUZZ_ASSERT(memcmp(&s.data, &back.data, sizeof s.data) == 0);
    FUZZ_ASSERT(s.tokenizer_fingerprint == back.tokenizer_fingerprint);
    return 0;
}
