/* SPDX-License-Identifier: MIT */
/* A token shard. Its checksums are made to fit first (when the first byte is even), or nothing
 * behind them would ever be reached. A shard that opens can be read everywhere; ids that come out
 * are in range. */
#include "fuzz.h"

#include "data/shard.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

enum { HEADER = 72, BODY_CRC = 64, HEADER_CRC = 68 };

static volatile uint64_t touched; /* keeps reads from being optimised away */

static void put_crc(uint8_t *at, const uint8_t *data, size_t n)
{
    uint32_t crc = n ? (uint32_t)crc32_z(0, data, n) : 0;
    memcpy(at, &crc, sizeof crc);
}

static void read_all(const dsm_shard *s)
{
    dsm_err err = {0};
    int32_t ids[64];
    bool bad = false;
    uint64_t sum = 0;
    for (uint64_t first = 0; first < s->tokens; first += 64) {
        size_t n = s->tokens - first < 64 ? (size_t)(s->tokens - first) : 64;
        if (dsm_shard_copy(s, first, n, ids, &err) != DSM_OK) {
            bad = true;
            continue;
        }
        for (size_t i = 0; i < n; i++)
            FUZZ_ASSERT(ids[i] >= 0 && (uint32_t)ids[i] < s->vocab.size);
    }
    for (uint64_t i = 0; i < s->n_documents; i++)
        sum += s->documents[i].text_bytes;
    for (uint32_t i = 0; i < s->vocab.size; i++)
        sum += s->vocab.n_bytes[i];
    touched = sum;
    dsm_status whole = dsm_shard_check(s, &err);
    FUZZ_ASSERT(whole == DSM_OK || whole == DSM_EFORMAT);
    FUZZ_ASSERT(!bad || whole == DSM_EFORMAT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    uint8_t *file = malloc(size);
    FUZZ_ASSERT(file);
    size_t n = size - 1;
    memcpy(file, data + 1, n);
    if ((data[0] & 1) == 0 && n >= HEADER) {
        put_crc(file + BODY_CRC, file + HEADER, n - HEADER);
        put_crc(file + HEADER_CRC, file, HEADER_CRC);
    }
    const char *path = fuzz_scratch(".bin", file, n);
    free(file);
    dsm_err err = {0};
    dsm_shard s;
    if (dsm_shard_open(&s, path, &err) == DSM_OK)
        read_all(&s);
    else
        FUZZ_ASSERT(err.msg[0] && !s.map.data);
    dsm_shard_close(&s);
    return 0;
}
