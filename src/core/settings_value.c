/* SPDX-License-Identifier: MIT */
/* Values of settings: one store and one write function per type, `types` is the list of them. */
#include "core/settings_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- messages --------------------------------------------------------------------------------- */

/* "recipe.yaml:12" or "--set". */
const char *dsm_setting_place(const dsm_setting_source *src, const yaml_node_t *node,
                              char out[DSM_TEXT_MAX])
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

dsm_status dsm_setting_wrong(const dsm_setting_source *src, const yaml_node_t *node,
                             const char *key, const char *expected)
{
    char where[DSM_TEXT_MAX], found[80];
    describe(node, found);
    return dsm_fail(src->err, src->code, "%s: %s: found %s, expected %s",
                    dsm_setting_place(src, node, where), key, found, expected);
}

/* --- scalars ---------------------------------------------------------------------------------- */

/* The text of a scalar, or NULL: not a scalar, or one with a NUL inside. */
const char *dsm_setting_scalar(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE) return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static bool is_plain(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

bool dsm_setting_is_null(const yaml_node_t *node)
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

static dsm_status store_int(const dsm_setting_source *src, const dsm_setting *row,
                            const yaml_node_t *node, void *field)
{
    char expected[96], *end;
    expected_number(row, "an integer", expected);
    const char *text = dsm_setting_scalar(node);
    if (!text || !is_plain(node)) return dsm_setting_wrong(src, node, row->key, expected);
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (end == text || *end || errno || !in_range(row, (double)x))
        return dsm_setting_wrong(src, node, row->key, expected);
    *(int64_t *)field = x;
    return DSM_OK;
}

static dsm_status parse_real(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, double *out)
{
    char expected[96], *end;
    expected_number(row, "a number", expected);
    const char *text = dsm_setting_scalar(node);
    if (!text || !is_plain(node)) return dsm_setting_wrong(src, node, row->key, expected);
    double x = strtod(text, &end);
    if (end == text || *end || !isfinite(x) || !in_range(row, x))
        return dsm_setting_wrong(src, node, row->key, expected);
    *out = x;
    return DSM_OK;
}

static dsm_status store_real(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, void *field)
{
    return parse_real(src, row, node, field);
}

static dsm_status parse_text(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, char *out, size_t size)
{
    char expected[64];
    snprintf(expected, sizeof expected, "text of less than %zu bytes", size);
    const char *text = dsm_setting_scalar(node);
    if (!text || strlen(text) >= size) return dsm_setting_wrong(src, node, row->key, expected);
    memset(out, 0, size); /* equal settings are equal bytes */
    memcpy(out, text, strlen(text));
    return DSM_OK;
}

static dsm_status store_text(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, void *field)
{
    return parse_text(src, row, node, field, row->size);
}

static void join_names(const dsm_setting *row, char *out, size_t size)
{
    size_t n = 0;
    for (int i = 0; row->names[i] && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " | " : "", row->names[i]);
}

static dsm_status store_choice(const dsm_setting_source *src, const dsm_setting *row,
                               const yaml_node_t *node, void *field)
{
    const char *text = dsm_setting_scalar(node);
    for (int i = 0; text && row->names[i]; i++) {
        if (strcmp(text, row->names[i]) != 0) continue;
        *(int *)field = i;
        return DSM_OK;
    }
    char expected[160];
    join_names(row, expected, sizeof expected);
    return dsm_setting_wrong(src, node, row->key, expected);
}

/* --- lists ------------------------------------------------------------------------------------ */

/* Item i of a sequence, or of a single value that stands for a list of one; NULL past the end. */
static const yaml_node_t *list_item(const dsm_setting_source *src, const yaml_node_t *node, int i)
{
    if (node->type != YAML_SEQUENCE_NODE) return i == 0 ? node : NULL;
    const yaml_node_item_t *item = node->data.sequence.items.start + i;
    if (item >= node->data.sequence.items.top) return NULL;
    return yaml_document_get_node(src->doc, *item);
}

static dsm_status check_length(const dsm_setting_source *src, const dsm_setting *row,
                               const yaml_node_t *node)
{
    char expected[64];
    snprintf(expected, sizeof expected, "a list of at most %d", DSM_LIST_MAX);
    if (list_item(src, node, DSM_LIST_MAX)) return dsm_setting_wrong(src, node, row->key, expected);
    return DSM_OK;
}

static dsm_status store_numbers(const dsm_setting_source *src, const dsm_setting *row,
                                const yaml_node_t *node, void *field)
{
    dsm_number_list list = {0};
    const yaml_node_t *item;
    DSM_TRY(check_length(src, row, node));
    for (; (item = list_item(src, node, list.n)) != NULL; list.n++)
        DSM_TRY(parse_real(src, row, item, &list.item[list.n]));
    memcpy(field, &list, sizeof list);
    return DSM_OK;
}

static dsm_status store_texts(const dsm_setting_source *src, const dsm_setting *row,
                              const yaml_node_t *node, void *field)
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
static dsm_status parse_dir(const dsm_setting_source *src, const dsm_setting *row,
                            const yaml_node_t *node, dsm_dir_list *list)
{
    static const char expected[] = "a path or {dir: PATH, weight: W}";
    char *dir = list->item[list->n].dir;
    double *weight = &list->item[list->n].weight;
    *weight = 1.0;
    if (node->type == YAML_SCALAR_NODE) return parse_text(src, row, node, dir, DSM_TEXT_MAX);
    if (node->type != YAML_MAPPING_NODE) return dsm_setting_wrong(src, node, row->key, expected);
    for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
         p < node->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(src->doc, p->key);
        const yaml_node_t *value = yaml_document_get_node(src->doc, p->value);
        const char *name = dsm_setting_scalar(key);
        if (name && strcmp(name, "dir") == 0)
            DSM_TRY(parse_text(src, row, value, dir, DSM_TEXT_MAX));
        else if (name && strcmp(name, "weight") == 0)
            DSM_TRY(parse_real(src, row, value, weight));
        else
            return dsm_setting_wrong(src, key, row->key, expected);
    }
    return *dir ? DSM_OK : dsm_setting_wrong(src, node, row->key, expected);
}

static dsm_status store_dirs(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, void *field)
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
    dsm_status (*store)(const dsm_setting_source *src, const dsm_setting *row,
                        const yaml_node_t *node, void *field);
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

dsm_status dsm_setting_store(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, void *field)
{
    return types[row->type].store(src, row, node, field);
}

void dsm_setting_write(const dsm_setting *row, const void *field, dsm_buf *out)
{
    types[row->type].write(row, field, out);
}

void dsm_setting_describe(const dsm_setting *row, char *out, size_t size)
{
    if (row->type == DSM_SETTING_CHOICE) {
        join_names(row, out, size);
        return;
    }
    char expected[96];
    expected_number(row, types[row->type].name, expected);
    snprintf(out, size, "%s", expected);
}
