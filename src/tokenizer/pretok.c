/* SPDX-License-Identifier: MIT */
/* Runs the stages of a pre-tokenizer: each turns a list of pieces into a finer one. */
#include "tokenizer/pretok.h"

#include "tokenizer/pretok_stage.h"

#include <stdlib.h>
#include <string.h>

static void add_span(dsm_pieces *out, size_t begin, size_t end)
{
    if (begin == end || out->failed) return;
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 256;
        dsm_span *more = realloc(out->spans, cap * sizeof *more);
        if (!more) {
            out->failed = true;
            return;
        }
        out->spans = more;
        out->cap = cap;
    }
    out->spans[out->n++] = (dsm_span){begin, end};
}

/* What one piece is cut into: matches and the gaps between them, given in order to `cut`. */
typedef struct cutter {
    dsm_behaviour behaviour;
    bool invert;
    dsm_pieces *out;
    size_t first;        /* pieces before this one belong to earlier input pieces */
    bool previous_match; /* of the cut before */
    bool held;           /* DSM_MERGED_NEXT: a match that waits for its gap */
    dsm_span hold;
} cutter;

static void extend_or_add(cutter *c, bool extend, size_t begin, size_t end)
{
    if (extend && c->out->n > c->first)
        c->out->spans[c->out->n - 1].end = end;
    else
        add_span(c->out, begin, end);
}

static void release_held(cutter *c)
{
    if (c->held) add_span(c->out, c->hold.begin, c->hold.end);
    c->held = false;
}

static void merge_next(cutter *c, size_t begin, size_t end, bool match)
{
    if (match) {
        release_held(c);
        c->held = true;
        c->hold = (dsm_span){begin, end};
    } else {
        add_span(c->out, c->held ? c->hold.begin : begin, end);
        c->held = false;
    }
}

static void cut(cutter *c, size_t begin, size_t end, bool match)
{
    if (begin == end) return;
    match = match != c->invert;
    switch (c->behaviour) {
    case DSM_ISOLATED:
        add_span(c->out, begin, end);
        break;
    case DSM_REMOVED:
        if (!match) add_span(c->out, begin, end);
        break;
    case DSM_MERGED_PREVIOUS:
        extend_or_add(c, match && !c->previous_match, begin, end);
        break;
    case DSM_MERGED_NEXT:
        merge_next(c, begin, end, match);
        break;
    case DSM_CONTIGUOUS:
        extend_or_add(c, match == c->previous_match, begin, end);
        break;
    }
    c->previous_match = match;
}

/* Past the character at text[i]. */
static size_t step(const char *text, size_t n, size_t i)
{
    do
        i++;
    while (i < n && ((unsigned char)text[i] & 0xC0) == 0x80);
    return i;
}

static dsm_status split_piece(const dsm_stage *s, dsm_pretok_work *w, const char *base, dsm_span in,
                              dsm_pieces *out, dsm_err *err)
{
    cutter c = {.behaviour = s->behaviour, .invert = s->invert, .out = out, .first = out->n};
    const char *text = base + in.begin;
    size_t n = in.end - in.begin, done = 0, from = 0;
    while (from <= n) {
        bool found;
        size_t begin, end;
        DSM_TRY(dsm_regex_find(s->regex, w->regex, text, n, from, &found, &begin, &end, err));
        if (!found) break;
        bool empty_behind_match = begin == end && end == done && done > 0;
        if (!empty_behind_match) {
            cut(&c, in.begin + done, in.begin + begin, false);
            cut(&c, in.begin + begin, in.begin + end, true);
            done = end;
        }
        from = end > begin ? end : step(text, n, end);
    }
    cut(&c, in.begin + done, in.end, false);
    release_held(&c);
    return DSM_OK;
}

/* Copy a piece to out->text as a piece of its own: prefix first, then the bytes with every space
 * replaced (if there is a replacement). */
static void rewrite_piece(const char *prefix, const char *replacement, const char *text, size_t n,
                          dsm_pieces *out)
{
    size_t start = out->text.len;
    dsm_buf_str(&out->text, prefix);
    for (size_t i = 0; i < n;) {
        const char *space = replacement ? memchr(text + i, ' ', n - i) : NULL;
        size_t len = space ? (size_t)(space - (text + i)) : n - i;
        dsm_buf_add(&out->text, text + i, len);
        i += len;
        if (space) {
            dsm_buf_str(&out->text, replacement);
            i++;
        }
    }
    add_span(out, start, out->text.len);
}

static void prefix_space(const char *text, size_t n, dsm_pieces *out)
{
    rewrite_piece(text[0] == ' ' ? "" : " ", NULL, text, n, out);
}

static void metaspace(const dsm_stage *s, const char *text, size_t n, bool first, dsm_pieces *out)
{
    size_t len = strlen(s->replacement);
    bool there = text[0] == ' ' || (n >= len && memcmp(text, s->replacement, len) == 0);
    bool wanted = s->prepend == DSM_PREPEND_ALWAYS || (s->prepend == DSM_PREPEND_FIRST && first);
    rewrite_piece(wanted && !there ? s->replacement : "", s->replacement, text, n, out);
}

static dsm_status run_stage(const dsm_stage *s, dsm_pretok_work *w, bool at_start, dsm_err *err)
{
    dsm_pieces in = w->pieces, *out = &w->spare;
    out->n = 0;
    dsm_buf_clear(&out->text);
    for (size_t i = 0; i < in.n; i++) {
        const char *text = in.base + in.spans[i].begin;
        size_t n = in.spans[i].end - in.spans[i].begin;
        switch (s->kind) {
        case DSM_STAGE_SPLIT:
            DSM_TRY(split_piece(s, w, in.base, in.spans[i], out, err));
            break;
        case DSM_STAGE_PREFIX_SPACE:
            prefix_space(text, n, out);
            break;
        case DSM_STAGE_METASPACE:
            metaspace(s, text, n, at_start && i == 0, out);
            break;
        }
    }
    if (out->failed || out->text.failed)
        return dsm_fail(err, DSM_ENOMEM, "pre-tokenizer: out of memory");
    if (s->kind == DSM_STAGE_SPLIT) { /* the spans still point into the same text */
        dsm_buf keep = out->text;
        out->text = in.text;
        in.text = keep;
        out->base = in.base;
    } else {
        out->base = out->text.data;
    }
    w->pieces = *out;
    w->spare = in;
    return DSM_OK;
}

/* Fill w->repaired and w->origin (one entry per byte of it and one for its end). */
static dsm_status repair(dsm_pretok_work *w, const char *text, size_t n, dsm_err *err)
{
    if (n > SIZE_MAX / (4 * sizeof(size_t)))
        return dsm_fail(err, DSM_ELIMIT, "a text of %zu bytes is too long", n);
    if (w->origin_cap < 3 * n + 1) {
        size_t *more = realloc(w->origin, (3 * n + 1) * sizeof *more);
        if (!more) return dsm_fail(err, DSM_ENOMEM, "pre-tokenizer: out of memory");
        w->origin = more;
        w->origin_cap = 3 * n + 1;
    }
    dsm_buf_clear(&w->repaired);
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int len = dsm_utf8_decode(text + i, n - i, &c);
        size_t before = w->repaired.len;
        if (len)
            dsm_buf_add(&w->repaired, text + i, (size_t)len);
        else
            dsm_buf_str(&w->repaired, "\xEF\xBF\xBD");
        for (size_t k = before; k < w->repaired.len; k++)
            w->origin[k] = i;
        i += len ? (size_t)len : 1;
    }
    w->origin[w->repaired.len] = n;
    return dsm_buf_check(&w->repaired, "pre-tokenizer", err);
}

dsm_status dsm_pretok_split(const dsm_pretok *p, dsm_pretok_work *w, const char *text, size_t n,
                            bool at_start, dsm_err *err)
{
    if (!w->regex) w->regex = dsm_regex_work_open();
    if (!w->regex) return dsm_fail(err, DSM_ENOMEM, "pre-tokenizer: out of memory");
    bool damaged = dsm_utf8_valid_prefix(text, n) < n;
    if (damaged) DSM_TRY(repair(w, text, n, err));
    w->pieces.base = damaged ? w->repaired.data : text;
    w->pieces.n = 0;
    add_span(&w->pieces, 0, damaged ? w->repaired.len : n);
    for (size_t i = 0; i < p->n_stages; i++)
        DSM_TRY(run_stage(&p->stages[i], w, at_start, err));
    if (w->pieces.failed) return dsm_fail(err, DSM_ENOMEM, "pre-tokenizer: out of memory");
    if (damaged && !p->rewrites) {
        for (size_t i = 0; i < w->pieces.n; i++) {
            dsm_span *s = &w->pieces.spans[i];
            *s = (dsm_span){w->origin[s->begin], w->origin[s->end]};
        }
        w->pieces.base = text;
    }
    return DSM_OK;
}

void dsm_pretok_work_free(dsm_pretok_work *w)
{
    dsm_buf_free(&w->pieces.text);
    dsm_buf_free(&w->spare.text);
    free(w->pieces.spans);
    free(w->spare.spans);
    dsm_buf_free(&w->repaired);
    free(w->origin);
    dsm_regex_work_close(w->regex);
    memset(w, 0, sizeof *w);
}
