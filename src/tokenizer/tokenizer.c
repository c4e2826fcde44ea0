/* SPDX-License-Identifier: MIT */
/* Questions about a tokenizer, decoding, and its end. */
#include "tokenizer/tok.h"

#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

void dsm_tokenizer_close(dsm_tokenizer *t)
{
    if (!t) return;
    dsm_workspace_free_all(t);
    json_decref(t->root);
    json_decref(t->config);
    json_decref(t->added_json);
    dsm_vocab_free(&t->vocab);
    free(t->kind);
    dsm_bpe_free(&t->bpe);
    dsm_chars_free(&t->chars);
    dsm_normalizer_free(&t->normalizer);
    dsm_pretok_free(&t->pretok);
    for (int i = 0; i < DSM_ADDED_SETS; i++)
        dsm_added_free(&t->added[i]);
    dsm_buf_free(&t->bytes);
    free(t->byte_offset);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int32_t dsm_tokenizer_size(const dsm_tokenizer *t)
{
    return t->vocab.size;
}

int32_t dsm_tokenizer_bos(const dsm_tokenizer *t)
{
    return t->bos;
}

int32_t dsm_tokenizer_eos(const dsm_tokenizer *t)
{
    return t->eos;
}

int32_t dsm_tokenizer_find(const dsm_tokenizer *t, const char *token)
{
    return dsm_vocab_find(&t->vocab, token, strlen(token));
}

bool dsm_tokenizer_is_special(const dsm_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab.size && t->kind[id] & DSM_TOKEN_SPECIAL;
}

const char *dsm_tokenizer_token(const dsm_tokenizer *t, int32_t id)
{
    return dsm_vocab_text(&t->vocab, id, NULL);
}

const char *dsm_tokenizer_pretokenizer(const dsm_tokenizer *t)
{
    return t->preset;
}

uint64_t dsm_tokenizer_fingerprint(const dsm_tokenizer *t)
{
    return t->fingerprint;
}

const char *dsm_tokenizer_bytes(const dsm_tokenizer *t, int32_t id, size_t *n)
{
    *n = 0;
    if (id < 0 || id >= t->vocab.size) return "";
    *n = t->byte_offset[id + 1] - t->byte_offset[id];
    return t->bytes.data + t->byte_offset[id];
}

/* Spaces to drop from the start of what the first token of decoded text gives. */
static size_t leading_spaces(const dsm_tokenizer *t, const char *bytes, size_t n)
{
    size_t k = 0;
    while (k < n && k < (size_t)t->strip_start && bytes[k] == ' ')
        k++;
    return k;
}

dsm_status dsm_tokenizer_decode(const dsm_tokenizer *t, const int32_t *ids, size_t n_ids,
                                bool skip_special, char **text, size_t *n, dsm_err *err)
{
    dsm_buf out = {0};
    bool first = true;
    *text = NULL;
    *n = 0;
    dsm_buf_add(&out, "", 0);
    for (size_t i = 0; i < n_ids; i++) {
        if (skip_special && dsm_tokenizer_is_special(t, ids[i])) continue;
        size_t len;
        const char *bytes = dsm_tokenizer_bytes(t, ids[i], &len);
        size_t skip = first ? leading_spaces(t, bytes, len) : 0;
        if (t->join_spaces && !first) dsm_buf_add(&out, " ", 1);
        dsm_buf_add(&out, bytes + skip, len - skip);
        first = false;
    }
    dsm_status status = dsm_buf_check(&out, "decoding", err);
    if (status != DSM_OK) {
        dsm_buf_free(&out);
        return status;
    }
    *text = out.data;
    *n = out.len;
    return DSM_OK;
}
