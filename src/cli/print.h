/* SPDX-License-Identifier: MIT */
/* Results on stdout, the same way in every command. */
#ifndef DSMOE_CLI_PRINT_H
#define DSMOE_CLI_PRINT_H

#include "dsmoe/status.h"

#include <jansson.h>

/* Print o on one line, flushed so that a reader sees it now, and release it. o NULL: DSM_ENOMEM. */
dsm_status dsm_print_json(json_t *o, dsm_err *err);

/* A number, or null for NaN and infinities, which JSON does not have. */
json_t *dsm_json_number(double x);

/* "1.25 G", "25.9 M", "640": three digits and a decimal prefix; one of four static buffers in turn.
 */
const char *dsm_print_count(double x);

/* Bytes of a token for people: quoted, control characters and what is no UTF-8 escaped. */
void dsm_print_quoted(const char *bytes, size_t n, char *out, size_t size);

#endif
