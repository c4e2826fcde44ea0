/* SPDX-License-Identifier: MIT */
#include "tokenizer/chars.h"

#include "core/buf.h"
#include "tokenizer/alphabet.h"

#include <stdlib.h>
#include <string.h>

enum { N_CHARS = 0x10000 };

/* --- setting up -------------------------------------------------------------------------- */

/* Does every merge rank behind those that made its halves? */
static bool in_order(const dsm_bpe *b, int32_t n_ids, uint32_t *made_at)
{
    memset(made_at, 0, (size_t)n_ids * sizeof *made_at); /* 1 + last rank that makes an id */
    for (size_t i = 0; i < b->n_merges; i++)
        made_at[b->merges[i].id] = (uint32_t)i + 1;
    for (size_t i = 0; i < b->n_merges; i++)
        if (made_at[b->merges[i].pair >> 32] > i || made_at[(uint32_t)b->merges[i].pair] > i)
            return false;
    return true;
}

static bool continues(unsigned char byte)
{
    return (byte & 0xC0) == 0x80;
}

/* A token that is not valid UTF-8 by itself: mark each boundary inside. */
static void mark_boundaries(dsm_chars *c, const unsigned char *s, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        unsigned at = (unsigned)s[i - 1] << 8 | s[i];
        if (!continues(s[i])) c->marked[at >> 6] |= (uint64_t)1 << (at & 63);
    }
}

/* A token that is one character of two or three bytes, if its bytes merge to it. */
static void note_char(dsm_chars *c, const dsm_bpe *b, const int32_t byte_id[256], int32_t id,
                      const unsigned char *s, size_t n)
{
    uint32_t code_point;
    int32_t ids[4];
    size_t k = n;
    if (n < 2 || n > 3 || dsm_utf8_decode((const char *)s, n, &code_point) != (int)n) return;
    for (size_t i = 0; i < n; i++)
        if ((ids[i] = byte_id[s[i]]) < 0) return;
    dsm_bpe_work none = {0};
    if (dsm_bpe_apply(b, &none, ids, &k, NULL) == DSM_OK && k == 1 && ids[0] == id)
        c->id[code_point] = id;
}

static void read_tokens(dsm_chars *c, const dsm_vocab *vocab, const dsm_bpe *b,
                        const int32_t byte_id[256], dsm_buf *bytes)
{
    for (int32_t id = 0; id < vocab->size; id++) {
        size_t n;
        const char *text = dsm_vocab_text(vocab, id, &n);
        dsm_buf_clear(bytes);
        if (!text || !dsm_alphabet_read(bytes, text, n)) continue;
        const unsigned char *s = (const unsigned char *)bytes->data;
        if (dsm_utf8_valid_prefix(bytes->data, bytes->len) < bytes->len)
            mark_boundaries(c, s, bytes->len);
        else
            note_char(c, b, byte_id, id, s, bytes->len);
    }
}

dsm_status dsm_chars_init(dsm_chars *c, const dsm_vocab *vocab, const dsm_bpe *bpe,
                          const int32_t byte_id[256], dsm_err *err)
{
    dsm_buf bytes = {0};
    memset(c, 0, sizeof *c);
    uint32_t *made_at = malloc(((size_t)vocab->size + 1) * sizeof *made_at);
    bool usable = made_at && in_order(bpe, vocab->size, made_at);
    bool failed = !made_at;
    free(made_at);
    if (usable) {
        c->id = malloc(N_CHARS * sizeof *c->id);
        c->marked = calloc(256 * 256 / 64, sizeof *c->marked);
        failed = !c->id || !c->marked;
    }
    if (usable && !failed) {
        memset(c->id, 0xFF, N_CHARS * sizeof *c->id); /* all -1 */
        read_tokens(c, vocab, bpe, byte_id, &bytes);
        failed = bytes.failed;
    }
    dsm_buf_free(&bytes);
    if (!failed) return DSM_OK;
    dsm_chars_free(c);
    return dsm_fail(err, DSM_ENOMEM, "vocabulary: out of memory");
}

void dsm_chars_free(dsm_chars *c)
{
    free(c->id);
    free(c->marked);
    memset(c, 0, sizeof *c);
}

/* --- use --------------------------------------------------------------------------------- */

static inline bool marked_at(const dsm_chars *c, const unsigned char *boundary)
{
    unsigned at = (unsigned)boundary[-1] << 8 | boundary[0];
    return c->marked[at >> 6] >> (at & 63) & 1;
}

size_t dsm_chars_start(const dsm_chars *c, const int32_t byte_id[256], const unsigned char *s,
                       size_t n, int32_t *ids)
{
    size_t k = 0;
    bool left_marked = false; /* the boundary before s[i] */
    if (!c->id) return 0;
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t code_point;
        len = s[i] < 0x80 ? 1 : (size_t)dsm_utf8_decode((const char *)s + i, n - i, &code_point);
        if (len == 0) return 0; /* not UTF-8 */
        bool right_marked = i + len < n && marked_at(c, s + i + len);
        bool whole = (len == 2 || len == 3) && !left_marked && !right_marked;
        int32_t id = whole ? c->id[code_point] : -1;
        left_marked = right_marked;
        if (id >= 0) {
            ids[k++] = id;
            continue;
        }
        for (size_t j = 0; j < len; j++)
            if ((ids[k++] = byte_id[s[i + j]]) < 0) return 0;
    }
    return k;
}
