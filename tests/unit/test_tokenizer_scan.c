/* SPDX-License-Identifier: MIT */
/* tokenizer/scan and pretok: on random strings of adversarial characters, each preset's scanner
 * cuts where its chain of patterns cuts, run by PCRE2; scanning resumes at any piece; fixed
 * examples. */
#include "support/support.h"

#include "core/rng.h"
#include "tokenizer/pretok.h"
#include "tokenizer/unicode.h"

#include <string.h>

enum { ROUNDS = 4000, MAX_BYTES = 400 };

/* What patterns tell apart: one or more of every class, and damaged bytes. */
/* clang-format off */
static const char *const bits[] = {
    "a", "Z", "s", "t", "l", "'", "e\xCC\x81", "\xC3\xA9", "\xCC\x81", "1", "23", "\xEF\xBC\x92",
    "\xC2\xBD", "\xE2\x85\xA7", "\xD9\xA3", "\xE4\xB8\xAD", "\xE9\xBE\xA5", "\xE9\xBE\xA6",
    "\xE3\x81\x82", "\xE3\x82\xA2", "\xE3\x83\xBB", "\xE3\x83\xBC", "\xE3\x82\x99",
    "\xE3\x82\x9B", "\xEA\xB0\x80", "\xED\x9F\xBF", "\xE0\xA4\x95", "!", ":", "-", "_", "$", "+",
    "\xE2\x82\xAC", "\xEF\xBC\x9A", "\xE3\x80\x82", "\xE2\x80\x9C", "\xE3\x80\x80", " ", " ",
    "  ", "\n", "\r", "\r\n", "\t", "\x0B", "\xC2\xA0", "\xC2\x85", "\xE2\x80\xA8",
    "\xE2\x80\x83", "\x01", "\x7F", "\xC2\xAD", "\xE2\x80\x8D", "\xEF\xBF\xBD",
    "\xF0\x9F\x98\x80", "\xF0\xA0\x80\x80", "\xF0\x90\x90\x80", "\xF0\x9D\x90\x80",
    "\xF3\xA0\x81\x81", "\xF4\x8F\xBF\xBF", "\xEE\x80\x80", "\xCD\xB8", "\xC7\x85", "\xCA\xB0",
    "\xC2\xAA", "\xE2\x84\xAA", "\xEF\xBC\xA1", "\xEF\xBC\x81", "\xE1\xB8\x80", "\xFF", "\xC3",
    "\xE4\xB8", "\xBF", "\xED\xA0\x80", "\xF5",
};
/* clang-format on */
enum { N_BITS = sizeof bits / sizeof *bits };

/* A random string; `alphabet` of 0 draws from all bits, else from a few, so that runs are long. */
static size_t random_text(char *out, uint32_t round)
{
    const dsm_rng r = {.seed = 7, .stream = DSM_STREAM_TEST, .step = round};
    uint64_t n_pieces = 1 + dsm_rng_below(&r, 0, 60),
             few = round % 3 ? 2 + dsm_rng_below(&r, 1, 6) : 0;
    size_t n = 0;
    for (uint64_t i = 0; i < n_pieces; i++) {
        uint64_t k = few ? dsm_rng_below(&r, 100 + dsm_rng_below(&r, 1000 + i, few), N_BITS)
                         : dsm_rng_below(&r, 2000 + i, N_BITS);
        size_t len = strlen(bits[k]);
        if (n + len > MAX_BYTES) break;
        memcpy(out + n, bits[k], len);
        n += len;
    }
    return n;
}

static void open_preset(dsm_pretok *p, const char *name)
{
    dsm_err err = {0};
    json_t *json;
    assert_ok(dsm_pretok_preset(&json, name, &err));
    assert_ok(dsm_pretok_read(p, json, name, &err));
    json_decref(json);
    assert_string_equal(dsm_pretok_recognise(p), name);
}

static void print_bytes(const char *what, const char *text, size_t n)
{
    print_message("%s", what);
    for (size_t i = 0; i < n; i++)
        print_message(" %02X", (unsigned char)text[i]);
    print_message("\n");
}

static void compare(const dsm_pretok *p, dsm_pretok_work *w, const char *name, const char *text,
                    size_t n)
{
    dsm_err err = {0};
    assert_ok(dsm_pretok_split(p, w, text, n, true, &err));
    size_t at = 0, i = 0;
    for (; at < n; i++) {
        size_t len = p->scan((const unsigned char *)text + at, n - at);
        bool same =
            i < w->pieces.n && w->pieces.spans[i].begin == at && w->pieces.spans[i].end == at + len;
        if (!same) {
            print_bytes("text", text, n);
            fail_msg("%s: the scanner's piece %zu is [%zu, %zu), the patterns' is [%zu, %zu)", name,
                     i, at, at + len, i < w->pieces.n ? w->pieces.spans[i].begin : n,
                     i < w->pieces.n ? w->pieces.spans[i].end : n);
        }
        at += len;
    }
    assert_int_equal(at, n);
    assert_int_equal(i, w->pieces.n);
}

/* Cut at a safe place, the halves have the pieces of the whole. */
static void check_cut(const dsm_pretok *p, const char *name, const char *text, size_t n)
{
    size_t cut = dsm_scan_safe_cut(text, 0, n), whole = 0, halves = 0;
    const unsigned char *s = (const unsigned char *)text;
    assert_true(cut < n);
    while (whole < n) {
        whole += p->scan(s + whole, n - whole);
        halves += p->scan(s + halves, (halves < cut ? cut : n) - halves);
        if (whole != halves) {
            print_bytes("text", text, n);
            fail_msg("%s: cut at %zu, a piece ends at %zu instead of %zu", name, cut, halves,
                     whole);
        }
    }
}

static void test_scanners_equal_patterns(void **state)
{
    (void)state;
    char text[2 * MAX_BYTES + 3];
    for (const char *const *name = dsm_pretok_preset_names; *name; name++) {
        dsm_pretok p;
        dsm_pretok_work w = {0};
        open_preset(&p, *name);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            size_t n = random_text(text, round);
            compare(&p, &w, *name, text, n);
            memcpy(text + n, "a\nZ", 3);
            n += 3 + random_text(text + n + 3, round + 1);
            check_cut(&p, *name, text, n);
        }
        dsm_pretok_work_free(&w);
        dsm_pretok_free(&p);
    }
}

/* Every code point, between neighbours of each kind. */
static void test_every_code_point(void **state)
{
    (void)state;
    static const char *const frames[][2] = {
        {"a", "b"}, {" ", "1"}, {"!", "\n"}, {"\xE4\xB8\xAD", " "}};
    for (const char *const *name = dsm_pretok_preset_names; *name; name++) {
        dsm_pretok p;
        dsm_pretok_work w = {0};
        open_preset(&p, *name);
        for (uint32_t c = 1; c < DSM_CODE_POINTS; c += c < 0x3200 ? 1 : 7) {
            const char *const *frame = frames[c % 4];
            char text[32];
            if (c >= 0xD800 && c < 0xE000) continue;
            size_t n = strlen(frame[0]);
            memcpy(text, frame[0], n);
            n += (size_t)dsm_utf8_encode(c, text + n);
            memcpy(text + n, frame[1], strlen(frame[1]) + 1);
            compare(&p, &w, *name, text, n + strlen(frame[1]));
        }
        dsm_pretok_work_free(&w);
        dsm_pretok_free(&p);
    }
}

/* The pieces of text joined by "|". */
static void expect_pieces(const char *preset, const char *text, const char *expected)
{
    dsm_pretok p;
    dsm_buf got = {0};
    open_preset(&p, preset);
    for (size_t at = 0, len, n = strlen(text); at < n; at += len) {
        len = p.scan((const unsigned char *)text + at, n - at);
        if (at) dsm_buf_str(&got, "|");
        dsm_buf_add(&got, text + at, len);
    }
    assert_string_equal(got.data, expected);
    dsm_buf_free(&got);
    dsm_pretok_free(&p);
}

static void test_examples(void **state)
{
    (void)state;
    expect_pieces("deepseek-v3", "x+12345\n\n  y", "x|+|123|45|\n\n| | y");
    expect_pieces("deepseek-llm", "I'm 42!  x\n", "I|'|m| |4|2|!| | x|\n");
    expect_pieces("deepseek-coder", "a_b 10\n", "a|_|b| |1|0|\n");
    expect_pieces("gpt2", "I'll go  now 12", "I|'ll| go| | now| 12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scanners_equal_patterns),
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_examples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
