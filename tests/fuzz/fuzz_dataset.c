/* SPDX-License-Identifier: MIT */
/* A prepared data set: data.json, and behind a 0xFF byte its one shard "s", whose checksums are
 * made to fit. A set that opens can be read from its first token to its last. */
#include "fuzz.h"

#include "data/dataset.h"
#include "fix_shard.h"

#include <string.h>

static void read_all(const dsm_dataset *d)
{
    dsm_err err = {0};
    int32_t ids[64];
    FUZZ_ASSERT(d->info.n_shards >= 1 && d->first[d->info.n_shards] == d->info.tokens);
    for (uint64_t first = 0; first < d->info.tokens; first += 64) {
        size_t n = d->info.tokens - first < 64 ? (size_t)(d->info.tokens - first) : 64;
        dsm_status status = dsm_dataset_copy(d, first, n, ids, &err);
        if (status != DSM_OK) {
            fuzz_check_error(status, &err);
            return;
        }
        for (size_t i = 0; i < n; i++)
            FUZZ_ASSERT(ids[i] >= 0 && ids[i] < d->info.vocab_size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_dataset d;
    fuzz_bytes rest = {(const char *)data, size};
    fuzz_file("data.json", fuzz_take(&rest));
    char *shard = malloc(rest.n + 1);
    FUZZ_ASSERT(shard);
    memcpy(shard, rest.data, rest.n);
    fuzz_fix_shard(shard, rest.n);
    fuzz_file("s", (fuzz_bytes){shard, rest.n});
    free(shard);
    dsm_status status = dsm_dataset_open(&d, fuzz_folder(), &err);
    if (status == DSM_OK)
        read_all(&d);
    else
        fuzz_check_error(status, &err);
    dsm_dataset_close(&d);
    return 0;
}
