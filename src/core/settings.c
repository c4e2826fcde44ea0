/* SPDX-License-Identifier: MIT */
/* Settings by table; see settings.h.
 *
 * Every value, also a default and the right side of a --set, is a YAML node parsed by libyaml and
 * stored by the function of the row's type; types is the one list of what a type can do. The walk
 * over a document goes no deeper than the keys of the table, so aliases cannot make it long. */
#include "core/settings.h"

#include "core/fs.h"
#include "core/nearest.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { MAX_FILE = 1 << 20, MAX_KEY = 64 };

/* Where a value comes from, for messages. */
typedef struct source {
    dsm_settings *s;
    yaml_document_t *doc;
    const char *what; /* file, or "--set" */
    bool lines;       /* show line numbers */
    dsm_status code;  /* of a bad value: DSM_EFORMAT or DSM_EUSAGE */
    bool seen[DSM_SETTINGS_MAX];
    dsm_err *err;
} source;

/* --- messages --------------------------------------------------------------------------------- */

/* "recipe.yaml:12" or "--set". */
static const char *place(const source *src, const yaml_node_t *node, char out[DSM_TEXT_MAX])
{
    if (src->lines)
        snprintf(out, DSM_TEXT_MAX, "%.900s:%zu", src->what, node->start_mark.line + 1);
    else
        snprintf(out, DSM_TEXT_MAX, "%.900s", src->what);
    return out;
}

static void describe(const yaml_node_t *node, char out[80])
{
    if (node->type == YAML_SEQUENCE_NODE)
        snprintf(out, 80, "a list");
    else if (node->type == YAML_MAPPING_NODE)
        snprintf(out, 80, "a group of keys");
    else if (node->data.scalar.length == 0)
        snprintf(out, 80, "nothing");
    else
        snprintf(out, 80, "\"%.60s\"", (const char *)node->data.scalar.value);
}

static dsm_status wrong(const source *src, const yaml_node_t *node, const char *key,
                        const char *expected)
{
    char where[DSM_TEXT_MAX], found[80];
    describe(node, found);
    return dsm_fail(src->err, src->code, "%s: %s: found %s, expected %s", place(src, node, where),
                    key, found, expected);
}

/* --- scalars ---------------------------------------------------------------------------------- */

/* The text of a scalar, or NULL: not a scalar, or one with a NUL inside. */
static const char *scalar(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE) return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static bool is_plain(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static bool is_null(const yaml_node_t *node)
{
    if (!is_plain(node)) return false;
    const char *text = (const char *)node->data.scalar.value;
    return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

static bool any_range(const dsm_setting *row)
{
    return row->low == 0 && row->high == 0;
}

/* "an integer, 1 to 512", "a number, at least 0" */
static void expected_number(const dsm_setting *row, const char *noun, char out[96])
{
    if (any_range(row))
        snprintf(out, 96, "%s", noun);
    else if (isinf(row->high))
        snprintf(out, 96, "%s, at least %.12g", noun, row->low);
    else
        snprintf(out, 96, "%s, %.12g to %.12g", noun, row->low, row->high);
}

static bool in_range(const dsm_setting *row, double x)
{
    return any_range(row) || (x >= row->low && x <= row->high);
}

static dsm_status store_int(const source *src, const dsm_setting *row, const yaml_node_t *node,
                            void *field)
{
    char expected[96], *end;
    expected_number(row, "an integer", expected);
    const char *text = scalar(node);
    if (!text || !is_plain(node)) return wrong(src, node, row->key, expected);
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (end == text || *end || errno || !in_range(row, (double)x))
        return wrong(src, node, row->key, expected);
    *(int64_t *)field = x;
    return DSM_OK;
}

static dsm_status parse_real(const source *src, const dsm_setting *row, const yaml_node_t *node,
                             double *out)
{
    char expected[96], *end;
    expected_number(row, "a number", expected);
    const char *text = scalar(node);
    if (!text || !is_plain(node)) return wrong(src, node, row->key, expected);
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x) || !in_range(row, x))
        return wrong(src, node, row->key, expected);
    *out = x;
    return DSM_OK;
}

static dsm_status store_real(const source *src, const dsm_setting *row, const yaml_node_t *node,
                             void *field)
{
    return parse_real(src, row, node, field);
}

static dsm_status parse_text(const source *src, const dsm_setting *row, const yaml_node_t *node,
                             char *out, size_t size)
{
    char expected[64];
    snprintf(expected, sizeof expected, "text of less than %zu bytes", size);
    const char *text = scalar(node);
    if (!text || strlen(text) >= size) return wrong(src, node, row->key, expected);
    memset(out, 0, size); /* equal settings are equal bytes */
    memcpy(out, text, strlen(text));
    return DSM_OK;
}

static dsm_status store_text(const source *src, const dsm_setting *row, const yaml_node_t *node,
                             void *field)
{
    return parse_text(src, row, node, field, row->size);
}

static void join_names(const dsm_setting *row, char *out, size_t size)
{
    size_t n = 0;
    for (int i = 0; row->names[i] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " | " : "", row->names[i]);
}

static dsm_status store_choice(const source *src, const dsm_setting *row, const yaml_node_t *node,
                               void *field)
{
    const char *text = scalar(node);
    for (int i = 0; text && row->names[i]; i++) {
        if (strcmp(text, row->names[i]) != 0) continue;
        *(int *)field = i;
        return DSM_OK;
    }
    char expected[160];
    join_names(row, expected, sizeof expected);
    return wrong(src, node, row->key, expected);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Item i of a sequence, or of a single value that stands for a list of one; NULL past the end. */
static const yaml_node_t *list_item(const source *src, const yaml_node_t *node, int i)
{
    if (node->type != YAML_SEQUENCE_NODE) return i == 0 ? node : NULL;
    const yaml_node_item_t *item = node->data.sequence.items.start + i;
    if (item >= node->data.sequence.items.top) return NULL;
    return yaml_document_get_node(src->doc, *item);
}

static dsm_status check_length(const source *src, const dsm_setting *row, const yaml_node_t *node)
{
    char expected[64];
    snprintf(expected, sizeof expected, "a list of at most %d", DSM_LIST_MAX);
    if (list_item(src, node, DSM_LIST_MAX)) return wrong(src, node, row->key, expected);
    return DSM_OK;
}

static dsm_status store_numbers(const source *src, const dsm_setting *row, const yaml_node_t *node,
                                void *field)
{
    dsm_number_list list = {0};
    const yaml_node_t *item;
    DSM_TRY(check_length(src, row, node));
    for (; (item = list_item(src, node, list.n)) != NULL; list.n++)
        DSM_TRY(parse_real(src, row, item, &list.item[list.n]));
    memcpy(field, &list, sizeof list);
    return DSM_OK;
}

static dsm_status store_texts(const source *src, const dsm_setting *row, const yaml_node_t *node,
                              void *field)
{
    dsm_text_list *list = field;
    const yaml_node_t *item;
    DSM_TRY(check_length(src, row, node));
    memset(list, 0, sizeof *list);
    for (; (item = list_item(src, node, list->n)) != NULL; list->n++)
        DSM_TRY(parse_text(src, row, item, list->item[list->n], DSM_TEXT_MAX));
    return DSM_OK;
}

/* {dir: PATH, weight: W} or PATH into entry list->n. */
static dsm_status parse_dir(const source *src, const dsm_setting *row, const yaml_node_t *node,
                            dsm_dir_list *list)
{
    static const char expected[] = "a path or {dir: PATH, weight: W}";
    char *dir = list->item[list->n].dir;
    double *weight = &list->item[list->n].weight;
    *weight = 1.0;
    if (node->type == YAML_SCALAR_NODE) return parse_text(src, row, node, dir, DSM_TEXT_MAX);
    if (node->type != YAML_MAPPING_NODE) return wrong(src, node, row->key, expected);
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(src->doc, p->key);
        const yaml_node_t *value = yaml_document_get_node(src->doc, p->value);
        const char *name = scalar(key);
        if (name && strcmp(name, "dir") == 0)
            DSM_TRY(parse_text(src, row, value, dir, DSM_TEXT_MAX));
        else if (name && strcmp(name, "weight") == 0)
            DSM_TRY(parse_real(src, row, value, weight));
        else
            return wrong(src, key, row->key, expected);
    }
    return *dir ? DSM_OK : wrong(src, node, row->key, expected);
}

static dsm_status store_dirs(const source *src, const dsm_setting *row, const yaml_node_t *node,
                             void *field)
{
    dsm_dir_list *list = field;
    DSM_TRY(check_length(src, row, node));
    memset(list, 0, sizeof *list);
    if (node->type == YAML_MAPPING_NODE) {
        DSM_TRY(parse_dir(src, row, node, list));
        list->n = 1;
        return DSM_OK;
    }
    const yaml_node_t *item;
    for (; (item = list_item(src, node, list->n)) != NULL; list->n++)
        DSM_TRY(parse_dir(src, row, item, list));
    return DSM_OK;
}

/* --- writing values --------------------------------------------------------------------------- */

static void write_int(const dsm_setting *row, const void *field, dsm_buf *out)
{
    (void)row;
    dsm_buf_fmt(out, "%lld", (long long)*(const int64_t *)field);
}

/* The shortest decimal that reads back to the same bits. */
static void put_real(double x, dsm_buf *out)
{
    char text[32];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) break;
    }
    dsm_buf_str(out, text);
}

static void write_real(const dsm_setting *row, const void *field, dsm_buf *out)
{
    (void)row;
    put_real(*(const double *)field, out);
}

/* Code points that YAML wants escaped: controls, line breaks, the byte order mark. */
static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029 || c == 0xfeff ||
           c == 0xfffe || c == 0xffff;
}

static void put_text(const char *text, dsm_buf *out)
{
    size_t n = strlen(text);
    dsm_buf_str(out, "\"");
    for (size_t i = 0; i < n;) {
        uint32_t c = 0xfffd;
        int len = dsm_utf8_decode(text + i, n - i, &c);
        if (len == 0 || needs_escape(c))
            dsm_buf_fmt(out, "\\U%08X", (unsigned)c);
        else if (c == '"' || c == '\\')
            dsm_buf_fmt(out, "\\%c", (int)c);
        else
            dsm_buf_add(out, text + i, (size_t)len);
        i += len ? (size_t)len : 1;
    }
    dsm_buf_str(out, "\"");
}

static void write_text(const dsm_setting *row, const void *field, dsm_buf *out)
{
    (void)row;
    put_text(field, out);
}

static void write_choice(const dsm_setting *row, const void *field, dsm_buf *out)
{
    dsm_buf_str(out, row->names[*(const int *)field]);
}

static void write_numbers(const dsm_setting *row, const void *field, dsm_buf *out)
{
    (void)row;
    const dsm_number_list *list = field;
    dsm_buf_str(out, "[");
    for (int i = 0; i < list->n; i++) {
        if (i) dsm_buf_str(out, ", ");
        put_real(list->item[i], out);
    }
    dsm_buf_str(out, "]");
}

static void write_texts(const dsm_setting *row, const void *field, dsm_buf *out)
{
    (void)row;
    const dsm_text_list *list = field;
    dsm_buf_str(out, "[");
    for (int i = 0; i < list->n; i++) {
        if (i) dsm_buf_str(out, ", ");
        put_text(list->item[i], out);
    }
    dsm_buf_str(out, "]");
}

static void write_dirs(const dsm_setting *row, const void *field, dsm_buf *out)
{
    (void)row;
    const dsm_dir_list *list = field;
    dsm_buf_str(out, "[");
    for (int i = 0; i < list->n; i++) {
        dsm_buf_str(out, i ? ", {dir: " : "{dir: ");
        put_text(list->item[i].dir, out);
        dsm_buf_str(out, ", weight: ");
        put_real(list->item[i].weight, out);
        dsm_buf_str(out, "}");
    }
    dsm_buf_str(out, "]");
}

/* --- types ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    dsm_status (*store)(const source *src, const dsm_setting *row, const yaml_node_t *node,
                        void *field);
    void (*write)(const dsm_setting *row, const void *field, dsm_buf *out);
} types[] = {
    [DSM_SETTING_INT] = {"integer", store_int, write_int},
    [DSM_SETTING_REAL] = {"number", store_real, write_real},
    [DSM_SETTING_TEXT] = {"text", store_text, write_text},
    [DSM_SETTING_CHOICE] = {"choice", store_choice, write_choice},
    [DSM_SETTING_NUMBERS] = {"list of numbers", store_numbers, write_numbers},
    [DSM_SETTING_TEXTS] = {"list of texts", store_texts, write_texts},
    [DSM_SETTING_DIRS] = {"path, or list of {dir, weight}", store_dirs, write_dirs},
};

static void reset(dsm_settings *s, size_t i);

static dsm_status store(source *src, int i, const yaml_node_t *node)
{
    const dsm_setting *row = &src->s->table[i];
    if (is_null(node)) {
        reset(src->s, (size_t)i);
        return DSM_OK;
    }
    src->s->given[i] = true;
    return types[row->type].store(src, row, node, (char *)src->s->values + row->offset);
}

/* --- walking a document ------------------------------------------------------------------------
 */

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
        return dsm_fail(src->err, src->code, "%s: unknown key %s; did you mean %s?",
                        place(src, node, where), path, near);
    return dsm_fail(src->err, src->code, "%s: unknown key %s", place(src, node, where), path);
}

/* One key of a group: what to do with it, and the group below if it is one (*below). */
static dsm_status take_pair(source *src, const char *prefix, const yaml_node_pair_t *pair,
                            char path[DSM_TEXT_MAX], const yaml_node_t **below)
{
    const yaml_node_t *key = yaml_document_get_node(src->doc, pair->key);
    const yaml_node_t *value = yaml_document_get_node(src->doc, pair->value);
    const char *name = scalar(key);
    *below = NULL;
    if (!name) return wrong(src, key, *prefix ? prefix : "the file", "a key");
    snprintf(path, DSM_TEXT_MAX, "%.100s%s%.100s", prefix, *prefix ? "." : "", name);
    int i = dsm_settings_find(src->s, path);
    if (i >= 0) {
        char where[DSM_TEXT_MAX];
        if (src->seen[i])
            return dsm_fail(src->err, src->code, "%s: %s: given twice", place(src, key, where),
                            path);
        src->seen[i] = true;
        return store(src, i, value);
    }
    if (!is_group(src->s, path)) return unknown_key(src, key, path);
    if (is_null(value)) return DSM_OK;
    if (value->type != YAML_MAPPING_NODE) return wrong(src, value, path, "a group of keys");
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
    return dsm_fail(src->err, src->code, "%s:%zu: not YAML: %s", src->what, line,
                    p->problem ? p->problem : "unreadable");
}

typedef dsm_status (*root_fn)(source *src, const yaml_node_t *root);

/* Parse one YAML document and hand its root (NULL when empty) to fn. */
static dsm_status with_document(source *src, const char *text, size_t n, root_fn fn)
{
    yaml_parser_t parser;
    yaml_document_t doc, extra;
    if (!yaml_parser_initialize(&parser))
        return dsm_fail(src->err, DSM_ENOMEM, "%s: out of memory", src->what);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    dsm_status status;
    if (!yaml_parser_load(&parser, &doc)) {
        status = yaml_failed(src, &parser);
        yaml_parser_delete(&parser);
        return status;
    }
    src->doc = &doc;
    status = fn(src, yaml_document_get_root_node(&doc));
    if (status == DSM_OK && yaml_document_get_root_node(&doc)) {
        if (!yaml_parser_load(&parser, &extra))
            status = yaml_failed(src, &parser);
        else {
            if (yaml_document_get_root_node(&extra))
                status = dsm_fail(src->err, src->code, "%s: found a second document, expected one",
                                  src->what);
            yaml_document_delete(&extra);
        }
    }
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return status;
}

static dsm_status take_root(source *src, const yaml_node_t *root)
{
    if (!root || is_null(root)) return DSM_OK; /* an empty file: all defaults */
    if (root->type != YAML_MAPPING_NODE) return wrong(src, root, "the file", "key: value lines");
    return take_group(src, "", root);
}

dsm_status dsm_settings_parse(dsm_settings *s, const char *text, size_t n, const char *what,
                              dsm_err *err)
{
    source src = {.s = s, .what = what, .lines = true, .code = DSM_EFORMAT, .err = err};
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

/* Put the default of row i in its field: zeros where there is none. */
static void reset(dsm_settings *s, size_t i)
{
    const dsm_setting *row = &s->table[i];
    memset((char *)s->values + row->offset, 0, row->size);
    if (row->fallback && *row->fallback) {
        source src = {.s = s, .what = row->key, .code = DSM_EFORMAT};
        src.seen[i] = true;
        dsm_status status = with_document(&src, row->fallback, strlen(row->fallback), take_value);
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
    dsm_status status = dsm_buf_check(&text, src->what, src->err);
    if (status == DSM_OK) status = with_document(src, text.data, text.len, take_root);
    dsm_buf_free(&text);
    return status;
}

dsm_status dsm_settings_override(dsm_settings *s, const char *assignment, dsm_err *err)
{
    source src = {.s = s, .what = "--set", .code = DSM_EUSAGE, .err = err};
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
    types[row->type].write(row, (const char *)s->values + row->offset, out);
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

/* "integer, at least 1" or "sign | proportional" */
static void describe_type(const dsm_setting *row, char *out, size_t size)
{
    if (row->type == DSM_SETTING_CHOICE) {
        join_names(row, out, size);
        return;
    }
    char expected[96];
    expected_number(row, types[row->type].name, expected);
    snprintf(out, size, "%s", expected);
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
        describe_type(&table[i], type, sizeof type);
        dsm_buf_fmt(out, "  %-26s %s [%s]\n  %-26s   %s\n", table[i].key, table[i].help,
                    default_text(&table[i]), "", type);
    }
}

void dsm_settings_markdown(const dsm_setting *table, size_t n, dsm_buf *out)
{
    dsm_buf_str(out, "| key | default | value | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < n; i++) {
        char type[192];
        describe_type(&table[i], type, sizeof type);
        const char *tick = table[i].fallback && *table[i].fallback ? "`" : "";
        dsm_buf_fmt(out, "| `%s` | %s%s%s | ", table[i].key, tick, default_text(&table[i]), tick);
        for (const char *c = type; *c; c++) /* "a | b" would end the cell */
            dsm_buf_fmt(out, *c == '|' ? "\\%c" : "%c", *c);
        dsm_buf_fmt(out, " | %s |\n", table[i].help);
    }
}
