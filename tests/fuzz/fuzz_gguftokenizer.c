/* SPDX-License-Identifier: MIT */
/* The tokenizer in a GGUF file. One that is accepted encodes any text to ids of its own. */
#include "fuzz.h"

#include "core/gguf.h"
#include "tokenizer/tokenizer_gguf.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_gguf(data, size, max, seed);
}

static void encode(const dsm_tokenizer *t)
{
    static const char text[] = "a b\n1234 <s>\xE2\x96\x81\xFF";
    dsm_err err = {0};
    dsm_ids ids = {0};
    dsm_status status = dsm_tokenizer_encode(t, text, sizeof text - 1,
                                             DSM_ENCODE_SPECIAL | DSM_ENCODE_POST, &ids, &err);
    if (status != DSM_OK) fuzz_check_error(status, &err);
    for (size_t i = 0; i < ids.len; i++)
        FUZZ_ASSERT(ids.data[i] >= 0 && ids.data[i] < dsm_tokenizer_size(t));
    dsm_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_gguf *f;
    dsm_tokenizer *t;
    if (dsm_gguf_open_memory(&f, data, size, "fuzz", &err) != DSM_OK) return 0;
    dsm_status status = dsm_tokenizer_of_gguf(&t, f, &err);
    if (status == DSM_OK)
        encode(t);
    else
        fuzz_check_error(status, &err);
    if (status == DSM_OK) dsm_tokenizer_close(t);
    dsm_gguf_close(f);
    return 0;
}
