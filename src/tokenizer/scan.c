/* SPDX-License-Identifier: MIT */
/* How each scanner follows from its patterns stands above it. All work on flags (unicode.h) of one
 * code point at a time; `0 flags, length 0` stands for the end of what a pattern can see. */
#include "tokenizer/scan.h"

#include "core/buf.h"
#include "tokenizer/unicode.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A character: what it is and how many bytes it takes; len 0 at the end. */
typedef struct ch {
    unsigned flags;
    unsigned len;
} ch;

/* Three-byte characters (most of CJK) are worth their own path; the rest goes to core. */
static ch wide_at(const unsigned char *p, const unsigned char *end)
{
    if (p[0] >= 0xE1 && p[0] <= 0xEC && end - p >= 3 && (p[1] & 0xC0) == 0x80 &&
        (p[2] & 0xC0) == 0x80) {
        uint32_t c = (p[0] & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
        return (ch){dsm_char_flags(c), 3};
    }
    uint32_t c = 0xFFFD;
    int len = dsm_utf8_decode((const char *)p, (size_t)(end - p), &c);
    return (ch){dsm_char_flags(len ? c : 0xFFFD), len ? (unsigned)len : 1};
}

static inline ch at(const unsigned char *p, const unsigned char *end)
{
    if (p >= end) return (ch){0, 0};
    if (*p < 0x80) return (ch){dsm_unicode_block[dsm_unicode_page[0]][*p], 1};
    return wide_at(p, end);
}

/* --- deepseek-v3
 * ----------------------------------------------------------------------------------
 *
 *   1  \p{N}{1,3}      2  [CJK kana]+      3  A|B|C|D|E|F, each on the pieces of the one before:
 *   A  [ASCII punctuation][A-Za-z]+        B  [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
 *   C   ?[\p{P}\p{S}]+[\r\n]*              D  \s*[\r\n]+      E  \s+(?!\S)      F  \s+
 *
 * Splits 1 and 2 cut text into segments of numbers, of CJK and of the rest; no number is in the CJK
 * class. Split 3 sees a segment's end as the end of the text. What no pattern matches (control
 * characters, unassigned ones) is collected into one piece up to the next match. */

/* Which segment a character belongs to. */
enum { V3_SEGMENT = DSM_CH_NUMBER | DSM_CH_V3_CJK };
#define V3_WORD (DSM_CH_LETTER | DSM_CH_MARK)
#define V3_SIGN (DSM_CH_PUNCT | DSM_CH_SYMBOL)

/* The character at p if it belongs to `segment`, else the end. */
static inline ch v3_at(const unsigned char *p, const unsigned char *end, unsigned segment)
{
    ch c = at(p, end);
    return (c.flags & V3_SEGMENT) == segment ? c : (ch){0, 0};
}

/* Past the run of characters with any of these flags. */
static inline const unsigned char *v3_run(const unsigned char *p, const unsigned char *end,
                                          unsigned segment, unsigned flags)
{
    for (ch c = v3_at(p, end, segment); c.flags & flags; c = v3_at(p, end, segment))
        p += c.len;
    return p;
}

/* D, E and F: p stands on white space. */
static const unsigned char *v3_space(const unsigned char *p, const unsigned char *end,
                                     unsigned segment)
{
    const unsigned char *q = p, *last = p, *after_newline = NULL;
    ch c = v3_at(q, end, segment);
    for (; c.flags & DSM_CH_SPACE; c = v3_at(q, end, segment)) {
        last = q;
        q += c.len;
        if (c.flags & DSM_CH_NEWLINE) after_newline = q;
    }
    if (after_newline) return after_newline;
    return c.len == 0 || last == p ? q : last;
}

/* Past the match of split 3 that starts at p; NULL if none does. c is the character there. */
static inline const unsigned char *v3_match(const unsigned char *p, const unsigned char *end,
                                            unsigned segment, ch c)
{
    const unsigned char *q = p + c.len;
    if (c.flags & V3_WORD) return v3_run(q, end, segment, V3_WORD);
    ch next = v3_at(q, end, segment);
    if (c.flags & DSM_CH_ASCII_PUNCT && next.flags & DSM_CH_ASCII_LETTER)
        return v3_run(q, end, segment, DSM_CH_ASCII_LETTER);
    if (!(c.flags & (DSM_CH_NEWLINE | V3_SIGN)) && next.flags & V3_WORD)
        return v3_run(q, end, segment, V3_WORD);
    if (c.flags & V3_SIGN || (*p == ' ' && next.flags & V3_SIGN))
        return v3_run(v3_run(q, end, segment, V3_SIGN), end, segment, DSM_CH_NEWLINE);
    return c.flags & DSM_CH_SPACE ? v3_space(p, end, segment) : NULL;
}

static const unsigned char *v3_numbers(const unsigned char *p, const unsigned char *end)
{
    for (int i = 0; i < 3; i++) {
        ch c = at(p, end);
        if (!(c.flags & DSM_CH_NUMBER)) break;
        p += c.len;
    }
    return p;
}

size_t dsm_scan_deepseek_v3(const unsigned char *s, size_t n)
{
    const unsigned char *end = s + n, *p = s;
    ch c = at(p, end);
    unsigned segment = c.flags & V3_SEGMENT;
    if (segment & DSM_CH_NUMBER) return (size_t)(v3_numbers(p, end) - s);
    const unsigned char *match = v3_match(p, end, segment, c);
    if (match) return (size_t)(match - s);
    do {
        p += c.len;
        c = v3_at(p, end, segment);
    } while (c.len && !v3_match(p, end, segment, c));
    return (size_t)(p - s);
}

/* --- gpt2
 * -----------------------------------------------------------------------------------------
 *
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */

/* Letters, numbers, or anything else but white space: the three runs that may follow a space. */
static unsigned gpt2_kind(ch c)
{
    if (c.len == 0) return 0;
    if (c.flags & (DSM_CH_LETTER | DSM_CH_NUMBER | DSM_CH_SPACE))
        return c.flags & (DSM_CH_LETTER | DSM_CH_NUMBER | DSM_CH_SPACE);
    return DSM_CH_SYMBOL;
}

/* Length of an English contraction at p, 0 if there is none. */
static size_t contraction(const unsigned char *p, const unsigned char *end)
{
    static const char endings[][3] = {"s", "t", "re", "ve", "m", "ll", "d"};
    for (size_t i = 0; *p == '\'' && i < sizeof endings / sizeof *endings; i++) {
        size_t n = endings[i][1] ? 2 : 1;
        if ((size_t)(end - p) > n && p[1] == (unsigned char)endings[i][0] &&
            (n == 1 || p[2] == (unsigned char)endings[i][1]))
            return n + 1;
    }
    return 0;
}

static const unsigned char *gpt2_run(const unsigned char *p, const unsigned char *end,
                                     unsigned kind)
{
    for (ch c = at(p, end); gpt2_kind(c) == kind; c = at(p, end))
        p += c.len;
    return p;
}

/* \s+(?!\S)|\s+: p stands on white space that no run takes along. */
static const unsigned char *gpt2_space(const unsigned char *p, const unsigned char *end)
{
    const unsigned char *q = p, *last = p;
    for (ch c = at(q, end); c.flags & DSM_CH_SPACE; c = at(q, end)) {
        last = q;
        q += c.len;
    }
    return q == end || last == p ? q : last;
}

size_t dsm_scan_gpt2(const unsigned char *s, size_t n)
{
    const unsigned char *end = s + n;
    size_t ending = contraction(s, end);
    if (ending) return ending;
    const unsigned char *p = *s == ' ' ? s + 1 : s;
    unsigned kind = gpt2_kind(at(p, end));
    if (kind && kind != DSM_CH_SPACE) return (size_t)(gpt2_run(p, end, kind) - s);
    return (size_t)(gpt2_space(s, end) - s);
}

/* --- deepseek-llm and deepseek-coder
 * --------------------------------------------------------------
 *
 *   1  [\r\n]   2  \s?WORD+   3  \s?SIGN+   4  \s+$ (LLM only)   5  [CJK]+   6  single digits,
 *
 * each on the pieces of the one before. In such a chain whether two characters are cut apart
 * depends on them and one or two behind (rules 1, 2, 3, 5, 6 below), except for split 4: white
 * space that ends a piece of split 3 leaves it, so at the start of white space one looks ahead to
 * where that piece ends. */

typedef struct chain {
    unsigned word, sign, cjk; /* flags of the classes */
    bool trailing_space;      /* has split 4 */
} chain;

/* Does split 1, 2 or 3 cut between a and b, when c follows b and p is behind c? */
static inline bool cut_before_cjk(const chain *k, ch a, ch b, ch c, const unsigned char *p,
                                  const unsigned char *end)
{
    if ((a.flags | b.flags) & DSM_CH_NEWLINE) return true;
    bool a_space = a.flags & DSM_CH_SPACE, b_space = b.flags & DSM_CH_SPACE;
    bool a_word = a.flags & k->word, b_word = b.flags & k->word;
    if (a_word != b_word && !(b_word && a_space)) return true; /* a WORD run starts or ends */
    if (b_space && c.flags & k->word) return true;             /* it takes one space along */
    bool a_sign = a.flags & k->sign, b_sign = b.flags & k->sign;
    if (a_sign != b_sign && !(b_sign && a_space)) return true;
    if (!b_space || b_sign || !(c.flags & k->sign)) return false;
    /* b is the space that a SIGN run takes along, unless c itself goes along with a WORD run */
    return !(c.flags & DSM_CH_SPACE && at(p, end).flags & k->word);
}

/* Is the white space from p on (b there) all that is left of its piece of split 3? */
static bool space_ends_piece(const chain *k, const unsigned char *p, const unsigned char *end, ch b)
{
    for (;;) {
        p += b.len;
        ch next = at(p, end);
        if (next.len == 0) return true;
        ch behind = at(p + next.len, end);
        if (cut_before_cjk(k, b, next, behind, p + next.len + behind.len, end)) return true;
        if (!(next.flags & DSM_CH_SPACE)) return false;
        b = next;
    }
}

static size_t scan_chain(const chain *k, const unsigned char *s, size_t n)
{
    const unsigned char *end = s + n, *p = s;
    ch a = at(p, end), b = at(p + a.len, end);
    for (p += a.len; b.len; p += a.len) {
        ch c = at(p + b.len, end);
        if (cut_before_cjk(k, a, b, c, p + b.len + c.len, end)) break;
        if (k->trailing_space && b.flags & DSM_CH_SPACE && !(a.flags & DSM_CH_SPACE) &&
            space_ends_piece(k, p, end, b))
            break;
        if ((a.flags ^ b.flags) & k->cjk) break;
        if ((a.flags | b.flags) & DSM_CH_NUMERIC) break;
        a = b;
        b = c;
    }
    return (size_t)(p - s);
}

size_t dsm_scan_deepseek_llm(const unsigned char *s, size_t n)
{
    static const chain k = {DSM_CH_LLM_LETTER, DSM_CH_LLM_PUNCT, DSM_CH_LLM_CJK, true};
    return scan_chain(&k, s, n);
}

size_t dsm_scan_deepseek_coder(const unsigned char *s, size_t n)
{
    static const chain k = {DSM_CH_LETTER, DSM_CH_PUNCT, DSM_CH_LLM_CJK, false};
    return scan_chain(&k, s, n);
}

/* --- cutting ---------------------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (unsigned)((unsigned char)c | 32) - 'a' < 26u;
}

size_t dsm_scan_safe_cut(const char *text, size_t from, size_t end)
{
    const char *p;
    for (; from + 1 < end; from = (size_t)(p - text) + 1) {
        p = memchr(text + from, '\n', end - from - 1);
        if (!p) break;
        if (p > text && is_letter(p[-1]) && is_letter(p[1])) return (size_t)(p - text) + 1;
    }
    return end;
}
