/* SPDX-License-Identifier: MIT */
/* Mutations that keep a file's own lengths true.
 *
 * Formats that say how long each part is turn nearly every insertion or deletion into "cut off".
 * These mutators walk the input as far as it is sound, let libFuzzer mutate one part of it, and
 * store the part's new length; one in four mutations stays blind, so that lengths are attacked too.
 */
#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

static uint64_t load64(const uint8_t *p)
{
    uint64_t x = 0;
    for (int i = 8; i-- > 0;)
        x = x << 8 | p[i];
    return x;
}

static void store64(uint8_t *p, uint64_t x)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(x >> 8 * i);
}

/* Mutate the n bytes at data + at, whose length stands in the 8 bytes before them; what follows
 * moves. */
static size_t mutate_part(uint8_t *data, size_t size, size_t max, size_t at, size_t n)
{
    size_t n_tail = size - at - n;
    uint8_t *tail = malloc(n_tail + 1);
    if (!tail) return size;
    memcpy(tail, data + at + n, n_tail);
    size_t m = LLVMFuzzerMutate(data + at, n, max - n_tail - at);
    memcpy(data + at + m, tail, n_tail);
    free(tail);
    store64(data + at - 8, m);
    return at + m + n_tail;
}

/* --- safetensors: u64 length | JSON | data ---------------------------------------------------- */

size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint64_t n = size >= 8 ? load64(data) : UINT64_MAX;
    bool sound = size >= 8 && n <= size - 8;
    return sound && seed % 4 ? mutate_part(data, size, max, 8, (size_t)n)
                             : LLVMFuzzerMutate(data, size, max);
}

/* --- GGUF: header | keys | tensor infos | padding | data -------------------------------------- */

enum { MAX_TEXTS = 512, ALIGNMENT = 32, TYPE_TEXT = 8, TYPE_LIST = 9 };

typedef struct walk {
    const uint8_t *data;
    size_t size, at;
    bool ok; /* nothing was cut off so far */
    struct {
        size_t at, n;
    } texts[MAX_TEXTS]; /* names and strings */
    size_t n_texts;
} walk;

static void skip(walk *w, uint64_t n)
{
    w->ok = w->ok && n <= w->size - w->at;
    if (w->ok) w->at += (size_t)n;
}

static uint64_t take(walk *w, size_t n)
{
    uint8_t bytes[8] = {0};
    size_t from = w->at;
    skip(w, n);
    if (w->ok) memcpy(bytes, w->data + from, n);
    return load64(bytes);
}

static void take_text(walk *w)
{
    uint64_t n = take(w, 8);
    size_t at = w->at;
    skip(w, n);
    if (!w->ok || w->n_texts == MAX_TEXTS) return;
    w->texts[w->n_texts].at = at;
    w->texts[w->n_texts++].n = (size_t)n;
}

static size_t size_of(uint64_t type)
{
    static const unsigned char sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof sizes ? sizes[type] : 0;
}

static void take_value(walk *w, uint64_t type)
{
    uint64_t n = 1;
    if (type == TYPE_LIST) {
        type = take(w, 4);
        n = take(w, 8);
    }
    if (type != TYPE_TEXT) {
        w->ok = w->ok && n <= w->size;
        if (w->ok) skip(w, n * size_of(type));
    }
    for (uint64_t i = 0; type == TYPE_TEXT && i < n && w->ok; i++)
        take_text(w);
}

static void take_header(walk *w)
{
    skip(w, 8); /* magic, version */
    uint64_t n_tensors = take(w, 8), n_keys = take(w, 8);
    for (uint64_t i = 0; i < n_keys && w->ok; i++) {
        take_text(w);
        take_value(w, take(w, 4));
    }
    for (uint64_t i = 0; i < n_tensors && w->ok; i++) {
        take_text(w);
        uint64_t n_dims = take(w, 4);
        skip(w, n_dims <= w->size ? 8 * n_dims : UINT64_MAX);
        skip(w, 4 + 8); /* type, offset */
    }
}

static size_t align(size_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The tensors' data, from byte `from` on, to byte `to`. */
static size_t move_data(uint8_t *data, size_t size, size_t from, size_t to)
{
    if (from >= size) return size; /* none */
    memmove(data + to, data + from, size - from);
    return size - from + to;
}

size_t fuzz_mutate_gguf(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static walk w;
    w = (walk){.data = data, .size = size, .ok = true};
    take_header(&w);
    if (!w.ok || w.n_texts == 0 || seed % 4 == 0 || max < size + ALIGNMENT)
        return LLVMFuzzerMutate(data, size, max);
    size_t i = seed / 4 % w.n_texts, end = w.at, from = align(end);
    size_t mutated = mutate_part(data, size, max - ALIGNMENT, w.texts[i].at, w.texts[i].n);
    size_t new_end = end + mutated - size;
    return move_data(data, mutated, from + mutated - size, align(new_end));
}
