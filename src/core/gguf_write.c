/* SPDX-License-Identifier: MIT */
/* GGUF, written: the header at once, then the tensors' data as they come. */
#include "core/gguf.h"

#include <assert.h>
#include <string.h>

enum { VERSION = 3 };

/* --- numbers and texts ------------------------------------------------------------------------ */

static void add_number(dsm_buf *b, uint64_t v, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(v >> (8 * i));
    dsm_buf_add(b, bytes, size);
}

static void add_text(dsm_buf *b, const char *s, size_t n)
{
    add_number(b, n, 8);
    dsm_buf_add(b, s, n);
}

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* --- metadata --------------------------------------------------------------------------------- */

static void begin_entry(dsm_gguf_meta *m, const char *key, dsm_gguf_type type)
{
    add_text(&m->bytes, key, strlen(key));
    add_number(&m->bytes, type, 4);
    m->n++;
}

void dsm_gguf_put_u32(dsm_gguf_meta *m, const char *key, uint32_t v)
{
    begin_entry(m, key, DSM_GGUF_U32);
    add_number(&m->bytes, v, 4);
}

void dsm_gguf_put_f32(dsm_gguf_meta *m, const char *key, float v)
{
    begin_entry(m, key, DSM_GGUF_F32);
    add_number(&m->bytes, bits_of(v), 4);
}

void dsm_gguf_put_bool(dsm_gguf_meta *m, const char *key, bool v)
{
    begin_entry(m, key, DSM_GGUF_BOOL);
    add_number(&m->bytes, v, 1);
}

void dsm_gguf_put_text(dsm_gguf_meta *m, const char *key, const char *text)
{
    begin_entry(m, key, DSM_GGUF_TEXT);
    add_text(&m->bytes, text, strlen(text));
}

void dsm_gguf_put_list(dsm_gguf_meta *m, const char *key, dsm_gguf_type type, uint64_t n)
{
    begin_entry(m, key, DSM_GGUF_LIST);
    add_number(&m->bytes, type, 4);
    add_number(&m->bytes, n, 8);
}

void dsm_gguf_add_text(dsm_gguf_meta *m, const char *text, size_t n)
{
    add_text(&m->bytes, text, n);
}

void dsm_gguf_add_i32(dsm_gguf_meta *m, int32_t v)
{
    add_number(&m->bytes, (uint32_t)v, 4);
}

void dsm_gguf_add_f32(dsm_gguf_meta *m, float v)
{
    add_number(&m->bytes, bits_of(v), 4);
}

void dsm_gguf_meta_free(dsm_gguf_meta *m)
{
    dsm_buf_free(&m->bytes);
    m->n = 0;
}

/* --- the file --------------------------------------------------------------------------------- */

static int64_t elements_of(const dsm_gguf_item *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

size_t dsm_gguf_item_bytes(const dsm_gguf_item *t)
{
    return dsm_dtype_bytes(t->dtype, elements_of(t));
}

static uint64_t padded(uint64_t n)
{
    return (n + DSM_GGUF_ALIGNMENT - 1) / DSM_GGUF_ALIGNMENT * DSM_GGUF_ALIGNMENT;
}

static dsm_status add_item(dsm_buf *b, const dsm_gguf_item *t, uint64_t offset, const char *path,
                           dsm_err *err)
{
    const dsm_gguf_kind *k = dsm_gguf_kind_of_dtype(t->dtype);
    if (!k)
        return dsm_fail(err, DSM_EUSAGE, "%s: %s: GGUF has no type %s", path, t->name,
                        dsm_dtype_name(t->dtype));
    if (strlen(t->name) > DSM_GGUF_NAME_MAX || t->shape[t->ndim - 1] % k->block != 0)
        return dsm_fail(err, DSM_ESHAPE,
                        "%s: %.80s: expected a name of at most %d bytes and, for %s, rows of a "
                        "multiple of %lld values, found %lld",
                        path, t->name, DSM_GGUF_NAME_MAX, k->name, (long long)k->block,
                        (long long)t->shape[t->ndim - 1]);
    add_text(b, t->name, strlen(t->name));
    add_number(b, (uint64_t)t->ndim, 4);
    for (int i = t->ndim - 1; i >= 0; i--)
        add_number(b, (uint64_t)t->shape[i], 8);
    add_number(b, k->id, 4);
    add_number(b, offset, 8);
    return DSM_OK;
}

static dsm_status make_header(dsm_buf *b, const char *path, const dsm_gguf_meta *meta,
                              const dsm_gguf_item *items, int64_t n, dsm_err *err)
{
    static const char zeros[DSM_GGUF_ALIGNMENT];
    uint64_t offset = 0;
    DSM_TRY(dsm_buf_check(&meta->bytes, path, err));
    dsm_buf_str(b, "GGUF");
    add_number(b, VERSION, 4);
    add_number(b, (uint64_t)n, 8);
    add_number(b, meta->n, 8);
    dsm_buf_add(b, meta->bytes.data, meta->bytes.len);
    for (int64_t i = 0; i < n; i++) {
        DSM_TRY(add_item(b, &items[i], offset, path, err));
        offset += padded(dsm_gguf_item_bytes(&items[i]));
    }
    dsm_buf_add(b, zeros, padded(b->len) - b->len);
    return dsm_buf_check(b, path, err);
}

/* Skip items without data, so that `next` is one that still misses some, or n. */
static void begin_item(dsm_gguf_writer *w)
{
    while (w->next < w->n && (w->missing = dsm_gguf_item_bytes(&w->items[w->next])) == 0)
        w->next++;
}

dsm_status dsm_gguf_begin(dsm_gguf_writer *w, const char *path, const dsm_gguf_meta *meta,
                          const dsm_gguf_item *items, int64_t n, dsm_err *err)
{
    dsm_buf header = {0};
    *w = (dsm_gguf_writer){.items = items, .n = n};
    dsm_status status = make_header(&header, path, meta, items, n, err);
    if (status == DSM_OK) status = dsm_file_begin(&w->file, path, err);
    if (status == DSM_OK) status = dsm_file_write(&w->file, header.data, header.len, err);
    dsm_buf_free(&header);
    if (status == DSM_OK)
        begin_item(w);
    else
        dsm_gguf_abandon(w);
    return status;
}

dsm_status dsm_gguf_write(dsm_gguf_writer *w, const void *data, size_t n, dsm_err *err)
{
    static const char zeros[DSM_GGUF_ALIGNMENT];
    assert(w->next < w->n && n <= w->missing);
    DSM_TRY(dsm_file_write(&w->file, data, n, err));
    w->missing -= n;
    if (w->missing > 0) return DSM_OK;
    uint64_t bytes = dsm_gguf_item_bytes(&w->items[w->next++]);
    begin_item(w);
    return dsm_file_write(&w->file, zeros, (size_t)(padded(bytes) - bytes), err);
}

dsm_status dsm_gguf_commit(dsm_gguf_writer *w, dsm_err *err)
{
    assert(w->next == w->n);
    return dsm_file_commit(&w->file, err);
}

void dsm_gguf_abandon(dsm_gguf_writer *w)
{
    dsm_file_abandon(&w->file);
}
