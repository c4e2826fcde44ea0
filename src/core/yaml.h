/* SPDX-License-Identifier: MIT */
/* A YAML file as a JSON value, for definitions whose lists and groups are free in length (recipes
 * have a fixed table of keys: settings.h). Plain scalars become numbers, booleans or null where
 * they spell one; aliases and keys that are not text are refused; files are at most 1 MiB, nesting
 * at most 32 deep. */
#ifndef DSMOE_CORE_YAML_H
#define DSMOE_CORE_YAML_H

#include "dsmoe/status.h"

#include <jansson.h>
#include <stddef.h>

/* One document; the caller owns *out (json_decref). Errors are DSM_EFORMAT "WHAT:LINE: …". */
dsm_status dsm_yaml_parse(json_t **out, const char *text, size_t n, const char *what, dsm_err *err);
dsm_status dsm_yaml_read(json_t **out, const char *path, dsm_err *err);

#endif
