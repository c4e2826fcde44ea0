/* SPDX-License-Identifier: MIT */
/* Messages typed by a person, or lines of a script.
 *
 * On a terminal a line can be edited and earlier ones called up (libedit); elsewhere lines are read
 * as they come. A message is a line; lines that end with a backslash go on on the next one, and
 * """ begins one of several lines, up to the next """. */
#ifndef DSMOE_CLI_LINE_H
#define DSMOE_CLI_LINE_H

#include "core/buf.h"

typedef struct dsm_line_reader dsm_line_reader;

/* history: a file to keep lines in from one session to the next, NULL: none. */
dsm_status dsm_line_open(dsm_line_reader **out, const char *history, dsm_err *err);
void dsm_line_close(dsm_line_reader *r); /* accepts NULL */

typedef enum dsm_line_result {
    DSM_LINE_TEXT,
    DSM_LINE_INTERRUPTED, /* Ctrl-C at the prompt */
    DSM_LINE_END          /* Ctrl-D, or the input is over */
} dsm_line_result;

/* The next message, without its last line end, replaces what is in `text`. */
dsm_line_result dsm_line_read(dsm_line_reader *r, const char *prompt, dsm_buf *text);

bool dsm_line_is_terminal(const dsm_line_reader *r);

#endif
