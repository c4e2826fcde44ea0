/* SPDX-License-Identifier: MIT */
/* A recursive-free translator (groups need no tree: their text is copied through) and a thin layer
 * over PCRE2 with its JIT.
 *
 * Kept as they are: literals, groups, alternation, lookaround, quantifiers, anchors, (?i:…). In
 * Oniguruma's default syntax ^ and $ stand at line ends, so patterns compile with MULTILINE and \n
 * as the only newline. Refused: back references, named groups, \b, \G, nested or intersected
 * classes, POSIX brackets, and what follows {m,n} in ways the two engines read differently. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include "tokenizer/charset.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

/* --- translation ------------------------------------------------------------------------------ */

typedef struct parser {
    const char *s;
    size_t n, i;
    const char *what;
    dsm_buf *out;
    dsm_err *err;
} parser;

static dsm_status unsupported(const parser *p, size_t at, const char *construct)
{
    return dsm_fail(p->err, DSM_EFORMAT, "%s: pattern character %zu: %s is not supported", p->what,
                    at, construct);
}

static bool looking_at(const parser *p, const char *text)
{
    size_t n = strlen(text);
    return p->n - p->i >= n && memcmp(p->s + p->i, text, n) == 0;
}

static dsm_status next_char(parser *p, uint32_t *c)
{
    int len = p->i < p->n ? dsm_utf8_decode(p->s + p->i, p->n - p->i, c) : 0;
    if (len == 0)
        return dsm_fail(p->err, DSM_EFORMAT, "%s: pattern character %zu: %s", p->what, p->i,
                        p->i < p->n ? "not valid UTF-8" : "unexpected end");
    p->i += (size_t)len;
    return DSM_OK;
}

/* Escapes that stand for one character. */
static const struct {
    char letter;
    unsigned char c;
} control_escapes[] = {
    {'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'f', '\f'}, {'v', '\v'}, {'a', '\a'}, {'e', 0x1B},
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Up to max hexadecimal digits. */
static dsm_status hex_digits(parser *p, int max, uint32_t *c)
{
    int digits = 0;
    *c = 0;
    for (int v; digits < max && p->i < p->n && (v = hex_value(p->s[p->i])) >= 0; digits++, p->i++)
        *c = *c << 4 | (uint32_t)v;
    if (digits == 0 || *c >= DSM_CODE_POINTS) return unsupported(p, p->i, "this code point");
    return DSM_OK;
}

/* After "\x": two digits or {digits}. */
static dsm_status hex_escape(parser *p, uint32_t *c)
{
    if (!looking_at(p, "{")) return hex_digits(p, 2, c);
    p->i++;
    DSM_TRY(hex_digits(p, 6, c));
    if (!looking_at(p, "}")) return unsupported(p, p->i, "a \\x{…} without its brace");
    p->i++;
    return DSM_OK;
}

/* After "\p" or "\P": {Name} or {^Name}. */
static dsm_status property(parser *p, dsm_charset *set, bool negated)
{
    size_t start = p->i;
    const char *close = p->i < p->n ? memchr(p->s + p->i, '}', p->n - p->i) : NULL;
    if (!looking_at(p, "{") || !close) return unsupported(p, start, "a property without braces");
    p->i++;
    if (looking_at(p, "^")) {
        negated = !negated;
        p->i++;
    }
    size_t n = (size_t)(close - (p->s + p->i));
    if (!dsm_charset_add_property(set, p->s + p->i, n, negated))
        return dsm_fail(p->err, DSM_EFORMAT, "%s: pattern: unknown property \\p{%.*s}", p->what,
                        (int)(n > 40 ? 40 : n), p->s + p->i);
    p->i += n + 1;
    return DSM_OK;
}

static void add_ascii_runs(dsm_charset *set, const char *runs, bool negated)
{
    dsm_charset *part = calloc(1, sizeof *part);
    if (!part) return;
    for (; *runs; runs += 2)
        dsm_charset_add(part, (unsigned char)runs[0], (unsigned char)runs[1]);
    if (negated) dsm_charset_invert(part);
    for (size_t i = 0; i < sizeof part->bits; i++)
        set->bits[i] |= part->bits[i];
    free(part);
}

/* An escape, p->i just behind the backslash: either adds a class to set (*c = NONE) or yields one
 * character. */
#define NONE UINT32_MAX
static dsm_status escape(parser *p, dsm_charset *set, uint32_t *c)
{
    size_t at = p->i;
    DSM_TRY(next_char(p, c));
    uint32_t letter = *c;
    *c = NONE;
    /* clang-format off */
    switch (letter) {
    case 's': case 'S': dsm_charset_add_flag(set, DSM_CLASS_SPACE, letter == 'S'); return DSM_OK;
    case 'w': case 'W': dsm_charset_add_flag(set, DSM_CLASS_WORD, letter == 'W'); return DSM_OK;
    case 'd': case 'D': dsm_charset_add_property(set, "Nd", 2, letter == 'D'); return DSM_OK;
    case 'h': case 'H': add_ascii_runs(set, "09AFaf", letter == 'H'); return DSM_OK;
    case 'p': case 'P': return property(p, set, letter == 'P');
    case 'x': return hex_escape(p, c);
    case 'u': return hex_digits(p, 4, c);
    default: break;
    }
    /* clang-format on */
    for (size_t i = 0; i < sizeof control_escapes / sizeof *control_escapes; i++)
        if (letter == (unsigned char)control_escapes[i].letter) {
            *c = control_escapes[i].c;
            return DSM_OK;
        }
    bool alnum = letter < 128 && (hex_value((char)letter) >= 0 || (letter | 32) - 'a' < 26);
    if (alnum) return unsupported(p, at, "this escape");
    *c = letter;
    return DSM_OK;
}

/* One item of a bracketed class: a class escape (*c = NONE) or a character. */
static dsm_status class_item(parser *p, dsm_charset *set, uint32_t *c)
{
    if (looking_at(p, "[") || looking_at(p, "&&"))
        return unsupported(p, p->i, "a class inside a class");
    DSM_TRY(next_char(p, c));
    return *c == '\\' ? escape(p, set, c) : DSM_OK;
}

/* A bracketed class, p->i just behind "[". */
static dsm_status bracket_class(parser *p, dsm_charset *set)
{
    size_t at = p->i;
    bool inverted = looking_at(p, "^");
    if (inverted) p->i++;
    if (looking_at(p, "]")) return unsupported(p, at, "an empty class");
    while (!looking_at(p, "]")) {
        uint32_t low, high;
        DSM_TRY(class_item(p, set, &low));
        if (low == NONE) continue;
        high = low;
        if (looking_at(p, "-") && p->i + 1 < p->n && p->s[p->i + 1] != ']') {
            p->i++;
            DSM_TRY(class_item(p, set, &high));
            if (high == NONE || high < low) return unsupported(p, at, "this range");
        }
        dsm_charset_add(set, low, high);
    }
    p->i++;
    if (inverted) dsm_charset_invert(set);
    return DSM_OK;
}

/* "[", "\" or ".": anything that may be a set. */
static dsm_status set_or_escape(parser *p)
{
    dsm_charset *set = calloc(1, sizeof *set);
    if (!set) return dsm_fail(p->err, DSM_ENOMEM, "%s: pattern: out of memory", p->what);
    char first = p->s[p->i++];
    uint32_t c = NONE;
    dsm_status status = DSM_OK;
    if (first == '[') {
        status = bracket_class(p, set);
    } else if (first == '.') {
        dsm_charset_add(set, '\n', '\n');
        dsm_charset_invert(set);
    } else if (looking_at(p, "A") || looking_at(p, "z")) {
        dsm_buf_fmt(p->out, "\\%c", p->s[p->i++]);
        free(set);
        return DSM_OK;
    } else {
        status = escape(p, set, &c);
    }
    if (status == DSM_OK && c != NONE) dsm_buf_fmt(p->out, "\\x{%x}", c);
    if (status == DSM_OK && c == NONE) dsm_charset_write(set, p->out);
    free(set);
    return status;
}

static dsm_status group(parser *p)
{
    static const char *const openings[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    for (size_t i = 0; i < sizeof openings / sizeof *openings; i++)
        if (looking_at(p, openings[i])) {
            dsm_buf_str(p->out, openings[i]);
            p->i += strlen(openings[i]);
            return DSM_OK;
        }
    if (looking_at(p, "(?") || looking_at(p, "(*")) return unsupported(p, p->i, "this group");
    dsm_buf_str(p->out, "(?:");
    p->i++;
    return DSM_OK;
}

/* {m}, {m,}, {,n}, {m,n}, copied with a leading 0 where Oniguruma allows none. */
static dsm_status braces(parser *p)
{
    const char *close = memchr(p->s + p->i, '}', p->n - p->i);
    size_t at = p->i++, commas = 0, digits = 0;
    if (!close) return unsupported(p, at, "an open brace");
    dsm_buf_str(p->out, "{");
    for (; p->s + p->i < close; p->i++) {
        char c = p->s[p->i];
        if (c == ',' && commas++ == 0) {
            if (digits == 0) dsm_buf_str(p->out, "0");
        } else if (c >= '0' && c <= '9') {
            digits++;
        } else {
            return unsupported(p, at, "this brace");
        }
        dsm_buf_add(p->out, &c, 1);
    }
    if (digits == 0) return unsupported(p, at, "this brace");
    dsm_buf_str(p->out, "}");
    p->i++;
    if (looking_at(p, "+") || (looking_at(p, "?") && commas == 0))
        return unsupported(p, p->i, "a modifier after this brace");
    return DSM_OK;
}

dsm_status dsm_regex_translate(dsm_buf *out, const char *pattern, size_t n, const char *what,
                               dsm_err *err)
{
    dsm_unicode_init();
    parser p = {pattern, n, 0, what, out, err};
    while (p.i < n) {
        char c = pattern[p.i];
        if (c == '[' || c == '\\' || c == '.') {
            DSM_TRY(set_or_escape(&p));
        } else if (c == '(') {
            DSM_TRY(group(&p));
        } else if (c == '{') {
            DSM_TRY(braces(&p));
        } else if (strchr("|)?*+^$", c) && c) {
            dsm_buf_add(out, &c, 1);
            p.i++;
        } else {
            uint32_t literal;
            DSM_TRY(next_char(&p, &literal));
            dsm_buf_fmt(out, "\\x{%x}", literal);
        }
    }
    return dsm_buf_check(out, what, err);
}

void dsm_regex_quote(dsm_buf *out, const char *literal, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int len = dsm_utf8_decode(literal + i, n - i, &c);
        if (len == 0) break;
        dsm_buf_fmt(out, "\\x{%x}", c);
        i += (size_t)len;
    }
}

/* --- matching --------------------------------------------------------------------------------- */

struct dsm_regex {
    pcre2_code *code;
};

struct dsm_regex_work {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

dsm_status dsm_regex_open(dsm_regex **out, const char *translated, size_t n, const char *what,
                          dsm_err *err)
{
    int code;
    PCRE2_SIZE at;
    *out = NULL;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    dsm_regex *r = calloc(1, sizeof *r);
    if (!context || !r) {
        pcre2_compile_context_free(context);
        free(r);
        return dsm_fail(err, DSM_ENOMEM, "%s: pattern: out of memory", what);
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    r->code =
        pcre2_compile((PCRE2_SPTR)translated, n,
                      PCRE2_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!r->code) {
        char reason[120] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        dsm_regex_close(r);
        return dsm_fail(err, DSM_EFORMAT, "%s: pattern: %s", what, reason);
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without a JIT it is interpreted */
    *out = r;
    return DSM_OK;
}

void dsm_regex_close(dsm_regex *r)
{
    if (r) pcre2_code_free(r->code);
    free(r);
}

enum { JIT_STACK_MIN = 32 << 10, JIT_STACK_MAX = 8 << 20 };

dsm_regex_work *dsm_regex_work_open(void)
{
    dsm_regex_work *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->data = pcre2_match_data_create(1, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
    if (w->data && w->context) {
        if (w->stack) pcre2_jit_stack_assign(w->context, NULL, w->stack);
        return w;
    }
    dsm_regex_work_close(w);
    return NULL;
}

void dsm_regex_work_close(dsm_regex_work *w)
{
    if (!w) return;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->context);
    if (w->stack) pcre2_jit_stack_free(w->stack);
    free(w);
}

dsm_status dsm_regex_find(const dsm_regex *r, dsm_regex_work *w, const char *text, size_t n,
                          size_t from, bool *found, size_t *begin, size_t *end, dsm_err *err)
{
    int rc =
        pcre2_match(r->code, (PCRE2_SPTR)text, n, from, PCRE2_NO_UTF_CHECK, w->data, w->context);
    *found = rc > 0;
    if (rc == PCRE2_ERROR_NOMATCH) return DSM_OK;
    if (rc <= 0) {
        char reason[120] = "";
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)reason, sizeof reason);
        return dsm_fail(err, DSM_ELIMIT, "pre-tokenizer pattern: %s", reason);
    }
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(w->data);
    *begin = offsets[0];
    *end = offsets[1];
    return DSM_OK;
}
