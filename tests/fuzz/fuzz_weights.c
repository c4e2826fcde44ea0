/* SPDX-License-Identifier: MIT */
/* A folder of sharded weights: model.safetensors.index.json, and behind 0xFF bytes the files "a"
 * and "b". Whatever is accepted is one set whose tensors are found by name and can be read. */
#include "fuzz.h"

#include "formats/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_weights *w;
    fuzz_bytes rest = {(const char *)data, size};
    fuzz_file(DSM_WEIGHTS_INDEX, fuzz_take(&rest));
    fuzz_file("a", fuzz_take(&rest));
    fuzz_file("b", rest);
    dsm_status status = dsm_weights_open(&w, fuzz_folder(), &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        FUZZ_ASSERT(!w);
        return 0;
    }
    FUZZ_ASSERT(w->n == w->stored && w->n_files <= 2 && w->bytes <= size);
    for (int64_t i = 0; i < w->n; i++) {
        FUZZ_ASSERT(dsm_weights_find(w, w->tensors[i]->name) == w->tensors[i]);
        fuzz_touch(w->tensors[i]->data, w->tensors[i]->bytes);
    }
    dsm_weights_close(w);
    return 0;
}
