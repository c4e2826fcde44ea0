/* SPDX-License-Identifier: MIT */
/* gnuplot as a process: a script goes in, an SVG comes out. No shell, no temporary files; the
 * program is looked up on PATH when the first plot is made, and a script that takes too long is
 * killed. */
#ifndef DSMOE_REPORT_GNUPLOT_H
#define DSMOE_REPORT_GNUPLOT_H

#include "core/buf.h"
#include "dsmoe/status.h"

/* Run `program` on a script and append what it writes to svg. DSM_ENOTFOUND: there is no such
 * program; DSM_EIO: it failed, with its own words; DSM_ELIMIT: it took longer than timeout_s or
 * wrote too much. */
dsm_status dsm_gnuplot_run(dsm_buf *svg, const char *program, const dsm_buf *script,
                           double timeout_s, dsm_err *err);

/* Append s as a gnuplot string: in single quotes, where neither ` nor @ nor \ means anything. */
void dsm_gnuplot_string(dsm_buf *script, const char *s);

#endif
