/* SPDX-License-Identifier: MIT */
#include "template/pool.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16384, ALIGN = 16 };

typedef struct dsm_pool_block {
    struct dsm_pool_block *next;
    size_t used, cap; /* of the bytes behind this header */
} block;

_Static_assert(sizeof(block) <= 2 * ALIGN, "the header keeps what follows it aligned");
enum { HEADER = 2 * ALIGN };

static block *add_block(dsm_pool *p, size_t bytes)
{
    size_t cap = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    block *b = calloc(1, HEADER + cap);
    if (!b) return NULL;
    b->cap = cap;
    b->next = p->blocks;
    p->blocks = b;
    return b;
}

void *dsm_pool_take(dsm_pool *p, size_t bytes)
{
    if (bytes > p->left) return NULL;
    size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    block *b = p->blocks;
    if (!b || b->cap - b->used < rounded) b = add_block(p, rounded);
    if (!b) return NULL;
    void *taken = (char *)b + HEADER + b->used;
    b->used += rounded;
    p->left -= rounded < p->left ? rounded : p->left;
    return taken;
}

char *dsm_pool_copy(dsm_pool *p, const char *s, size_t n)
{
    char *copy = dsm_pool_take(p, n + 1);
    if (copy && n) memcpy(copy, s, n);
    return copy;
}

void dsm_pool_free(dsm_pool *p)
{
    for (block *b = p->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    p->blocks = NULL;
}
