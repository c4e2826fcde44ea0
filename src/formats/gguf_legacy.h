/* SPDX-License-Identifier: MIT */
/* Blocks of 5 bits, which llama.cpp's quantiser puts where rows do not divide by 256 (in its q4_k
 * and q5_k files of DeepSeek models, all down projections of experts). No kernel computes with
 * them; they are read by turning them into a type that kernels know: q5_0 into q8_0, value for
 * value, q5_1 into f16. */
#ifndef DSMOE_FORMATS_GGUF_LEGACY_H
#define DSMOE_FORMATS_GGUF_LEGACY_H

#include "core/gguf.h"

/* The type a tensor is turned into; false if it is none of these. */
bool dsm_gguf_legacy_type(const dsm_gguf_tensor *t, dsm_dtype *to);

/* Convert all of it: to has dsm_dtype_bytes of its values. */
void dsm_gguf_legacy_convert(void *to, const dsm_gguf_tensor *t);

#endif
