/* SPDX-License-Identifier: MIT */
/* safetensors files: a strict reader over a mapping, and a writer. Grammar and checks:
 * docs/formats.md. */
#ifndef DSMOE_FORMATS_SAFETENSORS_H
#define DSMOE_FORMATS_SAFETENSORS_H

#include "core/dtype.h"
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

/* One tensor to write: data of dtype `from`, stored as `to`. */
typedef struct dsm_st_item {
    const char *name;
    int ndim;
    int64_t shape[8];
    dsm_dtype from, to;
    const void *data;
} dsm_st_item;

/* Write items (sorted by alignment, then name) and metadata pairs (key, value, …, NULL;
 * "format":"pt" is always added) to path: temporary file, fsync, rename. Converts while streaming.
 */
dsm_status dsm_st_write(const char *path, const dsm_st_item *items, int64_t n,
                        const char *const *metadata, dsm_err *err);

#endif
