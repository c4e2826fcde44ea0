/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "core/arena.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

static size_t round_up(size_t n)
{
    return (n + DSM_ALIGN - 1) / DSM_ALIGN * DSM_ALIGN;
}

void *dsm_arena_take(dsm_arena *a, size_t bytes)
{
    size_t at = a->used;
    a->used = at + round_up(bytes) + DSM_ALIGN; /* the last line is the red zone */
    if (!a->base) return NULL;
    assert(a->used <= a->cap);
    UNPOISON(a->base + at, bytes);
    return a->base + at;
}

dsm_status dsm_arena_init(dsm_arena *a, size_t bytes, const char *what, dsm_err *err)
{
    memset(a, 0, sizeof *a);
    if (bytes == 0) bytes = DSM_ALIGN;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return dsm_fail(err, DSM_ENOMEM, "%s: cannot allocate %.2f GiB", what,
                        (double)bytes / (1024.0 * 1024.0 * 1024.0));
#ifdef MADV_HUGEPAGE
    if (bytes >= (size_t)4 << 20) (void)madvise(p, bytes, MADV_HUGEPAGE);
#endif
    a->base = p;
    a->cap = bytes;
    POISON(p, bytes);
    return DSM_OK;
}

void dsm_arena_free(dsm_arena *a)
{
    if (a->base) {
        UNPOISON(a->base, a->cap);
        munmap(a->base, a->cap);
    }
    memset(a, 0, sizeof *a);
}

void dsm_arena_rewind(dsm_arena *a, size_t mark)
{
    assert(mark <= a->used);
    if (a->base) POISON(a->base + mark, a->used - mark);
    a->used = mark;
}
