/* SPDX-License-Identifier: MIT */
/* The list of files a corpus is read from: named ones as they come, folders walked in byte order of
 * names. */
#ifndef DSMOE_DATA_INPUTS_H
#define DSMOE_DATA_INPUTS_H

#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum dsm_input_kind { DSM_INPUT_TEXT, DSM_INPUT_JSONL } dsm_input_kind;

typedef struct dsm_input {
    char *path;
    uint64_t bytes; /* of the file, compressed or not */
    dsm_input_kind kind;
} dsm_input;

typedef struct dsm_inputs {
    dsm_input *items;
    size_t n, cap;
    uint64_t bytes;       /* sum */
    uint64_t passed_over; /* files of unknown ending inside folders */
} dsm_inputs;

/* Inside folders, hidden files and unknown endings are passed over; a file named by the caller with
 * an unknown ending is plain text, unless its beginning looks binary. Errors: a path that is not
 * there, formats that cannot be read (parquet, xz, …), a folder without any known file. */
dsm_status dsm_inputs_list(dsm_inputs *in, const char *const *paths, size_t n, dsm_err *err);
void dsm_inputs_free(dsm_inputs *in); /* accepts a zeroed struct */

#endif
