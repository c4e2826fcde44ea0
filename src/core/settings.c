/* SPDX-License-Identifier: MIT */
/* Settings by table; see settings.h.
 *
 * Every value, also a default and the right side of a --set, is a YAML node parsed by libyaml and
 * stored by settings_value.c. The walk over a document goes no deeper than the keys of the table,
 * so aliases cannot make it long. */
#include "core/settings.h"

#include "core/fs.h"
#include "core/nearest.h"
#include "core/settings_value.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FILE = 1 << 20, MAX_KEY = 64 };

/* A document on its way into a table. */
typedef struct source {
    dsm_settings *s;
    dsm_setting_source from;
    bool seen[DSM_SETTINGS_MAX];
} source;

/* --- one row ---------------------------------------------------------------------------------- */

static void reset(dsm_settings *s, size_t i);

static dsm_status store(source *src, int i, const yaml_node_t *node)
{
    const dsm_setting *row = &src->s->table[i];
    if (dsm_setting_is_null(node)) {
        reset(src->s, (size_t)i);
        return DSM_OK;
    }
    src->s->given[i] = true;
    return dsm_setting_store(&src->from, row, node, (char *)src->s->values + row->offset);
}

/* --- walking a document ----------------------------------------------------------------------- */

int dsm_settings_find(const dsm_settings *s, const char *key)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->table[i].key, key) == 0) return (int)i;
    return -1;
}

static bool is_group(const dsm_settings *s, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < s->n; i++)
        if (strncmp(s->table[i].key, path, n) == 0 && s->table[i].key[n] == '.') return true;
    return false;
}

/* The part of key below group prefix ("" is the root) and above the next dot; false if it is not
 * there. */
static bool part_below(const char *key, const char *prefix, char out[MAX_KEY])
{
    size_t n = strlen(prefix);
    if (n > 0 && (strncmp(key, prefix, n) != 0 || key[n++] != '.')) return false;
    snprintf(out, MAX_KEY, "%.*s", (int)strcspn(key + n, "."), key + n);
    return true;
}

/* The known key or group that a reader most likely meant by prefix.name: the nearest name in the
 * same group, else one that contains it (lr: peak_lr), else the same name in another group. */
static bool nearest_key(const dsm_settings *s, const char *prefix, const char *name,
                        char out[DSM_TEXT_MAX])
{
    char part[DSM_SETTINGS_MAX][MAX_KEY];
    const char *names[DSM_SETTINGS_MAX] = {0};
    for (size_t i = 0; i < s->n; i++)
        if (part_below(s->table[i].key, prefix, part[i])) names[i] = part[i];
    const char *near = dsm_nearest(name, names, s->n, sizeof *names);
    for (size_t i = 0; i < s->n && !near; i++)
        if (names[i] && strlen(name) > 1 && strstr(names[i], name)) near = names[i];
    if (near) {
        snprintf(out, DSM_TEXT_MAX, "%.100s%s%s", prefix, *prefix ? "." : "", near);
        return true;
    }
    for (size_t i = 0; i < s->n; i++) {
        const char *tail = strrchr(s->table[i].key, '.');
        if (!tail || strcmp(tail + 1, name) != 0) continue;
        snprintf(out, DSM_TEXT_MAX, "%s", s->table[i].key);
        return true;
    }
    return false;
}

static dsm_status unknown_key(const source *src, const yaml_node_t *node, const char *path)
{
    char where[DSM_TEXT_MAX], near[DSM_TEXT_MAX], prefix[DSM_TEXT_MAX];
    const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
    snprintf(prefix, sizeof prefix, "%.*s", dot ? (int)(dot - path) : 0, path);
    if (nearest_key(src->s, prefix, name, near))
        return dsm_fail(src->from.err, src->from.code, "%s: unknown key %s; did you mean %s?",
                        dsm_setting_place(&src->from, node, where), path, near);
    return dsm_fail(src->from.err, src->from.code, "%s: unknown key %s",
                    dsm_setting_place(&src->from, node, where), path);
}

/* One key of a group: what to do with it, and the group below if it is one (*below). */
static dsm_status take_pair(source *src, const char *prefix, const yaml_node_pair_t *pair,
                            char path[DSM_TEXT_MAX], const yaml_node_t **below)
{
    const yaml_node_t *key = yaml_document_get_node(src->from.doc, pair->key);
    const yaml_node_t *value = yaml_document_get_node(src->from.doc, pair->value);
    const char *name = dsm_setting_scalar(key);
    *below = NULL;
    if (!name) return dsm_setting_wrong(&src->from, key, *prefix ? prefix : "the file", "a key");
    snprintf(path, DSM_TEXT_MAX, "%.100s%s%.100s", prefix, *prefix ? "." : "", name);
    int i = dsm_settings_find(src->s, path);
    if (i >= 0) {
        char where[DSM_TEXT_MAX];
        if (src->seen[i])
            return dsm_fail(src->from.err, src->from.code, "%s: %s: given twice",
                            dsm_setting_place(&src->from, key, where), path);
        src->seen[i] = true;
        return store(src, i, value);
    }
    if (!is_group(src->s, path)) return unknown_key(src, key, path);
    if (dsm_setting_is_null(value)) return DSM_OK;
    if (value->type != YAML_MAPPING_NODE)
        return dsm_setting_wrong(&src->from, value, path, "a group of keys");
    *below = value;
    return DSM_OK;
}

/* Groups nest no deeper than the table's keys, so this recursion is bounded. */
static dsm_status take_group(source *src, const char *prefix, const yaml_node_t *group)
{
    for (const yaml_node_pair_t *p = group->data.mapping.pairs.start;
         p < group->data.mapping.pairs.top; p++) {
        char path[DSM_TEXT_MAX];
        const yaml_node_t *below;
        DSM_TRY(take_pair(src, prefix, p, path, &below));
        if (below) DSM_TRY(take_group(src, path, below));
    }
    return DSM_OK;
}

static dsm_status yaml_failed(const source *src, const yaml_parser_t *p)
{
    size_t line = (p->problem_mark.line ? p->problem_mark.line : p->context_mark.line) + 1;
    return dsm_fail(src->from.err, src->from.code, "%s:%zu: not YAML: %s", src->from.what, line,
                    p->problem ? p->problem : "unreadable");
}

typedef dsm_status (*root_fn)(source *src, const yaml_node_t *root);

/* Parse one YAML document and hand its root (NULL when empty) to fn. */
static dsm_status with_document(source *src, const char *text, size_t n, root_fn fn)
{
    yaml_parser_t parser;
    yaml_document_t doc, extra;
    if (!yaml_parser_initialize(&parser))
        return dsm_fail(src->from.err, DSM_ENOMEM, "%s: out of memory", src->from.what);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    dsm_status status;
    if (!yaml_parser_load(&parser, &doc)) {
        status = yaml_failed(src, &parser);
        yaml_parser_delete(&parser);
        return status;
    }
    src->from.doc = &doc;
    status = fn(src, yaml_document_get_root_node(&doc));
    if (status == DSM_OK && yaml_document_get_root_node(&doc)) {
        if (!yaml_parser_load(&parser, &extra))
            status = yaml_failed(src, &parser);
        else {
            if (yaml_document_get_root_node(&extra))
                status = dsm_fail(src->from.err, src->from.code,
                                  "%s: found a second document, expected one", src->from.what);
            yaml_document_delete(&extra);
        }
    }
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return status;
}

static dsm_status take_root(source *src, const yaml_node_t *root)
{
    if (!root || dsm_setting_is_null(root)) return DSM_OK; /* an empty file: all defaults */
    if (root->type != YAML_MAPPING_NODE)
        return dsm_setting_wrong(&src->from, root, "the file", "key: value lines");
    return take_group(src, "", root);
}

dsm_status dsm_settings_parse(dsm_settings *s, const char *text, size_t n, const char *what,
                              dsm_err *err)
{
    source src = {.s = s, .from = {.what = what, .lines = true, .code = DSM_EFORMAT, .err = err}};
    return with_document(&src, text, n, take_root);
}

dsm_status dsm_settings_read(dsm_settings *s, const char *path, dsm_err *err)
{
    dsm_buf text = {0};
    dsm_status status = dsm_fs_read(&text, path, MAX_FILE, err);
    if (status == DSM_OK)
        status = dsm_settings_parse(s, text.data ? text.data : "", text.len, path, err);
    dsm_buf_free(&text);
    return status;
}

/* --- one value -------------------------------------------------------------------------------- */

/* The only key of an override or a default: which row, in src->seen. */
static dsm_status take_value(source *src, const yaml_node_t *root)
{
    const yaml_node_t nothing = {
        .type = YAML_SCALAR_NODE,
        .data.scalar = {.value = (yaml_char_t *)"", .style = YAML_PLAIN_SCALAR_STYLE}};
    for (size_t i = 0; i < src->s->n; i++)
        if (src->seen[i]) return store(src, (int)i, root ? root : &nothing);
    return DSM_OK;
}

/* The default of row i of src->s: a plain scalar, which needs no parser, or a list. */
static dsm_status take_default(source *src, size_t i)
{
    const char *text = src->s->table[i].fallback;
    const yaml_node_t plain = {.type = YAML_SCALAR_NODE,
                               .data.scalar = {.value = (yaml_char_t *)(uintptr_t)text,
                                               .length = strlen(text),
                                               .style = YAML_PLAIN_SCALAR_STYLE}};
    if (!strpbrk(text, "[{\"'")) return store(src, (int)i, &plain);
    src->seen[i] = true;
    return with_document(src, text, strlen(text), take_value);
}

/* Put the default of row i in its field: zeros where there is none. */
static void reset(dsm_settings *s, size_t i)
{
    const dsm_setting *row = &s->table[i];
    memset((char *)s->values + row->offset, 0, row->size);
    if (row->fallback && *row->fallback) {
        source src = {.s = s, .from = {.what = row->key, .code = DSM_EFORMAT}};
        dsm_status status = take_default(&src, i);
        assert(status == DSM_OK);
        (void)status;
    }
    s->given[i] = false;
}

/* A group assigned at once: --set 'schedule={kind: cosine, warmup: 10}'. */
static dsm_status override_group(source *src, const char *path, const char *value)
{
    dsm_buf text = {0};
    dsm_buf_fmt(&text, "%s: %s", path, value);
    dsm_status status = dsm_buf_check(&text, src->from.what, src->from.err);
    if (status == DSM_OK) status = with_document(src, text.data, text.len, take_root);
    dsm_buf_free(&text);
    return status;
}

dsm_status dsm_settings_override(dsm_settings *s, const char *assignment, dsm_err *err)
{
    source src = {.s = s, .from = {.what = "--set", .code = DSM_EUSAGE, .err = err}};
    char path[DSM_TEXT_MAX];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment || equals - assignment >= (ptrdiff_t)sizeof path)
        return dsm_fail(err, DSM_EUSAGE, "--set: found \"%.80s\", expected key=value", assignment);
    snprintf(path, sizeof path, "%.*s", (int)(equals - assignment), assignment);
    int i = dsm_settings_find(s, path);
    if (i >= 0) {
        src.seen[i] = true;
        return with_document(&src, equals + 1, strlen(equals + 1), take_value);
    }
    if (is_group(s, path)) return override_group(&src, path, equals + 1);
    yaml_node_t nowhere = {0};
    return unknown_key(&src, &nowhere, path);
}

void dsm_settings_init(dsm_settings *s, const dsm_setting *table, size_t n, void *values)
{
    assert(n <= DSM_SETTINGS_MAX);
    *s = (dsm_settings){.table = table, .n = n, .values = values};
    for (size_t i = 0; i < n; i++)
        reset(s, i);
}

dsm_status dsm_settings_check(const dsm_settings *s, const char *what, dsm_err *err)
{
    dsm_buf missing = {0};
    for (size_t i = 0; i < s->n; i++)
        if (!s->table[i].fallback && !s->given[i])
            dsm_buf_fmt(&missing, "%s%s", missing.len ? ", " : "", s->table[i].key);
    dsm_status status = DSM_OK;
    if (missing.len)
        status =
            dsm_fail(err, DSM_EFORMAT, "%s: missing %s, which has no default", what, missing.data);
    dsm_buf_free(&missing);
    return status;
}

/* --- listings --------------------------------------------------------------------------------- */

static void write_value(const dsm_settings *s, size_t i, dsm_buf *out)
{
    const dsm_setting *row = &s->table[i];
    dsm_setting_write(row, (const char *)s->values + row->offset, out);
}

/* How many characters of key name groups that previous was in as well. */
static size_t shared_groups(const char *key, const char *previous)
{
    size_t shared = 0;
    for (size_t i = 0; key[i] && key[i] == previous[i]; i++)
        if (key[i] == '.') shared = i + 1;
    return shared;
}

static void indent(dsm_buf *out, const char *key, const char *upto)
{
    for (const char *c = key; c < upto; c++)
        if (*c == '.') dsm_buf_str(out, "  ");
}

void dsm_settings_write(const dsm_settings *s, dsm_buf *out)
{
    const char *previous = "";
    for (size_t i = 0; i < s->n; i++) {
        const char *key = s->table[i].key;
        const char *part = key + shared_groups(key, previous), *dot;
        for (; (dot = strchr(part, '.')) != NULL; part = dot + 1) {
            indent(out, key, part);
            dsm_buf_fmt(out, "%.*s:\n", (int)(dot - part), part);
        }
        indent(out, key, part);
        dsm_buf_fmt(out, "%s: ", part);
        write_value(s, i, out);
        dsm_buf_str(out, "\n");
        previous = key;
    }
}

static const char *default_text(const dsm_setting *row)
{
    if (!row->fallback) return "required";
    return *row->fallback ? row->fallback : "none";
}

void dsm_settings_help(const dsm_setting *table, size_t n, dsm_buf *out)
{
    for (size_t i = 0; i < n; i++) {
        char type[192];
        dsm_setting_describe(&table[i], type, sizeof type);
        dsm_buf_fmt(out, "  %-26s %s [%s]\n  %-26s   %s\n", table[i].key, table[i].help,
                    default_text(&table[i]), "", type);
    }
}

void dsm_settings_markdown(const dsm_setting *table, size_t n, dsm_buf *out)
{
    dsm_buf_str(out, "| key | default | value | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < n; i++) {
        char type[192];
        dsm_setting_describe(&table[i], type, sizeof type);
        const char *tick = table[i].fallback && *table[i].fallback ? "`" : "";
        dsm_buf_fmt(out, "| `%s` | %s%s%s | ", table[i].key, tick, default_text(&table[i]), tick);
        for (const char *c = type; *c; c++) /* "a | b" would end the cell */
            dsm_buf_fmt(out, *c == '|' ? "\\%c" : "%c", *c);
        dsm_buf_fmt(out, " | %s |\n", table[i].help);
    }
}
