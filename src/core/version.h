/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_CORE_VERSION_H
#define DSMOE_CORE_VERSION_H

/* As include/dsmoe/dsmoe.h declares them for users. */
const char *dsm_version(void); /* "0.1.0" */
const char *dsm_commit(void);  /* "unknown" outside a checkout */

#endif
