/* SPDX-License-Identifier: MIT */
/* The pre_tokenizer of a tokenizer.json: cuts text into the words that are merged one by one.
 *
 * The file's chain is held as stages that each refine a list of pieces (any chain of the supported
 * kinds, see pretok_read.c). When the chain is that of a preset, `scan` replaces all of them.
 * The byte-level alphabet is not applied to pieces: they are raw bytes throughout. */
#ifndef DSMOE_TOKENIZER_PRETOK_H
#define DSMOE_TOKENIZER_PRETOK_H

#include "core/buf.h"
#include "dsmoe/status.h"
#include "tokenizer/regex.h"
#include "tokenizer/scan.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct dsm_span {
    size_t begin, end;
} dsm_span;

/* Pieces of a text, in order. */
typedef struct dsm_pieces {
    const char *base; /* what the spans point into: the input, or text.data */
    dsm_buf text;     /* pieces that differ from the input (a prefix space, Metaspace) */
    dsm_span *spans;
    size_t n, cap;
    bool failed; /* out of memory */
} dsm_pieces;

struct dsm_stage;

typedef struct dsm_pretok {
    struct dsm_stage *stages;
    size_t n_stages;
    bool byte_level;   /* tokens are spelled in the byte-level alphabet */
    bool rewrites;     /* some stage changes the text */
    dsm_scan_fn scan;  /* the whole chain at once, or NULL */
    dsm_buf signature; /* canonical text of the chain: equal signatures split equally */
} dsm_pretok;

/* Read the "pre_tokenizer" value (may be JSON null). Errors: DSM_EFORMAT naming the construct. */
dsm_status dsm_pretok_read(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err);
void dsm_pretok_free(dsm_pretok *p); /* accepts a zeroed struct */

/* What splitting one text needs; one per thread, start zeroed. */
typedef struct dsm_pretok_work {
    dsm_pieces pieces, spare;
    dsm_buf repaired; /* UTF-8 form of damaged text, for regular expressions */
    size_t *origin;   /* byte of the text each byte of `repaired` stands for */
    size_t origin_cap;
    dsm_regex_work *regex;
} dsm_pretok_work;
void dsm_pretok_work_free(dsm_pretok_work *w);

/* Run the stages on text; the pieces are in w->pieces, valid until the next call and as long as
 * text. at_start: nothing of the input stands before text (Metaspace's "first"). Does not use
 * `scan`. Damaged UTF-8 is cut as if each bad byte were U+FFFD; the pieces still hold the bytes
 * themselves, unless a stage rewrites the text: then they hold U+FFFD. */
dsm_status dsm_pretok_split(const dsm_pretok *p, dsm_pretok_work *w, const char *text, size_t n,
                            bool at_start, dsm_err *err);

/* --- presets ---------------------------------------------------------------------------------- */

/* The names of the presets, NULL at the end. */
extern const char *const dsm_pretok_preset_names[];

/* The pre_tokenizer value of a preset (new reference). Errors: DSM_EUSAGE for an unknown name. */
dsm_status dsm_pretok_preset(json_t **out, const char *name, dsm_err *err);

/* Set p->scan (and return the name) if p splits like a preset; NULL otherwise. */
const char *dsm_pretok_recognise(dsm_pretok *p);

#endif
