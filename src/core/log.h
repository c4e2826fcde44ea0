/* SPDX-License-Identifier: MIT */
/* Levelled log through one process-wide callback, set once at start by the program. The library
 * itself never prints: without a callback, messages are dropped. */
#ifndef DSMOE_CORE_LOG_H
#define DSMOE_CORE_LOG_H

#include "dsmoe/status.h"

typedef enum dsm_log_level { DSM_LOG_DEBUG, DSM_LOG_INFO, DSM_LOG_WARN } dsm_log_level;
typedef void (*dsm_log_fn)(void *arg, dsm_log_level level, const char *message);

void dsm_log_set(dsm_log_fn fn, void *arg);
void dsm_log_write(dsm_log_level level, const char *fmt, ...) DSM_PRINTF(2, 3);

#endif
