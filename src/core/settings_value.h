/* SPDX-License-Identifier: MIT */
/* Inside core/settings: one YAML node into one field and back. Nothing here knows a table. */
#ifndef DSMOE_CORE_SETTINGS_VALUE_H
#define DSMOE_CORE_SETTINGS_VALUE_H

#include "core/settings.h"

#include <yaml.h>

/* Where a value comes from, for messages. */
typedef struct dsm_setting_source {
    yaml_document_t *doc;
    const char *what; /* file, or "--set" */
    bool lines;       /* show line numbers */
    dsm_status code;  /* of a bad value: DSM_EFORMAT or DSM_EUSAGE */
    dsm_err *err;
} dsm_setting_source;

/* "recipe.yaml:12" or "--set". */
const char *dsm_setting_place(const dsm_setting_source *src, const yaml_node_t *node,
                              char out[DSM_TEXT_MAX]);

/* "PLACE: KEY: found WHAT THE NODE IS, expected EXPECTED"; returns src->code. */
dsm_status dsm_setting_wrong(const dsm_setting_source *src, const yaml_node_t *node,
                             const char *key, const char *expected);

/* The text of a scalar, or NULL: not a scalar, or one with a NUL inside. */
const char *dsm_setting_scalar(const yaml_node_t *node);

/* Is the node nothing, ~ or null? */
bool dsm_setting_is_null(const yaml_node_t *node);

/* Check a node against its row and store it in the row's field; the reverse; and what a row takes
 * ("integer, at least 1", "sign | proportional"). */
dsm_status dsm_setting_store(const dsm_setting_source *src, const dsm_setting *row,
                             const yaml_node_t *node, void *field);
void dsm_setting_write(const dsm_setting *row, const void *field, dsm_buf *out);
void dsm_setting_describe(const dsm_setting *row, char *out, size_t size);

#endif
