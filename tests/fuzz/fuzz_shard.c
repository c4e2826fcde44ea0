/* SPDX-License-Identifier: MIT */
/* A token shard behind one byte; when that is even, its checksums are made to fit. A shard that
 * opens can be read everywhere; ids that come out are in range. */
#include "fuzz.h"

#include "data/shard.h"
#include "fix_shard.h"

#include <stdbool.h>

static void read_all(const dsm_shard *s)
{
    dsm_err err = {0};
    int32_t ids[64];
    bool bad = false;
    for (uint64_t first = 0; first < s->tokens; first += 64) {
        size_t n = s->tokens - first < 64 ? (size_t)(s->tokens - first) : 64;
        if (dsm_shard_copy(s, first, n, ids, &err) != DSM_OK) {
            bad = true;
            continue;
        }
        for (size_t i = 0; i < n; i++)
            FUZZ_ASSERT(ids[i] >= 0 && (uint32_t)ids[i] < s->vocab.size);
    }
    fuzz_touch(s->documents, s->n_documents * sizeof *s->documents);
    fuzz_touch(s->vocab.n_bytes, s->vocab.size * sizeof *s->vocab.n_bytes);
    dsm_status whole = dsm_shard_check(s, &err);
    FUZZ_ASSERT(whole == DSM_OK || whole == DSM_EFORMAT);
    FUZZ_ASSERT(!bad || whole == DSM_EFORMAT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    dsm_err err = {0};
    dsm_shard s;
    size_t n = size - 1;
    char *file = malloc(n ? n : 1);
    FUZZ_ASSERT(file);
    memcpy(file, data + 1, n);
    if ((data[0] & 1) == 0) fuzz_fix_shard(file, n);
    dsm_status status = dsm_shard_open_memory(&s, file, n, "fuzz", &err);
    if (status == DSM_OK)
        read_all(&s);
    else
        fuzz_check_error(status, &err);
    dsm_shard_close(&s);
    free(file);
    return 0;
}
