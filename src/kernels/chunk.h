/* SPDX-License-Identifier: MIT */
/* Cut n elements or rows into fixed chunks: the items of a parallel loop. Chunk borders depend on n
 * alone, never on the number of threads. */
#ifndef DSMOE_KERNELS_CHUNK_H
#define DSMOE_KERNELS_CHUNK_H

#include <stdint.h>
#include <string.h>

typedef struct dsm_range {
    int64_t begin, end;
} dsm_range;

static inline int64_t dsm_chunk_count(int64_t n, int64_t chunk)
{
    return (n + chunk - 1) / chunk;
}

static inline dsm_range dsm_chunk(int64_t n, int64_t chunk, int64_t i)
{
    dsm_range r = {i * chunk, (i + 1) * chunk};
    if (r.end > n) r.end = n;
    return r;
}

/* Zeros in rows × columns of a matrix of floats whose rows are rs apart. */
static inline void dsm_clear_tile(float *m, int64_t rs, dsm_range rows, dsm_range columns)
{
    for (int64_t r = rows.begin; r < rows.end; r++)
        memset(m + r * rs + columns.begin, 0, (size_t)(columns.end - columns.begin) * sizeof *m);
}

#endif
