/* SPDX-License-Identifier: MIT */
/* Lines of a stream, of any length up to a limit. */
#ifndef DSMOE_DATA_LINES_H
#define DSMOE_DATA_LINES_H

#include "core/buf.h"
#include "data/stream.h"

#include <stdbool.h>

typedef struct dsm_lines {
    dsm_stream *stream; /* owned */
    dsm_buf held;       /* a line that spans chunks */
    char *chunk;
    size_t begin, end; /* unread part of chunk */
    const char *path;  /* borrowed from the caller of open, for messages */
    uint64_t number;   /* of the line last returned, from 1 */
    bool newline;      /* the line last returned ended in "\n" */
    size_t max_bytes;
} dsm_lines;

/* Begin reading path; a UTF-8 byte order mark is skipped, UTF-16 is refused. */
dsm_status dsm_lines_open(dsm_lines *l, const char *path, size_t max_bytes, dsm_err *err);
void dsm_lines_close(dsm_lines *l); /* accepts a zeroed struct */

/* Next line without its "\n": 1 and text/n (borrowed until the next call; writable), 0 at the end,
 * -1 with err, whose message names the file and the line. A final line needs no "\n". */
int dsm_lines_next(dsm_lines *l, char **text, size_t *n, dsm_err *err);

/* Is there nothing but spaces on the line? */
bool dsm_line_blank(const char *line, size_t n);

#endif
