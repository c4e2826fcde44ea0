/* SPDX-License-Identifier: MIT */
/* Measure-then-carve memory: one arena per lifetime.
 *
 * A layout is a function run twice: first on an arena without a base, which only measures, then on
 * one with memory, which carves. So every bill is known before anything is allocated, and nothing
 * allocates while a step runs. Between carvings lie 64 bytes that AddressSanitizer guards. */
#ifndef DSMOE_CORE_ARENA_H
#define DSMOE_CORE_ARENA_H

#include "dsmoe/status.h"

#include <stddef.h>

enum { DSM_ALIGN = 64 };

typedef struct dsm_arena {
    unsigned char *base; /* NULL while measuring */
    size_t used, cap;    /* bytes */
} dsm_arena;

/* Take `bytes`, 64-byte aligned, uninitialised; NULL while measuring. Overrunning the measured
 * capacity is our bug and asserts. The memory lives until dsm_arena_free or dsm_arena_rewind. */
void *dsm_arena_take(dsm_arena *a, size_t bytes);

/* Allocate `bytes` (as measured by a->used of a dry run), zero-filled by the system on first
 * touch. Errors: DSM_ENOMEM naming `what` and the size. */
dsm_status dsm_arena_init(dsm_arena *a, size_t bytes, const char *what, dsm_err *err);
void dsm_arena_free(dsm_arena *a); /* accepts a zeroed arena */

/* An arena over memory of somebody else, unguarded; base NULL: to measure. Never freed. */
static inline dsm_arena dsm_arena_over(void *base, size_t bytes)
{
    return (dsm_arena){.base = base, .cap = bytes};
}

/* Give back everything taken after `mark` (an earlier a->used). */
void dsm_arena_rewind(dsm_arena *a, size_t mark);

#endif
