/* SPDX-License-Identifier: MIT */
/* Thin helpers over jansson: typed fetches whose messages carry the file and the key. */
#ifndef DSMOE_CORE_JSON_H
#define DSMOE_CORE_JSON_H

#include "dsmoe/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parse text that must be one JSON object without duplicate keys. `what` names it in messages
 * (a path). The caller owns *out (json_decref). Nesting and size are bounded by jansson. */
dsm_status dsm_json_parse(json_t **out, const char *text, size_t n, const char *what, dsm_err *err);
dsm_status dsm_json_read(json_t **out, const char *path, size_t max_bytes, dsm_err *err);

/* Fetch a key of an object. A missing or null key leaves *out as it was (the default); a value of
 * another type is DSM_EFORMAT "WHAT: KEY: found TYPE, expected TYPE". Integers are range-checked.
 * Strings are borrowed from the object. */
dsm_status dsm_json_int(const json_t *o, const char *key, int64_t low, int64_t high, int64_t *out,
                        const char *what, dsm_err *err);
dsm_status dsm_json_real(const json_t *o, const char *key, double *out, const char *what,
                         dsm_err *err);
dsm_status dsm_json_bool(const json_t *o, const char *key, bool *out, const char *what,
                         dsm_err *err);
dsm_status dsm_json_string(const json_t *o, const char *key, const char **out, const char *what,
                           dsm_err *err);

/* A text that has to be there and not empty. */
dsm_status dsm_json_need_string(const json_t *o, const char *key, const char **out,
                                const char *what, dsm_err *err);

/* "WHAT: LIST[I]", where an item of a list stands, for messages. */
typedef struct dsm_json_place {
    char text[320];
} dsm_json_place;
dsm_json_place dsm_json_item(const char *what, const char *list, size_t i);

/* "object", "array", "string", "integer", "real", "boolean" or "null". */
const char *dsm_json_type_name(const json_t *v);

/* Write as indented JSON with a final newline, replacing path atomically. */
dsm_status dsm_json_write(const json_t *v, const char *path, dsm_err *err);

#endif
