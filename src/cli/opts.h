/* SPDX-License-Identifier: MIT */
/* Flags of one command as a table: name, type, place, help.
 *
 * "--name value" or "--name=value"; booleans take no value; "--" ends the flags. What is left are
 * positional arguments. An unknown flag is DSM_EUSAGE naming the nearest known one. */
#ifndef DSMOE_CLI_OPTS_H
#define DSMOE_CLI_OPTS_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dsm_opt_type {
    DSM_OPT_FLAG,
    DSM_OPT_INT,
    DSM_OPT_REAL,
    DSM_OPT_STRING,
    DSM_OPT_LIST
} dsm_opt_type;

/* A repeatable string option's values, borrowed from argv. */
typedef struct dsm_opt_list {
    const char *items[64];
    int n;
} dsm_opt_list;

typedef struct dsm_opt {
    const char *name; /* without the dashes */
    dsm_opt_type type;
    void *out;        /* bool *, int64_t *, double *, const char **, dsm_opt_list * */
    double low, high; /* inclusive range of numbers; both 0: any */
    const char *help;
} dsm_opt;

/* Parse argv; positionals are moved to the front and counted in *n_positional. */
dsm_status dsm_opts_parse(const dsm_opt *opts, size_t n_opts, int argc, char **argv,
                          int *n_positional, dsm_err *err);

/* Take the flags of this table out of argv wherever they stand before a "--"; everything else
 * stays, in order. How main takes the options that every command has. */
dsm_status dsm_opts_take(const dsm_opt *opts, size_t n_opts, int *argc, char **argv, dsm_err *err);

/* Print "  --name VALUE   help" lines to stdout. */
void dsm_opts_print(const dsm_opt *opts, size_t n_opts);

#endif
