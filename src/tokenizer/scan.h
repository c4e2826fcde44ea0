/* SPDX-License-Identifier: MIT */
/* Hand-written scanners for the preset pre-tokenizers: no regular expression on the hot path.
 *
 * A scanner returns the length of the first piece of s[0 … n-1], n >= 1; calling it again behind
 * that piece gives the next one, because none of these patterns looks back. The pieces equal those
 * of the preset's chain of patterns (tests/unit/test_tokenizer_scan.c holds them against PCRE2). A
 * byte that is not valid UTF-8 counts as U+FFFD, which is how the reference would see it. */
#ifndef DSMOE_TOKENIZER_SCAN_H
#define DSMOE_TOKENIZER_SCAN_H

#include <stddef.h>

typedef size_t (*dsm_scan_fn)(const unsigned char *s, size_t n);

size_t dsm_scan_deepseek_v3(const unsigned char *s, size_t n);
size_t dsm_scan_deepseek_llm(const unsigned char *s, size_t n);
size_t dsm_scan_deepseek_coder(const unsigned char *s, size_t n);
size_t dsm_scan_gpt2(const unsigned char *s, size_t n);

/* The first place in text[from … end-1] where it may be cut in two without changing a piece,
 * whichever of these scanners is meant: behind the newline of "x\nA", x and A ASCII letters, where
 * each of them ends a piece whatever follows. `end` if there is none. */
size_t dsm_scan_safe_cut(const char *text, size_t from, size_t end);

#endif
