/* SPDX-License-Identifier: MIT */
/* Llama 3's rotary scaling in GGUF. config.json says four numbers; GGUF has what they come to, in a
 * tensor rope_freqs.weight (Dh/2): by how much each rotated pair is slowed down. */
#ifndef DSMOE_FORMATS_GGUF_ROPE_H
#define DSMOE_FORMATS_GGUF_ROPE_H

#include "core/real.h"
#include "dsmoe/config.h"

#define DSM_GGUF_ROPE_TENSOR "rope_freqs.weight"

/* What the tensor of a config with scaling of type llama3 holds: slow (Dh/2). */
void dsm_gguf_rope_fill(float *slow, const dsm_model_config *c);

/* c->rope of type llama3 that slows pairs down by slow (n), given
 * c->rope.original_max_position_embeddings; of type default if they are not slowed down.
 * DSM_EFORMAT if there is none, by which c is left in an undefined state. `what` names the file. */
dsm_status dsm_gguf_rope_fit(dsm_model_config *c, const dsm_real *slow, int64_t n, const char *what,
                             dsm_err *err);

#endif
