/* SPDX-License-Identifier: MIT */
/* The report's numbers for other programs (CSV) and for a repository (Markdown). */
#ifndef DSMOE_REPORT_TABLES_H
#define DSMOE_REPORT_TABLES_H

#include "core/buf.h"
#include "report/outcome.h"

/* Which lines of the long table: those of finished runs and analyses, of curves, of loads. */
typedef enum dsm_csv_part {
    DSM_CSV_SUMMARY = 1,
    DSM_CSV_CURVES = 2,
    DSM_CSV_LOADS = 4
} dsm_csv_part;

/* "experiment,run,seed,metric,x,value,paper" and a line per number: x is a step, or what an
 * analysis varies; fields that do not apply are empty. parts: dsm_csv_part, or-ed. */
void dsm_csv_write(dsm_buf *out, const dsm_outcome *all, int n, unsigned parts);

/* Per experiment the verdicts, the runs and the analyses as tables. */
void dsm_markdown_write(dsm_buf *out, const dsm_outcome *all, int n);

#endif
