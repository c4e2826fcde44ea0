/* SPDX-License-Identifier: MIT */
/* A safetensors file. Whatever is accepted covers its data exactly, every tensor can be read to its
 * last byte, and writing the known ones gives a file that says the same. */
#include "fuzz.h"

#include "formats/safetensors.h"

#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate_safetensors(data, size, max, seed);
}

static size_t element_size(const dsm_st_tensor *t)
{
    size_t n = 1;
    for (int d = 0; d < t->ndim; d++)
        n *= (size_t)t->shape[d];
    return n ? t->bytes / n : 0;
}

static void read_tensor(const dsm_st_file *f, const dsm_st_tensor *t)
{
    fuzz_touch(t->data, t->bytes);
    FUZZ_ASSERT(dsm_st_find(f, t->name) == t);
    FUZZ_ASSERT(t->bytes == 0 || element_size(t) >= 1);
    FUZZ_ASSERT(!t->known || t->bytes == 0 || element_size(t) == dsm_dtype_size(t->dtype));
}

/* Write what is known, read it back. */
static void round_trip(const dsm_st_file *f)
{
    static dsm_st_item items[64];
    dsm_err err = {0};
    int64_t n = 0;
    for (int64_t i = 0; i < dsm_st_count(f) && n < 64; i++) {
        const dsm_st_tensor *t = dsm_st_at(f, i);
        if (!t->known) continue;
        items[n] = (dsm_st_item){
            .name = t->name, .ndim = t->ndim, .from = t->dtype, .to = t->dtype, .data = t->data};
        memcpy(items[n++].shape, t->shape, sizeof t->shape);
    }
    char path[4096];
    dsm_st_file *back;
    snprintf(path, sizeof path, "%s/back.safetensors", fuzz_folder());
    FUZZ_ASSERT(dsm_st_write(path, items, n, NULL, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_st_open(&back, path, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_st_count(back) == n);
    for (int64_t i = 0; i < n; i++) {
        const dsm_st_tensor *t = dsm_st_find(back, items[i].name);
        FUZZ_ASSERT(t && t->dtype == items[i].from && t->ndim == items[i].ndim);
        FUZZ_ASSERT(memcmp(t->data, items[i].data, t->bytes) == 0);
    }
    dsm_st_close(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_st_file *f;
    dsm_status status = dsm_st_open_memory(&f, data, size, "fuzz", &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        FUZZ_ASSERT(f == NULL && strncmp(err.msg, "fuzz: ", 6) == 0);
        return 0;
    }
    size_t bytes = 0;
    for (int64_t i = 0; i < dsm_st_count(f); i++) {
        read_tensor(f, dsm_st_at(f, i));
        bytes += dsm_st_at(f, i)->bytes;
    }
    FUZZ_ASSERT(bytes <= size - 8);
    if (size % 16 == 0) round_trip(f);
    dsm_st_close(f);
    return 0;
}
