/* SPDX-License-Identifier: MIT */
/* safetensors, read.
 *
 *   u64 N, little endian | N bytes of JSON | data
 *   JSON: name -> {"dtype", "shape": [..], "data_offsets": [begin, end)}, "__metadata__": text ->
 * text
 *
 * The reader believes nothing: every name once, every field of its type, sizes equal to shape times
 * element, and the tensors sorted by offset covering the data without hole, overlap or rest. What
 * it hands out afterwards needs no further check but the caller's own (which names, which shapes).
 * Source: github.com/huggingface/safetensors, README and safetensors/src/tensor.rs. */
#include "formats/safetensors.h"

#include "core/buf.h"
#include "core/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100000000, LENGTH_BYTES = 8 };

/* Every kind the format names; ours is the dtype we compute with, DSM_N_DTYPES for the others. */
static const struct kind {
    const char *name;
    size_t size;
    dsm_dtype ours;
} kinds[] = {
    {"F32", 4, DSM_F32},      {"F64", 8, DSM_F64},         {"BF16", 2, DSM_BF16},
    {"F16", 2, DSM_F16},      {"I32", 4, DSM_I32},         {"I64", 8, DSM_I64},
    {"U8", 1, DSM_U8},        {"BOOL", 1, DSM_N_DTYPES},   {"I8", 1, DSM_N_DTYPES},
    {"I16", 2, DSM_N_DTYPES}, {"U16", 2, DSM_N_DTYPES},    {"U32", 4, DSM_N_DTYPES},
    {"U64", 8, DSM_N_DTYPES}, {"F8_E4M3", 1, DSM_F8_E4M3}, {"F8_E5M2", 1, DSM_N_DTYPES},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static const struct kind *kind_of_name(const char *name)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

const char *dsm_st_dtype_name(dsm_dtype t)
{
    for (int i = 0; i < N_KINDS && t != DSM_N_DTYPES; i++)
        if (kinds[i].ours == t) return kinds[i].name;
    return NULL;
}

/* --- the file --------------------------------------------------------------------------------- */

struct dsm_st_file {
    dsm_map map;             /* zeroed when the bytes are borrowed */
    json_t *header;          /* owns names and metadata */
    dsm_st_tensor *tensors;  /* (n) in the order of their data */
    dsm_st_tensor **by_name; /* (n) */
    int64_t n;
};

/* Where the parts of a file lie, and what to call it in messages. */
typedef struct place {
    const char *what;
    const char *text; /* the header's JSON */
    size_t text_len;
    const unsigned char *data;
    uint64_t size; /* bytes of data */
} place;

static uint64_t load_u64(const unsigned char *p)
{
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--)
        x = x << 8 | p[i];
    return x;
}

static dsm_status split_file(place *p, const unsigned char *bytes, size_t n, const char *what,
                             dsm_err *err)
{
    if (n < LENGTH_BYTES)
        return dsm_fail(err, DSM_EFORMAT, "%s: found %zu bytes, a safetensors file has at least %d",
                        what, n, LENGTH_BYTES);
    uint64_t header = load_u64(bytes);
    if (header > HEADER_MAX)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: header length is %llu, expected at most %d (not a safetensors file?)",
                        what, (unsigned long long)header, HEADER_MAX);
    if (header > n - LENGTH_BYTES)
        return dsm_fail(err, DSM_EFORMAT, "%s: header of %llu bytes in a file of %zu: cut off?",
                        what, (unsigned long long)header, n);
    if (header == 0 || bytes[LENGTH_BYTES] != '{')
        return dsm_fail(err, DSM_EFORMAT, "%s: the header does not begin with '{'", what);
    *p = (place){.what = what,
                 .text = (const char *)bytes + LENGTH_BYTES,
                 .text_len = (size_t)header,
                 .data = bytes + LENGTH_BYTES + header,
                 .size = n - LENGTH_BYTES - header};
    return DSM_OK;
}

static dsm_status check_metadata(const json_t *metadata, const place *p, dsm_err *err)
{
    if (!json_is_object(metadata))
        return dsm_fail(err, DSM_EFORMAT, "%s: __metadata__: found %s, expected an object", p->what,
                        dsm_json_type_name(metadata));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        if (!json_is_string(value))
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: __metadata__: %.80s: found %s, expected a string", p->what, key,
                            dsm_json_type_name(value));
    }
    return DSM_OK;
}

/* The value of one of a tensor's fields, which must be there and be of that JSON type. */
static dsm_status field_of(const json_t **out, const json_t *o, const char *key, json_type type,
                           const char *name, const place *p, dsm_err *err)
{
    *out = json_object_get(o, key);
    if (!*out)
        return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s: no \"%s\"", p->what, name, key);
    if (json_typeof(*out) != type)
        return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s: %s: found %s, expected %s", p->what,
                        name, key, dsm_json_type_name(*out),
                        type == JSON_ARRAY ? "an array" : "a string");
    return DSM_OK;
}

/* Entry i of an array as a non-negative integer. */
static dsm_status size_at(int64_t *out, const json_t *array, size_t i, const char *field,
                          const char *name, const place *p, dsm_err *err)
{
    const json_t *v = json_array_get(array, i);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: tensor %.120s: %s[%zu]: expected a non-negative integer", p->what,
                        name, field, i);
    *out = json_integer_value(v);
    return DSM_OK;
}

static dsm_status read_kind(dsm_st_tensor *t, size_t *element, const json_t *o, const place *p,
                            dsm_err *err)
{
    const json_t *v = NULL;
    DSM_TRY(field_of(&v, o, "dtype", JSON_STRING, t->name, p, err));
    const struct kind *k = kind_of_name(json_string_value(v));
    if (!k)
        return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s: dtype \"%.20s\" is not known",
                        p->what, t->name, json_string_value(v));
    memcpy(t->dtype_name, k->name, strlen(k->name) + 1);
    t->known = k->ours != DSM_N_DTYPES;
    t->dtype = k->ours;
    *element = k->size;
    return DSM_OK;
}

/* shape, and the bytes it asks for. */
static dsm_status read_shape(dsm_st_tensor *t, uint64_t *bytes, size_t element, const json_t *o,
                             const place *p, dsm_err *err)
{
    enum { MAX_DIMS = sizeof t->shape / sizeof *t->shape };
    const json_t *v = NULL;
    DSM_TRY(field_of(&v, o, "shape", JSON_ARRAY, t->name, p, err));
    if (json_array_size(v) > MAX_DIMS)
        return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s: %zu dimensions, at most %d are read",
                        p->what, t->name, json_array_size(v), (int)MAX_DIMS);
    t->ndim = (int)json_array_size(v);
    int64_t n = 1; /* in this order no product overflows later, either */
    bool fits = true;
    for (int i = 0; i < t->ndim; i++) {
        DSM_TRY(size_at(&t->shape[i], v, (size_t)i, "shape", t->name, p, err));
        fits = fits && !__builtin_mul_overflow(n, t->shape[i], &n);
    }
    if (!fits || __builtin_mul_overflow((uint64_t)n, (uint64_t)element, bytes))
        return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s: its shape overflows", p->what,
                        t->name);
    return DSM_OK;
}

static dsm_status read_tensor(dsm_st_tensor *t, const char *name, const json_t *o, const place *p,
                              dsm_err *err)
{
    t->name = name;
    if (!json_is_object(o))
        return dsm_fail(err, DSM_EFORMAT, "%s: tensor %.120s: found %s, expected an object",
                        p->what, name, dsm_json_type_name(o));
    size_t element = 0;
    uint64_t bytes = 0;
    const json_t *offsets = NULL;
    int64_t begin = 0, end = 0;
    DSM_TRY(read_kind(t, &element, o, p, err));
    DSM_TRY(read_shape(t, &bytes, element, o, p, err));
    DSM_TRY(field_of(&offsets, o, "data_offsets", JSON_ARRAY, name, p, err));
    if (json_array_size(offsets) != 2 || json_object_size(o) != 3)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: tensor %.120s: expected dtype, shape and two data_offsets alone",
                        p->what, name);
    DSM_TRY(size_at(&begin, offsets, 0, "data_offsets", name, p, err));
    DSM_TRY(size_at(&end, offsets, 1, "data_offsets", name, p, err));
    if (begin > end || (uint64_t)end > p->size)
        return dsm_fail(
            err, DSM_EFORMAT, "%s: tensor %.120s: bytes %lld to %lld of %llu: cut off or damaged",
            p->what, name, (long long)begin, (long long)end, (unsigned long long)p->size);
    if ((uint64_t)(end - begin) != bytes)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: tensor %.120s: %lld bytes stored, its shape and %s need %llu", p->what,
                        name, (long long)(end - begin), t->dtype_name, (unsigned long long)bytes);
    t->data = p->data + begin;
    t->bytes = (size_t)bytes;
    return DSM_OK;
}

static int by_data(const void *a, const void *b)
{
    const dsm_st_tensor *x = a, *y = b;
    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b)
{
    const dsm_st_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The tensors, sorted by data, follow each other from the first byte to the last. */
static dsm_status check_cover(const dsm_st_file *f, const place *p, dsm_err *err)
{
    const unsigned char *at = p->data;
    for (int64_t i = 0; i < f->n; i++) {
        const dsm_st_tensor *t = &f->tensors[i];
        if ((const unsigned char *)t->data != at)
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: tensor %.120s begins at byte %lld, expected %lld", p->what,
                            t->name, (long long)((const unsigned char *)t->data - p->data),
                            (long long)(at - p->data));
        at += t->bytes;
    }
    if (at != p->data + p->size)
        return dsm_fail(err, DSM_EFORMAT, "%s: %lld bytes belong to no tensor", p->what,
                        (long long)(p->data + p->size - at));
    return DSM_OK;
}

static dsm_status read_header(dsm_st_file *f, const place *p, dsm_err *err)
{
    size_t rows = json_object_size(f->header);
    f->tensors = calloc(rows + 1, sizeof *f->tensors);
    f->by_name = calloc(rows + 1, sizeof *f->by_name);
    if (!f->tensors || !f->by_name)
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory for %zu tensors", p->what, rows);
    const char *name;
    json_t *value;
    json_object_foreach(f->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0)
            DSM_TRY(check_metadata(value, p, err));
        else
            DSM_TRY(read_tensor(&f->tensors[f->n++], name, value, p, err));
    }
    qsort(f->tensors, (size_t)f->n, sizeof *f->tensors, by_data);
    for (int64_t i = 0; i < f->n; i++)
        f->by_name[i] = &f->tensors[i];
    qsort(f->by_name, (size_t)f->n, sizeof *f->by_name, by_name);
    return check_cover(f, p, err);
}

static dsm_status parse(dsm_st_file *f, const void *bytes, size_t n, const char *what, dsm_err *err)
{
    place p = {0};
    DSM_TRY(split_file(&p, bytes, n, what, err));
    DSM_TRY(dsm_json_parse(&f->header, p.text, p.text_len, what, err));
    return read_header(f, &p, err);
}

static dsm_status finish_open(dsm_st_file **out, dsm_st_file *f, dsm_status status)
{
    if (status != DSM_OK) {
        dsm_st_close(f);
        f = NULL;
    }
    *out = f;
    return status;
}

dsm_status dsm_st_open_memory(dsm_st_file **out, const void *bytes, size_t n, const char *what,
                              dsm_err *err)
{
    *out = NULL;
    dsm_st_file *f = calloc(1, sizeof *f);
    if (!f) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    return finish_open(out, f, parse(f, bytes, n, what, err));
}

dsm_status dsm_st_open(dsm_st_file **out, const char *path, dsm_err *err)
{
    *out = NULL;
    dsm_st_file *f = calloc(1, sizeof *f);
    if (!f) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    dsm_status status = dsm_map_open(&f->map, path, err);
    if (status == DSM_OK) status = parse(f, f->map.data, f->map.size, path, err);
    return finish_open(out, f, status);
}

void dsm_st_close(dsm_st_file *f)
{
    if (!f) return;
    json_decref(f->header);
    free(f->tensors);
    free(f->by_name);
    dsm_map_close(&f->map);
    free(f);
}

int64_t dsm_st_count(const dsm_st_file *f)
{
    return f->n;
}

const dsm_st_tensor *dsm_st_at(const dsm_st_file *f, int64_t i)
{
    assert(i >= 0 && i < f->n);
    return &f->tensors[i];
}

const dsm_st_tensor *dsm_st_find(const dsm_st_file *f, const char *name)
{
    const dsm_st_tensor key = {.name = name}, *wanted = &key;
    dsm_st_tensor **hit = bsearch(&wanted, f->by_name, (size_t)f->n, sizeof *f->by_name, by_name);
    return hit ? *hit : NULL;
}

const char *dsm_st_metadata(const dsm_st_file *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}
