/* SPDX-License-Identifier: MIT */
/* jansson is strict, which is right for the structure; text crawled from the web, though, holds
 * broken UTF-8 and halves of surrogate pairs. Only a line that was refused is repaired and tried
 * again, so clean lines pay nothing. */
#include "data/jsonl.h"

#include <jansson.h>
#include <stdint.h>
#include <string.h>

/* Value of the four hex digits of "\uXXXX" at s, or -1. */
static int32_t escape_at(const char *s, const char *end)
{
    if (end - s < 6 || s[0] != '\\' || s[1] != 'u') return -1;
    int32_t value = 0;
    for (int i = 2; i < 6; i++) {
        static const char digits[] = "0123456789abcdefABCDEF";
        const char *d = s[i] ? strchr(digits, s[i]) : NULL;
        if (!d) return -1;
        int32_t x = (int32_t)(d - digits);
        value = value * 16 + (x < 16 ? x : x - 6);
    }
    return value;
}

/* Overwrite the escapes of surrogates that have no partner by \ufffd; true if there were any. */
static bool repair_surrogates(char *line, size_t n)
{
    bool any = false;
    char *end = line + n;
    for (char *s = line; s < end; s++) {
        if (*s != '\\') continue;
        int32_t first = escape_at(s, end);
        if (first < 0xD800 || first > 0xDFFF) {
            s += first < 0 ? 1 : 5;
            continue;
        }
        int32_t second = escape_at(s + 6, end);
        if (first < 0xDC00 && second >= 0xDC00 && second <= 0xDFFF) {
            s += 11;
            continue;
        }
        memcpy(s + 2, "fffd", 4);
        s += 5;
        any = true;
    }
    return any;
}

static json_t *parse(const char *line, size_t n, json_error_t *e)
{
    return json_loadb(line, n, JSON_ALLOW_NUL, e);
}

static json_t *parse_repaired(char *line, size_t n, bool *repaired, json_error_t *e)
{
    bool surrogates = repair_surrogates(line, n);
    bool broken = dsm_utf8_valid_prefix(line, n) < n;
    if (!surrogates && !broken) return NULL;
    *repaired = true;
    if (!broken) return parse(line, n, e);
    dsm_buf fixed = {0};
    dsm_utf8_repair(&fixed, line, n);
    json_t *v = fixed.failed ? NULL : parse(fixed.data, fixed.len, e);
    dsm_buf_free(&fixed);
    return v;
}

static dsm_status missing(json_t *object, const char *field, dsm_err *err)
{
    dsm_buf keys = {0};
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (keys.len > 120) {
            dsm_buf_str(&keys, ", …");
            break;
        }
        dsm_buf_fmt(&keys, "%s\"%.40s\"", keys.len ? ", " : "", key);
    }
    dsm_fail(err, DSM_EFORMAT, "no key \"%s\"; found %s", field, keys.len ? keys.data : "none");
    dsm_buf_free(&keys);
    return DSM_EFORMAT;
}

static dsm_status take_field(dsm_buf *out, json_t *object, const char *field, dsm_err *err)
{
    if (!json_is_object(object))
        return dsm_fail(err, DSM_EFORMAT, "found %s, expected one JSON object per line",
                        json_is_array(object) ? "an array" : "a bare value");
    const json_t *text = json_object_get(object, field);
    if (!text) return missing(object, field, err);
    if (!json_is_string(text))
        return dsm_fail(err, DSM_EFORMAT, "key \"%s\" does not hold a string", field);
    dsm_buf_add(out, json_string_value(text), json_string_length(text));
    return dsm_buf_check(out, "document", err);
}

dsm_status dsm_jsonl_text(dsm_buf *out, char *line, size_t n, const char *field, bool *repaired,
                          dsm_err *err)
{
    json_error_t e = {0};
    *repaired = false;
    json_t *object = parse(line, n, &e);
    if (!object) object = parse_repaired(line, n, repaired, &e);
    if (!object) return dsm_fail(err, DSM_EFORMAT, "column %d: not JSON: %s", e.column, e.text);
    dsm_status status = take_field(out, object, field, err);
    json_decref(object);
    return status;
}
