/* SPDX-License-Identifier: MIT */
#include "tokenizer/normalize.h"

#include "core/json.h"
#include "tokenizer/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef struct dsm_rewrite {
    dsm_status (*run)(const struct dsm_rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                      dsm_buf *out, dsm_err *err);
    int form;         /* utf8proc options */
    dsm_regex *regex; /* Replace: what */
    char *content;    /* Replace, Prepend: by what */
    size_t n_content;
    bool left, right; /* Strip */
} rewrite;

enum { MAX_STEPS = 64 };

/* --- the rewrites ----------------------------------------------------------------------------- */

static bool is_ascii(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] >= 0x80) return false;
    return true;
}

static dsm_status run_form(const rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                           dsm_buf *out, dsm_err *err)
{
    (void)w;
    if (is_ascii(s, n)) {
        dsm_buf_add(out, s, n);
        return DSM_OK;
    }
    for (size_t i = 0; i < n;) {
        size_t valid = dsm_utf8_valid_prefix(s + i, n - i);
        utf8proc_uint8_t *mapped = NULL;
        utf8proc_ssize_t len =
            valid ? utf8proc_map((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)valid, &mapped,
                                 (utf8proc_option_t)r->form)
                  : 0;
        if (len < 0) return dsm_fail(err, DSM_ENOMEM, "normalizer: %s", utf8proc_errmsg(len));
        dsm_buf_add(out, mapped, (size_t)len);
        free(mapped);
        i += valid;
        if (i < n) dsm_buf_add(out, s + i++, 1); /* a byte that is not UTF-8 */
    }
    return DSM_OK;
}

static dsm_status run_lowercase(const rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                                dsm_buf *out, dsm_err *err)
{
    (void)r, (void)w, (void)err;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int len = dsm_utf8_decode(s + i, n - i, &c);
        if (len == 0) {
            dsm_buf_add(out, s + i++, 1);
            continue;
        }
        char utf8[4];
        int lower = (int)utf8proc_tolower((utf8proc_int32_t)c);
        if (c == 0x130) /* the one code point whose lower case is two */
            dsm_buf_str(out, "i\xCC\x87");
        else
            dsm_buf_add(out, utf8, (size_t)dsm_utf8_encode((uint32_t)lower, utf8));
        i += (size_t)len;
    }
    return DSM_OK;
}

static dsm_status run_prepend(const rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                              dsm_buf *out, dsm_err *err)
{
    (void)w, (void)err;
    if (n) dsm_buf_add(out, r->content, r->n_content);
    dsm_buf_add(out, s, n);
    return DSM_OK;
}

/* Replace within one valid stretch. */
static dsm_status replace_valid(const rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                                dsm_buf *out, dsm_err *err)
{
    size_t done = 0;
    while (done < n) {
        bool found;
        size_t begin, end;
        DSM_TRY(dsm_regex_find(r->regex, w->regex, s, n, done, &found, &begin, &end, err));
        if (!found || end == begin) break;
        dsm_buf_add(out, s + done, begin - done);
        dsm_buf_add(out, r->content, r->n_content);
        done = end;
    }
    dsm_buf_add(out, s + done, n - done);
    return DSM_OK;
}

static dsm_status run_replace(const rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                              dsm_buf *out, dsm_err *err)
{
    if (!w->regex) w->regex = dsm_regex_work_open();
    if (!w->regex) return dsm_fail(err, DSM_ENOMEM, "normalizer: out of memory");
    for (size_t i = 0; i < n;) {
        size_t valid = dsm_utf8_valid_prefix(s + i, n - i);
        DSM_TRY(replace_valid(r, w, s + i, valid, out, err));
        i += valid;
        if (i < n) dsm_buf_add(out, s + i++, 1);
    }
    return DSM_OK;
}

static bool is_space(const char *s, size_t n, int *len)
{
    uint32_t c;
    *len = n ? dsm_utf8_decode(s, n, &c) : 0;
    return *len && dsm_char_flags(c) & DSM_CH_SPACE;
}

static dsm_status run_strip(const rewrite *r, dsm_normalizer_work *w, const char *s, size_t n,
                            dsm_buf *out, dsm_err *err)
{
    (void)w, (void)err;
    int len;
    while (r->left && is_space(s, n, &len)) {
        s += len;
        n -= (size_t)len;
    }
    while (r->right && n) {
        size_t back = 1;
        while (back < 4 && back < n && ((unsigned char)s[n - back] & 0xC0) == 0x80)
            back++;
        if (!is_space(s + n - back, back, &len) || len != (int)back) break;
        n -= back;
    }
    dsm_buf_add(out, s, n);
    return DSM_OK;
}

/* --- reading ---------------------------------------------------------------------------------- */

static dsm_status new_step(dsm_normalizer *z, rewrite **out, const char *what, dsm_err *err)
{
    if (z->n_steps == MAX_STEPS)
        return dsm_fail(err, DSM_ELIMIT, "%s: normalizer: more than %d steps", what, MAX_STEPS);
    rewrite *more = realloc(z->steps, (z->n_steps + 1) * sizeof *more);
    if (!more) return dsm_fail(err, DSM_ENOMEM, "%s: normalizer: out of memory", what);
    z->steps = more;
    *out = &more[z->n_steps++];
    memset(*out, 0, sizeof **out);
    return DSM_OK;
}

static dsm_status set_content(rewrite *r, const json_t *json, const char *key, const char *what,
                              dsm_err *err)
{
    const json_t *v = json_object_get(json, key);
    if (!json_is_string(v))
        return dsm_fail(err, DSM_EFORMAT, "%s: normalizer: %s: expected a string", what, key);
    r->n_content = json_string_length(v);
    r->content = malloc(r->n_content + 1);
    if (!r->content) return dsm_fail(err, DSM_ENOMEM, "%s: normalizer: out of memory", what);
    memcpy(r->content, json_string_value(v), r->n_content + 1);
    return DSM_OK;
}

static dsm_status read_prepend(rewrite *r, const json_t *json, const char *what, dsm_err *err)
{
    r->run = run_prepend;
    return set_content(r, json, "prepend", what, err);
}

static dsm_status read_replace(rewrite *r, const json_t *json, const char *what, dsm_err *err)
{
    r->run = run_replace;
    DSM_TRY(set_content(r, json, "content", what, err));
    const json_t *pattern = json_object_get(json, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    const json_t *literal = json_object_get(pattern, "String");
    if (!json_is_string(regex) && (!json_is_string(literal) || json_string_length(literal) == 0))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: normalizer: Replace: pattern: expected {\"Regex\": text} "
                        "or {\"String\": text}",
                        what);
    dsm_buf translated = {0};
    dsm_status status = DSM_OK;
    if (json_is_string(regex))
        status = dsm_regex_translate(&translated, json_string_value(regex),
                                     json_string_length(regex), what, err);
    else
        dsm_regex_quote(&translated, json_string_value(literal), json_string_length(literal));
    if (status == DSM_OK) status = dsm_buf_check(&translated, what, err);
    if (status == DSM_OK)
        status = dsm_regex_open(&r->regex, translated.data, translated.len, what, err);
    dsm_buf_free(&translated);
    return status;
}

static dsm_status read_strip(rewrite *r, const json_t *json, const char *what, dsm_err *err)
{
    r->run = run_strip;
    r->left = r->right = true;
    DSM_TRY(dsm_json_bool(json, "strip_left", &r->left, what, err));
    return dsm_json_bool(json, "strip_right", &r->right, what, err);
}

static dsm_status read_lowercase(rewrite *r, const json_t *json, const char *what, dsm_err *err)
{
    (void)json, (void)what, (void)err;
    r->run = run_lowercase;
    return DSM_OK;
}

#define FORM(f) (UTF8PROC_STABLE | (f))
static const struct {
    const char *type;
    int form; /* a normalization form, or 0 and a reader */
    dsm_status (*read)(rewrite *r, const json_t *json, const char *what, dsm_err *err);
} readers[] = {
    {"NFC", FORM(UTF8PROC_COMPOSE), NULL},
    {"NFD", FORM(UTF8PROC_DECOMPOSE), NULL},
    {"NFKC", FORM(UTF8PROC_COMPOSE | UTF8PROC_COMPAT), NULL},
    {"NFKD", FORM(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT), NULL},
    {"Lowercase", 0, read_lowercase},
    {"Prepend", 0, read_prepend},
    {"Replace", 0, read_replace},
    {"Strip", 0, read_strip},
};

static dsm_status read_any(dsm_normalizer *z, const json_t *json, int depth, const char *what,
                           dsm_err *err)
{
    const char *type = "";
    DSM_TRY(dsm_json_string(json, "type", &type, what, err));
    if (strcmp(type, "Sequence") == 0 && depth < 8) {
        const json_t *list = json_object_get(json, "normalizers");
        if (!json_is_array(list))
            return dsm_fail(err, DSM_EFORMAT,
                            "%s: normalizer: Sequence: normalizers: expected an array", what);
        for (size_t i = 0; i < json_array_size(list); i++)
            DSM_TRY(read_any(z, json_array_get(list, i), depth + 1, what, err));
        return DSM_OK;
    }
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (strcmp(type, readers[i].type) != 0) continue;
        rewrite *r = NULL;
        DSM_TRY(new_step(z, &r, what, err));
        if (readers[i].read) return readers[i].read(r, json, what, err);
        r->run = run_form;
        r->form = readers[i].form;
        return DSM_OK;
    }
    return dsm_fail(err, DSM_EFORMAT, "%s: normalizer: type \"%.40s\" is not supported", what,
                    type);
}

dsm_status dsm_normalizer_read(dsm_normalizer *z, const json_t *json, const char *what,
                               dsm_err *err)
{
    memset(z, 0, sizeof *z);
    dsm_unicode_init();
    if (!json || json_is_null(json)) return DSM_OK;
    dsm_status status = read_any(z, json, 0, what, err);
    if (status != DSM_OK) dsm_normalizer_free(z);
    return status;
}

void dsm_normalizer_free(dsm_normalizer *z)
{
    for (size_t i = 0; i < z->n_steps; i++) {
        dsm_regex_close(z->steps[i].regex);
        free(z->steps[i].content);
    }
    free(z->steps);
    memset(z, 0, sizeof *z);
}

dsm_status dsm_normalizer_run(const dsm_normalizer *z, dsm_normalizer_work *w, const char *text,
                              size_t n, dsm_err *err)
{
    dsm_buf_clear(&w->text);
    dsm_buf_add(&w->text, text, n);
    for (size_t i = 0; i < z->n_steps; i++) {
        DSM_TRY(dsm_buf_check(&w->text, "normalizer", err));
        dsm_buf_clear(&w->spare);
        DSM_TRY(z->steps[i].run(&z->steps[i], w, w->text.data, w->text.len, &w->spare, err));
        dsm_buf done = w->spare;
        w->spare = w->text;
        w->text = done;
    }
    return dsm_buf_check(&w->text, "normalizer", err);
}

void dsm_normalizer_work_free(dsm_normalizer_work *w)
{
    dsm_buf_free(&w->text);
    dsm_buf_free(&w->spare);
    dsm_regex_work_close(w->regex);
    memset(w, 0, sizeof *w);
}
