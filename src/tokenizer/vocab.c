/* SPDX-License-Identifier: MIT */
#include "tokenizer/vocab.h"

#include "tokenizer/hash.h"

#include <stdlib.h>
#include <string.h>

static dsm_status out_of_memory(const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: vocabulary: out of memory", what);
}

/* The slot that holds this text, or the empty one where it belongs. */
static size_t slot_of(const dsm_vocab *v, const char *text, size_t n)
{
    size_t i = dsm_hash_bytes(text, n) & v->mask;
    for (; v->table[i]; i = (i + 1) & v->mask) {
        int32_t id = v->table[i] - 1;
        if (v->length[id] == n && memcmp(v->pool.data + v->offset[id], text, n) == 0) break;
    }
    return i;
}

static bool grow_table(dsm_vocab *v)
{
    if (v->table && v->used * 2 <= v->mask) return true;
    size_t cap = v->table ? (v->mask + 1) * 2 : 1024;
    int32_t *old = v->table;
    size_t old_cap = old ? v->mask + 1 : 0;
    int32_t *table = calloc(cap, sizeof *table);
    if (!table) return false;
    v->table = table;
    v->mask = cap - 1;
    for (size_t i = 0; i < old_cap; i++) {
        if (!old[i]) continue;
        int32_t id = old[i] - 1;
        table[slot_of(v, v->pool.data + v->offset[id], v->length[id])] = id + 1;
    }
    free(old);
    return true;
}

static bool grow_ids(dsm_vocab *v, int32_t id)
{
    if (id >= v->cap) {
        int32_t cap = v->cap ? v->cap : 512;
        while (cap <= id)
            cap *= 2;
        size_t *offset = realloc(v->offset, (size_t)cap * sizeof *offset);
        if (offset) v->offset = offset;
        uint32_t *length = realloc(v->length, (size_t)cap * sizeof *length);
        if (length) v->length = length;
        if (!offset || !length) return false;
        v->cap = cap;
    }
    for (; v->size <= id; v->size++) {
        v->offset[v->size] = SIZE_MAX;
        v->length[v->size] = 0;
    }
    return true;
}

dsm_status dsm_vocab_add(dsm_vocab *v, int64_t id, const char *text, size_t n, const char *what,
                         dsm_err *err)
{
    if (id < 0 || id > DSM_MAX_TOKEN_ID || n > UINT32_MAX)
        return dsm_fail(err, DSM_ERANGE, "%s: token \"%.60s\": found id %lld, expected 0 to %d",
                        what, text, (long long)id, DSM_MAX_TOKEN_ID);
    if (!grow_table(v) || !grow_ids(v, (int32_t)id)) return out_of_memory(what, err);
    if (v->offset[id] != SIZE_MAX)
        return dsm_fail(err, DSM_EFORMAT, "%s: id %lld belongs to both \"%.60s\" and \"%.60s\"",
                        what, (long long)id, v->pool.data + v->offset[id], text);
    size_t slot = slot_of(v, text, n);
    if (v->table[slot])
        return dsm_fail(err, DSM_EFORMAT, "%s: token \"%.60s\" has both id %d and id %lld", what,
                        text, v->table[slot] - 1, (long long)id);
    size_t offset = v->pool.len;
    dsm_buf_add(&v->pool, text, n);
    dsm_buf_add(&v->pool, "", 1);
    if (v->pool.failed) return out_of_memory(what, err);
    v->offset[id] = offset;
    v->length[id] = (uint32_t)n;
    v->table[slot] = (int32_t)id + 1;
    v->used++;
    return DSM_OK;
}

int32_t dsm_vocab_find(const dsm_vocab *v, const char *text, size_t n)
{
    return v->table ? v->table[slot_of(v, text, n)] - 1 : -1;
}

const char *dsm_vocab_text(const dsm_vocab *v, int32_t id, size_t *n)
{
    if (id < 0 || id >= v->size || v->offset[id] == SIZE_MAX) return NULL;
    if (n) *n = v->length[id];
    return v->pool.data + v->offset[id];
}

void dsm_vocab_free(dsm_vocab *v)
{
    dsm_buf_free(&v->pool);
    free(v->offset);
    free(v->length);
    free(v->table);
    memset(v, 0, sizeof *v);
}
