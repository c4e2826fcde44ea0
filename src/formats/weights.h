/* SPDX-License-Identifier: MIT */
/* The tensors of a model on disk as one set under Hugging Face names, whatever files they are in:
 * model.safetensors, the shards that model.safetensors.index.json lists, or a GGUF file. */
#ifndef DSMOE_FORMATS_WEIGHTS_H
#define DSMOE_FORMATS_WEIGHTS_H

#include "core/gguf.h"
#include "dsmoe/config.h"
#include "formats/safetensors.h"

#define DSM_WEIGHTS_FILE  "model.safetensors"
#define DSM_WEIGHTS_INDEX "model.safetensors.index.json"

/* The tensors and their data belong to `owner` and end with the set. */
typedef struct dsm_weights {
    const dsm_st_tensor **tensors; /* (n) sorted by name */
    int64_t n;
    int n_files;    /* what is stored: files, */
    int64_t stored; /* tensors in them (a GGUF file stacks experts), */
    uint64_t bytes; /* and their bytes */
    void *owner;
    void (*close_owner)(void *owner);
} dsm_weights;

/* The safetensors of a folder. Index and shards must agree tensor by tensor. */
dsm_status dsm_weights_open(dsm_weights **out, const char *dir, dsm_err *err);

/* The tensors of a GGUF file, which is taken over, also on failure, under the names of the
 * parameters of config c they hold; a tensor that holds none keeps its own name. Data lie in the
 * file's mapping, stacked experts as one view each; copied is only what lies there in another
 * order (formats/gguf_names.h): query and key rows, in the file's own type, and a kv_b_proj that is
 * stored as two halves, in f32, bf16 or f16. */
dsm_status dsm_weights_of_gguf(dsm_weights **out, dsm_gguf *f, const dsm_model_config *c,
                               dsm_err *err);

void dsm_weights_close(dsm_weights *w); /* accepts NULL */

const dsm_st_tensor *dsm_weights_find(const dsm_weights *w, const char *name); /* NULL if absent */

/* For those who fill a set: w->tensors (n), in any order, are sorted. DSM_EFORMAT names one that is
 * there twice. */
dsm_status dsm_weights_sort(dsm_weights *w, const char *what, dsm_err *err);

#endif
