/* SPDX-License-Identifier: MIT */
/* YAML to JSON by libyaml's events: without aliases a document is a tree, as long as its text. */
#include "core/yaml.h"

#include "core/fs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_FILE = 1 << 20, MAX_DEPTH = 32 };

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one at hand */
    const char *what;
    dsm_err *err;
} reader;

static size_t line_of(const reader *r)
{
    return r->event.start_mark.line + 1;
}

static dsm_status wrong(const reader *r, const char *found, const char *expected)
{
    return dsm_fail(r->err, DSM_EFORMAT, "%s:%zu: found %s, expected %s", r->what, line_of(r),
                    found, expected);
}

static dsm_status no_memory(const reader *r)
{
    return dsm_fail(r->err, DSM_ENOMEM, "%s: out of memory", r->what);
}

static dsm_status advance(reader *r)
{
    yaml_event_delete(&r->event);
    if (yaml_parser_parse(&r->parser, &r->event)) return DSM_OK;
    return dsm_fail(r->err, DSM_EFORMAT, "%s:%zu: not YAML: %s", r->what,
                    r->parser.problem_mark.line + 1,
                    r->parser.problem ? r->parser.problem : "unreadable");
}

/* --- scalars ---------------------------------------------------------------------------------- */

static json_t *plain_value(const char *text)
{
    char *end;
    if (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0) return json_null();
    if (strcmp(text, "true") == 0) return json_true();
    if (strcmp(text, "false") == 0) return json_false();
    errno = 0;
    long long whole = strtoll(text, &end, 10);
    if (!*end && !errno) return json_integer(whole);
    double real = strtod(text, &end);
    if (!*end && isfinite(real)) return json_real(real);
    return json_string(text);
}

static dsm_status take_scalar(reader *r, json_t **out)
{
    const char *text = (const char *)r->event.data.scalar.value;
    bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(text) != r->event.data.scalar.length) return wrong(r, "a NUL inside a text", "text");
    *out = plain ? plain_value(text) : json_string(text);
    return *out ? DSM_OK : no_memory(r);
}

/* --- lists and groups ------------------------------------------------------------------------- */

static dsm_status take_value(reader *r, json_t **out, int depth);

static dsm_status take_list(reader *r, json_t *list, int depth)
{
    for (;;) {
        json_t *item;
        DSM_TRY(advance(r));
        if (r->event.type == YAML_SEQUENCE_END_EVENT) return DSM_OK;
        DSM_TRY(take_value(r, &item, depth + 1));
        if (json_array_append_new(list, item) < 0) return no_memory(r);
    }
}

static dsm_status take_pair(reader *r, json_t *group, int depth)
{
    json_t *value;
    if (r->event.type != YAML_SCALAR_EVENT) return wrong(r, "a list or group", "a key");
    char *key = strdup((const char *)r->event.data.scalar.value);
    if (!key) return no_memory(r);
    dsm_status status =
        json_object_get(group, key) ? wrong(r, "a key given twice", "each key once") : advance(r);
    if (status == DSM_OK) status = take_value(r, &value, depth + 1);
    if (status == DSM_OK && json_object_set_new(group, key, value) < 0) status = no_memory(r);
    free(key);
    return status;
}

static dsm_status take_group(reader *r, json_t *group, int depth)
{
    for (;;) {
        DSM_TRY(advance(r));
        if (r->event.type == YAML_MAPPING_END_EVENT) return DSM_OK;
        DSM_TRY(take_pair(r, group, depth));
    }
}

/* The value that begins with the event at hand. */
static dsm_status take_value(reader *r, json_t **out, int depth)
{
    *out = NULL;
    if (depth > MAX_DEPTH) return wrong(r, "too deep a nesting", "at most 32 levels");
    if (r->event.type == YAML_SCALAR_EVENT) return take_scalar(r, out);
    if (r->event.type == YAML_ALIAS_EVENT) return wrong(r, "an alias", "the value itself");
    bool is_list = r->event.type == YAML_SEQUENCE_START_EVENT;
    json_t *all = is_list ? json_array() : json_object();
    if (!all) return no_memory(r);
    dsm_status status = is_list ? take_list(r, all, depth) : take_group(r, all, depth);
    if (status == DSM_OK)
        *out = all;
    else
        json_decref(all);
    return status;
}

/* --- documents -------------------------------------------------------------------------------- */

/* Stream start, document start, a value, document end, stream end. */
static dsm_status take_document(reader *r, json_t **out)
{
    DSM_TRY(advance(r));
    DSM_TRY(advance(r));
    if (r->event.type == YAML_STREAM_END_EVENT) return wrong(r, "nothing", "key: value lines");
    DSM_TRY(advance(r));
    DSM_TRY(take_value(r, out, 0));
    DSM_TRY(advance(r));
    DSM_TRY(advance(r));
    if (r->event.type != YAML_STREAM_END_EVENT) return wrong(r, "a second document", "one");
    return DSM_OK;
}

dsm_status dsm_yaml_parse(json_t **out, const char *text, size_t n, const char *what, dsm_err *err)
{
    reader r = {.what = what, .err = err};
    *out = NULL;
    if (!yaml_parser_initialize(&r.parser)) return no_memory(&r);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
    dsm_status status = take_document(&r, out);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (status == DSM_OK) return DSM_OK;
    json_decref(*out);
    *out = NULL;
    return status;
}

dsm_status dsm_yaml_read(json_t **out, const char *path, dsm_err *err)
{
    dsm_buf text = {0};
    *out = NULL;
    dsm_status status = dsm_fs_read(&text, path, MAX_FILE, err);
    if (status == DSM_OK)
        status = dsm_yaml_parse(out, text.data ? text.data : "", text.len, path, err);
    dsm_buf_free(&text);
    return status;
}
