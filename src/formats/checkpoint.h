/* SPDX-License-Identifier: MIT */
/* Models on disk: Hugging Face directories, read and written. */
#ifndef DSMOE_FORMATS_CHECKPOINT_H
#define DSMOE_FORMATS_CHECKPOINT_H

#include "model/params.h"

/* Open DIR (config.json + model.safetensors or a sharded index). MODEL may also be a run directory (its
 * checkpoints/latest is taken); the directory actually used is written to *resolved (malloc'd, caller frees; may be
 * NULL). flags DSM_MODEL_VALUES: values are copied to the flat arrays (as dsm_real), so the model can be trained;
 * without it weights stay in the file mapping. Every tensor of the table must be there with its exact shape: missing,
 * unknown and misshapen names are listed (the first few and how many). */
dsm_status dsm_checkpoint_open(dsm_model **out, const char *model, unsigned flags, char **resolved,
                               dsm_err *err);

/* Write config.json and model.safetensors (one file below 4 GiB of tensors, else sharded with an index) into an
 * existing folder, values as dtype; generation_config.json beside them. Not atomic by itself: write into a temporary
 * folder and rename. */
dsm_status dsm_checkpoint_write(const dsm_model *m, const char *dir, dsm_dtype dtype, dsm_err *err);

/* The directory MODEL means (run directory -> checkpoints/latest); malloc'd. DSM_ENOTFOUND names what was looked for. */
dsm_status dsm_checkpoint_resolve(char **dir, const char *model, dsm_err *err);

#endif
