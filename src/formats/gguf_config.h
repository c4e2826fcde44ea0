/* SPDX-License-Identifier: MIT */
/* A model's shape as the metadata of a GGUF file: general.architecture llama, deepseek or
 * deepseek2 and that architecture's keys. */
#ifndef DSMOE_FORMATS_GGUF_CONFIG_H
#define DSMOE_FORMATS_GGUF_CONFIG_H

#include "core/gguf.h"
#include "dsmoe/config.h"

/* Errors: DSM_EFORMAT for another architecture or something in it that this program cannot run,
 * those of dsm_model_config_check. */
dsm_status dsm_gguf_config_read(dsm_model_config *c, const dsm_gguf *f, dsm_err *err);

/* Put the architecture's keys; `dtype` is the type of most weights. DSM_EFORMAT names what GGUF or
 * llama.cpp cannot say of this model: other routers, layers that alternate, …; `what` names it. */
dsm_status dsm_gguf_config_put(dsm_gguf_meta *m, const dsm_model_config *c, dsm_dtype dtype,
                               const char *what, dsm_err *err);

#endif
