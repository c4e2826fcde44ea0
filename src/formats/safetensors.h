/* SPDX-License-Identifier: MIT */
/* safetensors files: a strict reader over a mapping, and a writer that streams. Grammar and checks:
 * docs/formats.md. */
#ifndef DSMOE_FORMATS_SAFETENSORS_H
#define DSMOE_FORMATS_SAFETENSORS_H

#include "core/dtype.h"
#include "core/exec.h"
#include "core/fs.h"

typedef struct dsm_st_tensor {
    const char *name;    /* owned by the file */
    char dtype_name[12]; /* as the file spells it: "F32", "BF16", … */
    bool known;          /* dtype is one of ours */
    dsm_dtype dtype;
    int ndim;
    int64_t shape[8];
    const void *data; /* in the mapping, no alignment promise */
    size_t bytes;
} dsm_st_tensor;

typedef struct dsm_st_file dsm_st_file;

dsm_status dsm_st_open(dsm_st_file **out, const char *path, dsm_err *err);
/* The same checks on memory (fuzzing, tests); bytes are borrowed. */
dsm_status dsm_st_open_memory(dsm_st_file **out, const void *bytes, size_t n, const char *what,
                              dsm_err *err);
void dsm_st_close(dsm_st_file *f); /* accepts NULL */
int64_t dsm_st_count(const dsm_st_file *f);
const dsm_st_tensor *dsm_st_at(const dsm_st_file *f, int64_t i);
const dsm_st_tensor *dsm_st_find(const dsm_st_file *f, const char *name); /* NULL if absent */
const char *dsm_st_metadata(const dsm_st_file *f, const char *key);       /* NULL if absent */

/* As files spell a type; NULL: the format has none for it. */
const char *dsm_st_dtype_name(dsm_dtype t);

/* --- writing ---------------------------------------------------------------------------------- */

/* One tensor to write: data of dtype `from`, stored as `to`. */
typedef struct dsm_st_item {
    const char *name;
    int ndim;
    int64_t shape[8];
    dsm_dtype from, to;
    const void *data;
} dsm_st_item;

uint64_t dsm_st_item_bytes(const dsm_st_item *t); /* stored */

/* Write items (sorted by alignment, then name) and metadata pairs (key, value, …, NULL;
 * "format":"pt" is always added) to path: temporary file, fsync, rename. Converts while streaming.
 */
dsm_status dsm_st_write(const char *path, const dsm_st_item *items, int64_t n,
                        const char *const *metadata, dsm_err *err);

/* The same for values that come one tensor after another: begin, then for each of `order` from
 * `next` on all its values in pieces, then commit (fsync, rename) or abandon (remove). Of items
 * `from` and `data` are not looked at; they are borrowed until the end. */
typedef struct dsm_st_writer {
    dsm_file_writer file;
    const dsm_st_item **order; /* (n) as they lie in the file */
    int64_t n, next;           /* the one whose values come next */
    int64_t missing;           /* of its values */
    unsigned char *stored;     /* values on their way */
} dsm_st_writer;

dsm_status dsm_st_begin(dsm_st_writer *w, const char *path, const dsm_st_item *items, int64_t n,
                        const char *const *metadata, dsm_err *err);
/* The next n values of the item at hand, n a multiple of the block of `from`; data may be
 * unaligned. x: who converts, NULL: the caller. */
dsm_status dsm_st_put(dsm_st_writer *w, const dsm_exec *x, const void *data, dsm_dtype from,
                      int64_t n, dsm_err *err);
dsm_status dsm_st_commit(dsm_st_writer *w, dsm_err *err);
void dsm_st_abandon(dsm_st_writer *w); /* accepts a zeroed struct */

#endif
