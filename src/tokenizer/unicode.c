/* SPDX-License-Identifier: MIT */
/* Expands the generated runs to a two-stage flag table, and holds the ranges that the DeepSeek
 * pre-tokenizers spell out in their files (frozen to those files, not to a Unicode version). */
#include "tokenizer/unicode.h"

#include <pthread.h>
#include <string.h>

/* clang-format off */
/* 2,729 cased letters, the class of the second split of the LLM, MoE 16B and V2 tokenizers. */
const dsm_range dsm_llm_letters[] = {
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA},
    {0x1BC, 0x1BF}, {0x1C4, 0x293}, {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x376},
    {0x377, 0x377}, {0x37B, 0x37D}, {0x37F, 0x37F}, {0x386, 0x386}, {0x388, 0x38A},
    {0x38C, 0x38C}, {0x38E, 0x3A1}, {0x3A3, 0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F},
    {0x531, 0x556}, {0x10A0, 0x10C5}, {0x13A0, 0x13F5}, {0x13F8, 0x13FD}, {0x1C90, 0x1CBA},
    {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B}, {0x1D6B, 0x1D77}, {0x1D79, 0x1D9A}, {0x1E00, 0x1F15},
    {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D}, {0x1F50, 0x1F57}, {0x1F59, 0x1F59},
    {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4}, {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE}, {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB},
    {0x1FE0, 0x1FEC}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC}, {0x2102, 0x2102}, {0x2107, 0x2107},
    {0x210A, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211D}, {0x2124, 0x2124}, {0x2126, 0x2126},
    {0x2128, 0x2128}, {0x212A, 0x212D}, {0x212F, 0x2134}, {0x2139, 0x2139}, {0x213C, 0x213F},
    {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2183}, {0x2184, 0x2184}, {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF2}, {0x2CF3, 0x2CF3}, {0xA640, 0xA66D},
    {0xA680, 0xA69B}, {0xA722, 0xA76F}, {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF},
    {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21, 0xFF3A}, {0xFF41, 0xFF5A}, {0x10400, 0x1044F},
    {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};
const dsm_range dsm_llm_punct[] = {
    {0x21, 0x2F}, {0x3A, 0x7E}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}, {0x2018, 0x201F},
    {0x3000, 0x3002},
};
const dsm_range dsm_llm_cjk[] = {{0x4E00, 0x9FA5}, {0x0800, 0x4E00}, {0xAC00, 0xD7FF}};
const dsm_range dsm_v3_cjk[] = {{0x4E00, 0x9FA5}, {0x3040, 0x309F}, {0x30A0, 0x30FF}};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof *(a))
const size_t dsm_llm_n_letters = COUNT(dsm_llm_letters), dsm_llm_n_punct = COUNT(dsm_llm_punct),
             dsm_llm_n_cjk = COUNT(dsm_llm_cjk), dsm_v3_n_cjk = COUNT(dsm_v3_cjk);

static const char gc_names[DSM_GC_COUNT][3] = {
    "Cn", "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl",
    "No", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs"};

enum { MAX_BLOCKS = 192 }; /* distinct blocks of 256 code points; Unicode 16 makes 158 */

uint16_t dsm_unicode_page[DSM_CODE_POINTS >> 8];
static uint16_t blocks[MAX_BLOCKS][256];
uint16_t (*dsm_unicode_block)[256] = blocks;

static const struct {
    char major;
    uint16_t flag;
} major_flags[] = {
    {'L', DSM_CH_LETTER}, {'M', DSM_CH_MARK},   {'N', DSM_CH_NUMBER},
    {'P', DSM_CH_PUNCT},  {'S', DSM_CH_SYMBOL},
};

static const struct {
    unsigned class_flag;
    uint16_t flag;
} class_flags[] = {
    {DSM_CLASS_SPACE, DSM_CH_SPACE},
    {DSM_CLASS_IDENT, DSM_CH_IDENT},
    {DSM_CLASS_NUMERIC, DSM_CH_NUMERIC},
};

static uint16_t flags_of(unsigned class_bits)
{
    unsigned flags = 0;
    char major = gc_names[class_bits & DSM_CLASS_CATEGORY][0];
    for (size_t i = 0; i < COUNT(major_flags); i++)
        if (major == major_flags[i].major) flags |= major_flags[i].flag;
    for (size_t i = 0; i < COUNT(class_flags); i++)
        if (class_bits & class_flags[i].class_flag) flags |= class_flags[i].flag;
    return (uint16_t)flags;
}

static const struct {
    const dsm_range *ranges;
    const size_t *n;
    uint16_t flag;
} spelled[] = {
    {dsm_llm_letters, &dsm_llm_n_letters, DSM_CH_LLM_LETTER},
    {dsm_llm_punct, &dsm_llm_n_punct, DSM_CH_LLM_PUNCT},
    {dsm_llm_cjk, &dsm_llm_n_cjk, DSM_CH_LLM_CJK},
    {dsm_v3_cjk, &dsm_v3_n_cjk, DSM_CH_V3_CJK},
};

/* Flags of the 256 code points of a page; `run` is the run that holds its first one. */
static size_t fill_page(uint16_t out[256], uint32_t base, size_t run)
{
    for (uint32_t c = base; c < base + 256; c++) {
        while (run + 1 < dsm_unicode_n_runs && dsm_unicode_runs[run + 1] >> DSM_CLASS_BITS <= c)
            run++;
        out[c - base] = flags_of(dsm_unicode_runs[run] & DSM_CLASS_MASK);
    }
    for (size_t k = 0; k < COUNT(spelled); k++)
        for (size_t i = 0; i < *spelled[k].n; i++) {
            dsm_range r = spelled[k].ranges[i];
            uint32_t low = r.low > base ? r.low : base;
            uint32_t high = r.high < base + 255 ? r.high : base + 255;
            for (uint32_t c = low; c <= high; c++)
                out[c - base] |= spelled[k].flag;
        }
    return run;
}

static void mark_ascii(uint16_t page0[256])
{
    page0['\r'] |= DSM_CH_NEWLINE;
    page0['\n'] |= DSM_CH_NEWLINE;
    for (int c = 0; c < 128; c++) {
        if (page0[c] & (DSM_CH_PUNCT | DSM_CH_SYMBOL)) page0[c] |= DSM_CH_ASCII_PUNCT;
        if (page0[c] & DSM_CH_LETTER) page0[c] |= DSM_CH_ASCII_LETTER;
    }
}

static void build(void)
{
    uint16_t page[256];
    size_t n_blocks = 0, run = 0;
    for (uint32_t p = 0; p < DSM_CODE_POINTS >> 8; p++) {
        run = fill_page(page, p << 8, run);
        if (p == 0) mark_ascii(page);
        size_t b = 0;
        while (b < n_blocks && memcmp(blocks[b], page, sizeof page) != 0)
            b++;
        if (b == n_blocks) memcpy(blocks[n_blocks++], page, sizeof page);
        dsm_unicode_page[p] = (uint16_t)b;
    }
}

void dsm_unicode_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, build);
}

int dsm_gc_in_property(dsm_gc gc, const char *name, size_t n)
{
    bool known = false;
    for (int i = 0; i < DSM_GC_COUNT && n >= 1 && n <= 2; i++)
        known = known || memcmp(gc_names[i], name, n) == 0;
    return known ? memcmp(gc_names[gc], name, n) == 0 : -1;
}
