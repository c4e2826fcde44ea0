/* SPDX-License-Identifier: MIT */
/* GGUF, read: one file, and with gguf_split.c the others of its model.
 *
 *   "GGUF" | u32 version | u64 tensors | u64 keys | keys … | tensor infos … | padding | data
 *
 * One pass over the header checks every length against what is left of the file before it is used,
 * so counts cannot make us allocate more than the file's own size; a second pass over the tensor
 * infos lays them out and demands that the stored offsets say the same: each tensor begins where
 * the one before it ended, padded to the alignment. Names and texts that callers see are copied and
 * NUL-terminated; everything else stays in the mapping.
 * Source: github.com/ggml-org/ggml, docs/gguf.md and src/gguf.cpp. */
#include "core/gguf_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION_OLDEST = 2,
    VERSION_NEWEST = 3,
    MIN_KEY_BYTES = 8 + 4 + 1,        /* name length, type, smallest value */
    MIN_TENSOR_BYTES = 8 + 4 + 4 + 8, /* name length, dimensions, type, offset */
};
#define TEXT_MAX ((uint64_t)1 << 30)
#define LIST_MAX ((uint64_t)1 << 30)
static const char magic[4] = {'G', 'G', 'U', 'F'};

typedef dsm_gguf_entry entry;

/* --- little-endian numbers -------------------------------------------------------------------- */

static uint64_t load(const unsigned char *p, size_t size)
{
    uint64_t x = 0;
    for (size_t i = size; i-- > 0;)
        x = x << 8 | p[i];
    return x;
}

static float load_f32(const unsigned char *p)
{
    uint32_t u = (uint32_t)load(p, 4);
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static double load_f64(const unsigned char *p)
{
    uint64_t u = load(p, 8);
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* --- the header, byte by byte ----------------------------------------------------------------- */

/* Where reading stands. `part` names what is being read, for messages. */
typedef struct cursor {
    const unsigned char *begin, *at, *end;
    const char *what, *part;
    dsm_err *err;
} cursor;

static size_t left(const cursor *c)
{
    return (size_t)(c->end - c->at);
}

static dsm_status take(cursor *c, uint64_t n, const unsigned char **p)
{
    if (n > left(c))
        return dsm_fail(c->err, DSM_EFORMAT,
                        "%s: %.80s: cut off at byte %zu: needs %llu bytes, %zu are left", c->what,
                        c->part, (size_t)(c->at - c->begin), (unsigned long long)n, left(c));
    *p = c->at;
    c->at += n;
    return DSM_OK;
}

static dsm_status take_number(cursor *c, size_t size, uint64_t *v)
{
    const unsigned char *p = NULL;
    DSM_TRY(take(c, size, &p));
    *v = load(p, size);
    return DSM_OK;
}

static dsm_status take_text(cursor *c, const unsigned char **s, uint64_t *n)
{
    DSM_TRY(take_number(c, 8, n));
    if (*n > TEXT_MAX)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: %.80s: a string of %llu bytes, at most 2^30",
                        c->what, c->part, (unsigned long long)*n);
    return take(c, *n, s);
}

/* A NUL-terminated copy. */
static dsm_status keep(const cursor *c, const unsigned char *s, uint64_t n, char **copy)
{
    *copy = malloc((size_t)n + 1);
    if (!*copy) return dsm_fail(c->err, DSM_ENOMEM, "%s: out of memory", c->what);
    if (n) memcpy(*copy, s, (size_t)n);
    (*copy)[n] = '\0';
    return DSM_OK;
}

/* A key or a tensor's name: UTF-8 without NUL, 1 to max bytes. */
static dsm_status take_name(cursor *c, uint64_t max, char **name)
{
    const unsigned char *s = NULL;
    uint64_t n = 0;
    DSM_TRY(take_text(c, &s, &n));
    if (n == 0 || n > max || memchr(s, '\0', n) || dsm_utf8_valid_prefix((const char *)s, n) != n)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: %s: expected a name of 1 to %llu bytes of UTF-8",
                        c->what, c->part, (unsigned long long)max);
    return keep(c, s, n, name);
}

/* --- metadata --------------------------------------------------------------------------------- */

static dsm_status take_type(cursor *c, dsm_gguf_type *type)
{
    uint64_t t = 0;
    DSM_TRY(take_number(c, 4, &t));
    if (t >= DSM_GGUF_N_TYPES)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: %.80s: type %llu is not known", c->what, c->part,
                        (unsigned long long)t);
    *type = (dsm_gguf_type)t;
    return DSM_OK;
}

static dsm_status take_list(cursor *c, dsm_gguf_list *l)
{
    uint64_t n = 0;
    const unsigned char *p = NULL;
    DSM_TRY(take_type(c, &l->type));
    DSM_TRY(take_number(c, 8, &n));
    if (l->type == DSM_GGUF_LIST || n > LIST_MAX)
        return dsm_fail(c->err, DSM_EFORMAT,
                        "%s: %.80s: found an array of %llu %ss, expected at most 2^30 and no array "
                        "of arrays",
                        c->what, c->part, (unsigned long long)n, dsm_gguf_type_name(l->type));
    l->n = (int64_t)n;
    l->data = c->at;
    if (l->type != DSM_GGUF_TEXT) return take(c, n * dsm_gguf_type_size(l->type), &p);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t length;
        DSM_TRY(take_text(c, &p, &length));
    }
    return DSM_OK;
}

static dsm_status take_entry(cursor *c, entry *e)
{
    const unsigned char *s = NULL;
    c->part = "key";
    DSM_TRY(take_name(c, UINT16_MAX, &e->key));
    c->part = e->key;
    DSM_TRY(take_type(c, &e->type));
    if (e->type == DSM_GGUF_LIST) return take_list(c, &e->list);
    if (e->type != DSM_GGUF_TEXT) return take(c, dsm_gguf_type_size(e->type), &e->data);
    DSM_TRY(take_text(c, &s, &e->n));
    return keep(c, s, e->n, &e->text);
}

static int by_key(const void *a, const void *b)
{
    const entry *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static dsm_status take_entries(cursor *c, dsm_gguf *f)
{
    for (int64_t i = 0; i < f->n_entries; i++) {
        DSM_TRY(take_entry(c, &f->entries[i]));
        f->by_key[i] = &f->entries[i];
    }
    qsort(f->by_key, (size_t)f->n_entries, sizeof *f->by_key, by_key);
    for (int64_t i = 1; i < f->n_entries; i++)
        if (by_key(&f->by_key[i - 1], &f->by_key[i]) == 0)
            return dsm_fail(c->err, DSM_EFORMAT, "%s: key %.80s is there twice", c->what,
                            f->by_key[i]->key);
    return DSM_OK;
}

/* --- tensors ---------------------------------------------------------------------------------- */

/* Dimensions, which the file lists fastest first, and what the type makes of them. */
static dsm_status take_shape(cursor *c, dsm_gguf_tensor *t)
{
    uint64_t n = 0, dim = 0;
    DSM_TRY(take_number(c, 4, &n));
    if (n > DSM_GGUF_MAX_DIMS)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: tensor %s: %llu dimensions, at most %d", c->what,
                        c->part, (unsigned long long)n, DSM_GGUF_MAX_DIMS);
    t->ndim = (int)n;
    for (int i = t->ndim - 1; i >= 0; i--) {
        DSM_TRY(take_number(c, 8, &dim));
        if (dim > INT64_MAX)
            return dsm_fail(c->err, DSM_EFORMAT, "%s: tensor %s: its shape overflows", c->what,
                            c->part);
        t->shape[i] = (int64_t)dim;
    }
    return DSM_OK;
}

static dsm_status measure(cursor *c, dsm_gguf_tensor *t, const dsm_gguf_kind *k)
{
    int64_t n = 1, last = t->ndim ? t->shape[t->ndim - 1] : 1;
    uint64_t bytes = 0;
    for (int i = 0; i < t->ndim; i++)
        if (__builtin_mul_overflow(n, t->shape[i], &n))
            return dsm_fail(c->err, DSM_EFORMAT, "%s: tensor %s: its shape overflows", c->what,
                            c->part);
    if (last % k->block != 0)
        return dsm_fail(c->err, DSM_EFORMAT,
                        "%s: tensor %s: rows of %lld values, %s needs a multiple of %lld", c->what,
                        c->part, (long long)last, k->name, (long long)k->block);
    if (__builtin_mul_overflow((uint64_t)(n / k->block), (uint64_t)k->bytes, &bytes))
        return dsm_fail(c->err, DSM_EFORMAT, "%s: tensor %s: its shape overflows", c->what,
                        c->part);
    t->bytes = (size_t)bytes;
    return DSM_OK;
}

static dsm_status take_tensor(cursor *c, dsm_gguf_tensor *t, uint64_t *offset)
{
    uint64_t type = 0;
    char *name = NULL;
    c->part = "tensor";
    DSM_TRY(take_name(c, DSM_GGUF_NAME_MAX, &name));
    c->part = t->name = name;
    DSM_TRY(take_shape(c, t));
    DSM_TRY(take_number(c, 4, &type));
    DSM_TRY(take_number(c, 8, offset));
    const dsm_gguf_kind *k = dsm_gguf_kind_of_id((uint32_t)type);
    if (!k)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: tensor %s: type %llu is not known", c->what,
                        t->name, (unsigned long long)type);
    t->type_name = k->name;
    t->known = k->dtype != DSM_N_DTYPES;
    t->dtype = k->dtype;
    return measure(c, t, k);
}

static int by_name(const void *a, const void *b)
{
    const dsm_gguf_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

dsm_status dsm_gguf_index(dsm_gguf *f, dsm_err *err)
{
    for (int64_t i = 0; i < f->n_tensors; i++)
        f->by_name[i] = &f->tensors[i];
    qsort(f->by_name, (size_t)f->n_tensors, sizeof *f->by_name, by_name);
    for (int64_t i = 1; i < f->n_tensors; i++)
        if (by_name(&f->by_name[i - 1], &f->by_name[i]) == 0)
            return dsm_fail(err, DSM_EFORMAT, "%s: tensor %s is there twice", f->what,
                            f->by_name[i]->name);
    return DSM_OK;
}

static dsm_status take_tensors(cursor *c, dsm_gguf *f, uint64_t *offsets)
{
    for (int64_t i = 0; i < f->n_tensors; i++)
        DSM_TRY(take_tensor(c, &f->tensors[i], &offsets[i]));
    return dsm_gguf_index(f, c->err);
}

/* The next multiple of the alignment, a power of two; false when there is none. */
static bool align(uint64_t *x, uint64_t alignment)
{
    return !__builtin_add_overflow(*x, alignment - 1, x) && ((*x &= ~(alignment - 1)), true);
}

/* Where each tensor's data lies: after the one before it, as its offset must say. */
static dsm_status lay_out(cursor *c, dsm_gguf *f, const uint64_t *offsets, uint64_t alignment)
{
    uint64_t start = (uint64_t)(c->at - c->begin), at = 0, end = 0;
    bool fits = align(&start, alignment);
    for (int64_t i = 0; i < f->n_tensors; i++) {
        dsm_gguf_tensor *t = &f->tensors[i];
        if (offsets[i] != at)
            return dsm_fail(c->err, DSM_EFORMAT,
                            "%s: tensor %s: its data begin at %llu, expected %llu", c->what,
                            t->name, (unsigned long long)offsets[i], (unsigned long long)at);
        fits = fits && !__builtin_add_overflow(start, at, &end) &&
               !__builtin_add_overflow(end, t->bytes, &end) && end <= (uint64_t)(c->end - c->begin);
        if (!fits)
            return dsm_fail(c->err, DSM_EFORMAT,
                            "%s: tensor %s: its data end behind the file's %zu bytes: cut off?",
                            c->what, t->name, (size_t)(c->end - c->begin));
        t->data = c->begin + start + at;
        at += t->bytes;
        fits = align(&at, alignment);
    }
    return DSM_OK;
}

/* --- the file --------------------------------------------------------------------------------- */

static dsm_status take_version(cursor *c)
{
    uint64_t version = 0;
    const unsigned char *p = NULL;
    DSM_TRY(take(c, sizeof magic, &p));
    if (memcmp(p, magic, sizeof magic) != 0)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: does not begin with \"GGUF\"", c->what);
    DSM_TRY(take_number(c, 4, &version));
    if (version && (version & 0xFFFF) == 0)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: a big-endian GGUF file, expected little-endian",
                        c->what);
    if (version < VERSION_OLDEST || version > VERSION_NEWEST)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: GGUF version %llu, expected %d or %d", c->what,
                        (unsigned long long)version, VERSION_OLDEST, VERSION_NEWEST);
    return DSM_OK;
}

/* A count of things that take at least min_bytes each of what is left. */
static dsm_status take_count(cursor *c, const char *things, uint64_t min_bytes, int64_t *n)
{
    uint64_t count = 0;
    DSM_TRY(take_number(c, 8, &count));
    if (count > left(c) / min_bytes)
        return dsm_fail(c->err, DSM_EFORMAT, "%s: %llu %s in a file of %zu bytes: cut off?",
                        c->what, (unsigned long long)count, things, (size_t)(c->end - c->begin));
    *n = (int64_t)count;
    return DSM_OK;
}

static dsm_status allocate(dsm_gguf *f, cursor *c)
{
    size_t entries = (size_t)f->n_entries + 1, tensors = (size_t)f->n_tensors + 1;
    f->entries = calloc(entries, sizeof *f->entries);
    f->by_key = calloc(entries, sizeof *f->by_key);
    f->tensors = calloc(tensors, sizeof *f->tensors);
    f->by_name = calloc(tensors, sizeof *f->by_name);
    if (f->entries && f->by_key && f->tensors && f->by_name) return DSM_OK;
    return dsm_fail(c->err, DSM_ENOMEM, "%s: out of memory", c->what);
}

static dsm_status read_alignment(const dsm_gguf *f, uint64_t *alignment, dsm_err *err)
{
    int64_t a = DSM_GGUF_ALIGNMENT;
    DSM_TRY(dsm_gguf_int(f, "general.alignment", 1, INT64_C(1) << 30, &a, err));
    if ((a & (a - 1)) != 0)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: general.alignment: found %lld, expected a power of two", f->what,
                        (long long)a);
    *alignment = (uint64_t)a;
    return DSM_OK;
}

/* Everything behind the version. */
static dsm_status read_rest(dsm_gguf *f, cursor *c)
{
    uint64_t alignment = 0;
    DSM_TRY(take_count(c, "tensors", MIN_TENSOR_BYTES, &f->n_tensors));
    f->n_own = f->n_tensors;
    DSM_TRY(take_count(c, "keys", MIN_KEY_BYTES, &f->n_entries));
    DSM_TRY(allocate(f, c));
    uint64_t *offsets = calloc((size_t)f->n_tensors + 1, sizeof *offsets);
    if (!offsets) return dsm_fail(c->err, DSM_ENOMEM, "%s: out of memory", c->what);
    dsm_status status = take_entries(c, f);
    if (status == DSM_OK) status = take_tensors(c, f, offsets);
    if (status == DSM_OK) status = read_alignment(f, &alignment, c->err);
    if (status == DSM_OK) status = lay_out(c, f, offsets, alignment);
    free(offsets);
    return status;
}

static dsm_status parse(dsm_gguf *f, const void *bytes, size_t n, dsm_err *err)
{
    static const unsigned char nothing[1];
    const unsigned char *begin = bytes ? bytes : nothing;
    cursor c = {begin, begin, begin + n, f->what, "header", err};
    DSM_TRY(take_version(&c));
    return read_rest(f, &c);
}

static dsm_status create(dsm_gguf **f, const char *what, dsm_err *err)
{
    *f = calloc(1, sizeof **f);
    if (*f) (*f)->what = strdup(what);
    if (*f && (*f)->what) return DSM_OK;
    dsm_gguf_close(*f);
    *f = NULL;
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
}

static dsm_status finish_open(dsm_gguf **out, dsm_gguf *f, dsm_status status)
{
    if (status != DSM_OK) {
        dsm_gguf_close(f);
        f = NULL;
    }
    *out = f;
    return status;
}

dsm_status dsm_gguf_open_memory(dsm_gguf **out, const void *bytes, size_t n, const char *what,
                                dsm_err *err)
{
    DSM_TRY(create(out, what, err));
    return finish_open(out, *out, parse(*out, bytes, n, err));
}

dsm_status dsm_gguf_open_one(dsm_gguf **out, const char *path, dsm_err *err)
{
    DSM_TRY(create(out, path, err));
    dsm_gguf *f = *out;
    dsm_status status = dsm_map_open(&f->map, path, err);
    if (status == DSM_OK) status = parse(f, f->map.data, f->map.size, err);
    return finish_open(out, f, status);
}

dsm_status dsm_gguf_open(dsm_gguf **out, const char *path, dsm_err *err)
{
    DSM_TRY(dsm_gguf_open_one(out, path, err));
    return finish_open(out, *out, dsm_gguf_join(*out, err));
}

void dsm_gguf_close(dsm_gguf *f)
{
    if (!f) return;
    for (int64_t i = 0; f->entries && i < f->n_entries; i++) {
        free(f->entries[i].key);
        free(f->entries[i].text);
    }
    for (int64_t i = 0; f->tensors && i < f->n_own; i++)
        free((void *)(uintptr_t)f->tensors[i].name);
    for (int64_t i = 0; i < f->n_parts; i++)
        dsm_gguf_close(f->parts[i]);
    free(f->parts);
    free(f->entries);
    free(f->by_key);
    free(f->tensors);
    free(f->by_name);
    free(f->what);
    dsm_map_close(&f->map);
    free(f);
}

bool dsm_gguf_is(const char *path)
{
    char start[sizeof magic];
    FILE *file = dsm_fs_is_dir(path) ? NULL : fopen(path, "rbe");
    if (!file) return false;
    bool is = fread(start, 1, sizeof start, file) == sizeof start &&
              memcmp(start, magic, sizeof magic) == 0;
    fclose(file);
    return is;
}

/* --- what callers ask ------------------------------------------------------------------------- */

const char *dsm_gguf_what(const dsm_gguf *f)
{
    return f->what;
}

int dsm_gguf_n_files(const dsm_gguf *f)
{
    return (int)f->n_parts + 1;
}

int64_t dsm_gguf_n_tensors(const dsm_gguf *f)
{
    return f->n_tensors;
}

const dsm_gguf_tensor *dsm_gguf_tensor_at(const dsm_gguf *f, int64_t i)
{
    assert(i >= 0 && i < f->n_tensors);
    return &f->tensors[i];
}

const dsm_gguf_tensor *dsm_gguf_find(const dsm_gguf *f, const char *name)
{
    const dsm_gguf_tensor key = {.name = name}, *wanted = &key;
    const dsm_gguf_tensor **hit =
        bsearch(&wanted, f->by_name, (size_t)f->n_tensors, sizeof *f->by_name, by_name);
    return hit ? *hit : NULL;
}

int64_t dsm_gguf_n_keys(const dsm_gguf *f)
{
    return f->n_entries;
}

const char *dsm_gguf_key_at(const dsm_gguf *f, int64_t i)
{
    assert(i >= 0 && i < f->n_entries);
    return f->entries[i].key;
}

static const entry *find_entry(const dsm_gguf *f, const char *key)
{
    const entry wanted = {.key = (char *)(uintptr_t)key}, *pointer = &wanted;
    const entry **hit =
        bsearch(&pointer, f->by_key, (size_t)f->n_entries, sizeof *f->by_key, by_key);
    return hit ? *hit : NULL;
}

bool dsm_gguf_has(const dsm_gguf *f, const char *key)
{
    return find_entry(f, key) != NULL;
}

static dsm_status wrong_type(const dsm_gguf *f, const entry *e, const char *expected, dsm_err *err)
{
    return dsm_fail(err, DSM_EFORMAT, "%s: %.80s: found %s, expected %s", f->what, e->key,
                    dsm_gguf_type_name(e->type), expected);
}

/* An integer of any width; false for other types, and for what int64_t cannot hold. */
static bool load_int(dsm_gguf_type type, const unsigned char *p, int64_t *out)
{
    switch (type) {
    case DSM_GGUF_I8:
        return *out = (int8_t)load(p, 1), true;
    case DSM_GGUF_I16:
        return *out = (int16_t)load(p, 2), true;
    case DSM_GGUF_I32:
        return *out = (int32_t)load(p, 4), true;
    case DSM_GGUF_I64:
        return *out = (int64_t)load(p, 8), true;
    case DSM_GGUF_U8:
    case DSM_GGUF_U16:
    case DSM_GGUF_U32:
    case DSM_GGUF_U64:
        return *out = (int64_t)load(p, dsm_gguf_type_size(type)), *out >= 0;
    default:
        return false;
    }
}

dsm_status dsm_gguf_int(const dsm_gguf *f, const char *key, int64_t low, int64_t high, int64_t *out,
                        dsm_err *err)
{
    const entry *e = find_entry(f, key);
    int64_t v;
    if (!e) return DSM_OK;
    if (!load_int(e->type, e->data, &v)) return wrong_type(f, e, "an integer", err);
    if (v < low || v > high)
        return dsm_fail(err, DSM_ERANGE, "%s: %.80s: found %lld, expected %lld to %lld", f->what,
                        key, (long long)v, (long long)low, (long long)high);
    *out = v;
    return DSM_OK;
}

dsm_status dsm_gguf_real(const dsm_gguf *f, const char *key, double *out, dsm_err *err)
{
    const entry *e = find_entry(f, key);
    if (!e) return DSM_OK;
    if (e->type != DSM_GGUF_F32 && e->type != DSM_GGUF_F64)
        return wrong_type(f, e, "f32 or f64", err);
    *out = e->type == DSM_GGUF_F32 ? (double)load_f32(e->data) : load_f64(e->data);
    return DSM_OK;
}

dsm_status dsm_gguf_bool(const dsm_gguf *f, const char *key, bool *out, dsm_err *err)
{
    const entry *e = find_entry(f, key);
    if (!e) return DSM_OK;
    if (e->type != DSM_GGUF_BOOL) return wrong_type(f, e, "bool", err);
    *out = e->data[0] != 0;
    return DSM_OK;
}

dsm_status dsm_gguf_text(const dsm_gguf *f, const char *key, const char **out, dsm_err *err)
{
    const entry *e = find_entry(f, key);
    if (!e) return DSM_OK;
    if (e->type != DSM_GGUF_TEXT) return wrong_type(f, e, "string", err);
    if (memchr(e->text, '\0', e->n))
        return dsm_fail(err, DSM_EFORMAT, "%s: %.80s: a string with a NUL byte in it", f->what,
                        key);
    *out = e->text;
    return DSM_OK;
}

dsm_status dsm_gguf_get_list(const dsm_gguf *f, const char *key, dsm_gguf_type type,
                             dsm_gguf_list *out, dsm_err *err)
{
    const entry *e = find_entry(f, key);
    if (!e) return DSM_OK;
    if (e->type != DSM_GGUF_LIST) return wrong_type(f, e, "an array", err);
    if (e->list.type != type)
        return dsm_fail(err, DSM_EFORMAT, "%s: %.80s: found an array of %ss, expected %ss", f->what,
                        key, dsm_gguf_type_name(e->list.type), dsm_gguf_type_name(type));
    *out = e->list;
    return DSM_OK;
}

int64_t dsm_gguf_list_int(const dsm_gguf_list *l, int64_t i)
{
    int64_t v = -1;
    assert(i >= 0 && i < l->n);
    (void)load_int(l->type, l->data + (size_t)i * dsm_gguf_type_size(l->type), &v);
    return v;
}

double dsm_gguf_list_real(const dsm_gguf_list *l, int64_t i)
{
    assert(i >= 0 && i < l->n && l->type == DSM_GGUF_F32);
    return (double)load_f32(l->data + 4 * (size_t)i);
}

const char *dsm_gguf_list_text(const unsigned char **at, size_t *n)
{
    const char *text = (const char *)*at + 8;
    *n = (size_t)load(*at, 8);
    *at += 8 + *n;
    return text;
}
