/* SPDX-License-Identifier: MIT */
/* Many texts on many threads. Items of work are parts: a short text is one, a long one is cut where
 * that changes no id, so that a single large file keeps all threads busy too. */
#include "core/threads.h"
#include "tokenizer/tok.h"

#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 256 << 10 };

typedef struct part {
    size_t text, begin, end;
    bool whole;  /* the text in one part: its ids go straight to where they belong */
    dsm_ids ids; /* else they wait here */
} part;

typedef struct batch {
    const dsm_tokenizer *t;
    const char *const *texts;
    const size_t *lengths;
    unsigned flags;
    dsm_ids *out;
    part *parts;
    size_t n_parts, cap;
    pthread_mutex_t lock; /* of the failure of the first part that failed */
    size_t failed;        /* its index, n_parts if none did */
    dsm_err failure;
} batch;

/* --- cutting ---------------------------------------------------------------------------------- */

static dsm_status add_part(batch *b, part p, dsm_err *err)
{
    if (b->n_parts == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 256;
        part *more = realloc(b->parts, cap * sizeof *more);
        if (!more) return dsm_fail(err, DSM_ENOMEM, "encoding: out of memory");
        b->parts = more;
        b->cap = cap;
    }
    b->parts[b->n_parts++] = p;
    return DSM_OK;
}

static dsm_status cut_text(batch *b, size_t text, bool may_cut, dsm_err *err)
{
    size_t n = b->lengths[text], begin = 0;
    do {
        size_t end = n;
        if (may_cut && n - begin > 2 * PART_BYTES)
            end = dsm_scan_safe_cut(b->texts[text], begin + PART_BYTES, n);
        bool whole = begin == 0 && end == n;
        DSM_TRY(add_part(b, (part){.text = text, .begin = begin, .end = end, .whole = whole}, err));
        begin = end;
    } while (begin < n);
    return DSM_OK;
}

/* --- encoding --------------------------------------------------------------------------------- */

static void encode_part(void *arg, int64_t item, int worker)
{
    batch *b = arg;
    part *p = &b->parts[item];
    dsm_err err = {0};
    unsigned flags = p->whole ? b->flags : b->flags & ~(unsigned)DSM_ENCODE_POST;
    (void)worker;
    if (dsm_tokenizer_encode(b->t, b->texts[p->text] + p->begin, p->end - p->begin, flags,
                             p->whole ? &b->out[p->text] : &p->ids, &err) == DSM_OK)
        return;
    pthread_mutex_lock(&b->lock);
    if ((size_t)item < b->failed) {
        b->failed = (size_t)item;
        b->failure = err;
    }
    pthread_mutex_unlock(&b->lock);
}

/* Put the parts of cut texts together. */
static dsm_status join_part(const batch *b, const part *p, dsm_err *err)
{
    dsm_ids *out = &b->out[p->text];
    bool post = b->flags & DSM_ENCODE_POST;
    if (p->whole) return DSM_OK;
    if (post && p->begin == 0) DSM_TRY(dsm_encode_begin(b->t, out, err));
    DSM_TRY(dsm_ids_reserve(out, p->ids.len, err));
    if (p->ids.len) memcpy(out->data + out->len, p->ids.data, p->ids.len * sizeof *out->data);
    out->len += p->ids.len;
    return post && p->end == b->lengths[p->text] ? dsm_encode_end(b->t, out, err) : DSM_OK;
}

static dsm_status encode_parts(batch *b, dsm_pool *pool, dsm_err *err)
{
    b->failed = b->n_parts;
    pthread_mutex_init(&b->lock, NULL);
    dsm_pool_run(pool, (int64_t)b->n_parts, encode_part, b);
    pthread_mutex_destroy(&b->lock);
    if (b->failed < b->n_parts)
        return dsm_fail(err, b->failure.code, "text %zu: %s", b->parts[b->failed].text,
                        b->failure.msg);
    for (size_t i = 0; i < b->n_parts; i++)
        DSM_TRY(join_part(b, &b->parts[i], err));
    return DSM_OK;
}

dsm_status dsm_tokenizer_encode_batch(const dsm_tokenizer *t, const char *const *texts,
                                      const size_t *lengths, size_t n_texts, unsigned flags,
                                      int n_threads, dsm_ids *out, dsm_err *err)
{
    dsm_pool *pool;
    batch b = {.t = t, .texts = texts, .lengths = lengths, .flags = flags, .out = out};
    DSM_TRY(dsm_pool_open(&pool, n_threads, err));
    dsm_status status = DSM_OK;
    bool may_cut = t->cuttable && dsm_pool_threads(pool) > 1;
    for (size_t i = 0; i < n_texts && status == DSM_OK; i++)
        status = cut_text(&b, i, may_cut, err);
    if (status == DSM_OK) status = encode_parts(&b, pool, err);
    for (size_t i = 0; i < b.n_parts; i++)
        dsm_ids_free(&b.parts[i].ids);
    free(b.parts);
    dsm_pool_close(pool);
    return status;
}
