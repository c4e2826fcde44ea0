/* SPDX-License-Identifier: MIT */
/* A GGUF file. Whatever the container accepts can be read to the last byte of every tensor; the
 * config, the set of weights and the tokenizer made of it are whole or an error that names it. */
#include "fuzz.h"

#include "core/gguf.h"
#include "formats/gguf_config.h"
#include "formats/weights.h"
#include "tokenizer/tokenizer_gguf.h"

#include <string.h>

static unsigned touch(const void *data, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const unsigned char *)data)[i];
    return sum;
}

static void check_error(dsm_status status, const dsm_err *err)
{
    FUZZ_ASSERT(err->code == status && strlen(err->msg) > 0);
}

static void read_container(const dsm_gguf *f, size_t size)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < dsm_gguf_n_tensors(f); i++) {
        const dsm_gguf_tensor *t = dsm_gguf_tensor_at(f, i);
        FUZZ_ASSERT(dsm_gguf_find(f, t->name) == t);
        FUZZ_ASSERT(touch(t->data, t->bytes) <= 255u * t->bytes);
        bytes += t->bytes;
    }
    FUZZ_ASSERT(bytes <= size);
    for (int64_t i = 0; i < dsm_gguf_n_keys(f); i++)
        FUZZ_ASSERT(dsm_gguf_has(f, dsm_gguf_key_at(f, i)));
}

/* Takes f over. */
static void read_weights(dsm_gguf *f)
{
    dsm_err err = {0};
    dsm_model_config c;
    dsm_weights *w;
    dsm_status status = dsm_gguf_config_read(&c, f, &err);
    if (status != DSM_OK) {
        check_error(status, &err);
        dsm_gguf_close(f);
        return;
    }
    status = dsm_weights_of_gguf(&w, f, &c, &err);
    if (status != DSM_OK) {
        check_error(status, &err);
        return;
    }
    for (int64_t i = 0; i < w->n; i++) {
        const dsm_st_tensor *t = w->tensors[i];
        FUZZ_ASSERT(dsm_weights_find(w, t->name) == t);
        FUZZ_ASSERT(touch(t->data, t->bytes) <= 255u * t->bytes);
    }
    dsm_weights_close(w);
}

static void read_tokenizer(const dsm_gguf *f)
{
    static const char text[] = "a b\n1234 <s>\xE2\x96\x81\xFF";
    dsm_err err = {0};
    dsm_tokenizer *t;
    dsm_ids ids = {0};
    dsm_status status = dsm_tokenizer_of_gguf(&t, f, &err);
    if (status != DSM_OK) {
        check_error(status, &err);
        return;
    }
    status = dsm_tokenizer_encode(t, text, sizeof text - 1, DSM_ENCODE_SPECIAL | DSM_ENCODE_POST,
                                  &ids, &err);
    FUZZ_ASSERT(status == DSM_OK || err.code == status);
    for (size_t i = 0; i < ids.len; i++)
        FUZZ_ASSERT(ids.data[i] >= 0 && ids.data[i] < dsm_tokenizer_size(t));
    dsm_ids_free(&ids);
    dsm_tokenizer_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_gguf *f;
    dsm_status status = dsm_gguf_open_memory(&f, data, size, "fuzz", &err);
    if (status != DSM_OK) {
        FUZZ_ASSERT(f == NULL && err.code == status && strncmp(err.msg, "fuzz: ", 6) == 0);
        return 0;
    }
    read_container(f, size);
    read_tokenizer(f);
    read_weights(f);
    return 0;
}
