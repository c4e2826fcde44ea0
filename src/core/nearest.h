/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_CORE_NEAREST_H
#define DSMOE_CORE_NEAREST_H

#include <stddef.h>

/* The name in a table nearest to `name` by edit distance, or NULL when none is within a third of
 * its length: what "did you mean" shows. The table's rows are `stride` bytes apart and begin with a
 * const char * (rows with NULL are skipped). */
const char *dsm_nearest(const char *name, const void *table, size_t n, size_t stride);

#endif
