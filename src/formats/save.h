/* SPDX-License-Identifier: MIT */
/* What writing a model takes, whatever the format: where the values of a parameter come from, in
 * which type they go to the file, who converts them and who is told how far it is. A writer asks
 * for one parameter after another, so the model need not be in memory. */
#ifndef DSMOE_FORMATS_SAVE_H
#define DSMOE_FORMATS_SAVE_H

#include "core/exec.h"
#include "model/params.h"

/* The values of a parameter, valid until the next call: where they come from is the caller's. They
 * may be unaligned, as in a file. */
typedef dsm_status (*dsm_values_fn)(void *arg, dsm_mat *values, const dsm_param *p, dsm_err *err);

typedef struct dsm_save_options {
    const dsm_exec *exec; /* who converts; a folder's writer takes NULL for the caller alone */
    dsm_dtype dtype;      /* of matrices; see the writer */
    bool keep;            /* GGUF: each in the type its values have, as far as GGUF knows it */
    dsm_values_fn values; /* NULL: where the model's parameters point */
    void *values_arg;
    /* Called now and then with bytes written and in all; false stops. May be NULL. */
    bool (*progress)(void *arg, double done, double total);
    void *progress_arg;
} dsm_save_options;

dsm_status dsm_save_fetch(const dsm_save_options *o, dsm_mat *values, const dsm_param *p,
                          dsm_err *err);

/* Tell that `done` of `total` bytes are written to path. DSM_EINTERRUPTED: somebody wants to stop.
 */
dsm_status dsm_save_tell(const dsm_save_options *o, uint64_t done, uint64_t total, const char *path,
                         dsm_err *err);

#endif
