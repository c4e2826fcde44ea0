/* SPDX-License-Identifier: MIT */
/* A model in two GGUF files, with a 0xFF byte between them. Whatever is accepted has the tensors of
 * both, each found by its name and read to its last byte. */
#include "fuzz.h"

#include "core/gguf.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_gguf(data, size, max, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_gguf *f;
    fuzz_bytes rest = {(const char *)data, size}, first = fuzz_take(&rest);
    fuzz_file("m-00002-of-00002.gguf", rest);
    dsm_status status = dsm_gguf_open(&f, fuzz_file("m-00001-of-00002.gguf", first), &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        FUZZ_ASSERT(!f);
        return 0;
    }
    FUZZ_ASSERT(dsm_gguf_n_files(f) <= 2);
    for (int64_t i = 0; i < dsm_gguf_n_tensors(f); i++) {
        const dsm_gguf_tensor *t = dsm_gguf_tensor_at(f, i);
        FUZZ_ASSERT(dsm_gguf_find(f, t->name) == t);
        fuzz_touch(t->data, t->bytes);
    }
    dsm_gguf_close(f);
    return 0;
}
