/* SPDX-License-Identifier: MIT */
/* safetensors, written: the header at once, then the tensors' values as they come, converted in
 * pieces on the way. The largest elements stand first, so that every tensor is aligned to its own.
 */
#include "formats/safetensors.h"

#include "core/buf.h"
#include "core/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A piece is what one thread converts at a time, whole blocks of any type. */
enum { LENGTH_BYTES = 8, PIECE = 1 << 14, PIECES = 32, WIDEST = sizeof(double) };

static int64_t elements_of(const dsm_st_item *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->shape[i];
    return n;
}

uint64_t dsm_st_item_bytes(const dsm_st_item *t)
{
    return dsm_dtype_bytes(t->to, elements_of(t));
}

/* --- the header ------------------------------------------------------------------------------- */

static int by_alignment(const void *a, const void *b)
{
    const dsm_st_item *const *x = a, *const *y = b;
    size_t sx = dsm_dtype_size((*x)->to), sy = dsm_dtype_size((*y)->to);
    if (sx != sy) return sx > sy ? -1 : 1;
    return strcmp((*x)->name, (*y)->name);
}

static json_t *describe(const dsm_st_item *t, uint64_t begin, uint64_t end)
{
    json_t *shape = json_array();
    for (int i = 0; i < t->ndim; i++)
        json_array_append_new(shape, json_integer(t->shape[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dsm_st_dtype_name(t->to), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static json_t *describe_metadata(const char *const *pairs)
{
    json_t *o = json_pack("{s:s}", "format", "pt");
    for (; pairs && pairs[0]; pairs += 2)
        json_object_set_new(o, pairs[0], json_string(pairs[1]));
    return o;
}

/* Length, JSON and the spaces that align the data to 8 bytes. */
static dsm_status make_header(dsm_buf *out, const dsm_st_writer *w, const char *const *metadata,
                              const char *path, dsm_err *err)
{
    json_t *header = json_object();
    int bad = json_object_set_new(header, "__metadata__", describe_metadata(metadata));
    uint64_t at = 0;
    for (int64_t i = 0; i < w->n; i++) {
        uint64_t end = at + dsm_st_item_bytes(w->order[i]);
        bad |= json_object_set_new(header, w->order[i]->name, describe(w->order[i], at, end));
        at = end;
    }
    char *text = bad ? NULL : json_dumps(header, JSON_COMPACT);
    json_decref(header);
    if (!text) return dsm_fail(err, DSM_ENOMEM, "%s: cannot format the header", path);
    size_t len = strlen(text), padded = (len + 7) / 8 * 8;
    for (int i = 0; i < LENGTH_BYTES; i++)
        dsm_buf_add(out, &(unsigned char){(unsigned char)((uint64_t)padded >> (8 * i))}, 1);
    dsm_buf_add(out, text, len);
    dsm_buf_add(out, "       ", padded - len);
    free(text);
    return dsm_buf_check(out, path, err);
}

/* --- the values ------------------------------------------------------------------------------- */

/* Values of one tensor for the threads to convert, a piece each. */
typedef struct conversion {
    const unsigned char *from;
    unsigned char *to;
    dsm_dtype from_type, to_type;
    int64_t n;
} conversion;

static void convert_piece(void *arg, int64_t i, int worker)
{
    const conversion *c = arg;
    dsm_real values[PIECE];
    int64_t first = i * PIECE, n = c->n - first < PIECE ? c->n - first : PIECE;
    (void)worker;
    dsm_dtype_load(values, c->from + dsm_dtype_bytes(c->from_type, first), c->from_type, n);
    dsm_dtype_store(c->to + dsm_dtype_bytes(c->to_type, first), c->to_type, values, n);
}

/* Skip items without values, so that `next` is one that still misses some, or n. */
static void begin_item(dsm_st_writer *w)
{
    while (w->next < w->n && (w->missing = elements_of(w->order[w->next])) == 0)
        w->next++;
}

dsm_status dsm_st_put(dsm_st_writer *w, const dsm_exec *x, const void *data, dsm_dtype from,
                      int64_t n, dsm_err *err)
{
    assert(w->next < w->n && n <= w->missing);
    conversion c = {data, w->stored, from, w->order[w->next]->to, 0};
    bool same = from == c.to_type;
    for (int64_t done = 0; done < n; done += c.n) {
        c.n = same || n - done < PIECES * PIECE ? n - done : PIECES * PIECE;
        if (!same) dsm_pool_run(x ? x->pool : NULL, (c.n + PIECE - 1) / PIECE, convert_piece, &c);
        DSM_TRY(
            dsm_file_write(&w->file, same ? c.from : c.to, dsm_dtype_bytes(c.to_type, c.n), err));
        c.from += dsm_dtype_bytes(from, c.n);
    }
    w->missing -= n;
    if (w->missing > 0) return DSM_OK;
    w->next++;
    begin_item(w);
    return DSM_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

/* The format has no blocks: quantised weights live in GGUF files. */
static dsm_status check_kinds(const char *path, const dsm_st_item *items, int64_t n, dsm_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!dsm_st_dtype_name(items[i].to))
            return dsm_fail(err, DSM_EUSAGE,
                            "%s: found %s for %s, expected f32, bf16 or f16; quantised weights go "
                            "into a .gguf file",
                            path, dsm_dtype_name(items[i].to), items[i].name);
    return DSM_OK;
}

static dsm_status allocate(dsm_st_writer *w, const dsm_st_item *items, const char *path,
                           dsm_err *err)
{
    w->order = calloc((size_t)w->n + 1, sizeof *w->order);
    w->stored = malloc((size_t)PIECES * PIECE * WIDEST);
    if (!w->order || !w->stored) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    for (int64_t i = 0; i < w->n; i++)
        w->order[i] = &items[i];
    qsort(w->order, (size_t)w->n, sizeof *w->order, by_alignment);
    return DSM_OK;
}

static dsm_status begin_file(dsm_st_writer *w, const char *path, const dsm_st_item *items,
                             const char *const *metadata, dsm_err *err)
{
    dsm_buf header = {0};
    DSM_TRY(check_kinds(path, items, w->n, err));
    DSM_TRY(allocate(w, items, path, err));
    dsm_status status = make_header(&header, w, metadata, path, err);
    if (status == DSM_OK) status = dsm_file_begin(&w->file, path, err);
    if (status == DSM_OK) status = dsm_file_write(&w->file, header.data, header.len, err);
    dsm_buf_free(&header);
    return status;
}

dsm_status dsm_st_begin(dsm_st_writer *w, const char *path, const dsm_st_item *items, int64_t n,
                        const char *const *metadata, dsm_err *err)
{
    *w = (dsm_st_writer){.n = n};
    dsm_status status = begin_file(w, path, items, metadata, err);
    if (status == DSM_OK)
        begin_item(w);
    else
        dsm_st_abandon(w);
    return status;
}

static void free_writer(dsm_st_writer *w)
{
    free(w->order);
    free(w->stored);
    memset(w, 0, sizeof *w);
}

dsm_status dsm_st_commit(dsm_st_writer *w, dsm_err *err)
{
    assert(w->next == w->n);
    dsm_status status = dsm_file_commit(&w->file, err);
    free_writer(w);
    return status;
}

void dsm_st_abandon(dsm_st_writer *w)
{
    dsm_file_abandon(&w->file);
    free_writer(w);
}

dsm_status dsm_st_write(const char *path, const dsm_st_item *items, int64_t n,
                        const char *const *metadata, dsm_err *err)
{
    dsm_st_writer w;
    DSM_TRY(dsm_st_begin(&w, path, items, n, metadata, err));
    while (w.next < w.n) {
        const dsm_st_item *t = w.order[w.next];
        dsm_status status = dsm_st_put(&w, NULL, t->data, t->from, w.missing, err);
        if (status == DSM_OK) continue;
        dsm_st_abandon(&w);
        return status;
    }
    return dsm_st_commit(&w, err);
}
