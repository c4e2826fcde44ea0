/* SPDX-License-Identifier: MIT */
/* One key table behind a YAML file, --set, --help, range errors and the resolved copy.
 *
 * A table row names a dotted key, the field of a plain settings struct it fills, its default
 * (spelled as YAML), its range and its meaning. Files and overrides go through the same rows, so a
 * message always says where, which key, what was found and what was expected; an unknown key names
 * the nearest known one. A null value means the default. Files are at most 1 MiB of one YAML
 * document. */
#ifndef DSMOE_CORE_SETTINGS_H
#define DSMOE_CORE_SETTINGS_H

#include "core/buf.h"
#include "dsmoe/settings.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dsm_setting_type {
    DSM_SETTING_INT,     /* int64_t */
    DSM_SETTING_REAL,    /* double, finite */
    DSM_SETTING_TEXT,    /* char [size] */
    DSM_SETTING_CHOICE,  /* int, index into names */
    DSM_SETTING_NUMBERS, /* dsm_number_list */
    DSM_SETTING_TEXTS,   /* dsm_text_list */
    DSM_SETTING_DIRS     /* dsm_dir_list */
} dsm_setting_type;

typedef struct dsm_setting {
    const char *key; /* "schedule.warmup"; rows of a group stand together */
    dsm_setting_type type;
    size_t offset, size;      /* of the field in the settings struct */
    const char *fallback;     /* the default as YAML; NULL: must be given */
    double low, high;         /* inclusive range of a number or of each of a list; both 0: any */
    const char *const *names; /* choices, NULL-terminated */
    const char *help;
} dsm_setting;

enum { DSM_SETTINGS_MAX = 64 };

typedef struct dsm_settings {
    const dsm_setting *table;
    size_t n;                     /* at most DSM_SETTINGS_MAX */
    void *values;                 /* the struct being filled, borrowed */
    bool given[DSM_SETTINGS_MAX]; /* was row i given a value */
} dsm_settings;

/* Start with every default in place. A default that does not parse is our bug and asserts. */
void dsm_settings_init(dsm_settings *s, const dsm_setting *table, size_t n, void *values);

/* Read a YAML file, or n bytes of YAML that messages call `what`: DSM_EFORMAT "FILE:LINE: KEY: …".
 */
dsm_status dsm_settings_read(dsm_settings *s, const char *path, dsm_err *err);
dsm_status dsm_settings_parse(dsm_settings *s, const char *text, size_t n, const char *what,
                              dsm_err *err);

/* One "key=value" of --set, the value in YAML: DSM_EUSAGE. */
dsm_status dsm_settings_override(dsm_settings *s, const char *assignment, dsm_err *err);

/* Every row without a default has been given: DSM_EFORMAT lists those that were not. */
dsm_status dsm_settings_check(const dsm_settings *s, const char *what, dsm_err *err);

/* The row of a key, or -1; was it given? */
int dsm_settings_find(const dsm_settings *s, const char *key);

/* Append all values as YAML that reads back to the same struct, bit for bit. */
void dsm_settings_write(const dsm_settings *s, dsm_buf *out);

/* Append "  key   meaning (default)" lines, or the rows of a Markdown table. */
void dsm_settings_help(const dsm_setting *table, size_t n, dsm_buf *out);
void dsm_settings_markdown(const dsm_setting *table, size_t n, dsm_buf *out);

#endif
