/* SPDX-License-Identifier: MIT */
#include "cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { MAX_STDIN = 1 << 30 };

dsm_status dsm_read_stdin(dsm_buf *out, dsm_err *err)
{
    char block[65536];
    dsm_buf_str(out, "");
    for (size_t n; (n = fread(block, 1, sizeof block, stdin)) > 0;) {
        dsm_buf_add(out, block, n);
        if (out->len > MAX_STDIN)
            return dsm_fail(err, DSM_ELIMIT, "standard input: more than %d bytes", MAX_STDIN);
    }
    if (ferror(stdin)) return dsm_fail(err, DSM_EIO, "standard input: %s", strerror(errno));
    return dsm_buf_check(out, "standard input", err);
}
