/* SPDX-License-Identifier: MIT */
/* Text to data sets, in one pass: documents are gathered into a batch, the batch is encoded on all
 * threads, and its ids are written in input order, so the files do not depend on the threads. While
 * one batch is encoded and written, a thread of its own reads the next. */
#include "dsmoe/data.h"

#include "core/buf.h"
#include "data/dataset.h"
#include "data/staging.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_DOCUMENTS = 4096,
    BATCH_BYTES = 4 << 20, /* a batch is full after this much text */
    KEEP_IDS = 1 << 10,    /* larger id buffers are given back after a batch */
    TRAIN = 0,
    VALID = 1,
    N_PARTS = 2
};

/* Documents waiting to be encoded, and how reading them went. */
typedef struct batch {
    dsm_corpus *corpus; /* borrowed, read by one batch at a time */
    double valid_fraction;
    dsm_buf text;                      /* one after another */
    size_t begin[BATCH_DOCUMENTS + 1]; /* of each in text */
    unsigned char part[BATCH_DOCUMENTS];
    const char *texts[BATCH_DOCUMENTS]; /* as dsm_tokenizer_encode_batch wants them */
    size_t lengths[BATCH_DOCUMENTS];
    dsm_ids ids[BATCH_DOCUMENTS];
    size_t n;
    bool last;         /* the corpus ended in this batch */
    dsm_status status; /* of reading; err says why */
    dsm_err err;
    uint64_t done, total; /* dsm_corpus_progress behind it */
} batch;

typedef struct prepare {
    const dsm_tokenizer *tokenizer;
    const dsm_prepare_options *o;
    dsm_corpus *corpus;
    dsm_shard_vocab vocab;
    uint16_t *n_bytes; /* vocab.n_bytes, owned */
    dsm_staging staging;
    int n_parts; /* 1, or 2 with a validation part */
    dsm_dataset_writer parts[N_PARTS];
    dsm_data_info infos[N_PARTS]; /* once finished */
    batch *batches[2];            /* one is encoded while the other is read */
    dsm_ids document;             /* BOS, text, EOS */
} prepare;

void dsm_prepare_defaults(dsm_prepare_options *o)
{
    *o = (dsm_prepare_options){.append_eos = true, .shard_tokens = 64u << 20};
    dsm_corpus_defaults(&o->corpus);
}

static dsm_status check_options(const dsm_tokenizer *t, size_t n_inputs,
                                const dsm_prepare_options *o, dsm_err *err)
{
    if (n_inputs == 0) return dsm_fail(err, DSM_EUSAGE, "data: no input files are named");
    if (!o->out_dir) return dsm_fail(err, DSM_EUSAGE, "data: no output folder is named");
    if (!(o->valid_fraction >= 0 && o->valid_fraction < 1))
        return dsm_fail(err, DSM_EUSAGE, "valid fraction: found %g, expected 0 to below 1",
                        o->valid_fraction);
    if (o->shard_tokens == 0)
        return dsm_fail(err, DSM_EUSAGE, "shard tokens: found 0, expected 1 or more");
    if (o->append_eos && dsm_tokenizer_eos(t) < 0)
        return dsm_fail(err, DSM_EUSAGE,
                        "the tokenizer names no EOS token to end documents with; give it one, or "
                        "prepare without EOS");
    if (o->prepend_bos && dsm_tokenizer_bos(t) < 0)
        return dsm_fail(err, DSM_EUSAGE,
                        "the tokenizer names no BOS token to begin documents with");
    return DSM_OK;
}

/* --- the vocabulary's byte lengths ---------------------------------------------------------- */

static dsm_status measure_vocab(prepare *p, dsm_err *err)
{
    const dsm_tokenizer *t = p->tokenizer;
    int32_t size = dsm_tokenizer_size(t);
    p->n_bytes = calloc((size_t)size + 1, sizeof *p->n_bytes);
    if (!p->n_bytes) return dsm_fail(err, DSM_ENOMEM, "data: out of memory");
    for (int32_t id = 0; id < size; id++) {
        size_t n = 0;
        dsm_tokenizer_bytes(t, id, &n);
        if (n > UINT16_MAX)
            return dsm_fail(err, DSM_ELIMIT, "token %d: %zu bytes, at most %d are supported", id, n,
                            UINT16_MAX);
        bool silent = dsm_tokenizer_is_special(t, id) || id == dsm_tokenizer_bos(t) ||
                      id == dsm_tokenizer_eos(t);
        p->n_bytes[id] = silent ? 0 : (uint16_t)n;
    }
    p->vocab = (dsm_shard_vocab){dsm_tokenizer_fingerprint(t), (uint32_t)size, p->n_bytes};
    return DSM_OK;
}

/* --- which part a document belongs to ------------------------------------------------------- */

/* Multiply and fold, as MurmurHash3 finishes. */
static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCDu;
    h = (h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53u;
    return h ^ (h >> 33);
}

/* Uniform in [0, 1) from the text alone, so equal documents stay together and order does not
 * matter: eight bytes at a time, the last ones padded with zeros, and the length. */
static double hash_share(const char *text, size_t n)
{
    uint64_t h = mix(n + 1);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, text + i, n - i < 8 ? n - i : 8);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return (double)(mix(h) >> 11) * 0x1p-53;
}

/* --- batches -------------------------------------------------------------------------------- */

static dsm_status batch_add(batch *b, const char *text, size_t n, dsm_err *err)
{
    b->begin[b->n] = b->text.len;
    b->part[b->n] =
        b->valid_fraction > 0 && hash_share(text, n) < b->valid_fraction ? VALID : TRAIN;
    dsm_buf_add(&b->text, text, n);
    b->begin[++b->n] = b->text.len;
    return dsm_buf_check(&b->text, "documents", err);
}

static bool batch_full(const batch *b)
{
    return b->n == BATCH_DOCUMENTS || b->text.len >= BATCH_BYTES;
}

/* Fill an empty batch; a thread's start function. */
static void *batch_read(void *arg)
{
    batch *b = arg;
    const char *text;
    size_t n;
    int rc = 1;
    b->status = DSM_OK;
    while (b->status == DSM_OK && !batch_full(b) &&
           (rc = dsm_corpus_next(b->corpus, &text, &n, &b->err)) == 1)
        b->status = batch_add(b, text, n, &b->err);
    if (rc < 0) b->status = b->err.code;
    b->last = rc <= 0;
    dsm_corpus_progress(b->corpus, &b->done, &b->total);
    return NULL;
}

static void batch_clear(batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->ids[i].cap > KEEP_IDS) dsm_ids_free(&b->ids[i]);
        b->ids[i].len = 0;
    }
    if (b->text.cap > 4 * (size_t)BATCH_BYTES) dsm_buf_free(&b->text);
    dsm_buf_clear(&b->text);
    b->n = 0;
}

static void batch_free(batch *b)
{
    if (!b) return;
    for (size_t i = 0; i < BATCH_DOCUMENTS; i++)
        dsm_ids_free(&b->ids[i]);
    dsm_buf_free(&b->text);
    free(b);
}

/* Put BOS and EOS around ids, in p->document. */
static dsm_status wrap(prepare *p, const dsm_ids *ids, dsm_err *err)
{
    dsm_ids *d = &p->document;
    if (d->cap < ids->len + 2) {
        int32_t *data = realloc(d->data, (ids->len + 2) * sizeof *data);
        if (!data) return dsm_fail(err, DSM_ENOMEM, "document: out of memory");
        d->data = data;
        d->cap = ids->len + 2;
    }
    d->len = 0;
    if (p->o->prepend_bos) d->data[d->len++] = dsm_tokenizer_bos(p->tokenizer);
    if (ids->len) memcpy(d->data + d->len, ids->data, ids->len * sizeof *ids->data);
    d->len += ids->len;
    if (p->o->append_eos) d->data[d->len++] = dsm_tokenizer_eos(p->tokenizer);
    return DSM_OK;
}

static dsm_status batch_write(prepare *p, batch *b, dsm_err *err)
{
    for (size_t i = 0; i < b->n; i++) {
        b->texts[i] = b->text.data + b->begin[i];
        b->lengths[i] = b->begin[i + 1] - b->begin[i];
    }
    DSM_TRY(dsm_tokenizer_encode_batch(p->tokenizer, b->texts, b->lengths, b->n, DSM_ENCODE_PLAIN,
                                       p->o->n_threads, b->ids, err));
    for (size_t i = 0; i < b->n; i++) {
        DSM_TRY(wrap(p, &b->ids[i], err));
        DSM_TRY(dsm_dataset_add(&p->parts[b->part[i]], p->document.data, p->document.len,
                                b->lengths[i], err));
    }
    return DSM_OK;
}

static void report(const prepare *p, const batch *b)
{
    uint64_t tokens = 0;
    for (int i = 0; i < p->n_parts; i++)
        tokens += p->parts[i].info.tokens;
    if (p->o->progress)
        p->o->progress(p->o->progress_arg, (double)b->done, (double)b->total, tokens);
}

/* Encode and write one batch while the next is read. */
static dsm_status step(prepare *p, batch *now, batch *next, dsm_err *err)
{
    pthread_t reader;
    bool started = !now->last && pthread_create(&reader, NULL, batch_read, next) == 0;
    dsm_status status = batch_write(p, now, err);
    if (started)
        pthread_join(reader, NULL);
    else if (!now->last && status == DSM_OK)
        batch_read(next);
    if (status != DSM_OK) return status;
    report(p, now);
    batch_clear(now);
    return DSM_OK;
}

static dsm_status write_documents(prepare *p, dsm_err *err)
{
    batch *now = p->batches[0], *next = p->batches[1];
    for (batch_read(now);;) {
        if (now->status != DSM_OK) return dsm_fail(err, now->status, "%s", now->err.msg);
        DSM_TRY(step(p, now, next, err));
        if (now->last) return DSM_OK;
        batch *swap = now;
        now = next;
        next = swap;
    }
}

/* --- the folders ---------------------------------------------------------------------------- */

static const char *const part_names[N_PARTS] = {"train", "valid"};

static char *part_dir(const prepare *p, int i)
{
    return dsm_fs_join(p->staging.data, p->n_parts == 1 ? "" : part_names[i]);
}

static dsm_status begin_parts(prepare *p, dsm_err *err)
{
    DSM_TRY(dsm_staging_begin(&p->staging, p->o->out_dir, err));
    for (int i = 0; i < p->n_parts; i++) {
        char *dir = part_dir(p, i);
        dsm_status status =
            dir ? dsm_fs_make_dirs(dir, err) : dsm_fail(err, DSM_ENOMEM, "data: out of memory");
        if (status == DSM_OK)
            status = dsm_dataset_begin(&p->parts[i], dir, &p->vocab, p->o->shard_tokens, err);
        free(dir);
        if (status != DSM_OK) return status;
    }
    return DSM_OK;
}

/* Neither the corpus nor one of its parts may be empty. */
static dsm_status check_parts(const prepare *p, dsm_err *err)
{
    dsm_corpus_stats s;
    dsm_corpus_get_stats(p->corpus, &s);
    if (s.documents == 0)
        return dsm_fail(
            err, DSM_EFORMAT,
            "the corpus is empty: no document in the inputs (%llu empty, %llu bad lines)",
            (unsigned long long)s.empty, (unsigned long long)s.bad_lines);
    for (int i = 0; i < p->n_parts; i++)
        if (p->parts[i].info.documents == 0)
            return dsm_fail(
                err, DSM_ERANGE,
                "valid fraction %g leaves the %s part of %llu documents empty; change it, "
                "or cut plain text with --split-blank-lines",
                p->o->valid_fraction, part_names[i], (unsigned long long)s.documents);
    return DSM_OK;
}

static dsm_status finish_parts(prepare *p, dsm_err *err)
{
    DSM_TRY(check_parts(p, err));
    for (int i = 0; i < p->n_parts; i++) {
        char *dir = part_dir(p, i);
        dsm_status status = dir ? dsm_tokenizer_save(p->tokenizer, dir, err)
                                : dsm_fail(err, DSM_ENOMEM, "data: out of memory");
        free(dir);
        if (status != DSM_OK) return status;
        DSM_TRY(dsm_dataset_finish(&p->parts[i], &p->infos[i], err));
    }
    return dsm_staging_publish(&p->staging, err);
}

static void prepare_free(prepare *p)
{
    dsm_corpus_close(p->corpus);
    for (int i = 0; i < N_PARTS; i++)
        dsm_dataset_abandon(&p->parts[i]);
    dsm_staging_abandon(&p->staging);
    batch_free(p->batches[0]);
    batch_free(p->batches[1]);
    dsm_ids_free(&p->document);
    free(p->n_bytes);
}

static dsm_status make_batches(prepare *p, dsm_err *err)
{
    for (int i = 0; i < 2; i++) {
        batch *b = p->batches[i] = calloc(1, sizeof *b);
        if (!b) return dsm_fail(err, DSM_ENOMEM, "data: out of memory");
        b->corpus = p->corpus;
        b->valid_fraction = p->o->valid_fraction;
    }
    return DSM_OK;
}

static dsm_status run(prepare *p, const char *const *inputs, size_t n_inputs, dsm_err *err)
{
    DSM_TRY(measure_vocab(p, err));
    DSM_TRY(dsm_corpus_open(&p->corpus, inputs, n_inputs, &p->o->corpus, err));
    DSM_TRY(make_batches(p, err));
    DSM_TRY(begin_parts(p, err));
    DSM_TRY(write_documents(p, err));
    return finish_parts(p, err);
}

dsm_status dsm_data_prepare(const dsm_tokenizer *t, const char *const *inputs, size_t n_inputs,
                            const dsm_prepare_options *o, dsm_data_info *train,
                            dsm_data_info *valid, dsm_corpus_stats *stats, dsm_err *err)
{
    DSM_TRY(check_options(t, n_inputs, o, err));
    prepare p = {.tokenizer = t, .o = o, .n_parts = o->valid_fraction > 0 ? 2 : 1};
    dsm_status status = run(&p, inputs, n_inputs, err);
    if (stats && p.corpus) dsm_corpus_get_stats(p.corpus, stats);
    if (train) *train = p.infos[TRAIN];
    if (valid) *valid = p.infos[VALID];
    prepare_free(&p);
    return status;
}
