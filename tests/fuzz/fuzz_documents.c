/* SPDX-License-Identifier: MIT */
/* A corpus file of any kind: the first byte chooses the ending and the options, the rest is the
 * file. Whatever comes in, documents that come out are not empty and valid UTF-8, and the counts
 * agree. */
#include "fuzz.h"

#include "core/buf.h"
#include "dsmoe/data.h"

static void read_all(dsm_corpus *c)
{
    dsm_err err = {0};
    dsm_corpus_stats stats;
    const char *text;
    size_t n;
    uint64_t documents = 0, bytes = 0, done, total;
    int rc;
    while ((rc = dsm_corpus_next(c, &text, &n, &err)) == 1) {
        FUZZ_ASSERT(n > 0 && dsm_utf8_valid_prefix(text, n) == n);
        documents++;
        bytes += n;
    }
    FUZZ_ASSERT(rc == 0 || (rc == -1 && err.msg[0]));
    dsm_corpus_get_stats(c, &stats);
    FUZZ_ASSERT(stats.documents == documents && stats.bytes == bytes);
    dsm_corpus_progress(c, &done, &total);
    FUZZ_ASSERT(done <= total && (rc != 0 || done == total));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.jsonl", "a.txt", "a.jsonl.gz", "a.jsonl.zst"};
    if (size < 1) return 0;
    dsm_err err = {0};
    dsm_corpus_options o;
    dsm_corpus_defaults(&o);
    o.skip_bad_lines = (data[0] & 4) != 0;
    o.split_blank_lines = (data[0] & 8) != 0;
    const char *path =
        fuzz_file(names[data[0] & 3], (fuzz_bytes){(const char *)data + 1, size - 1});
    dsm_corpus *c;
    FUZZ_ASSERT(dsm_corpus_open(&c, &path, 1, &o, &err) == DSM_OK);
    read_all(c);
    dsm_corpus_close(c);
    return 0;
}
