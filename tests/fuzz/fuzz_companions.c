/* SPDX-License-Identifier: MIT */
/* What a folder has beside weights: generation_config.json, and behind a 0xFF byte
 * tokenizer_config.json. The ends of a text and the chat template they hold, or an error. */
#include "fuzz.h"

#include "formats/checkpoint.h"

#include <string.h>

static void read_template(const char *name)
{
    dsm_err err = {0};
    char *text;
    dsm_status status = dsm_checkpoint_chat_template(&text, fuzz_folder(), name, &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        return;
    }
    if (text) fuzz_touch(text, strlen(text) + 1);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_IDS = 4 };
    dsm_err err = {0};
    dsm_model_config c;
    fuzz_bytes rest = {(const char *)data, size};
    int32_t ids[MAX_IDS];
    int n = 0;
    fuzz_file("generation_config.json", fuzz_take(&rest));
    fuzz_file("tokenizer_config.json", rest);
    dsm_model_config_defaults(&c);
    dsm_status status = dsm_checkpoint_eos(ids, MAX_IDS, &n, fuzz_folder(), &c, &err);
    if (status != DSM_OK) fuzz_check_error(status, &err);
    FUZZ_ASSERT(n >= 0 && n <= MAX_IDS);
    for (int i = 0; i < n; i++)
        FUZZ_ASSERT(ids[i] >= 0);
    read_template(NULL);
    read_template("tool_use");
    return 0;
}
