/* SPDX-License-Identifier: MIT */
/* Any bytes through the published pre-tokenizers, which the first byte chooses among. Ids are in
 * range and decode to the very bytes; the hand-written scanner and the regular expressions it
 * stands for give the same ids. */
#include "fuzz.h"

#include "tokenizer/alphabet.h"
#include "tokenizer/tok.h"

#include <string.h>

enum { N_PRESETS = 4 };
static dsm_tokenizer *scanning[N_PRESETS], *matching[N_PRESETS];

static void spell(dsm_buf *out, const char *bytes, size_t n)
{
    dsm_buf_clear(out);
    dsm_alphabet_spell(out, bytes, n);
}

/* 256 bytes, and what some pairs merge to. */
static void add_model(json_t *vocab, json_t *merges)
{
    static const char *const pairs[][2] = {
        {" ", "t"}, {"h", "e"},       {" t", "he"},         {"0", "1"},   {"01", "2"},
        {"'", "s"}, {"\xE4", "\xB8"}, {"\xE4\xB8", "\x80"}, {"\n", "\n"}, {"!", "!"},
    };
    dsm_buf text = {0}, merge = {0};
    for (int b = 0; b < 256; b++) {
        spell(&text, &(char){(char)b}, 1);
        json_object_set_new(vocab, text.data, json_integer(b));
    }
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        dsm_buf_clear(&merge);
        for (int half = 0; half < 2; half++) {
            spell(&text, pairs[i][half], strlen(pairs[i][half]));
            dsm_buf_str(&merge, text.data);
            if (half == 0) dsm_buf_str(&merge, " ");
        }
        json_array_append_new(merges, json_string(merge.data));
        char *space = strchr(merge.data, ' ');
        memmove(space, space + 1, strlen(space));
        json_object_set_new(vocab, merge.data, json_integer(256 + (json_int_t)i));
    }
    dsm_buf_free(&text);
    dsm_buf_free(&merge);
}

static dsm_tokenizer *make(const char *preset)
{
    dsm_err err;
    dsm_tokenizer *t;
    json_t *pretok, *vocab = json_object(), *merges = json_array();
    FUZZ_ASSERT(dsm_pretok_preset(&pretok, preset, &err) == DSM_OK);
    add_model(vocab, merges);
    json_t *file =
        json_pack("{s:o, s:{s:s}, s:[{s:i, s:s, s:b}], s:{s:s, s:o, s:o}}", "pre_tokenizer", pretok,
                  "decoder", "type", "ByteLevel", "added_tokens", "id", 300, "content", "<s>",
                  "special", 1, "model", "type", "BPE", "vocab", vocab, "merges", merges);
    char *text = json_dumps(file, 0);
    FUZZ_ASSERT(text);
    FUZZ_ASSERT(dsm_tokenizer_parse(&t, text, strlen(text), NULL, preset, &err) == DSM_OK);
    FUZZ_ASSERT(t->pretok.scan);
    free(text);
    json_decref(file);
    return t;
}

static void make_all(void)
{
    for (int i = 0; i < N_PRESETS; i++) {
        scanning[i] = make(dsm_pretok_preset_names[i]);
        matching[i] = make(dsm_pretok_preset_names[i]);
        matching[i]->pretok.scan = NULL;
    }
}

static void check_decoded(const dsm_tokenizer *t, const dsm_ids *ids, const char *text, size_t n)
{
    dsm_err err;
    char *back;
    size_t len;
    FUZZ_ASSERT(dsm_tokenizer_decode(t, ids->data, ids->len, false, &back, &len, &err) == DSM_OK);
    FUZZ_ASSERT(len == n && memcmp(back, text, n) == 0);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    if (!scanning[0]) make_all();
    dsm_err err;
    dsm_ids ids = {0}, same = {0};
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    unsigned preset = data[0] % N_PRESETS, flags = data[0] / N_PRESETS % 2;
    FUZZ_ASSERT(dsm_tokenizer_encode(scanning[preset], text, n, flags, &ids, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_tokenizer_encode(matching[preset], text, n, flags, &same, &err) == DSM_OK);
    FUZZ_ASSERT(ids.len == same.len);
    FUZZ_ASSERT(ids.len == 0 || memcmp(ids.data, same.data, ids.len * sizeof *ids.data) == 0);
    for (size_t i = 0; i < ids.len; i++)
        FUZZ_ASSERT(ids.data[i] >= 0 && ids.data[i] < dsm_tokenizer_size(scanning[preset]));
    check_decoded(scanning[preset], &ids, text, n);
    dsm_ids_free(&ids);
    dsm_ids_free(&same);
    return 0;
}
