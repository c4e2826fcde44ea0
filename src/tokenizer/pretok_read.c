/* SPDX-License-Identifier: MIT */
/* Reads the pre_tokenizer of a tokenizer.json into stages. Digits, Punctuation, Whitespace and the
 * rest are splits whose pattern is written here. */
#include "core/json.h"
#include "tokenizer/charset.h"
#include "tokenizer/pretok.h"
#include "tokenizer/pretok_stage.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MAX_STAGES = 64 };

/* In the order of their enums. */
static const char *const behaviour_names[] = {"Isolated", "Removed", "MergedWithPrevious",
                                              "MergedWithNext", "Contiguous"};
static const char *const prepend_names[] = {"always", "first", "never"};

static const char gpt2_pattern[] =
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static dsm_status new_stage(dsm_pretok *p, dsm_stage **out, const char *what, dsm_err *err)
{
    if (p->n_stages == MAX_STAGES)
        return dsm_fail(err, DSM_ELIMIT, "%s: pre_tokenizer: more than %d stages", what,
                        MAX_STAGES);
    if (p->byte_level)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: found a stage after ByteLevel, expected "
                        "ByteLevel last",
                        what);
    dsm_stage *more = realloc(p->stages, (p->n_stages + 1) * sizeof *more);
    if (!more) return dsm_fail(err, DSM_ENOMEM, "%s: pre_tokenizer: out of memory", what);
    p->stages = more;
    *out = &more[p->n_stages++];
    memset(*out, 0, sizeof **out);
    return DSM_OK;
}

/* A stage that splits by a translated pattern. */
static dsm_status add_split(dsm_pretok *p, const dsm_buf *pattern, dsm_behaviour b, bool invert,
                            const char *what, dsm_err *err)
{
    dsm_stage *s = NULL;
    DSM_TRY(dsm_buf_check(pattern, what, err));
    DSM_TRY(new_stage(p, &s, what, err));
    s->behaviour = b;
    s->invert = invert;
    dsm_buf_fmt(&p->signature, "split %d %d ", (int)b, invert);
    dsm_buf_add(&p->signature, pattern->data, pattern->len);
    dsm_buf_str(&p->signature, "\n");
    return dsm_regex_open(&s->regex, pattern->data, pattern->len, what, err);
}

static dsm_status add_regex(dsm_pretok *p, const char *pattern, size_t n, dsm_behaviour b,
                            bool invert, const char *what, dsm_err *err)
{
    dsm_buf translated = {0};
    dsm_status status = dsm_regex_translate(&translated, pattern, n, what, err);
    if (status == DSM_OK) status = add_split(p, &translated, b, invert, what, err);
    dsm_buf_free(&translated);
    return status;
}

static dsm_status add_literal(dsm_pretok *p, const char *literal, size_t n, dsm_behaviour b,
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

static dsm_status add_class(dsm_pretok *p, unsigned class_flag, dsm_behaviour b, const char *what,
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
    int b = DSM_ISOLATED;
    bool invert = false;
    DSM_TRY(read_name(json, "behavior", behaviour_names, COUNT(behaviour_names), DSM_ISOLATED, &b,
                      what, err));
    DSM_TRY(dsm_json_bool(json, "invert", &invert, what, err));
    const json_t *pattern = json_object_get(json, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *literal = json_object_get(pattern, "String");
    if (json_is_string(regex))
        return add_regex(p, json_string_value(regex), json_string_length(regex), (dsm_behaviour)b,
                         invert, what, err);
    if (!json_is_string(literal))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: Split: pattern: expected {\"Regex\": text} "
                        "or {\"String\": text}",
                        what);
    if (json_string_length(literal) == 0) return DSM_OK; /* splits nothing */
    return add_literal(p, json_string_value(literal), json_string_length(literal), (dsm_behaviour)b,
                       invert, what, err);
}

static dsm_status read_digits(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    bool individual = false;
    DSM_TRY(dsm_json_bool(json, "individual_digits", &individual, what, err));
    return add_class(p, DSM_CLASS_NUMERIC, individual ? DSM_ISOLATED : DSM_CONTIGUOUS, what, err);
}

static dsm_status read_punctuation(dsm_pretok *p, const json_t *json, const char *what,
                                   dsm_err *err)
{
    int b = DSM_ISOLATED;
    DSM_TRY(read_name(json, "behavior", behaviour_names, COUNT(behaviour_names), DSM_ISOLATED, &b,
                      what, err));
    return add_class(p, DSM_CLASS_PUNCTUATION, (dsm_behaviour)b, what, err);
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
    dsm_status status = add_split(p, &pattern, DSM_REMOVED, true, what, err);
    dsm_buf_free(&pattern);
    return status;
}

static dsm_status read_whitespace_split(dsm_pretok *p, const json_t *json, const char *what,
                                        dsm_err *err)
{
    (void)json;
    return add_class(p, DSM_CLASS_SPACE, DSM_REMOVED, what, err);
}

static dsm_status read_byte_level(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    bool prefix = true, use_regex = true;
    DSM_TRY(dsm_json_bool(json, "add_prefix_space", &prefix, what, err));
    DSM_TRY(dsm_json_bool(json, "use_regex", &use_regex, what, err));
    if (prefix) {
        dsm_stage *s = NULL;
        DSM_TRY(new_stage(p, &s, what, err));
        s->kind = DSM_STAGE_PREFIX_SPACE;
        p->rewrites = true;
        dsm_buf_str(&p->signature, "prefix space\n");
    }
    if (use_regex)
        DSM_TRY(
            add_regex(p, gpt2_pattern, sizeof gpt2_pattern - 1, DSM_ISOLATED, false, what, err));
    p->byte_level = true;
    dsm_buf_str(&p->signature, "byte level\n");
    return DSM_OK;
}

static dsm_status read_metaspace(dsm_pretok *p, const json_t *json, const char *what, dsm_err *err)
{
    const char *replacement = "\xE2\x96\x81";
    bool split = true, prefix = true;
    int scheme = DSM_PREPEND_ALWAYS;
    DSM_TRY(dsm_json_string(json, "replacement", &replacement, what, err));
    DSM_TRY(dsm_json_bool(json, "split", &split, what, err));
    DSM_TRY(dsm_json_bool(json, "add_prefix_space", &prefix, what, err)); /* before 0.15 */
    DSM_TRY(read_name(json, "prepend_scheme", prepend_names, COUNT(prepend_names),
                      prefix ? DSM_PREPEND_ALWAYS : DSM_PREPEND_NEVER, &scheme, what, err));
    uint32_t c;
    size_t n = strlen(replacement);
    if (n == 0 || dsm_utf8_decode(replacement, n, &c) != (int)n)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: pre_tokenizer: Metaspace: replacement: found \"%.20s\", "
                        "expected one character",
                        what, replacement);
    dsm_stage *s = NULL;
    DSM_TRY(new_stage(p, &s, what, err));
    s->kind = DSM_STAGE_METASPACE;
    s->prepend = (dsm_prepend)scheme;
    memcpy(s->replacement, replacement, n + 1);
    p->rewrites = true;
    dsm_buf_fmt(&p->signature, "metaspace %s %d\n", replacement, scheme);
    return split ? add_literal(p, replacement, n, DSM_MERGED_NEXT, false, what, err) : DSM_OK;
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
