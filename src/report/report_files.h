/* SPDX-License-Identifier: MIT */
/* The style sheet that every page carries, src/report/page.css, as bytes. */
#ifndef DSMOE_REPORT_REPORT_FILES_H
#define DSMOE_REPORT_REPORT_FILES_H

#include "core/embedded.h"

extern const dsm_embedded_file dsm_report_files[];
extern const size_t dsm_n_report_files;

#endif
