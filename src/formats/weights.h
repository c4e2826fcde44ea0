/* SPDX-License-Identifier: MIT */
/* The tensors of a Hugging Face folder as one set: model.safetensors, or the shards that
 * model.safetensors.index.json lists. Index and shards must agree tensor by tensor. */
#ifndef DSMOE_FORMATS_WEIGHTS_H
#define DSMOE_FORMATS_WEIGHTS_H

#include "formats/safetensors.h"

#define DSM_WEIGHTS_FILE  "model.safetensors"
#define DSM_WEIGHTS_INDEX "model.safetensors.index.json"

typedef struct dsm_weights dsm_weights;

dsm_status dsm_weights_open(dsm_weights **out, const char *dir, dsm_err *err);
void dsm_weights_close(dsm_weights *w); /* accepts NULL; tensors and their data end with it */

int dsm_weights_files(const dsm_weights *w);
const char *dsm_weights_file_name(const dsm_weights *w,
                                  int i); /* "model-00001-of-00002.safetensors" */
const dsm_st_file *dsm_weights_file(const dsm_weights *w, int i);

const dsm_st_tensor *dsm_weights_find(const dsm_weights *w, const char *name); /* NULL if absent */

#endif
