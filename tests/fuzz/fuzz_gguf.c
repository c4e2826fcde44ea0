/* SPDX-License-Identifier: MIT */
/* A GGUF file as a container. Whatever is accepted can be read to the last byte of every tensor,
 * and every value by its key. */
#include "fuzz.h"

#include "core/gguf.h"

#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_gguf(data, size, max, seed);
}

static void read_tensors(const dsm_gguf *f, size_t size)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < dsm_gguf_n_tensors(f); i++) {
        const dsm_gguf_tensor *t = dsm_gguf_tensor_at(f, i);
        FUZZ_ASSERT(dsm_gguf_find(f, t->name) == t);
        fuzz_touch(t->data, t->bytes);
        bytes += t->bytes;
    }
    FUZZ_ASSERT(bytes <= size);
}

static void read_list(const dsm_gguf_list *l)
{
    const unsigned char *at = l->data;
    for (int64_t i = 0; l->type == DSM_GGUF_TEXT && i < l->n; i++) {
        size_t n;
        const char *text = dsm_gguf_list_text(&at, &n);
        fuzz_touch(text, n);
    }
    for (int64_t i = 0; l->type == DSM_GGUF_F32 && i < l->n; i++)
        (void)dsm_gguf_list_real(l, i);
    if (l->type != DSM_GGUF_TEXT) fuzz_touch(l->data, (size_t)l->n * dsm_gguf_type_size(l->type));
}

/* A key has a value of one type, and is refused as any other. */
static void read_value(const dsm_gguf *f, const char *key)
{
    dsm_err err;
    int64_t i = 0;
    double x = 0;
    bool b = false;
    const char *text = NULL;
    dsm_gguf_list list = {0};
    int n_types = 0;
    FUZZ_ASSERT(dsm_gguf_has(f, key));
    n_types += dsm_gguf_int(f, key, INT64_MIN, INT64_MAX, &i, &err) == DSM_OK;
    n_types += dsm_gguf_real(f, key, &x, &err) == DSM_OK;
    n_types += dsm_gguf_bool(f, key, &b, &err) == DSM_OK;
    n_types += dsm_gguf_text(f, key, &text, &err) == DSM_OK;
    if (text) fuzz_touch(text, strlen(text) + 1);
    for (int type = 0; type < DSM_GGUF_N_TYPES; type++) {
        if (dsm_gguf_get_list(f, key, (dsm_gguf_type)type, &list, &err) != DSM_OK) continue;
        n_types++;
        read_list(&list);
    }
    FUZZ_ASSERT(n_types <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_KEYS = 64 };
    dsm_err err = {0};
    dsm_gguf *f;
    dsm_status status = dsm_gguf_open_memory(&f, data, size, "fuzz", &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        FUZZ_ASSERT(f == NULL && strncmp(err.msg, "fuzz: ", 6) == 0);
        return 0;
    }
    read_tensors(f, size);
    for (int64_t i = 0; i < dsm_gguf_n_keys(f) && i < MAX_KEYS; i++)
        read_value(f, dsm_gguf_key_at(f, i));
    dsm_gguf_close(f);
    return 0;
}
