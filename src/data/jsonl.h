/* SPDX-License-Identifier: MIT */
/* One line of a jsonl file: the text under one key. */
#ifndef DSMOE_DATA_JSONL_H
#define DSMOE_DATA_JSONL_H

#include "core/buf.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Append to out the string that `field` of the object in line[0 … n-1] holds. Invalid UTF-8 and \u
 * escapes of lone surrogates become U+FFFD and set *repaired. line is scratch afterwards. Errors:
 * DSM_EFORMAT without a place (the caller knows file and line): not JSON, not an object, key
 * missing or not a string. */
dsm_status dsm_jsonl_text(dsm_buf *out, char *line, size_t n, const char *field, bool *repaired,
                          dsm_err *err);

#endif
