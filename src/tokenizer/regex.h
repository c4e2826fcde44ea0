/* SPDX-License-Identifier: MIT */
/* The regular expressions of tokenizer files: Oniguruma's syntax and classes, matched by PCRE2.
 *
 * A pattern is translated first: every character class (\s, \p{L}, [^…], .) becomes an explicit set
 * of code points out of our own table (unicode.h), so that the Unicode version of the installed
 * PCRE2 does not matter and two spellings of one pattern translate to the same text. What the
 * translation does not know is an error that names it. */
#ifndef DSMOE_TOKENIZER_REGEX_H
#define DSMOE_TOKENIZER_REGEX_H

#include "core/buf.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct dsm_regex dsm_regex;
typedef struct dsm_regex_work dsm_regex_work; /* of one thread */

/* Append the PCRE2 form of a pattern; `what` names the place in messages. */
dsm_status dsm_regex_translate(dsm_buf *out, const char *pattern, size_t n, const char *what,
                               dsm_err *err);

/* Append a literal (valid UTF-8) as a translated pattern. */
void dsm_regex_quote(dsm_buf *out, const char *literal, size_t n);

/* Compile a translated pattern. */
dsm_status dsm_regex_open(dsm_regex **out, const char *translated, size_t n, const char *what,
                          dsm_err *err);
void dsm_regex_close(dsm_regex *r); /* accepts NULL */

dsm_regex_work *dsm_regex_work_open(void); /* NULL: out of memory */
void dsm_regex_work_close(dsm_regex_work *w);

/* Find the leftmost match at or after `from` in valid UTF-8; false in *found when there is none.
 * Errors: DSM_ELIMIT when the pattern backtracks without end. */
dsm_status dsm_regex_find(const dsm_regex *r, dsm_regex_work *w, const char *text, size_t n,
                          size_t from, bool *found, size_t *begin, size_t *end, dsm_err *err);

#endif
