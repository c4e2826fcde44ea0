/* SPDX-License-Identifier: MIT */
/* A GGUF file as a model: the config its metadata say, and its tensors under the names of
 * parameters, whole or an error that names what is wrong. */
#include "fuzz.h"

#include "core/gguf.h"
#include "formats/gguf_config.h"
#include "formats/weights.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_gguf(data, size, max, seed);
}

/* Takes f over. */
static void read_weights(dsm_gguf *f, const dsm_model_config *c)
{
    dsm_err err = {0};
    dsm_weights *w;
    dsm_status status = dsm_weights_of_gguf(&w, f, c, &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        return;
    }
    for (int64_t i = 0; i < w->n; i++) {
        const dsm_st_tensor *t = w->tensors[i];
        FUZZ_ASSERT(dsm_weights_find(w, t->name) == t);
        fuzz_touch(t->data, t->bytes);
    }
    dsm_weights_close(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_gguf *f;
    dsm_model_config c;
    if (dsm_gguf_open_memory(&f, data, size, "fuzz", &err) != DSM_OK) return 0;
    dsm_status status = dsm_gguf_config_read(&c, f, &err);
    if (status == DSM_OK) {
        read_weights(f, &c);
    } else {
        fuzz_check_error(status, &err);
        dsm_gguf_close(f);
    }
    return 0;
}
