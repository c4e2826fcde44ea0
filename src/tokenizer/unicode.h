/* SPDX-License-Identifier: MIT */
/* Character classes of code points, as the reference tokenizers' regex engine sees them.
 *
 * unicode_table.c (generated) holds the truth as runs; the first dsm_unicode_init expands it to a
 * two-stage table of flags that every scanner shares. Call dsm_unicode_init once before any lookup
 * (loading or training a tokenizer does); it is safe from any thread. */
#ifndef DSMOE_TOKENIZER_UNICODE_H
#define DSMOE_TOKENIZER_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* General categories in the order of unicode_table.c: the low five bits of a class. */
/* clang-format off */
typedef enum dsm_gc {
    DSM_GC_CN, DSM_GC_CC, DSM_GC_CF, DSM_GC_CO, DSM_GC_CS, DSM_GC_LL, DSM_GC_LM, DSM_GC_LO,
    DSM_GC_LT, DSM_GC_LU, DSM_GC_MC, DSM_GC_ME, DSM_GC_MN, DSM_GC_ND, DSM_GC_NL, DSM_GC_NO,
    DSM_GC_PC, DSM_GC_PD, DSM_GC_PE, DSM_GC_PF, DSM_GC_PI, DSM_GC_PO, DSM_GC_PS, DSM_GC_SC,
    DSM_GC_SK, DSM_GC_SM, DSM_GC_SO, DSM_GC_ZL, DSM_GC_ZP, DSM_GC_ZS, DSM_GC_COUNT
} dsm_gc;
/* clang-format on */
/* The other bits of a class. The reference's parts do not agree on what a word is, so there are
 * two. */
enum {
    DSM_CLASS_CATEGORY = 0x1F,
    DSM_CLASS_SPACE = 0x20,       /* \s */
    DSM_CLASS_WORD = 0x40,        /* \w of patterns */
    DSM_CLASS_IDENT = 0x80,       /* a word beside an added token, and for Whitespace */
    DSM_CLASS_NUMERIC = 0x100,    /* Digits */
    DSM_CLASS_PUNCTUATION = 0x200 /* Punctuation */
};
enum { DSM_CLASS_BITS = 11, DSM_CLASS_MASK = (1 << DSM_CLASS_BITS) - 1 };

extern const uint32_t dsm_unicode_runs[]; /* first code point << DSM_CLASS_BITS | class */
extern const size_t dsm_unicode_n_runs;

/* What the scanners ask of a code point. */
enum {
    DSM_CH_LETTER = 1 << 0,     /* \p{L} */
    DSM_CH_MARK = 1 << 1,       /* \p{M} */
    DSM_CH_NUMBER = 1 << 2,     /* \p{N} */
    DSM_CH_PUNCT = 1 << 3,      /* \p{P} */
    DSM_CH_SYMBOL = 1 << 4,     /* \p{S} */
    DSM_CH_SPACE = 1 << 5,      /* \s */
    DSM_CH_NEWLINE = 1 << 6,    /* \r \n */
    DSM_CH_IDENT = 1 << 7,      /* a word beside an added token */
    DSM_CH_V3_CJK = 1 << 8,     /* class of DeepSeek-V3's second split */
    DSM_CH_LLM_LETTER = 1 << 9, /* classes of the DeepSeek LLM chain */
    DSM_CH_LLM_PUNCT = 1 << 10,
    DSM_CH_LLM_CJK = 1 << 11,
    DSM_CH_ASCII_PUNCT = 1 << 12,
    DSM_CH_ASCII_LETTER = 1 << 13,
    DSM_CH_NUMERIC = 1 << 14 /* Digits */
};

enum { DSM_CODE_POINTS = 0x110000 };

void dsm_unicode_init(void);

/* Ranges of code points, inclusive. */
typedef struct dsm_range {
    uint32_t low, high;
} dsm_range;

/* The LETTERS, punctuation and CJK classes of the DeepSeek LLM chain, as its file spells them. */
extern const dsm_range dsm_llm_letters[], dsm_llm_punct[], dsm_llm_cjk[], dsm_v3_cjk[];
extern const size_t dsm_llm_n_letters, dsm_llm_n_punct, dsm_llm_n_cjk, dsm_v3_n_cjk;

extern uint16_t dsm_unicode_page[DSM_CODE_POINTS >> 8]; /* block of each page */
extern uint16_t (*dsm_unicode_block)[256];              /* flags */

/* DSM_CH_* of a code point below DSM_CODE_POINTS. */
static inline unsigned dsm_char_flags(uint32_t c)
{
    return dsm_unicode_block[dsm_unicode_page[c >> 8]][c & 255];
}

/* Does category gc belong to the property named by one or two letters ("L", "Lu", …)? Both the
 * name's validity and the answer: -1 when there is no such property. */
int dsm_gc_in_property(dsm_gc gc, const char *name, size_t n);

#endif
