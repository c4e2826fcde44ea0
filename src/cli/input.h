/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_CLI_INPUT_H
#define DSMOE_CLI_INPUT_H

#include "core/buf.h"

/* Append all of standard input, at most 1 GiB; out->data is a string even when there is nothing. */
dsm_status dsm_read_stdin(dsm_buf *out, dsm_err *err);

#endif
