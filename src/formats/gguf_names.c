/* SPDX-License-Identifier: MIT */
/* Source: llama.cpp, gguf-py/gguf/tensor_mapping.py and constants.py. */
#include "formats/gguf_names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LAYER "model.layers.%d."

/* clang-format off */
static const dsm_gguf_name names[] = {
    {"token_embd.weight",              "model.embed_tokens.weight",                 DSM_GGUF_AS_IS},
    {"output_norm.weight",             "model.norm.weight",                         DSM_GGUF_AS_IS},
    {"output.weight",                  "lm_head.weight",                            DSM_GGUF_AS_IS},
    {"blk.%d.attn_norm.weight",        LAYER "input_layernorm.weight",              DSM_GGUF_AS_IS},
    {"blk.%d.attn_q.weight",           LAYER "self_attn.q_proj.weight",             DSM_GGUF_QUERY},
    {"blk.%d.attn_q.bias",             LAYER "self_attn.q_proj.bias",               DSM_GGUF_QUERY},
    {"blk.%d.attn_k.weight",           LAYER "self_attn.k_proj.weight",             DSM_GGUF_KEY},
    {"blk.%d.attn_k.bias",             LAYER "self_attn.k_proj.bias",               DSM_GGUF_KEY},
    {"blk.%d.attn_v.weight",           LAYER "self_attn.v_proj.weight",             DSM_GGUF_AS_IS},
    {"blk.%d.attn_v.bias",             LAYER "self_attn.v_proj.bias",               DSM_GGUF_AS_IS},
    {"blk.%d.attn_output.weight",      LAYER "self_attn.o_proj.weight",             DSM_GGUF_AS_IS},
    {"blk.%d.attn_output.bias",        LAYER "self_attn.o_proj.bias",               DSM_GGUF_AS_IS},
    {"blk.%d.attn_q_a.weight",         LAYER "self_attn.q_a_proj.weight",           DSM_GGUF_AS_IS},
    {"blk.%d.attn_q_a_norm.weight",    LAYER "self_attn.q_a_layernorm.weight",      DSM_GGUF_AS_IS},
    {"blk.%d.attn_q_b.weight",         LAYER "self_attn.q_b_proj.weight",           DSM_GGUF_AS_IS},
    {"blk.%d.attn_kv_a_mqa.weight",    LAYER "self_attn.kv_a_proj_with_mqa.weight", DSM_GGUF_AS_IS},
    {"blk.%d.attn_kv_a_norm.weight",   LAYER "self_attn.kv_a_layernorm.weight",     DSM_GGUF_AS_IS},
    {"blk.%d.attn_k_b.weight",         LAYER "self_attn.kv_b_proj.weight",          DSM_GGUF_KV_KEY},
    {"blk.%d.attn_v_b.weight",         LAYER "self_attn.kv_b_proj.weight",          DSM_GGUF_KV_VALUE},
    {"blk.%d.attn_kv_b.weight",        LAYER "self_attn.kv_b_proj.weight",          DSM_GGUF_AS_IS},
    {"blk.%d.ffn_norm.weight",         LAYER "post_attention_layernorm.weight",     DSM_GGUF_AS_IS},
    {"blk.%d.ffn_gate.weight",         LAYER "mlp.gate_proj.weight",                DSM_GGUF_AS_IS},
    {"blk.%d.ffn_up.weight",           LAYER "mlp.up_proj.weight",                  DSM_GGUF_AS_IS},
    {"blk.%d.ffn_down.weight",         LAYER "mlp.down_proj.weight",                DSM_GGUF_AS_IS},
    {"blk.%d.ffn_gate_inp.weight",     LAYER "mlp.gate.weight",                     DSM_GGUF_AS_IS},
    {"blk.%d.exp_probs_b.bias",        LAYER "mlp.gate.e_score_correction_bias",    DSM_GGUF_AS_IS},
    {"blk.%d.ffn_gate_exps.weight",    LAYER "mlp.experts.%d.gate_proj.weight",     DSM_GGUF_EXPERTS},
    {"blk.%d.ffn_up_exps.weight",      LAYER "mlp.experts.%d.up_proj.weight",       DSM_GGUF_EXPERTS},
    {"blk.%d.ffn_down_exps.weight",    LAYER "mlp.experts.%d.down_proj.weight",     DSM_GGUF_EXPERTS},
    {"blk.%d.ffn_gate_shexp.weight",   LAYER "mlp.shared_experts.gate_proj.weight", DSM_GGUF_AS_IS},
    {"blk.%d.ffn_up_shexp.weight",     LAYER "mlp.shared_experts.up_proj.weight",   DSM_GGUF_AS_IS},
    {"blk.%d.ffn_down_shexp.weight",   LAYER "mlp.shared_experts.down_proj.weight", DSM_GGUF_AS_IS},
};
/* clang-format on */

enum { N_NAMES = sizeof names / sizeof *names, MAX_DIGITS = 9 };

/* A decimal number without leading zeros at *text, which moves behind it; -1: there is none. */
static int64_t read_number(const char **text)
{
    const char *s = *text;
    int64_t v = 0;
    while (*s >= '0' && *s <= '9' && s - *text <= MAX_DIGITS)
        v = 10 * v + (*s++ - '0');
    ptrdiff_t digits = s - *text;
    if (digits == 0 || digits > MAX_DIGITS || (digits > 1 && **text == '0')) return -1;
    *text = s;
    return v;
}

/* Does text have this form? numbers[i] is what stands for the i-th %d; others stay as they are. */
static bool matches(const char *pattern, const char *text, int64_t *numbers)
{
    for (; *pattern; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'd') {
            int64_t v = read_number(&text);
            if (v < 0) return false;
            *numbers++ = v;
            pattern++;
        } else if (*text++ != *pattern) {
            return false;
        }
    }
    return *text == '\0';
}

const dsm_gguf_name *dsm_gguf_name_of_tensor(const char *tensor, int64_t *layer)
{
    for (int i = 0; i < N_NAMES; i++) {
        *layer = -1;
        if (matches(names[i].tensor, tensor, layer)) return &names[i];
    }
    return NULL;
}

const dsm_gguf_name *dsm_gguf_name_of_parameter(const char *parameter, int64_t *layer,
                                                int64_t *expert)
{
    for (int i = 0; i < N_NAMES; i++) {
        int64_t numbers[2] = {-1, -1};
        if (!matches(names[i].parameter, parameter, numbers)) continue;
        *layer = numbers[0];
        *expert = numbers[1];
        return &names[i];
    }
    return NULL;
}

const dsm_gguf_name *dsm_gguf_name_values(void)
{
    int i = 0;
    while (names[i].form != DSM_GGUF_KV_VALUE)
        i++;
    return &names[i];
}

/* The pattern with its numbers put in. */
static void fill(char *out, size_t size, const char *pattern, const int64_t *numbers)
{
    size_t n = 0;
    for (; *pattern && n + 1 < size; pattern++) {
        if (pattern[0] == '%' && pattern[1] == 'd') {
            n += (size_t)snprintf(out + n, size - n, "%lld", (long long)*numbers++);
            pattern++;
        } else {
            out[n++] = *pattern;
        }
    }
    out[n < size ? n : size - 1] = '\0';
}

void dsm_gguf_name_tensor(char *out, size_t size, const dsm_gguf_name *n, int64_t layer)
{
    fill(out, size, n->tensor, &layer);
}

void dsm_gguf_name_parameter(char *out, size_t size, const dsm_gguf_name *n, int64_t layer,
                             int64_t expert)
{
    const int64_t numbers[2] = {layer, expert};
    fill(out, size, n->parameter, numbers);
}
