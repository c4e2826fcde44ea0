/* SPDX-License-Identifier: MIT */
#include "model/cache.h"

#include "model/attention.h"
#include "model/net.h"

#include <stdlib.h>

static void layout(dsm_cache *c, dsm_arena *a, const dsm_model_config *g)
{
    c->width = dsm_attention_of(g)->cache_width(g);
    c->n_layers = g->num_hidden_layers;
    c->rows = dsm_arena_take(a, sizeof *c->rows * (size_t)c->n_layers);
    for (int64_t l = 0; l < c->n_layers; l++) {
        dsm_real *rows = dsm_take_reals(a, c->capacity * c->width);
        if (c->rows) c->rows[l] = rows;
    }
}

size_t dsm_cache_bytes(const dsm_model *m, int64_t capacity, dsm_dtype dtype)
{
    (void)dtype;
    dsm_arena measure = {0};
    dsm_cache c = {.capacity = capacity};
    layout(&c, &measure, &m->config);
    return measure.used;
}

dsm_status dsm_cache_open(dsm_cache **out, const dsm_model *m, int64_t capacity, dsm_dtype dtype,
                          dsm_err *err)
{
    *out = NULL;
    if (capacity < 1 || capacity > INT32_MAX)
        return dsm_fail(err, DSM_ERANGE, "cache: found %lld positions, expected 1 to %d",
                        (long long)capacity, INT32_MAX);
    if (dtype != DSM_F32)
        return dsm_fail(err, DSM_EUSAGE, "cache: found element type %s, expected f32",
                        dsm_dtype_name(dtype));
    dsm_cache *c = calloc(1, sizeof *c);
    if (!c) return dsm_fail(err, DSM_ENOMEM, "cache: out of memory");
    c->capacity = capacity;
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
