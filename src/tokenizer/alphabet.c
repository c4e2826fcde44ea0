/* SPDX-License-Identifier: MIT */
#include "tokenizer/alphabet.h"

/* Byte ranges that stand for themselves. */
static const unsigned char self[][2] = {{33, 126}, {161, 172}, {174, 255}};

static bool is_self(uint32_t c)
{
    for (size_t i = 0; i < sizeof self / sizeof *self; i++)
        if (c >= self[i][0] && c <= self[i][1]) return true;
    return false;
}

/* The bytes that do not stand for themselves, in order: 0–32, 127–160, 173. */
static const struct {
    unsigned char first, n;
} shifted[] = {{0, 33}, {127, 34}, {173, 1}};

uint32_t dsm_alphabet_code_point(unsigned char byte)
{
    if (is_self(byte)) return byte;
    uint32_t c = 0x100;
    for (size_t i = 0; i < sizeof shifted / sizeof *shifted; i++) {
        if (byte < shifted[i].first + shifted[i].n) return c + byte - shifted[i].first;
        c += shifted[i].n;
    }
    return c;
}

int dsm_alphabet_byte(uint32_t c)
{
    if (c < 0x100) return is_self(c) ? (int)c : -1;
    c -= 0x100;
    for (size_t i = 0; i < sizeof shifted / sizeof *shifted; i++) {
        if (c < shifted[i].n) return (int)(shifted[i].first + c);
        c -= shifted[i].n;
    }
    return -1;
}

void dsm_alphabet_spell(dsm_buf *out, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    char utf8[4];
    for (size_t i = 0; i < n; i++)
        dsm_buf_add(out, utf8, (size_t)dsm_utf8_encode(dsm_alphabet_code_point(p[i]), utf8));
}

bool dsm_alphabet_read(dsm_buf *out, const char *spelling, size_t n)
{
    size_t start = out->len;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int len = dsm_utf8_decode(spelling + i, n - i, &c);
        int byte = len ? dsm_alphabet_byte(c) : -1;
        if (byte < 0) {
            out->len = start;
            return false;
        }
        dsm_buf_add(out, &(char){(char)byte}, 1);
        i += (size_t)len;
    }
    return true;
}
