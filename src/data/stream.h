/* SPDX-License-Identifier: MIT */
/* The bytes of one file in order, decompressed on the way: plain, gzip (several members) or zstd
 * (several frames, windows up to 2 GiB). The content must be what the name's ending says. */
#ifndef DSMOE_DATA_STREAM_H
#define DSMOE_DATA_STREAM_H

#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes taken from a file at a time. Fuzzers are built with few, so that every place where one read
 * ends and the next begins falls into their inputs. */
#ifndef DSM_STREAM_CHUNK
#define DSM_STREAM_CHUNK (1 << 17)
#endif

typedef struct dsm_stream dsm_stream;

dsm_status dsm_stream_open(dsm_stream **out, const char *path, dsm_err *err);
void dsm_stream_close(dsm_stream *s); /* accepts NULL */

/* Up to cap bytes to out; *n = 0 only at the end. Truncated or damaged data is DSM_EFORMAT naming
 * the file and the compressed bytes read. */
dsm_status dsm_stream_read(dsm_stream *s, void *out, size_t cap, size_t *n, dsm_err *err);

/* Bytes of the file consumed so far, before decompression. */
uint64_t dsm_stream_position(const dsm_stream *s);

/* Length of path without ".gz" or ".zst". */
size_t dsm_stream_stem(const char *path);

#endif
