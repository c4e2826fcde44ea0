/* SPDX-License-Identifier: MIT */
/* What others need to run a folder that is written here, beside its weights. */
#ifndef DSMOE_FORMATS_REMOTE_H
#define DSMOE_FORMATS_REMOTE_H

#include "dsmoe/config.h"

/* Python files that make type deepseek load in transformers (with trust_remote_code), which has no
 * class for it; config.json names them in auto_map. Other types need none. */
dsm_status dsm_remote_code_write(const dsm_model_config *c, const char *dir, dsm_err *err);

/* A warning in the log for each key of the config that transformers ignores for its type: the
 * folder gives other numbers there. */
void dsm_remote_warn(const dsm_model_config *c);

#endif
