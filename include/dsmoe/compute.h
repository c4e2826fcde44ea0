/* SPDX-License-Identifier: MIT */
/* Compute precision: what the operands of matrix products are rounded to on the way in. Weights,
 * activations, gradients and sums are stored as f32 whatever it is. */
#ifndef DSMOE_COMPUTE_H
#define DSMOE_COMPUTE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dsm_compute {
    DSM_COMPUTE_F32, /* "f32": products as exact as f32 multiplication */
    DSM_COMPUTE_BF16 /* "bf16": operands rounded to bf16, but for the router's; needs AMX */
} dsm_compute;

/* "f32", "bf16", NULL */
extern const char *const dsm_compute_names[];

#ifdef __cplusplus
}
#endif
#endif
