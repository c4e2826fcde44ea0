/* SPDX-License-Identifier: MIT */
/* The page as a whole: head, parts in their order, foot. */
#ifndef DSMOE_REPORT_PAGE_H
#define DSMOE_REPORT_PAGE_H

#include "report/plot.h"
#include "report/sources.h"

void dsm_page_write(dsm_page *page, const dsm_sources *r);

#endif
