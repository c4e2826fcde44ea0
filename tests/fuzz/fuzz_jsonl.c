/* SPDX-License-Identifier: MIT */
/* A line of a jsonl file. Whatever text comes out of it is valid UTF-8. */
#include "fuzz.h"

#include "data/jsonl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_buf out = {0};
    bool repaired;
    char *line = malloc(size + 1); /* the reader may write to it */
    FUZZ_ASSERT(line);
    if (size) memcpy(line, data, size);
    dsm_status status = dsm_jsonl_text(&out, line, size, "text", &repaired, &err);
    if (status == DSM_OK)
        FUZZ_ASSERT(dsm_utf8_valid_prefix(out.data ? out.data : "", out.len) == out.len);
    else
        fuzz_check_error(status, &err);
    dsm_buf_free(&out);
    free(line);
    return 0;
}
