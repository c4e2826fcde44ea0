/* SPDX-License-Identifier: MIT */
/* Names of tensors in GGUF and of the parameters they hold: one table for both directions. */
#ifndef DSMOE_FORMATS_GGUF_NAMES_H
#define DSMOE_FORMATS_GGUF_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* How a tensor's values lie beside the parameter's. */
typedef enum dsm_gguf_form {
    DSM_GGUF_AS_IS,
    DSM_GGUF_QUERY,   /* as is, but where a whole head is rotated (llama, deepseek) the rows of each
                       */
    DSM_GGUF_KEY,     /* head stand pair by pair: row 2j + half for row half · Dh/2 + j */
    DSM_GGUF_EXPERTS, /* (E, rows, cols): the parameters of all experts */
    DSM_GGUF_KV_KEY,  /* (H, lora, nope): of each head of kv_b_proj its nope rows, transposed */
    DSM_GGUF_KV_VALUE /* (H, v, lora): of each head of kv_b_proj its v rows */
} dsm_gguf_form;

typedef struct dsm_gguf_name {
    const char *tensor, *parameter; /* %d: the layer; a second one in the parameter: the expert */
    dsm_gguf_form form;
} dsm_gguf_name;

enum { DSM_GGUF_PARAMETER_MAX = 128 }; /* a parameter's name with its NUL */

/* The row of a tensor, and the layer in its name (-1: none); NULL if the table has none. */
const dsm_gguf_name *dsm_gguf_name_of_tensor(const char *tensor, int64_t *layer);

/* The first row of a parameter, the one its values are written by; see above. */
const dsm_gguf_name *dsm_gguf_name_of_parameter(const char *parameter, int64_t *layer,
                                                int64_t *expert);

/* The row of the other half of kv_b_proj. */
const dsm_gguf_name *dsm_gguf_name_values(void);

void dsm_gguf_name_tensor(char *out, size_t size, const dsm_gguf_name *n, int64_t layer);
void dsm_gguf_name_parameter(char *out, size_t size, const dsm_gguf_name *n, int64_t layer,
                             int64_t expert);

#endif
