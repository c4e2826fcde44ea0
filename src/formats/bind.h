/* SPDX-License-Identifier: MIT */
/* File tensors to parameters: the one place where names and shapes are checked. */
#ifndef DSMOE_FORMATS_BIND_H
#define DSMOE_FORMATS_BIND_H

#include "formats/weights.h"
#include "model/params.h"

/* What a model without values of its own points into: the mapping of its files, and copies of the
 * tensors that could not be used in place (float64, or not aligned to their element). */
typedef struct dsm_bound {
    dsm_weights *weights;
    void **copies; /* (n_copies), entries may be NULL */
    int64_t n_copies;
    bool later; /* nothing is copied but routing state; see dsm_bound_values */
} dsm_bound;

/* Give every parameter of m its values from b->weights: copied, as dsm_real, where the parameter
 * has memory, else by pointing at the file. Every parameter must be there with its exact shape and
 * a float type, and nothing else may be; DSM_ESHAPE lists what is missing, unknown or misshapen
 * (the first few, and how many). `what` names the checkpoint. */
dsm_status dsm_bind(dsm_bound *b, dsm_model *m, const char *what, dsm_err *err);

/* The values of parameter p of a model that was bound with `later`: where they lie in the file,
 * with no alignment promise, or as numbers in room (rows · cols), which is needed if
 * dsm_bound_is_made.
 */
bool dsm_bound_is_made(const dsm_param *p);
dsm_mat dsm_bound_values(const dsm_model *m, const dsm_param *p, dsm_real *room);

/* The files a model opened for inference points into; NULL for one with values of its own. */
const dsm_weights *dsm_bound_weights(const dsm_model *m);

void dsm_bound_close(dsm_bound *b); /* frees b itself; accepts NULL */

#endif
