/* SPDX-License-Identifier: MIT */
#include "core/json.h"

#include "core/buf.h"
#include "core/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dsm_status dsm_json_parse(json_t **out, const char *text, size_t n, const char *what, dsm_err *err)
{
    json_error_t e;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (!*out)
        return dsm_fail(err, DSM_EFORMAT, "%s: line %d, column %d: %s", what, e.line, e.column,
                        e.text);
    if (!json_is_object(*out)) {
        const char *found = dsm_json_type_name(*out);
        json_decref(*out);
        *out = NULL;
        return dsm_fail(err, DSM_EFORMAT, "%s: found %s, expected an object", what, found);
    }
    return DSM_OK;
}

dsm_status dsm_json_read(json_t **out, const char *path, size_t max_bytes, dsm_err *err)
{
    dsm_buf text = {0};
    *out = NULL;
    dsm_status status = dsm_fs_read(&text, path, max_bytes, err);
    if (status == DSM_OK)
        status = dsm_json_parse(out, text.data ? text.data : "", text.len, path, err);
    dsm_buf_free(&text);
    return status;
}

dsm_status dsm_json_need_string(const json_t *o, const char *key, const char **out,
                                const char *what, dsm_err *err)
{
    *out = NULL;
    DSM_TRY(dsm_json_string(o, key, out, what, err));
    if (*out && **out) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: %s is missing", what, key);
}

dsm_json_place dsm_json_item(const char *what, const char *list, size_t i)
{
    dsm_json_place p;
    snprintf(p.text, sizeof p.text, "%.240s: %s[%zu]", what, list, i);
    return p;
}

const char *dsm_json_type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "real";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        return "null";
    }
    return "unknown";
}

static const json_t *present(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v) ? v : NULL;
}

static dsm_status wrong_type(const json_t *v, const char *key, const char *expected,
                             const char *what, dsm_err *err)
{
    return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %s, expected %s", what, key,
                    dsm_json_type_name(v), expected);
}

dsm_status dsm_json_int(const json_t *o, const char *key, int64_t low, int64_t high, int64_t *out,
                        const char *what, dsm_err *err)
{
    const json_t *v = present(o, key);
    if (!v) return DSM_OK;
    if (!json_is_integer(v)) return wrong_type(v, key, "integer", what, err);
    json_int_t x = json_integer_value(v);
    if (x < low || x > high)
        return dsm_fail(err, DSM_ERANGE, "%s: %s: found %lld, expected %lld to %lld", what, key,
                        (long long)x, (long long)low, (long long)high);
    *out = x;
    return DSM_OK;
}

dsm_status dsm_json_real(const json_t *o, const char *key, double *out, const char *what,
                         dsm_err *err)
{
    const json_t *v = present(o, key);
    if (!v) return DSM_OK;
    if (!json_is_number(v)) return wrong_type(v, key, "number", what, err);
    *out = json_number_value(v);
    return DSM_OK;
}

dsm_status dsm_json_bool(const json_t *o, const char *key, bool *out, const char *what,
                         dsm_err *err)
{
    const json_t *v = present(o, key);
    if (!v) return DSM_OK;
    if (!json_is_boolean(v)) return wrong_type(v, key, "boolean", what, err);
    *out = json_is_true(v);
    return DSM_OK;
}

dsm_status dsm_json_string(const json_t *o, const char *key, const char **out, const char *what,
                           dsm_err *err)
{
    const json_t *v = present(o, key);
    if (!v) return DSM_OK;
    if (!json_is_string(v)) return wrong_type(v, key, "string", what, err);
    *out = json_string_value(v);
    return DSM_OK;
}

/* Fifteen digits show a number as people write it (1e-06); where that loses bits, seventeen do not.
 */
static char *format(const json_t *v)
{
    char *text = json_dumps(v, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_t *back = text ? json_loads(text, 0, NULL) : NULL;
    bool same = back && json_equal(v, back);
    json_decref(back);
    if (same) return text;
    free(text);
    return json_dumps(v, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
}

dsm_status dsm_json_write(const json_t *v, const char *path, dsm_err *err)
{
    char *text = format(v);
    if (!text) return dsm_fail(err, DSM_ENOMEM, "%s: cannot format JSON", path);
    size_t n = strlen(text);
    text[n] = '\n'; /* the terminator's place: the length goes along */
    dsm_status status = dsm_fs_replace(path, text, n + 1, err);
    free(text);
    return status;
}
