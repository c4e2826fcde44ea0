/* SPDX-License-Identifier: MIT */
/* A GGUF file as its reader holds it: what gguf.c reads one of and gguf_split.c joins several of.
 */
#ifndef DSMOE_CORE_GGUF_IMPL_H
#define DSMOE_CORE_GGUF_IMPL_H

#include "core/gguf.h"

typedef struct dsm_gguf_entry {
    char *key;
    dsm_gguf_type type;
    dsm_gguf_list list;        /* LIST: its elements */
    const unsigned char *data; /* numbers: their bytes */
    char *text;                /* TEXT */
    uint64_t n;                /* TEXT: its length */
} dsm_gguf_entry;

struct dsm_gguf {
    dsm_map map; /* zeroed when the bytes are borrowed */
    char *what;
    dsm_gguf_entry *entries; /* (n_entries) in file order */
    const dsm_gguf_entry **by_key;
    int64_t n_entries;
    dsm_gguf_tensor *tensors; /* (n_tensors) in file order, those of the parts behind its own */
    const dsm_gguf_tensor **by_name;
    int64_t n_tensors;
    dsm_gguf **parts; /* (n_parts) the other files of a model in several; owners of their names */
    int64_t n_parts, n_own; /* n_own: tensors whose names are this file's */
};

/* One file by itself. */
dsm_status dsm_gguf_open_one(dsm_gguf **out, const char *path, dsm_err *err);

/* by_name, from tensors. DSM_EFORMAT names one that is there twice. */
dsm_status dsm_gguf_index(dsm_gguf *f, dsm_err *err);

/* Open the other files of a model in several and take their tensors over; of a whole one nothing.
 */
dsm_status dsm_gguf_join(dsm_gguf *f, dsm_err *err);

#endif
