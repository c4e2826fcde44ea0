/* SPDX-License-Identifier: MIT */
/* The lexer. The rules are those of jinja2's lexer (version 3.1) with trim_blocks and
 * lstrip_blocks: the text before a tag loses all whitespace if the tag begins with `-`, else,
 * before a statement or a comment that is the first thing on its line, its indentation; behind a
 * tag that ends with `-` all whitespace goes, else, behind a statement or a comment, one line end.
 */
#include "template/lexer.h"

#include "core/buf.h"
#include "template/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct lexer {
    const char *s;
    size_t n, at;
    int line;
    bool line_starting; /* what was read last ended with a line end */
    char open[256];     /* brackets to be closed, outermost first */
    size_t n_open;
    dsm_tokens *out;
    dsm_pool *pool;
    const char *name;
    dsm_err *err;
} lexer;

static dsm_status lex_fail(lexer *l, const char *what)
{
    return dsm_fail(l->err, DSM_EFORMAT, "%s: line %d: %s", l->name, l->line, what);
}

static dsm_status out_of_memory(lexer *l)
{
    return dsm_fail(l->err, DSM_ENOMEM, "%s: out of memory", l->name);
}

static dsm_status push(lexer *l, dsm_token t)
{
    dsm_tokens *out = l->out;
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 256;
        dsm_token *items = realloc(out->items, cap * sizeof *items);
        if (!items) return out_of_memory(l);
        out->items = items;
        out->cap = cap;
    }
    t.line = l->line;
    out->items[out->n++] = t;
    return DSM_OK;
}

static dsm_status push_text(lexer *l, dsm_token_kind kind, const char *text, size_t n)
{
    return push(l, (dsm_token){.kind = kind, .text = text, .n = n});
}

/* Go on behind the next n bytes. */
static void advance(lexer *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l->line += l->s[l->at + i] == '\n';
    if (n > 0) l->line_starting = l->s[l->at + n - 1] == '\n';
    l->at += n;
}

static bool stands(const lexer *l, size_t at, const char *what)
{
    size_t n = strlen(what);
    return at <= l->n && n <= l->n - at && memcmp(l->s + at, what, n) == 0;
}

static size_t spaces(const lexer *l, size_t at)
{
    return dsm_text_space_left(l->s + at, l->n - at);
}

/* --- text outside of tags --------------------------------------------------------------------- */

/* Where the next "{{", "{%" or "{#" stands; l->n if nowhere. */
static size_t next_tag(const lexer *l)
{
    for (size_t i = l->at; i + 1 < l->n; i++)
        if (l->s[i] == '{' && strchr("{%#", l->s[i + 1]) && l->s[i + 1]) return i;
    return l->n;
}

/* How much of the n bytes of text before a tag stays. */
static size_t trimmed(const lexer *l, size_t n, char sign, bool output)
{
    const char *text = l->s + l->at;
    if (sign == '-') return n - dsm_text_space_right(text, n);
    if (sign == '+' || output) return n;
    size_t line = n;
    while (line > 0 && text[line - 1] != '\n')
        line--;
    bool starts = line > 0 || l->line_starting;
    return starts && dsm_text_space_left(text + line, n - line) == n - line ? line : n;
}

static dsm_status take_text(lexer *l, size_t end, char sign, bool output)
{
    size_t n = end - l->at, kept = trimmed(l, n, sign, output);
    if (kept > 0) DSM_TRY(push_text(l, DSM_TOK_TEXT, l->s + l->at, kept));
    advance(l, n);
    return DSM_OK;
}

/* The sign that stands at `at`, 0 if none does. */
static char sign_at(const lexer *l, size_t at)
{
    return at < l->n && (l->s[at] == '-' || l->s[at] == '+') ? l->s[at] : 0;
}

/* Length of a tag's end at `at`: `close` with its sign and what it takes along; 0: none there. An
 * output's end knows no `+` and takes no line end along. */
static size_t end_length(const lexer *l, size_t at, const char *close)
{
    bool output = close[0] == '}';
    char sign = sign_at(l, at);
    if (sign == '+' && output) return 0;
    size_t n = (sign ? 1 : 0) + 2;
    if (!stands(l, at + (sign ? 1 : 0), close)) return 0;
    if (sign == '-') return n + spaces(l, at + n);
    bool newline = !sign && !output && stands(l, at + n, "\n");
    return n + (newline ? 1 : 0);
}

static dsm_status skip_comment(lexer *l)
{
    size_t begin = l->at + 2 + (sign_at(l, l->at + 2) ? 1 : 0);
    for (size_t at = begin; at < l->n; at++) {
        size_t n = end_length(l, at, "#}");
        if (n == 0) continue;
        advance(l, at + n - l->at);
        return DSM_OK;
    }
    return lex_fail(l, "this comment has no end, \"#}\" is missing");
}

/* Length of "{% word %}" at `at`, spaces and signs allowed; 0: something else stands there. *sign
 * is the first one's. */
static size_t word_tag(const lexer *l, size_t at, const char *word, char *sign, bool trim_newline)
{
    size_t begin = at;
    if (!stands(l, at, "{%")) return 0;
    *sign = sign_at(l, at + 2);
    at += 2 + (*sign ? 1 : 0);
    at += spaces(l, at);
    if (!stands(l, at, word)) return 0;
    at += strlen(word);
    at += spaces(l, at);
    size_t end = end_length(l, at, "%}");
    if (!trim_newline && end > 0 && stands(l, at, "%}")) end = 2;
    return end ? at + end - begin : 0;
}

/* Text between {% raw %} and {% endraw %}; `opening` is the length of the first. */
static dsm_status take_raw(lexer *l, size_t opening)
{
    advance(l, opening);
    for (size_t at = l->at; at < l->n; at++) {
        char sign;
        size_t n = word_tag(l, at, "endraw", &sign, true);
        if (n == 0) continue;
        DSM_TRY(take_text(l, at, sign, false));
        advance(l, n);
        return DSM_OK;
    }
    return lex_fail(l, "this raw block has no end, {% endraw %} is missing");
}

/* --- inside of tags --------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Names are what Python's identifiers are in ASCII, and any character beyond it. */
static bool in_name(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static dsm_status take_name(lexer *l)
{
    size_t n = 1;
    while (l->at + n < l->n && in_name(l->s[l->at + n]))
        n++;
    DSM_TRY(push_text(l, DSM_TOK_NAME, l->s + l->at, n));
    advance(l, n);
    return DSM_OK;
}

static size_t digits(const lexer *l, size_t at)
{
    size_t n = 0;
    while (at + n < l->n && (is_digit(l->s[at + n]) || (l->s[at + n] == '_' && n > 0)))
        n++;
    return n;
}

/* Length of a fraction and an exponent at `at`. */
static size_t real_tail(const lexer *l, size_t at)
{
    size_t n = 0;
    if (stands(l, at, ".") && digits(l, at + 1)) n = 1 + digits(l, at + 1);
    size_t e = at + n;
    if (!stands(l, e, "e") && !stands(l, e, "E")) return n;
    size_t sign = sign_at(l, e + 1) ? 1 : 0;
    size_t exponent = digits(l, e + 1 + sign);
    return exponent ? n + 1 + sign + exponent : n;
}

static dsm_status take_number(lexer *l)
{
    bool item = l->at > 0 && l->s[l->at - 1] == '.'; /* x.0.1: two items, no fraction */
    size_t whole = digits(l, l->at), tail = item ? 0 : real_tail(l, l->at + whole);
    char text[64], *end;
    size_t n = 0;
    for (size_t i = 0; i < whole + tail; i++) {
        if (n + 1 == sizeof text) return lex_fail(l, "this number is too long");
        if (l->s[l->at + i] != '_') text[n++] = l->s[l->at + i];
    }
    text[n] = '\0';
    dsm_token t = {.kind = tail ? DSM_TOK_FLOAT : DSM_TOK_INT};
    errno = 0;
    if (tail)
        t.real = strtod(text, &end);
    else
        t.integer = strtoll(text, &end, 10);
    if (!tail && errno) return lex_fail(l, "this integer is larger than 64 bits hold");
    if (whole > 1 && !tail && text[0] == '0' && t.integer != 0)
        return lex_fail(l, "an integer cannot begin with 0");
    DSM_TRY(push(l, t));
    advance(l, whole + tail);
    return DSM_OK;
}

/* The code point of `n` hexadecimal (or fewer octal) digits; *used says how many there were. */
static uint32_t escape_digits(const char *s, size_t n, size_t most, int base, size_t *used)
{
    uint32_t c = 0;
    for (*used = 0; *used < most && *used < n; ++*used) {
        const char *alphabet = "0123456789abcdef", *hit;
        char digit = s[*used] >= 'A' && s[*used] <= 'F' ? (char)(s[*used] + 32) : s[*used];
        hit = digit ? strchr(alphabet, digit) : NULL;
        if (!hit || hit - alphabet >= base) break;
        c = c * (uint32_t)base + (uint32_t)(hit - alphabet);
    }
    return c;
}

/* Add what the escape s[0 … n-1], behind its backslash, means; its length goes to *used. False: it
 * means no character. */
static bool add_escape(dsm_buf *out, const char *s, size_t n, size_t *used)
{
    static const char plain[] = "n\nt\tr\r\\\\''\"\"a\ab\bf\fv\v";
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (s[0] == plain[i]) {
            *used = 1;
            dsm_buf_add(out, &plain[i + 1], 1);
            return true;
        }
    *used = 1;
    if (s[0] == '\n') return true;
    uint32_t c;
    if (s[0] == 'x' || s[0] == 'u' || s[0] == 'U') {
        size_t wanted = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : 8, got;
        c = escape_digits(s + 1, n - 1, wanted, 16, &got);
        *used = 1 + got;
        if (got < wanted) return false;
    } else if (s[0] >= '0' && s[0] <= '7') {
        c = escape_digits(s, n, 3, 8, used);
    } else {
        dsm_buf_add(out, "\\", 1); /* unknown escapes stay as they are */
        *used = 0;
        return s[0] != 'N';
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) return false;
    dsm_text_add_char(out, c);
    return true;
}

static dsm_status unescape(lexer *l, const char *s, size_t n)
{
    dsm_buf text = {0};
    bool good = true;
    for (size_t i = 0, used; i < n && good; i += used) {
        const char *slash = memchr(s + i, '\\', n - i);
        size_t before = slash ? (size_t)(slash - s) - i : n - i;
        dsm_buf_add(&text, s + i, before);
        used = 0;
        i += before;
        if (!slash) break;
        i++;
        good = add_escape(&text, s + i, n - i, &used);
    }
    dsm_token t = {.kind = DSM_TOK_STRING, .n = text.len};
    t.text = dsm_pool_copy(l->pool, text.data, text.len);
    bool failed = text.failed || !t.text;
    dsm_buf_free(&text);
    if (!good) return lex_fail(l, "this string holds an escape that is no character");
    return failed ? out_of_memory(l) : push(l, t);
}

static dsm_status take_string(lexer *l)
{
    char quote = l->s[l->at];
    size_t end = l->at + 1;
    while (end < l->n && l->s[end] != quote)
        end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n) return lex_fail(l, "this string has no end");
    DSM_TRY(unescape(l, l->s + l->at + 1, end - l->at - 1));
    advance(l, end + 1 - l->at);
    return DSM_OK;
}

/* Keep track of brackets: a tag does not end inside of them. */
static dsm_status balance(lexer *l, char c)
{
    static const char pairs[] = "()[]{}";
    const char *p = strchr(pairs, c);
    if (!p) return DSM_OK;
    if ((p - pairs) % 2 == 0) {
        if (l->n_open == sizeof l->open) return lex_fail(l, "brackets are nested too deep");
        l->open[l->n_open++] = p[1];
        return DSM_OK;
    }
    if (l->n_open == 0 || l->open[l->n_open - 1] != c)
        return dsm_fail(l->err, DSM_EFORMAT,
                        "%s: line %d: found \"%c\", nothing is open that it closes", l->name,
                        l->line, c);
    l->n_open--;
    return DSM_OK;
}

static dsm_status take_operator(lexer *l)
{
    static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                            "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                            ">",  "<",  "=",  ".",  ":",  "|",  ","};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!stands(l, l->at, operators[i])) continue;
        size_t n = strlen(operators[i]);
        DSM_TRY(balance(l, l->s[l->at]));
        DSM_TRY(push_text(l, DSM_TOK_OPERATOR, operators[i], n));
        advance(l, n);
        return DSM_OK;
    }
    return dsm_fail(l->err, DSM_EFORMAT, "%s: line %d: found \"%c\", which begins nothing here",
                    l->name, l->line, l->s[l->at]);
}

static dsm_status take_one(lexer *l)
{
    char c = l->s[l->at];
    if (is_digit(c)) return take_number(l);
    if (c == '"' || c == '\'') return take_string(l);
    return in_name(c) ? take_name(l) : take_operator(l);
}

/* From behind "{{" or "{%" to behind the end. */
static dsm_status take_tag(lexer *l, bool output)
{
    const char *close = output ? "}}" : "%}";
    DSM_TRY(push(l, (dsm_token){.kind = output ? DSM_TOK_OUTPUT_BEGIN : DSM_TOK_TAG_BEGIN}));
    advance(l, 2 + (sign_at(l, l->at + 2) ? 1u : 0u));
    l->n_open = 0;
    for (;;) {
        advance(l, spaces(l, l->at));
        if (l->at >= l->n) break;
        size_t end = l->n_open == 0 ? end_length(l, l->at, close) : 0;
        if (end == 0) {
            DSM_TRY(take_one(l));
            continue;
        }
        DSM_TRY(push(l, (dsm_token){.kind = output ? DSM_TOK_OUTPUT_END : DSM_TOK_TAG_END}));
        advance(l, end);
        return DSM_OK;
    }
    return lex_fail(l, output ? "this output has no end, \"}}\" is missing"
                              : "this tag has no end, \"%}\" is missing");
}

dsm_status dsm_template_lex(dsm_tokens *out, dsm_pool *pool, const char *source, size_t n,
                            const char *name, dsm_err *err)
{
    lexer l = {.s = source,
               .n = n,
               .line = 1,
               .line_starting = true,
               .out = out,
               .pool = pool,
               .name = name,
               .err = err};
    while (l.at < n) {
        size_t tag = next_tag(&l);
        if (tag == n) {
            DSM_TRY(push_text(&l, DSM_TOK_TEXT, source + l.at, n - l.at));
            advance(&l, n - l.at);
            break;
        }
        bool output = source[tag + 1] == '{', comment = source[tag + 1] == '#';
        char sign = sign_at(&l, tag + 2);
        DSM_TRY(take_text(&l, tag, sign, output));
        size_t raw = word_tag(&l, tag, "raw", &sign, false);
        if (raw)
            DSM_TRY(take_raw(&l, raw));
        else if (comment)
            DSM_TRY(skip_comment(&l));
        else
            DSM_TRY(take_tag(&l, output));
    }
    return push(&l, (dsm_token){.kind = DSM_TOK_END});
}
