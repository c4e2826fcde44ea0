/* SPDX-License-Identifier: MIT */
/* A tokenizer.json, and behind 0xFF bytes (which no JSON holds) a text and a tokenizer_config.json.
 * Whatever files are accepted encode any text to ids of their own or fail with a message, decode
 * them, and save to a folder that opens to the same tokenizer. */
#include "fuzz.h"

#include "core/buf.h"
#include "tokenizer/tok.h"

static void encode_and_decode(const dsm_tokenizer *t, fuzz_bytes text, unsigned flags)
{
    dsm_err err = {0};
    dsm_ids ids = {0};
    char *back;
    size_t len;
    dsm_status status = dsm_tokenizer_encode(t, text.data, text.n, flags, &ids, &err);
    if (status == DSM_OK) {
        for (size_t i = 0; i < ids.len; i++)
            FUZZ_ASSERT(ids.data[i] >= 0 && ids.data[i] < dsm_tokenizer_size(t));
        FUZZ_ASSERT(dsm_tokenizer_decode(t, ids.data, ids.len, flags & 1, &back, &len, &err) ==
                    DSM_OK);
        free(back);
    } else {
        fuzz_check_error(status, &err);
    }
    dsm_ids_free(&ids);
}

static void save_and_open(const dsm_tokenizer *t)
{
    dsm_err err = {0};
    dsm_tokenizer *back;
    dsm_buf folder = {0};
    dsm_buf_fmt(&folder, "%s/saved", fuzz_folder());
    FUZZ_ASSERT(dsm_tokenizer_save(t, folder.data, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_tokenizer_open(&back, folder.data, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_tokenizer_fingerprint(back) == dsm_tokenizer_fingerprint(t));
    dsm_tokenizer_close(back);
    dsm_buf_free(&folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_tokenizer *t;
    json_t *config = NULL;
    fuzz_bytes rest = {(const char *)data, size};
    fuzz_bytes file = fuzz_take(&rest), text = fuzz_take(&rest);
    dsm_status status =
        rest.n ? dsm_tokenizer_config_parse(&config, rest.data, rest.n, "config", &err) : DSM_OK;
    if (status == DSM_OK) status = dsm_tokenizer_parse(&t, file.data, file.n, config, "fuzz", &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        return 0;
    }
    for (unsigned flags = 0; flags < 4; flags++)
        encode_and_decode(t, text, flags);
    if (size % 16 == 0) save_and_open(t);
    dsm_tokenizer_close(t);
    return 0;
}
