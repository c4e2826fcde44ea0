/* SPDX-License-Identifier: MIT */
/* Values of the template language, with Python's meaning of truth, equality, order and print.
 *
 * A value is small and copied freely; what it points to belongs to the pool of the template or of
 * the rendering and lives as long as that. Strings are valid UTF-8, and their length, like every
 * index into them, counts characters. */
#ifndef DSMOE_TEMPLATE_VALUE_H
#define DSMOE_TEMPLATE_VALUE_H

#include "core/buf.h"
#include "template/pool.h"

#include <jansson.h>

typedef enum dsm_val_kind {
    DSM_VAL_UNDEFINED, /* zero, so that a cleared value is undefined */
    DSM_VAL_NONE,
    DSM_VAL_BOOL,
    DSM_VAL_INT,
    DSM_VAL_FLOAT,
    DSM_VAL_STRING,
    DSM_VAL_SEQ,
    DSM_VAL_DICT,
    DSM_VAL_NAMESPACE,
    DSM_VAL_LOOP,
    DSM_VAL_FUNCTION,
    DSM_VAL_KINDS
} dsm_val_kind;

typedef struct dsm_val {
    dsm_val_kind kind;
    bool safe; /* STRING: HTML, as the filters `safe` and `escape` make it (Python's Markup) */
    union {
        bool boolean;
        int64_t integer;
        double real;
        struct {
            const char *data; /* not NUL-terminated */
            size_t n;
        } text;
        struct {
            const char *name; /* what was looked for, NULL if that is not known */
            const char *of;   /* the type of the object it was looked for in; NULL: a variable */
        } missing;            /* UNDEFINED */
        struct dsm_val_seq *seq;
        struct dsm_val_dict *dict; /* DICT, NAMESPACE */
        struct dsm_tpl_loop *loop;
        const struct dsm_tpl_function *function;
    } as;
} dsm_val;

/* What Python would call the thing that the items come from. */
typedef enum dsm_seq_shape {
    DSM_SEQ_LIST,
    DSM_SEQ_TUPLE,
    DSM_SEQ_RANGE,
    DSM_SEQ_VIEW,    /* keys, values or items of a dict */
    DSM_SEQ_ITERATOR /* gives its items once, has no length, is always true */
} dsm_seq_shape;

/* How deep a value is nested and how many bytes it would print, about. Both are bounded when a
 * value is made, so whatever walks one is bounded too, though parts may be shared. */
typedef struct dsm_val_extent {
    int64_t depth, bytes;
} dsm_val_extent;
enum { DSM_VAL_DEPTH_MAX = 500, DSM_VAL_BYTES_MAX = 1 << 26 };

typedef struct dsm_val_seq {
    dsm_seq_shape shape;
    dsm_val_extent extent;
    dsm_val *items;
    int64_t n, cap;
} dsm_val_seq;

typedef struct dsm_val_pair {
    dsm_val key, value;
} dsm_val_pair;

typedef struct dsm_val_dict { /* in the order of insertion */
    dsm_val_extent extent;
    dsm_val_pair *pairs;
    int64_t n, cap;
} dsm_val_dict;

/* --- making ----------------------------------------------------------------------------------- */

static inline dsm_val dsm_val_none(void)
{
    return (dsm_val){.kind = DSM_VAL_NONE};
}
static inline dsm_val dsm_val_bool(bool b)
{
    return (dsm_val){.kind = DSM_VAL_BOOL, .as.boolean = b};
}
static inline dsm_val dsm_val_int(int64_t i)
{
    return (dsm_val){.kind = DSM_VAL_INT, .as.integer = i};
}
static inline dsm_val dsm_val_real(double x)
{
    return (dsm_val){.kind = DSM_VAL_FLOAT, .as.real = x};
}
/* Borrows data. */
static inline dsm_val dsm_val_text(const char *data, size_t n)
{
    return (dsm_val){.kind = DSM_VAL_STRING, .as.text = {data, n}};
}
dsm_val dsm_val_literal(const char *s);
static inline dsm_val dsm_val_missing(const char *name, const char *of)
{
    return (dsm_val){.kind = DSM_VAL_UNDEFINED, .as.missing = {name, of}};
}

/* Each returns false when the pool is exhausted or the value becomes too deep or too large. */
bool dsm_val_copy_text(dsm_val *out, dsm_pool *p, const char *data, size_t n);
bool dsm_val_new_seq(dsm_val *out, dsm_pool *p, dsm_seq_shape shape, int64_t cap);
bool dsm_val_push(dsm_val_seq *s, dsm_pool *p, dsm_val item);
bool dsm_val_new_dict(dsm_val *out, dsm_pool *p);
bool dsm_val_set(dsm_val_dict *d, dsm_pool *p, dsm_val key, dsm_val value);
/* Strings are borrowed, so json must outlive the value. */
bool dsm_val_from_json(dsm_val *out, dsm_pool *p, const json_t *json);

/* --- asking ----------------------------------------------------------------------------------- */

dsm_val_extent dsm_val_extent_of(const dsm_val *v);

static inline bool dsm_val_is(const dsm_val *v, dsm_val_kind kind)
{
    return v->kind == kind;
}
bool dsm_val_is_number(const dsm_val *v);              /* int, float or bool */
bool dsm_val_as_integer(const dsm_val *v, int64_t *i); /* int or bool */
double dsm_val_as_real(const dsm_val *v);              /* of a number */
bool dsm_val_equals_text(const dsm_val *v, const char *s);
const char *dsm_val_type(const dsm_val *v); /* as Python names it: "str", "dict", … */
bool dsm_val_true(const dsm_val *v);
bool dsm_val_hashable(const dsm_val *v);                /* may be a key */
bool dsm_val_has_length(const dsm_val *v, int64_t *n);  /* false: len() would fail */
bool dsm_val_equal(const dsm_val *a, const dsm_val *b); /* as deep as the values are */
/* < 0, 0, > 0 in *order; false when Python cannot order the two. */
bool dsm_val_compare(const dsm_val *a, const dsm_val *b, int *order);
const dsm_val *dsm_val_find(const dsm_val_dict *d, const dsm_val *key); /* NULL: not there */

/* --- printing --------------------------------------------------------------------------------- */

/* Append str(v), and repr(v). False for what has no text that is the same each time (functions,
 * iterators). */
bool dsm_val_print(dsm_buf *out, const dsm_val *v);
bool dsm_val_print_repr(dsm_buf *out, const dsm_val *v);

#endif
