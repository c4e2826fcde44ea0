/* SPDX-License-Identifier: MIT */
/* GGUF files (version 3, version 2 read): typed metadata and a list of tensors in one file.
 *
 * Like json.h this knows the syntax and nothing of models: what the keys and tensors mean is said
 * in formats/ (weights, shapes) and tokenizer/ (vocabulary). The reader maps the file and believes
 * nothing; the writer streams. Layout and checks: docs/formats.md. */
#ifndef DSMOE_CORE_GGUF_H
#define DSMOE_CORE_GGUF_H

#include "core/buf.h"
#include "core/dtype.h"
#include "core/fs.h"

/* Types of metadata values, numbered as in the file. */
typedef enum dsm_gguf_type {
    DSM_GGUF_U8,
    DSM_GGUF_I8,
    DSM_GGUF_U16,
    DSM_GGUF_I16,
    DSM_GGUF_U32,
    DSM_GGUF_I32,
    DSM_GGUF_F32,
    DSM_GGUF_BOOL,
    DSM_GGUF_TEXT,
    DSM_GGUF_LIST,
    DSM_GGUF_U64,
    DSM_GGUF_I64,
    DSM_GGUF_F64,
    DSM_GGUF_N_TYPES
} dsm_gguf_type;

/* --- reading ---------------------------------------------------------------------------------- */

typedef struct dsm_gguf dsm_gguf;

enum { DSM_GGUF_MAX_DIMS = 4 };

typedef struct dsm_gguf_tensor {
    const char *name;      /* owned by the file; 1 to 63 bytes of UTF-8 */
    const char *type_name; /* "Q4_K" */
    bool known;            /* dtype is one of ours; others are listed, not read */
    dsm_dtype dtype;
    int ndim;
    int64_t shape[DSM_GGUF_MAX_DIMS]; /* slowest first, as everywhere here: [out, in] */
    const void *data;                 /* in the mapping */
    size_t bytes;
} dsm_gguf_tensor;

bool dsm_gguf_is(const char *path); /* a regular file that begins with "GGUF" */
/* The file, and if it is the first of a model in several (…-00001-of-0000N.gguf) all of them: its
 * metadata, everybody's tensors. */
dsm_status dsm_gguf_open(dsm_gguf **out, const char *path, dsm_err *err);
/* The same checks of one file in memory (fuzzing, tests); bytes are borrowed. */
dsm_status dsm_gguf_open_memory(dsm_gguf **out, const void *bytes, size_t n, const char *what,
                                dsm_err *err);
void dsm_gguf_close(dsm_gguf *f);             /* accepts NULL */
const char *dsm_gguf_what(const dsm_gguf *f); /* its path, for messages */
int dsm_gguf_n_files(const dsm_gguf *f);

int64_t dsm_gguf_n_tensors(const dsm_gguf *f);
const dsm_gguf_tensor *dsm_gguf_tensor_at(const dsm_gguf *f, int64_t i);   /* in file order */
const dsm_gguf_tensor *dsm_gguf_find(const dsm_gguf *f, const char *name); /* NULL if absent */

int64_t dsm_gguf_n_keys(const dsm_gguf *f);
const char *dsm_gguf_key_at(const dsm_gguf *f, int64_t i); /* in file order */
bool dsm_gguf_has(const dsm_gguf *f, const char *key);

/* Fetch a value. A missing key leaves *out as it was (the default); a value of another type is
 * DSM_EFORMAT "FILE: KEY: found TYPE, expected TYPE". Integers of any width are range-checked.
 * Texts are borrowed from the file and NUL-terminated; one with a NUL in it is an error. */
dsm_status dsm_gguf_int(const dsm_gguf *f, const char *key, int64_t low, int64_t high, int64_t *out,
                        dsm_err *err);
dsm_status dsm_gguf_real(const dsm_gguf *f, const char *key, double *out, dsm_err *err);
dsm_status dsm_gguf_bool(const dsm_gguf *f, const char *key, bool *out, dsm_err *err);
dsm_status dsm_gguf_text(const dsm_gguf *f, const char *key, const char **out, dsm_err *err);

/* An array; start zeroed. Texts are walked, numbers are fetched by index. */
typedef struct dsm_gguf_list {
    dsm_gguf_type type; /* of its elements */
    int64_t n;
    const unsigned char *data;
} dsm_gguf_list;

/* Errors as above; elements of another type than `type` as well. */
dsm_status dsm_gguf_get_list(const dsm_gguf *f, const char *key, dsm_gguf_type type,
                             dsm_gguf_list *out, dsm_err *err);
int64_t dsm_gguf_list_int(const dsm_gguf_list *l, int64_t i);
double dsm_gguf_list_real(const dsm_gguf_list *l, int64_t i); /* F32 */
/* The text at *at, which begins at l->data and moves to the next one; any bytes. */
const char *dsm_gguf_list_text(const unsigned char **at, size_t *n);

/* --- writing ---------------------------------------------------------------------------------- */

/* Metadata being gathered; start zeroed. Out of memory is noticed when the file begins. */
typedef struct dsm_gguf_meta {
    dsm_buf bytes;
    uint64_t n;
} dsm_gguf_meta;

void dsm_gguf_put_u32(dsm_gguf_meta *m, const char *key, uint32_t v);
void dsm_gguf_put_f32(dsm_gguf_meta *m, const char *key, float v);
void dsm_gguf_put_bool(dsm_gguf_meta *m, const char *key, bool v);
void dsm_gguf_put_text(dsm_gguf_meta *m, const char *key, const char *text);
/* Begin an array of n elements, then add exactly n of them. */
void dsm_gguf_put_list(dsm_gguf_meta *m, const char *key, dsm_gguf_type type, uint64_t n);
void dsm_gguf_add_text(dsm_gguf_meta *m, const char *text, size_t n);
void dsm_gguf_add_i32(dsm_gguf_meta *m, int32_t v);
void dsm_gguf_add_f32(dsm_gguf_meta *m, float v);
void dsm_gguf_meta_free(dsm_gguf_meta *m);

/* A tensor to write. */
typedef struct dsm_gguf_item {
    const char *name;
    int ndim;
    int64_t shape[DSM_GGUF_MAX_DIMS]; /* slowest first; the last a multiple of the dtype's block */
    dsm_dtype dtype;
} dsm_gguf_item;

size_t dsm_gguf_item_bytes(const dsm_gguf_item *t);

/* A file being written under a temporary name: begin, write the data of all items in order, in
 * pieces of any size that stay within an item, then commit (fsync, rename) or abandon (remove).
 * Items are borrowed until then. */
typedef struct dsm_gguf_writer {
    dsm_file_writer file;
    const dsm_gguf_item *items;
    int64_t n, next;  /* items; the one being written */
    uint64_t missing; /* its bytes still to come */
} dsm_gguf_writer;

dsm_status dsm_gguf_begin(dsm_gguf_writer *w, const char *path, const dsm_gguf_meta *meta,
                          const dsm_gguf_item *items, int64_t n, dsm_err *err);
dsm_status dsm_gguf_write(dsm_gguf_writer *w, const void *data, size_t n, dsm_err *err);
dsm_status dsm_gguf_commit(dsm_gguf_writer *w, dsm_err *err);
void dsm_gguf_abandon(dsm_gguf_writer *w); /* accepts a zeroed struct */

/* --- both ------------------------------------------------------------------------------------- */

/* Tensor types by the file's number; dtype is DSM_N_DTYPES for those that are not ours. */
typedef struct dsm_gguf_kind {
    uint32_t id;
    const char *name;
    int64_t block; /* values per block */
    size_t bytes;  /* per block */
    dsm_dtype dtype;
} dsm_gguf_kind;

const dsm_gguf_kind *dsm_gguf_kind_of_id(uint32_t id);    /* NULL: unknown */
const dsm_gguf_kind *dsm_gguf_kind_of_dtype(dsm_dtype t); /* NULL: GGUF cannot hold it */
const char *dsm_gguf_type_name(dsm_gguf_type t);          /* "u32", "array", … */
size_t dsm_gguf_type_size(dsm_gguf_type t);               /* 0 for texts and arrays */

enum { DSM_GGUF_ALIGNMENT = 32, DSM_GGUF_NAME_MAX = 63 };

#endif
