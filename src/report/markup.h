/* SPDX-License-Identifier: MIT */
/* Text as the report's three forms want it: HTML, CSV and Markdown, and numbers for people.
 *
 * Every byte that comes from a file (labels, prompts, tokens, messages) goes through one of these;
 * what is no UTF-8 becomes U+FFFD, control characters become spaces. */
#ifndef DSMOE_REPORT_MARKUP_H
#define DSMOE_REPORT_MARKUP_H

#include "core/buf.h"

#include <stdint.h>

/* Append s as character data, fit for attributes in double quotes too. NULL: nothing. */
void dsm_html_text(dsm_buf *out, const char *s);
/* "<name>s</name>" and, with a class, "<name class="class">s</name>" */
void dsm_html_element(dsm_buf *out, const char *name, const char *class_name, const char *s);
/* The same for text that keeps its lines. */
void dsm_html_pre(dsm_buf *out, const char *s);

/* Append s as one field of a CSV line, quoted where it must be (RFC 4180). */
void dsm_csv_field(dsm_buf *out, const char *s);

/* Append s as a cell of a Markdown table. */
void dsm_markdown_text(dsm_buf *out, const char *s);

/* A text of a number, held by value so that several fit into one call. */
typedef struct dsm_shown {
    char text[48];
} dsm_shown;

dsm_shown dsm_show_fixed(double x, int decimals); /* "2.243"; "–" for NAN */
dsm_shown dsm_show_count(double x);               /* "1.25M", "640"; "–" for NAN */
dsm_shown dsm_show_duration(double seconds);      /* "41 s", "12 min", "3.4 h"; "–" for NAN */
dsm_shown dsm_show_spread(double mean, double deviation, int decimals); /* "2.243 ± 0.004" */

#endif
