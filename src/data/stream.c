/* SPDX-License-Identifier: MIT */
/* A file is read in chunks; a codec turns the chunk into output and says whether it stands at a
 * place where the data may end (between members or frames). An end anywhere else is a truncated
 * file. */
#include "data/stream.h"

#include "core/fs.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

enum { CHUNK = DSM_STREAM_CHUNK, WINDOW_LOG_MAX = 31 };

typedef struct codec {
    const char *ending, *name;
    dsm_status (*init)(dsm_stream *s, dsm_err *err);
    /* Turn input into at most cap bytes; *n = 0 asks for more input. Sets s->may_end. */
    dsm_status (*decode)(dsm_stream *s, void *out, size_t cap, size_t *n, dsm_err *err);
    void (*free)(dsm_stream *s);
} codec;

struct dsm_stream {
    const codec *codec;
    char *path;
    FILE *file;
    uint64_t read; /* bytes taken from the file */
    bool file_ended;
    bool may_end;      /* the decoder is between members */
    size_t begin, end; /* unread part of chunk */
    z_stream gzip;
    ZSTD_DCtx *zstd;
    unsigned char chunk[CHUNK];
};

uint64_t dsm_stream_position(const dsm_stream *s)
{
    return s->read - (s->end - s->begin);
}

static dsm_status damaged(const dsm_stream *s, const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_EFORMAT, "%s: damaged %s data near byte %llu: %s", s->path,
                    s->codec->name, (unsigned long long)dsm_stream_position(s), what);
}

/* --- plain ---------------------------------------------------------------------------------- */

static dsm_status plain_init(dsm_stream *s, dsm_err *err)
{
    (void)err;
    s->may_end = true;
    return DSM_OK;
}

static dsm_status plain_decode(dsm_stream *s, void *out, size_t cap, size_t *n, dsm_err *err)
{
    (void)err;
    size_t have = s->end - s->begin;
    *n = have < cap ? have : cap;
    memcpy(out, s->chunk + s->begin, *n);
    s->begin += *n;
    return DSM_OK;
}

static void plain_free(dsm_stream *s)
{
    (void)s;
}

/* --- gzip (RFC 1952): members follow each other; zero padding after the last is allowed ----- */

static dsm_status gzip_init(dsm_stream *s, dsm_err *err)
{
    if (inflateInit2(&s->gzip, 15 + 16) != Z_OK)
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory for gzip", s->path);
    return DSM_OK;
}

/* Between members: skip zero padding, begin the next member if there is one. */
static void gzip_next_member(dsm_stream *s)
{
    while (s->begin < s->end && s->chunk[s->begin] == 0)
        s->begin++;
    if (s->begin == s->end) return;
    inflateReset(&s->gzip);
    s->may_end = false;
}

static dsm_status gzip_decode(dsm_stream *s, void *out, size_t cap, size_t *n, dsm_err *err)
{
    *n = 0;
    if (s->may_end) gzip_next_member(s);
    if (s->may_end) return DSM_OK;
    s->gzip.next_in = s->chunk + s->begin;
    s->gzip.avail_in = (uInt)(s->end - s->begin);
    s->gzip.next_out = out;
    s->gzip.avail_out = (uInt)(cap < CHUNK ? cap : CHUNK);
    size_t room = s->gzip.avail_out;
    int rc = inflate(&s->gzip, Z_NO_FLUSH);
    s->begin = s->end - s->gzip.avail_in;
    *n = room - s->gzip.avail_out;
    s->may_end = rc == Z_STREAM_END;
    if (rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR) return DSM_OK;
    if (rc == Z_MEM_ERROR) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", s->path);
    return damaged(s, s->gzip.msg ? s->gzip.msg : "not a gzip stream", err);
}

static void gzip_free(dsm_stream *s)
{
    inflateEnd(&s->gzip);
}

/* --- zstd (RFC 8878): frames follow each other ---------------------------------------------- */

static dsm_status zstd_init(dsm_stream *s, dsm_err *err)
{
    s->zstd = ZSTD_createDCtx();
    if (!s->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory for zstd", s->path);
    return DSM_OK;
}

static dsm_status zstd_decode(dsm_stream *s, void *out, size_t cap, size_t *n, dsm_err *err)
{
    *n = 0;
    if (s->may_end && s->begin == s->end) return DSM_OK;
    ZSTD_inBuffer in = {s->chunk, s->end, s->begin};
    ZSTD_outBuffer to = {out, cap, 0};
    size_t rc = ZSTD_decompressStream(s->zstd, &to, &in);
    s->begin = in.pos;
    *n = to.pos;
    if (ZSTD_isError(rc)) return damaged(s, ZSTD_getErrorName(rc), err);
    s->may_end = rc == 0;
    return DSM_OK;
}

static void zstd_free(dsm_stream *s)
{
    ZSTD_freeDCtx(s->zstd);
}

/* -------------------------------------------------------------------------------------------- */

static const codec codecs[] = {
    {".gz", "gzip", gzip_init, gzip_decode, gzip_free},
    {".zst", "zstd", zstd_init, zstd_decode, zstd_free},
    {"", "plain", plain_init, plain_decode, plain_free}, /* last: fits every name */
};

static const codec *codec_of(const char *path)
{
    const codec *c = codecs;
    for (size_t n = strlen(path);; c++) {
        size_t e = strlen(c->ending);
        if (n >= e && strcmp(path + n - e, c->ending) == 0) return c;
    }
}

size_t dsm_stream_stem(const char *path)
{
    return strlen(path) - strlen(codec_of(path)->ending);
}

dsm_status dsm_stream_open(dsm_stream **out, const char *path, dsm_err *err)
{
    *out = NULL;
    dsm_stream *s = malloc(sizeof *s);
    if (!s) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    memset(s, 0, offsetof(dsm_stream, chunk));
    s->path = strdup(path);
    s->codec = codec_of(path);
    dsm_status status =
        s->path ? s->codec->init(s, err) : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    if (status == DSM_OK && !(s->file = fopen(path, "rbe")))
        status = dsm_fail_errno(err, path, "open");
    if (status != DSM_OK) {
        dsm_stream_close(s);
        return status;
    }
    setvbuf(s->file, NULL, _IONBF, 0); /* chunks are large enough */
    *out = s;
    return DSM_OK;
}

void dsm_stream_close(dsm_stream *s)
{
    if (!s) return;
    s->codec->free(s);
    if (s->file) fclose(s->file);
    free(s->path);
    free(s);
}

static dsm_status refill(dsm_stream *s, dsm_err *err)
{
    s->begin = 0;
    s->end = fread(s->chunk, 1, CHUNK, s->file);
    s->read += s->end;
    if (s->end < CHUNK && ferror(s->file)) return dsm_fail_errno(err, s->path, "read");
    s->file_ended = s->end == 0;
    return DSM_OK;
}

dsm_status dsm_stream_read(dsm_stream *s, void *out, size_t cap, size_t *n, dsm_err *err)
{
    for (;;) {
        /* An empty chunk is decoded too: a codec may still hold output. */
        DSM_TRY(s->codec->decode(s, out, cap, n, err));
        if (*n > 0 || cap == 0) return DSM_OK;
        if (s->begin < s->end) continue;
        if (s->file_ended) break;
        DSM_TRY(refill(s, err));
    }
    if (s->may_end) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: truncated %s data: it ends after %llu bytes", s->path,
                    s->codec->name, (unsigned long long)s->read);
}
