/* SPDX-License-Identifier: MIT */
/* Memory of one template or one rendering: taken piece by piece, given back all at once, and never
 * more than a limit, so that no template can ask for everything a machine has. */
#ifndef DSMOE_TEMPLATE_POOL_H
#define DSMOE_TEMPLATE_POOL_H

#include <stddef.h>

typedef struct dsm_pool {
    struct dsm_pool_block *blocks; /* the one being filled first */
    size_t left;                   /* bytes that may still be taken */
} dsm_pool;

/* Zeroed, aligned for any type; NULL beyond the limit or when the system has none. */
void *dsm_pool_take(dsm_pool *p, size_t bytes);

/* A copy of s with a NUL behind it, or NULL. */
char *dsm_pool_copy(dsm_pool *p, const char *s, size_t n);

void dsm_pool_free(dsm_pool *p); /* accepts a zeroed struct */

#endif
