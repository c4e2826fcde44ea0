/* SPDX-License-Identifier: MIT */
#include "model/cache.h"

#include "model/attention.h"
#include "model/net.h"

#include <stdlib.h>

enum { CHUNK = 256, CHUNKS = 64 }; /* keys of a decode item at least; items of a head at most */

static void layout(dsm_cache *c, dsm_arena *a, const dsm_model_config *g)
{
    const dsm_attention_kind *kind = dsm_attention_of(g);
    c->width = kind->cache_width(g);
    c->row_bytes = dsm_dtype_bytes(c->dtype, c->width);
    c->n_layers = g->num_hidden_layers;
    c->rows = dsm_arena_take(a, sizeof *c->rows * (size_t)c->n_layers);
    for (int64_t l = 0; l < c->n_layers; l++) {
        unsigned char *rows = dsm_arena_take(a, c->row_bytes * (size_t)c->capacity);
        if (c->rows) c->rows[l] = rows;
    }
    int64_t share = (c->capacity + CHUNKS * CHUNK - 1) / (CHUNKS * CHUNK);
    c->chunk = CHUNK * (share > 0 ? share : 1);
    c->work = dsm_take_reals(a, dsm_decode_work(DSM_CACHE_FEW, g->num_attention_heads,
                                                kind->decode_width(g),
                                                (c->capacity + c->chunk - 1) / c->chunk));
}

/* f32 means dsm_real: the oracle's cache is as precise as itself. */
static dsm_dtype stored_type(dsm_dtype dtype)
{
    return dtype == DSM_F32 ? DSM_REAL_DTYPE : dtype;
}

size_t dsm_cache_bytes(const dsm_model *m, int64_t capacity, dsm_dtype dtype)
{
    dsm_arena measure = {0};
    dsm_cache c = {.capacity = capacity, .dtype = stored_type(dtype)};
    layout(&c, &measure, &m->config);
    return measure.used;
}

static dsm_status check_cache(const dsm_model_config *c, int64_t capacity, dsm_dtype dtype,
                              dsm_err *err)
{
    int64_t unit = dsm_attention_of(c)->cache_unit(c);
    if (capacity < 1 || capacity > INT32_MAX)
        return dsm_fail(err, DSM_ERANGE, "cache: found %lld positions, expected 1 to %d",
                        (long long)capacity, INT32_MAX);
    if (dtype != DSM_F32 && dtype != DSM_F16 && dtype != DSM_Q8_0)
        return dsm_fail(err, DSM_EUSAGE, "cache type: found %s, expected f32, f16 or q8_0",
                        dsm_dtype_name(dtype));
    if (unit % dsm_dtype_block(dtype) != 0)
        return dsm_fail(err, DSM_EUSAGE,
                        "cache type: found %s, which stores %lld values together, but this model's "
                        "heads are multiples of %lld",
                        dsm_dtype_name(dtype), (long long)dsm_dtype_block(dtype), (long long)unit);
    return DSM_OK;
}

dsm_status dsm_cache_open(dsm_cache **out, const dsm_model *m, int64_t capacity, dsm_dtype dtype,
                          dsm_err *err)
{
    *out = NULL;
    DSM_TRY(check_cache(&m->config, capacity, dtype, err));
    dsm_cache *c = calloc(1, sizeof *c);
    if (!c) return dsm_fail(err, DSM_ENOMEM, "cache: out of memory");
    c->capacity = capacity;
    c->dtype = stored_type(dtype);
    dsm_status status =
        dsm_arena_init(&c->memory, dsm_cache_bytes(m, capacity, dtype), "KV cache", err);
    if (status != DSM_OK) {
        free(c);
        return status;
    }
    layout(c, &c->memory, &m->config);
    *out = c;
    return DSM_OK;
}

void dsm_cache_close(dsm_cache *c)
{
    if (!c) return;
    dsm_arena_free(&c->memory);
    free(c);
}

int64_t dsm_cache_length(const dsm_cache *c)
{
    return c->length;
}

int64_t dsm_cache_capacity(const dsm_cache *c)
{
    return c->capacity;
}

void dsm_cache_truncate(dsm_cache *c, int64_t length)
{
    if (length >= 0 && length < c->length) c->length = length;
}
