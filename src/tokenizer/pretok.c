/* SPDX-License-Identifier: MIT */
/* Every supported pre-tokenizer is made of three kinds of stage: a split by a pattern, a space put
 * in front, and Metaspace's replacement. Digits, Punctuation, Whitespace and the rest are splits
 * whose pattern stands in a table below. */
#include "tokenizer/pretok.h"

#include "core/json.h"
#include "tokenizer/charset.h"

#include <stdlib.h>
#include <string.h>

typedef enum behaviour { ISOLATED, REMOVED, MERGED_PREVIOUS, MERGED_NEXT, CONTIGUOUS } behaviour;
static const char *const behaviour_names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                              "MergedWithNext", "Contiguous"};
typedef enum stage_kind { SPLIT, PREFIX_SPACE, METASPACE } stage_kind;
typedef enum prepend { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } prepend;
static const char *const prepend_names[] = {"always", "first", "never"};

typedef struct dsm_stage {
    stage_kind kind;
    behaviour behaviour; /* SPLIT */
    bool invert;
    dsm_regex *regex;
    prepend prepend;     /* METASPACE */
    char replacement[5]; /* UTF-8 */
} stage;

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MAX_STAGES = 64 };

static const char gpt2_pattern[] =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* --- reading ---------------------------------------------------------------------------------- */

static dsm_status new_stage(dsm_pretok *p, stage **out, const char *what, dsm_err *err)
{
    if (p->n_stages == MAX_STAGES)
        return dsm_fail(err, DSM_ELIMIT, "%s: pre_tokenizer: more than %d stages", what,
                        MAX_STAGES);
    if (p->byte_level)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: found a stage after ByteLevel, expected "
                        "ByteLevel last",
                        what);
    stage *more = realloc(p->stages, (p->n_stages + 1) * sizeof *more);
    if (!more) return dsm_fail(err, DSM_ENOMEM, "%s: pre_tokenizer: out of memory", what);
    p->stages = more;
    *out = &more[p->n_stages++];
    memset(*out, 0, sizeof **out);
    return DSM_OK;
}

/* A stage that splits by a translated pattern. */
static dsm_status add_split(dsm_pretok *p, const dsm_buf *pattern, behaviour b, bool invert,
                            const char *what, dsm_err *err)
{
    stage *s = NULL;
    DSM_TRY(dsm_buf_check(pattern, what, err));
    DSM_TRY(new_stage(p, &s, what, err));
    s->behaviour = b;
    s->invert = invert;
    dsm_buf_fmt(&p->signature, "split %d %d ", (int)b, invert);
    dsm_buf_add(&p->signature, pattern->data, pattern->len);
    dsm_buf_str(&p->signature, "\n");
    return dsm_regex_open(&s->regex, pattern->data, pattern->len, what, err);
}

static dsm_status add_regex(dsm_pretok *p, const char *pattern, size_t n, behaviour b, bool invert,
                            const char *what, dsm_err *err)
{
    dsm_buf translated = {0};
    dsm_status status = dsm_regex_translate(&translated, pattern, n, what, err);
    if (status == DSM_OK) status = add_split(p, &translated, b, invert, what, err);
    dsm_buf_free(&translated);
    return status;
}

static dsm_status add_literal(dsm_pretok *p, const char *literal, size_t n, behaviour b,
                              bool invert, const char *what, dsm_err *err)
{
    dsm_buf quoted = {0};
    dsm_regex_quote(&quoted, literal, n);
    dsm_status status = add_split(p, &quoted, b, invert, what, err);
    dsm_buf_free(&quoted);
    return status;
}

/* The set of code points that have one of the class flags, or (negated) none of them. */
static void write_class(dsm_buf *out, unsigned class_flags, bool negated)
{
    dsm_charset *set = calloc(1, sizeof *set);
    if (set) {
        dsm_charset_add_flag(set, class_flags, negated);
        dsm_charset_write(set, out);
    }
    out->failed = out->failed || !set;
    free(set);
}

static dsm_status add_class(dsm_pretok *p, unsigned class_flag, behaviour b, const char *what,
                            dsm_err *err)
{
    dsm_buf pattern = {0};
    write_class(&pattern, class_flag, false);
    dsm_status status = add_split(p, &pattern, b, false, what, err);
    dsm_buf_free(&pattern);
    return status;
}

/* The index of json[key] in names; `fallback` when it is missing. */
static dsm_status read_name(const json_t *json, const char *key, const char *const *names, size_t n,
                            int fallback, int *out, const char *what, dsm_err *err)
{
    const char *name = names[fallback];
    DSM_TRY(dsm_json_string(json, key, &name, what, err));
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) {
            *out = (int)i;
            return DSM_OK;
        }
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: pre_tokenizer: %s: found \"%.40s\", expected \"%s\" and the like", what,
                    key, name, names[0]);
}

static dsm_status read_split(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    int b = ISOLATED;
    bool invert = false;
    DSM_TRY(read_name(json, "behavior", behaviour_names, COUNT(behaviour_names), ISOLATED, &b, what,
                      err));
    DSM_TRY(dsm_json_bool(json, "invert", &invert, what, err));
    const json_t *pattern = json_object_get(json, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *literal = json_object_get(pattern, "String");
    if (json_is_string(regex))
        return add_regex(p, json_string_value(regex), json_string_length(regex), (behaviour)b,
                         invert, what, err);
    if (!json_is_string(literal))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: Split: pattern: expected {\"Regex\": text} "
                        "or {\"String\": text}",
                        what);
    if (json_string_length(literal) == 0) return DSM_OK; /* splits nothing */
    return add_literal(p, json_string_value(literal), json_string_length(literal), (behaviour)b,
                       invert, what, err);
}

static dsm_status read_digits(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    bool individual = false;
    DSM_TRY(dsm_json_bool(json, "individual_digits", &individual, what, err));
    return add_class(p, DSM_CLASS_NUMERIC, individual ? ISOLATED : CONTIGUOUS, what, err);
}

static dsm_status read_punctuation(dsm_pretok *p, const json_t *json, const char *what,
                                   dsm_err *err)
{
    int b = ISOLATED;
    DSM_TRY(read_name(json, "behavior", behaviour_names, COUNT(behaviour_names), ISOLATED, &b, what,
                      err));
    return add_class(p, DSM_CLASS_PUNCTUATION, (behaviour)b, what, err);
}

/* \w+|[^\w\s]+, everything else removed. */
static dsm_status read_whitespace(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    dsm_buf pattern = {0};
    (void)json;
    write_class(&pattern, DSM_CLASS_IDENT, false);
    dsm_buf_str(&pattern, "+|");
    write_class(&pattern, DSM_CLASS_IDENT | DSM_CLASS_SPACE, true);
    dsm_buf_str(&pattern, "+");
    dsm_status status = add_split(p, &pattern, REMOVED, true, what, err);
    dsm_buf_free(&pattern);
    return status;
}

static dsm_status read_whitespace_split(dsm_pretok *p, const json_t *json, const char *what,
                                        dsm_err *err)
{
    (void)json;
    return add_class(p, DSM_CLASS_SPACE, REMOVED, what, err);
}

static dsm_status read_byte_level(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    bool prefix = true, use_regex = true;
    DSM_TRY(dsm_json_bool(json, "add_prefix_space", &prefix, what, err));
    DSM_TRY(dsm_json_bool(json, "use_regex", &use_regex, what, err));
    if (prefix) {
        stage *s = NULL;
        DSM_TRY(new_stage(p, &s, what, err));
        s->kind = PREFIX_SPACE;
        p->rewrites = true;
        dsm_buf_str(&p->signature, "prefix space\n");
    }
    if (use_regex)
        DSM_TRY(add_regex(p, gpt2_pattern, sizeof gpt2_pattern - 1, ISOLATED, false, what, err));
    p->byte_level = true;
    dsm_buf_str(&p->signature, "byte level\n");
    return DSM_OK;
}

static dsm_status read_metaspace(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    const char *replacement = "\xE2\x96\x81";
    bool split = true, prefix = true;
    int scheme = PREPEND_ALWAYS;
    DSM_TRY(dsm_json_string(json, "replacement", &replacement, what, err));
    DSM_TRY(dsm_json_bool(json, "split", &split, what, err));
    DSM_TRY(dsm_json_bool(json, "add_prefix_space", &prefix, what, err)); /* before 0.15 */
    DSM_TRY(read_name(json, "prepend_scheme", prepend_names, COUNT(prepend_names),
                      prefix ? PREPEND_ALWAYS : PREPEND_NEVER, &scheme, what, err));
    uint32_t c;
    size_t n = strlen(replacement);
    if (n == 0 || dsm_utf8_decode(replacement, n, &c) != (int)n)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: Metaspace: replacement: found \"%.20s\", "
                        "expected one character",
                        what, replacement);
    stage *s = NULL;
    DSM_TRY(new_stage(p, &s, what, err));
    s->kind = METASPACE;
    s->prepend = (prepend)scheme;
    memcpy(s->replacement, replacement, n + 1);
    p->rewrites = true;
    dsm_buf_fmt(&p->signature, "metaspace %s %d\n", replacement, scheme);
    return split ? add_literal(p, replacement, n, MERGED_NEXT, false, what, err) : DSM_OK;
}

static dsm_status read_any(dsm_pretok *p, const json_t *json, int depth, const char *what,
                           dsm_err *err);

static dsm_status read_sequence(dsm_pretok *p, const json_t *json, int depth, const char *what,
                                dsm_err *err)
{
    const json_t *list = json_object_get(json, "pretokenizers");
    if (!json_is_array(list))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: Sequence: pretokenizers: expected an array", what);
    for (size_t i = 0; i < json_array_size(list); i++)
        DSM_TRY(read_any(p, json_array_get(list, i), depth + 1, what, err));
    return DSM_OK;
}

static const struct {
    const char *type;
    dsm_status (*read)(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err);
} readers[] = {
    {"Split", read_split},
    {"Digits", read_digits},
    {"ByteLevel", read_byte_level},
    {"Metaspace", read_metaspace},
    {"Punctuation", read_punctuation},
    {"Whitespace", read_whitespace},
    {"WhitespaceSplit", read_whitespace_split},
};

static dsm_status read_any(dsm_pretok *p, const json_t *json, int depth, const char *what,
                           dsm_err *err)
{
    const char *type = "";
    DSM_TRY(dsm_json_string(json, "type", &type, what, err));
    if (strcmp(type, "Sequence") == 0 && depth < 8) return read_sequence(p, json, depth, what, err);
    for (size_t i = 0; i < COUNT(readers); i++)
        if (strcmp(type, readers[i].type) == 0) return readers[i].read(p, json, what, err);
    return dsm_fail(err, DSM_EFORMAT, "%s: pre_tokenizer: type \"%.40s\" is not supported", what,
                    type);
}

dsm_status dsm_pretok_read(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    memset(p, 0, sizeof *p);
    if (!json || json_is_null(json)) return DSM_OK;
    dsm_status status = read_any(p, json, 0, what, err);
    if (status == DSM_OK) status = dsm_buf_check(&p->signature, what, err);
    if (status != DSM_OK) dsm_pretok_free(p);
    return status;
}

void dsm_pretok_free(dsm_pretok *p)
{
    for (size_t i = 0; i < p->n_stages; i++)
        dsm_regex_close(p->stages[i].regex);
    free(p->stages);
    dsm_buf_free(&p->signature);
    memset(p, 0, sizeof *p);
}

/* --- splitting -------------------------------------------------------------------------------- */

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
    behaviour behaviour;
    bool invert;
    dsm_pieces *out;
    size_t first;        /* pieces before this one belong to earlier input pieces */
    bool previous_match; /* of the cut before */
    bool held;           /* MERGED_NEXT: a match that waits for its gap */
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
    case ISOLATED:
        add_span(c->out, begin, end);
        break;
    case REMOVED:
        if (!match) add_span(c->out, begin, end);
        break;
    case MERGED_PREVIOUS:
        extend_or_add(c, match && !c->previous_match, begin, end);
        break;
    case MERGED_NEXT:
        merge_next(c, begin, end, match);
        break;
    case CONTIGUOUS:
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

static dsm_status split_piece(const stage *s, dsm_pretok_work *w, const char *base, dsm_span in,
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

static void metaspace(const stage *s, const char *text, size_t n, bool first, dsm_pieces *out)
{
    size_t len = strlen(s->replacement);
    bool there = text[0] == ' ' || (n >= len && memcmp(text, s->replacement, len) == 0);
    bool wanted = s->prepend == PREPEND_ALWAYS || (s->prepend == PREPEND_FIRST && first);
    rewrite_piece(wanted && !there ? s->replacement : "", s->replacement, text, n, out);
}

static dsm_status run_stage(const stage *s, dsm_pretok_work *w, bool at_start, dsm_err *err)
{
    dsm_pieces in = w->pieces, *out = &w->spare;
    out->n = 0;
    dsm_buf_clear(&out->text);
    for (size_t i = 0; i < in.n; i++) {
        const char *text = in.base + in.spans[i].begin;
        size_t n = in.spans[i].end - in.spans[i].begin;
        switch (s->kind) {
        case SPLIT:
            DSM_TRY(split_piece(s, w, in.base, in.spans[i], out, err));
            break;
        case PREFIX_SPACE:
            prefix_space(text, n, out);
            break;
        case METASPACE:
            metaspace(s, text, n, at_start && i == 0, out);
            break;
        }
    }
    if (out->failed || out->text.failed)
        return dsm_fail(err, DSM_ENOMEM, "pre-tokenizer: out of memory");
    if (s->kind == SPLIT) { /* the spans still point into the same text */
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
