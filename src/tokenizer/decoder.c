/* SPDX-License-Identifier: MIT */
/* The decoder of a tokenizer.json, run once over the vocabulary: what each token decodes to.
 *
 * Possible because the supported decoders treat tokens one by one; the exception, stripping spaces
 * from the start of the text, is kept as a count. Added tokens decode to their content. */
#include "tokenizer/tok.h"

#include "core/json.h"
#include "tokenizer/alphabet.h"

#include <stdlib.h>
#include <string.h>

typedef struct decoder {
    bool byte_level, byte_fallback, fused;
    const char *from, *to; /* Replace; from NULL: none */
} decoder;

static dsm_status read_replace(decoder *d, const json_t *json, const char *what, dsm_err *err)
{
    const json_t *pattern = json_object_get(json, "pattern");
    const char *from = json_string_value(json_object_get(pattern, "String"));
    const char *to = json_string_value(json_object_get(json, "content"));
    if (!from || !*from || !to || d->from)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: decoder: Replace: expected one of {\"String\": text} and "
                        "a content",
                        what);
    d->from = from;
    d->to = to;
    return DSM_OK;
}

static dsm_status read_strip(dsm_tokenizer *t, const decoder *d, const json_t *json,
                             const char *what, dsm_err *err)
{
    const char *content = " ";
    int64_t start = 0, stop = 0;
    DSM_TRY(dsm_json_string(json, "content", &content, what, err));
    DSM_TRY(dsm_json_int(json, "start", 0, 1024, &start, what, err));
    DSM_TRY(dsm_json_int(json, "stop", 0, 1024, &stop, what, err));
    if (strcmp(content, " ") != 0 || stop != 0 || !d->fused)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: decoder: Strip: only spaces at the start of fused text "
                        "are supported",
                        what);
    t->strip_start = (int)start;
    return DSM_OK;
}

static dsm_status read_metaspace(dsm_tokenizer *t, decoder *d, const json_t *json, const char *what,
                                 dsm_err *err)
{
    const char *scheme = "always";
    bool prefix = true;
    d->from = "\xE2\x96\x81";
    d->to = " ";
    DSM_TRY(dsm_json_string(json, "replacement", &d->from, what, err));
    DSM_TRY(dsm_json_string(json, "prepend_scheme", &scheme, what, err));
    DSM_TRY(dsm_json_bool(json, "add_prefix_space", &prefix, what, err));
    if (!*d->from)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: decoder: Metaspace: replacement: expected a character", what);
    t->strip_start = prefix && strcmp(scheme, "never") != 0;
    return DSM_OK;
}

static dsm_status read_any(dsm_tokenizer *t, decoder *d, const json_t *json, int depth,
                           const char *what, dsm_err *err)
{
    const char *type = "";
    DSM_TRY(dsm_json_string(json, "type", &type, what, err));
    if (strcmp(type, "Sequence") == 0 && depth < 8) {
        const json_t *list = json_object_get(json, "decoders");
        if (!json_is_array(list))
            return dsm_fail(err, DSM_EFORMAT, "%s: decoder: Sequence: decoders: expected an array",
                            what);
        for (size_t i = 0; i < json_array_size(list); i++)
            DSM_TRY(read_any(t, d, json_array_get(list, i), depth + 1, what, err));
        return DSM_OK;
    }
    if (strcmp(type, "Replace") == 0) return read_replace(d, json, what, err);
    if (strcmp(type, "Strip") == 0) return read_strip(t, d, json, what, err);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(t, d, json, what, err);
    bool *flag = strcmp(type, "ByteLevel") == 0      ? &d->byte_level
                 : strcmp(type, "ByteFallback") == 0 ? &d->byte_fallback
                 : strcmp(type, "Fuse") == 0         ? &d->fused
                                                     : NULL;
    if (!flag)
        return dsm_fail(err, DSM_EFORMAT, "%s: decoder: type \"%.40s\" is not supported", what,
                        type);
    *flag = true;
    return DSM_OK;
}

/* The byte that "<0xAB>" names, or -1. */
static int fallback_byte(const char *text, size_t n)
{
    unsigned byte;
    char close;
    if (n != 6 || sscanf(text, "<0x%2X%c", &byte, &close) != 2 || close != '>') return -1;
    return (int)byte;
}

static void decode_token(dsm_buf *out, const decoder *d, const char *text, size_t n)
{
    if (d->byte_level && dsm_alphabet_read(out, text, n)) return;
    int byte = d->byte_fallback ? fallback_byte(text, n) : -1;
    if (byte >= 0) {
        dsm_buf_add(out, &(char){(char)byte}, 1);
        return;
    }
    const char *end = text + n, *hit;
    while (d->from && (hit = strstr(text, d->from)) != NULL && hit < end) {
        dsm_buf_add(out, text, (size_t)(hit - text));
        dsm_buf_str(out, d->to);
        text = hit + strlen(d->from);
    }
    dsm_buf_add(out, text, (size_t)(end - text));
}

dsm_status dsm_tokenizer_read_decoder(dsm_tokenizer *t, const char *what, dsm_err *err)
{
    decoder d = {0};
    const json_t *json = json_object_get(t->root, "decoder");
    if (json && !json_is_null(json))
        DSM_TRY(read_any(t, &d, json, 0, what, err));
    else
        t->join_spaces = true;
    t->byte_offset = malloc(((size_t)t->vocab.size + 1) * sizeof *t->byte_offset);
    if (!t->byte_offset) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", what);
    dsm_buf_add(&t->bytes, "", 0);
    for (int32_t id = 0; id < t->vocab.size; id++) {
        size_t n;
        const char *text = dsm_vocab_text(&t->vocab, id, &n);
        t->byte_offset[id] = t->bytes.len;
        if (text && t->kind[id] & DSM_TOKEN_ADDED)
            dsm_buf_add(&t->bytes, text, n);
        else if (text)
            decode_token(&t->bytes, &d, text, n);
    }
    t->byte_offset[t->vocab.size] = t->bytes.len;
    return dsm_buf_check(&t->bytes, what, err);
}
