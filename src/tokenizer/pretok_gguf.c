/* SPDX-License-Identifier: MIT */
/* A GGUF file says how text is cut by one name, whose meaning is in the source of llama.cpp. Here
 * it means the chain of the Hugging Face tokenizer the name stands for, which is the truth both
 * follow; "default" is what llama.cpp does for files that say nothing. Source: llama.cpp,
 * src/llama-vocab.cpp; the tokenizer.json files of the models. */
#include "tokenizer/pretok_gguf.h"

#include <string.h>

static json_t *split(const char *pattern)
{
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", pattern,
                     "behavior", "Isolated", "invert", 0);
}

static json_t *byte_level(bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                     "trim_offsets", 1, "use_regex", use_regex);
}

static json_t *preset(const char *name)
{
    json_t *json;
    return dsm_pretok_preset(&json, name, NULL) == DSM_OK ? json : NULL;
}

static json_t *deepseek_v3(void)
{
    return preset("deepseek-v3");
}

static json_t *deepseek_llm(void)
{
    return preset("deepseek-llm");
}

static json_t *deepseek_coder(void)
{
    return preset("deepseek-coder");
}

static json_t *gpt2(void)
{
    return preset("gpt2");
}

static json_t *digits_gpt2(void)
{
    return json_pack("{s:s, s:[{s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type",
                     "Digits", "individual_digits", 1, byte_level(true));
}

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define PUNCTUATION  "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static json_t *llama3(void)
{
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers",
                     split(CONTRACTIONS "\\p{N}{1,3}" PUNCTUATION), byte_level(false));
}

static json_t *qwen2(void)
{
    return json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers",
                     split(CONTRACTIONS "\\p{N}" PUNCTUATION), byte_level(false));
}

static json_t *unnamed(void)
{
    return json_pack("{s:s, s:[o, o, o, o, o]}", "type", "Sequence", "pretokenizers",
                     split("[\\p{P}\\$\\+<=>\\^~\\|]+"),
                     split("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                           "\\s+(?!\\S)"),
                     split("\\p{N}+"), split("[0-9][0-9][0-9]"), byte_level(false));
}

/* clang-format off */
static const dsm_gguf_pre rows[] = { /* name, chain, ignore_merges, add_bos, nfc */
    {"deepseek-v3",      deepseek_v3,    false, false, false},
    {"deepseek-llm",     deepseek_llm,   false, false, false},
    {"deepseek-coder",   deepseek_coder, false, false, false},
    {"gpt-2",            gpt2,           false, false, false},
    {"mpt",              gpt2,           false, false, false},
    {"olmo",             gpt2,           false, false, false},
    {"smollm",           digits_gpt2,    false, false, false},
    {"starcoder",        digits_gpt2,    false, false, false},
    {"refact",           digits_gpt2,    false, false, false},
    {"command-r",        digits_gpt2,    false, false, false},
    {"codeshell",        digits_gpt2,    false, false, false},
    {"llama-bpe",        llama3,         true,  true,  false},
    {"llama-v3",         llama3,         true,  true,  false},
    {"llama3",           llama3,         true,  true,  false},
    {"smaug-bpe",        llama3,         false, false, false},
    {"dbrx",             llama3,         false, false, false},
    {"qwen2",            qwen2,          false, false, true},
    {"deepseek-r1-qwen", qwen2,          false, false, true},
    {"megrez",           qwen2,          false, false, true},
    {"stablelm2",        qwen2,          false, false, true},
    {"default",          unnamed,        false, false, false},
};
/* clang-format on */

enum { N_ROWS = sizeof rows / sizeof *rows };

const dsm_gguf_pre *dsm_gguf_pre_find(const char *name)
{
    for (int i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

static bool splits_like(const dsm_gguf_pre *row, const dsm_pretok *p)
{
    dsm_pretok other;
    json_t *json = row->build();
    bool like = false;
    if (json && dsm_pretok_read(&other, json, row->name, NULL) == DSM_OK) {
        like = p->signature.len == other.signature.len &&
               memcmp(p->signature.data, other.signature.data, p->signature.len) == 0;
        dsm_pretok_free(&other);
    }
    json_decref(json);
    return like;
}

const dsm_gguf_pre *dsm_gguf_pre_like(const dsm_pretok *p)
{
    for (int i = 0; p->signature.len > 0 && i < N_ROWS; i++)
        if (splits_like(&rows[i], p)) return &rows[i];
    return NULL;
}
