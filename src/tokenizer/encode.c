/* SPDX-License-Identifier: MIT */
/* Text to ids: added tokens first, then normalisation, then pre-tokens, each merged by itself.
 *
 * Most pre-tokens of a text are words seen before, so a workspace remembers the ids of short ones.
 * The scanners make pieces without any list; other chains go through dsm_pretok_split. */
#include "tokenizer/alphabet.h"
#include "tokenizer/hash.h"
#include "tokenizer/tok.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void dsm_ids_free(dsm_ids *ids)
{
    free(ids->data);
    memset(ids, 0, sizeof *ids);
}

dsm_status dsm_ids_reserve(dsm_ids *ids, size_t n, dsm_err *err)
{
    if (ids->cap - ids->len >= n) return DSM_OK;
    size_t cap = ids->cap ? ids->cap : 64;
    while (cap - ids->len < n && cap <= SIZE_MAX / 16)
        cap *= 2;
    int32_t *more = cap - ids->len < n ? NULL : realloc(ids->data, cap * sizeof *more);
    if (!more)
        return dsm_fail(err, DSM_ENOMEM, "encoding: out of memory for %zu ids", ids->len + n);
    ids->data = more;
    ids->cap = cap;
    return DSM_OK;
}

dsm_status dsm_ids_push(dsm_ids *out, int32_t id, dsm_err *err)
{
    DSM_TRY(dsm_ids_reserve(out, 1, err));
    out->data[out->len++] = id;
    return DSM_OK;
}

/* One encoding of one text on one thread. */
typedef struct job {
    const dsm_tokenizer *t;
    dsm_workspace *w;
    dsm_ids *out;
    dsm_err *err;
} job;

/* --- symbols: a word before any merge
 * -------------------------------------------------------------
 *
 * Each function writes at most one id per byte (three for a byte that the vocabulary lacks) to ids
 * and returns how many. */

static size_t put_unk(const dsm_tokenizer *t, int32_t *ids, size_t n)
{
    if (t->unk < 0 || (t->fuse_unk && n > 0 && ids[n - 1] == t->unk)) return n;
    ids[n] = t->unk;
    return n + 1;
}

/* A byte without a token: files may leave out the bytes that UTF-8 never uses. It is encoded as the
 * reference would see it, as U+FFFD. */
static size_t put_missing_byte(const dsm_tokenizer *t, int32_t *ids, size_t n)
{
    static const unsigned char replacement[] = {0xEF, 0xBF, 0xBD};
    for (int i = 0; i < 3; i++)
        if (t->byte_id[replacement[i]] < 0) return put_unk(t, ids, n);
    for (int i = 0; i < 3; i++)
        ids[n++] = t->byte_id[replacement[i]];
    return n;
}

static size_t byte_symbols(const dsm_tokenizer *t, const unsigned char *s, size_t n, int32_t *ids)
{
    size_t k = dsm_chars_start(&t->chars, t->byte_id, s, n, ids);
    if (k) return k;
    for (size_t i = 0; i < n; i++) {
        int32_t id = t->byte_id[s[i]];
        if (id >= 0)
            ids[k++] = id;
        else
            k = put_missing_byte(t, ids, k);
    }
    return k;
}

static bool fallback_bytes(const dsm_tokenizer *t, const unsigned char *s, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++)
        if ((ids[i] = t->byte_id[s[i]]) < 0) return false;
    return true;
}

/* Without byte level: one symbol per character, or its bytes, or the unknown token. */
static size_t char_symbols(const dsm_tokenizer *t, const unsigned char *s, size_t n, int32_t *ids)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int decoded = dsm_utf8_decode((const char *)s + i, n - i, &c);
        size_t len = decoded ? (size_t)decoded : 1;
        int32_t id = decoded ? dsm_vocab_find(&t->vocab, (const char *)s + i, len) : -1;
        if (id >= 0)
            ids[k++] = id;
        else if (t->byte_fallback && fallback_bytes(t, s + i, len, ids + k))
            k += len;
        else
            k = put_unk(t, ids, k);
        i += len;
    }
    return k;
}

/* --- words ------------------------------------------------------------------------------- */

/* The id of a word that is itself a token (for ignore_merges); -1 if it is none. */
static int32_t whole_word(const dsm_tokenizer *t, const unsigned char *s, size_t n)
{
    if (!t->pretok.byte_level) return dsm_vocab_find(&t->vocab, (const char *)s, n);
    dsm_buf spelled = {0};
    dsm_alphabet_spell(&spelled, s, n);
    int32_t id = spelled.failed ? -1 : dsm_vocab_find(&t->vocab, spelled.data, spelled.len);
    dsm_buf_free(&spelled);
    return id;
}

/* Append the ids of a word; out has room for what byte_symbols says. */
static dsm_status merge_word(const job *j, const unsigned char *s, size_t n)
{
    const dsm_tokenizer *t = j->t;
    int32_t *ids = j->out->data + j->out->len;
    int32_t whole = t->ignore_merges ? whole_word(t, s, n) : -1;
    size_t k = 1;
    if (whole >= 0) {
        ids[0] = whole;
    } else {
        k = t->pretok.byte_level ? byte_symbols(t, s, n, ids) : char_symbols(t, s, n, ids);
        DSM_TRY(dsm_bpe_apply(&t->bpe, &j->w->bpe, ids, &k, j->err));
    }
    j->out->len += k;
    return DSM_OK;
}

/* A word, and where the cache keeps it if it is short enough. */
typedef struct word {
    const unsigned char *s;
    size_t n;
    dsm_cached_word *slot; /* NULL: not kept */
} word;

static inline word make_word(const job *j, const unsigned char *s, size_t n)
{
    if (n > DSM_CACHED_BYTES) return (word){s, n, NULL};
    dsm_cached_word *slot = &j->w->cache[dsm_hash_bytes(s, n) & (DSM_CACHE_SLOTS - 1)];
    __builtin_prefetch(slot);
    return (word){s, n, slot};
}

static dsm_status encode_word(const job *j, const word *w)
{
    dsm_ids *out = j->out;
    dsm_cached_word *c = w->slot;
    DSM_TRY(dsm_ids_reserve(out, 3 * w->n + DSM_CACHED_IDS, j->err));
    if (!c) return merge_word(j, w->s, w->n);
    if (c->n_bytes == w->n && memcmp(c->bytes, w->s, w->n) == 0) {
        memcpy(out->data + out->len, c->ids, sizeof c->ids);
        out->len += (size_t)c->n_ids;
        return DSM_OK;
    }
    size_t start = out->len;
    DSM_TRY(merge_word(j, w->s, w->n));
    if (out->len - start > DSM_CACHED_IDS) return DSM_OK;
    c->n_bytes = (unsigned char)w->n;
    c->n_ids = (int32_t)(out->len - start);
    memcpy(c->bytes, w->s, w->n);
    memcpy(c->ids, out->data + start, (out->len - start) * sizeof *c->ids);
    return DSM_OK;
}

/* Scan a few words ahead, so that their places in the cache are near when they are looked up. */
enum { WORDS_AHEAD = 16 };

static dsm_status encode_scanned(const job *j, const unsigned char *s, size_t n)
{
    word words[WORDS_AHEAD];
    while (n > 0) {
        int k = 0;
        for (size_t len; k < WORDS_AHEAD && n > 0; s += len, n -= len) {
            len = j->t->pretok.scan(s, n);
            words[k++] = make_word(j, s, len);
        }
        for (int i = 0; i < k; i++)
            DSM_TRY(encode_word(j, &words[i]));
    }
    return DSM_OK;
}

static dsm_status encode_pieces(const job *j, const char *text, size_t n, bool at_start)
{
    if (j->t->pretok.scan) return encode_scanned(j, (const unsigned char *)text, n);
    dsm_pretok_work *w = &j->w->pretok;
    DSM_TRY(dsm_pretok_split(&j->t->pretok, w, text, n, at_start, j->err));
    for (size_t i = 0; i < w->pieces.n; i++) {
        dsm_span p = w->pieces.spans[i];
        const word one =
            make_word(j, (const unsigned char *)w->pieces.base + p.begin, p.end - p.begin);
        DSM_TRY(encode_word(j, &one));
    }
    return DSM_OK;
}

/* --- added tokens ------------------------------------------------------------------------ */

typedef dsm_status (*gap_fn)(const job *j, const char *text, size_t n, bool at_start,
                             unsigned flags);

/* Cut text at the tokens of one set; what lies between goes to `gap`. */
static dsm_status cut_at_added(const job *j, int set, const char *text, size_t n, bool at_start,
                               unsigned flags, gap_fn gap)
{
    dsm_added_walk walk = {
        .set = &j->t->added[set], .text = text, .n = n, .specials = flags & DSM_ENCODE_SPECIAL};
    size_t done = 0, begin, end;
    for (const dsm_added_token *a; (a = dsm_added_next(&walk, &begin, &end)) != NULL; done = end) {
        if (begin > done) DSM_TRY(gap(j, text + done, begin - done, at_start && done == 0, flags));
        DSM_TRY(dsm_ids_push(j->out, a->id, j->err));
    }
    return n > done ? gap(j, text + done, n - done, at_start && done == 0, flags) : DSM_OK;
}

static dsm_status plain_text(const job *j, const char *text, size_t n, bool at_start,
                             unsigned flags)
{
    (void)flags;
    return encode_pieces(j, text, n, at_start);
}

static dsm_status between_raw(const job *j, const char *text, size_t n, bool at_start,
                              unsigned flags)
{
    if (j->t->normalizer.n_steps) {
        dsm_normalizer_work *w = &j->w->normalizer;
        DSM_TRY(dsm_normalizer_run(&j->t->normalizer, w, text, n, j->err));
        text = w->text.data;
        n = w->text.len;
    }
    return cut_at_added(j, DSM_ADDED_NORMALIZED, text, n, at_start, flags, plain_text);
}

/* --- the post-processor, and the public functions ---------------------------------------- */

static dsm_status push_all(dsm_ids *out, const int32_t *ids, int n, dsm_err *err)
{
    for (int i = 0; i < n; i++)
        DSM_TRY(dsm_ids_push(out, ids[i], err));
    return DSM_OK;
}

dsm_status dsm_encode_begin(const dsm_tokenizer *t, dsm_ids *out, dsm_err *err)
{
    bool there = t->n_prefix > 0 && t->prefix[0] == t->bos;
    if (t->add_bos && t->bos >= 0 && !there) DSM_TRY(dsm_ids_push(out, t->bos, err));
    return push_all(out, t->prefix, t->n_prefix, err);
}

dsm_status dsm_encode_end(const dsm_tokenizer *t, dsm_ids *out, dsm_err *err)
{
    bool there = t->n_suffix > 0 && t->suffix[t->n_suffix - 1] == t->eos;
    DSM_TRY(push_all(out, t->suffix, t->n_suffix, err));
    return t->add_eos && t->eos >= 0 && !there ? dsm_ids_push(out, t->eos, err) : DSM_OK;
}

static dsm_status encode_with(const job *j, const char *text, size_t n, unsigned flags)
{
    bool post = flags & DSM_ENCODE_POST;
    if (post) DSM_TRY(dsm_encode_begin(j->t, j->out, j->err));
    if (n) DSM_TRY(cut_at_added(j, DSM_ADDED_RAW, text, n, true, flags, between_raw));
    return post ? dsm_encode_end(j->t, j->out, j->err) : DSM_OK;
}

dsm_status dsm_tokenizer_encode(const dsm_tokenizer *t, const char *text, size_t n, unsigned flags,
                                dsm_ids *out, dsm_err *err)
{
    dsm_tokenizer *shared = (dsm_tokenizer *)t; /* its list of idle workspaces has a lock */
    dsm_workspace *w = dsm_workspace_take(shared);
    if (!w) return dsm_fail(err, DSM_ENOMEM, "encoding: out of memory");
    dsm_status status = encode_with(&(job){t, w, out, err}, text, n, flags);
    dsm_workspace_put(shared, w);
    return status;
}
