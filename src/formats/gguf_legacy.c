/* SPDX-License-Identifier: MIT */
/*   q5_0, 22 bytes   f16 d         | 32 fifth bits | 16 bytes: low nibbles of values j and j + 16
 *   q5_1, 24 bytes   f16 d, f16 m  | 32 fifth bits | 16 bytes
 *
 * Value = d · (q - 16) and d · q + m. Source: ggml, src/ggml-quants.c (dequantize_row_q5_0, _q5_1).
 */
#include "formats/gguf_legacy.h"

#include "core/quant.h"

#include <string.h>

enum { VALUES = 32 };

typedef struct q5_0 {
    uint16_t d;
    uint8_t high[4], low[16];
} q5_0;

typedef struct q5_1 {
    uint16_t d, m;
    uint8_t high[4], low[16];
} q5_1;

_Static_assert(sizeof(q5_0) == 22, "q5_0 block");
_Static_assert(sizeof(q5_1) == 24, "q5_1 block");

/* The 5 bits of value i. */
static int quant_of(const uint8_t high[4], const uint8_t low[16], int i)
{
    int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
    return nibble | (high[i / 8] >> (i % 8) & 1) << 4;
}

static void convert_5_0(void *to, const void *from)
{
    q5_0 b;
    dsm_q8_0 out;
    memcpy(&b, from, sizeof b);
    out.d = b.d;
    for (int i = 0; i < VALUES; i++)
        out.q[i] = (int8_t)(quant_of(b.high, b.low, i) - 16);
    memcpy(to, &out, sizeof out);
}

static void convert_5_1(void *to, const void *from)
{
    q5_1 b;
    uint16_t out[VALUES];
    memcpy(&b, from, sizeof b);
    float d = dsm_f16_to_f32(b.d), m = dsm_f16_to_f32(b.m);
    for (int i = 0; i < VALUES; i++)
        out[i] = dsm_f32_to_f16(d * (float)quant_of(b.high, b.low, i) + m);
    memcpy(to, out, sizeof out);
}

static const struct legacy {
    const char *name;
    size_t bytes;
    dsm_dtype to;
    void (*convert)(void *to, const void *from);
} legacies[] = {
    {"Q5_0", sizeof(q5_0), DSM_Q8_0, convert_5_0},
    {"Q5_1", sizeof(q5_1), DSM_F16, convert_5_1},
};

static const struct legacy *legacy_of(const dsm_gguf_tensor *t)
{
    for (size_t i = 0; i < sizeof legacies / sizeof *legacies; i++)
        if (strcmp(legacies[i].name, t->type_name) == 0) return &legacies[i];
    return NULL;
}

bool dsm_gguf_legacy_type(const dsm_gguf_tensor *t, dsm_dtype *to)
{
    const struct legacy *l = legacy_of(t);
    if (l) *to = l->to;
    return l != NULL;
}

void dsm_gguf_legacy_convert(void *to, const dsm_gguf_tensor *t)
{
    const struct legacy *l = legacy_of(t);
    const char *from = t->data;
    char *out = to;
    for (size_t n = t->bytes / l->bytes; n > 0; n--) {
        l->convert(out, from);
        from += l->bytes;
        out += dsm_dtype_bytes(l->to, VALUES);
    }
}
