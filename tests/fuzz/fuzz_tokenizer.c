/* SPDX-License-Identifier: MIT */
/* A tokenizer.json, and behind its first 0xFF byte (which no JSON holds) a text. Whatever file is
 * accepted encodes any text to ids of its own or fails with a message, decodes them, and saves to a
 * folder that opens to the same tokenizer. */
#include "fuzz.h"

#include "core/buf.h"
#include "dsmoe/tokenizer.h"

#include <string.h>

static void encode_and_decode(const dsm_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    dsm_err err = {0};
    dsm_ids ids = {0};
    char *back;
    size_t len;
    if (dsm_tokenizer_encode(t, text, n, flags, &ids, &err) == DSM_OK) {
        for (size_t i = 0; i < ids.len; i++)
            FUZZ_ASSERT(ids.data[i] >= 0 && ids.data[i] < dsm_tokenizer_size(t));
        FUZZ_ASSERT(dsm_tokenizer_decode(t, ids.data, ids.len, flags & 1, &back, &len, &err) ==
                    DSM_OK);
        free(back);
    } else {
        FUZZ_ASSERT(err.msg[0]);
    }
    dsm_ids_free(&ids);
}

static void save_and_open(const dsm_tokenizer *t, const char *path)
{
    dsm_err err = {0};
    dsm_tokenizer *back;
    dsm_buf folder = {0};
    dsm_buf_fmt(&folder, "%s.saved", path);
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
    const uint8_t *end = size ? memchr(data, 0xFF, size) : NULL;
    size_t n_file = end ? (size_t)(end - data) : size;
    const char *text = end ? (const char *)end + 1 : "",
               *path = fuzz_scratch(".json", data, n_file);
    if (dsm_tokenizer_open(&t, path, &err) != DSM_OK) {
        FUZZ_ASSERT(err.msg[0] && !t);
        return 0;
    }
    for (unsigned flags = 0; flags < 4; flags++)
        encode_and_decode(t, text, end ? size - n_file - 1 : 0, flags);
    if (size % 8 == 0) save_and_open(t, path);
    dsm_tokenizer_close(t);
    return 0;
}
