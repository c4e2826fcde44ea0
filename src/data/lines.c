/* SPDX-License-Identifier: MIT */
/* A line inside one chunk is handed out in place; only one that crosses chunks is copied. */
#include "data/lines.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 2 * DSM_STREAM_CHUNK };

static dsm_status refill(dsm_lines *l, dsm_err *err)
{
    l->begin = l->end = 0;
    return dsm_stream_read(l->stream, l->chunk, CHUNK, &l->end, err);
}

/* The first bytes of a file may be a byte order mark. */
static dsm_status skip_mark(dsm_lines *l, dsm_err *err)
{
    DSM_TRY(refill(l, err));
    const char *c = l->chunk;
    if (l->end >= 3 && memcmp(c, "\xEF\xBB\xBF", 3) == 0) l->begin = 3;
    if (l->end >= 2 && (memcmp(c, "\xFF\xFE", 2) == 0 || memcmp(c, "\xFE\xFF", 2) == 0))
        return dsm_fail(err, DSM_EFORMAT, "%s: found UTF-16 text, expected UTF-8", l->path);
    return DSM_OK;
}

dsm_status dsm_lines_open(dsm_lines *l, const char *path, size_t max_bytes, dsm_err *err)
{
    memset(l, 0, sizeof *l);
    l->path = path;
    l->max_bytes = max_bytes;
    l->chunk = malloc(CHUNK);
    if (!l->chunk) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = dsm_stream_open(&l->stream, path, err);
    if (status == DSM_OK) status = skip_mark(l, err);
    if (status != DSM_OK) dsm_lines_close(l);
    return status;
}

void dsm_lines_close(dsm_lines *l)
{
    dsm_stream_close(l->stream);
    dsm_buf_free(&l->held);
    free(l->chunk);
    memset(l, 0, sizeof *l);
}

static dsm_status hold(dsm_lines *l, size_t n, dsm_err *err)
{
    if (l->held.len + n > l->max_bytes)
        return dsm_fail(err, DSM_ELIMIT, "%s: longer than the limit of %zu bytes", l->path,
                        l->max_bytes);
    dsm_buf_add(&l->held, l->chunk + l->begin, n);
    l->begin += n;
    return dsm_buf_check(&l->held, l->path, err);
}

/* Collect what precedes the chunk that holds the line's end: *end, or NULL at the end of the
 * stream, when what is held is all there is. */
static dsm_status find_end(dsm_lines *l, char **end, dsm_err *err)
{
    for (;;) {
        *end = l->end > l->begin ? memchr(l->chunk + l->begin, '\n', l->end - l->begin) : NULL;
        if (*end) return DSM_OK;
        DSM_TRY(hold(l, l->end - l->begin, err));
        DSM_TRY(refill(l, err));
        if (l->end == 0) return DSM_OK;
    }
}

static dsm_status next_line(dsm_lines *l, char **text, size_t *n, dsm_err *err)
{
    char *end;
    DSM_TRY(find_end(l, &end, err));
    l->newline = end != NULL;
    *text = l->chunk + l->begin;
    *n = end ? (size_t)(end - *text) : 0;
    if (l->held.len > 0) {
        DSM_TRY(hold(l, *n, err));
        *text = l->held.data;
        *n = l->held.len;
    } else {
        l->begin += *n;
    }
    if (end) l->begin++; /* the "\n" */
    return DSM_OK;
}

int dsm_lines_next(dsm_lines *l, char **text, size_t *n, dsm_err *err)
{
    dsm_buf_clear(&l->held);
    l->number++;
    dsm_status status = next_line(l, text, n, err);
    if (status == DSM_OK) return l->newline || *n > 0;
    dsm_fail_context(err, status, "line %llu", (unsigned long long)l->number);
    return -1;
}

bool dsm_line_blank(const char *line, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", line[i]) || line[i] == '\0') return false;
    return true;
}
