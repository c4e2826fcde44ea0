/* SPDX-License-Identifier: MIT */
/* The published pre-tokenizer chains by name, as the JSON their tokenizer.json files hold, and the
 * recognition of a loaded chain as one of them.
 *
 * Sources: deepseek-v3 from its released tokenizer.json; deepseek-llm (LLM, MoE 16B, V2, Coder-V2)
 * and deepseek-coder (Coder V1) from the converters of the ecosystem; gpt2 from its released files.
 */
#include "core/json.h"
#include "core/nearest.h"
#include "tokenizer/pretok.h"
#include "tokenizer/unicode.h"

#include <pthread.h>
#include <string.h>

typedef struct preset {
    const char *name;
    json_t *(*build)(void);
    dsm_scan_fn scan;
} preset;

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

static json_t *digits(void)
{
    return json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", 1);
}

static void add_code_point(dsm_buf *out, uint32_t c)
{
    char utf8[4];
    if (c < 128 && strchr("[]\\^-", (int)c)) dsm_buf_str(out, "\\");
    dsm_buf_add(out, utf8, (size_t)dsm_utf8_encode(c, utf8));
}

/* head[ranges]tail as a Split. */
static json_t *split_class(const char *head, const dsm_range *ranges, size_t n, const char *tail)
{
    dsm_buf pattern = {0};
    dsm_buf_str(&pattern, head);
    dsm_buf_str(&pattern, "[");
    for (size_t i = 0; i < n; i++) {
        add_code_point(&pattern, ranges[i].low);
        if (ranges[i].high == ranges[i].low) continue;
        dsm_buf_str(&pattern, "-");
        add_code_point(&pattern, ranges[i].high);
    }
    dsm_buf_str(&pattern, "]");
    dsm_buf_str(&pattern, tail);
    json_t *out = pattern.failed ? NULL : split(pattern.data);
    dsm_buf_free(&pattern);
    return out;
}

static json_t *deepseek_v3(void)
{
    return json_pack(
        "{s:s, s:[o, o, o, o]}", "type", "Sequence", "pretokenizers", split("\\p{N}{1,3}"),
        split_class("", dsm_v3_cjk, dsm_v3_n_cjk, "+"),
        split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
              "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|"
              "\\s+(?!\\S)|\\s+"),
        byte_level(false));
}

static json_t *deepseek_llm(void)
{
    return json_pack("{s:s, s:[o, o, o, o, o, o, o]}", "type", "Sequence", "pretokenizers",
                     split("[\r\n]"), split_class("\\s?", dsm_llm_letters, dsm_llm_n_letters, "+"),
                     split_class("\\s?", dsm_llm_punct, dsm_llm_n_punct, "+"), split("\\s+$"),
                     split_class("", dsm_llm_cjk, dsm_llm_n_cjk, "+"), digits(), byte_level(false));
}

static json_t *deepseek_coder(void)
{
    return json_pack("{s:s, s:[o, o, o, o, o, o]}", "type", "Sequence", "pretokenizers",
                     split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"),
                     split_class("", dsm_llm_cjk, dsm_llm_n_cjk, "+"), digits(), byte_level(false));
}

static json_t *gpt2(void)
{
    return byte_level(true);
}

static const preset presets[] = {
    {"deepseek-v3", deepseek_v3, dsm_scan_deepseek_v3},
    {"deepseek-llm", deepseek_llm, dsm_scan_deepseek_llm},
    {"deepseek-coder", deepseek_coder, dsm_scan_deepseek_coder},
    {"gpt2", gpt2, dsm_scan_gpt2},
};
enum { N_PRESETS = sizeof presets / sizeof *presets };
const char *const dsm_pretok_preset_names[] = {"deepseek-v3", "deepseek-llm", "deepseek-coder",
                                               "gpt2", NULL};

dsm_status dsm_pretok_preset(json_t **out, const char *name, dsm_err *err)
{
    *out = NULL;
    for (int i = 0; i < N_PRESETS; i++) {
        if (strcmp(presets[i].name, name) != 0) continue;
        *out = presets[i].build();
        return *out ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "pre-tokenizer preset: out of memory");
    }
    const char *near = dsm_nearest(name, presets, N_PRESETS, sizeof *presets);
    return dsm_fail(err, DSM_EUSAGE,
                    "pre-tokenizer: found \"%.40s\", expected deepseek-v3, deepseek-llm, "
                    "deepseek-coder or gpt2%s%s%s",
                    name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Signatures of the presets, made once and kept. */
static dsm_buf signatures[N_PRESETS];

static void make_signatures(void)
{
    for (int i = 0; i < N_PRESETS; i++) {
        dsm_pretok p;
        json_t *json = presets[i].build();
        if (json && dsm_pretok_read(&p, json, "preset", NULL) == DSM_OK) {
            signatures[i] = p.signature;
            p.signature = (dsm_buf){0};
            dsm_pretok_free(&p);
        }
        json_decref(json);
    }
}

const char *dsm_pretok_recognise(dsm_pretok *p)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_signatures);
    for (int i = 0; i < N_PRESETS; i++) {
        if (p->signature.len == 0 || p->signature.len != signatures[i].len) continue;
        if (memcmp(p->signature.data, signatures[i].data, p->signature.len) != 0) continue;
        p->scan = presets[i].scan;
        return presets[i].name;
    }
    return NULL;
}
