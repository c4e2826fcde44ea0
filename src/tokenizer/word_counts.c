/* SPDX-License-Identifier: MIT */
/* Documents are gathered into batches; a batch is cut into parts that all threads count, each into
 * a table of its own; the tables are added up at the end. Memory: one batch and the distinct words
 * (times the threads, at worst). */
#include "tokenizer/word_counts.h"

#include "core/buf.h"
#include "core/threads.h"
#include "tokenizer/hash.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_BYTES = 16 << 20, PART_BYTES = 256 << 10, MAX_WORD_BYTES = 1 << 30 };

/* --- the table --------------------------------------------------------------------------- */

static bool grow_table(dsm_word_counts *c)
{
    size_t cap = c->table ? 2 * (c->mask + 1) : 1 << 14;
    uint32_t *table = calloc(cap, sizeof *table);
    if (!table || c->n >= UINT32_MAX / 2) {
        free(table);
        return false;
    }
    free(c->table);
    c->table = table;
    c->mask = cap - 1;
    for (size_t i = 0; i < c->n; i++) {
        size_t slot = c->words[i].hash & c->mask;
        while (table[slot])
            slot = (slot + 1) & c->mask;
        table[slot] = (uint32_t)i + 1;
    }
    return true;
}

static bool reserve(dsm_word_counts *c, size_t n)
{
    if (!c->table || 2 * c->n > c->mask)
        if (!grow_table(c)) return false;
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 4096;
        dsm_word *words = realloc(c->words, cap * sizeof *words);
        if (!words) return false;
        c->words = words;
        c->cap = cap;
    }
    if (c->pool_cap - c->pool_len < n) {
        size_t cap = 2 * c->pool_cap + n + 65536;
        char *pool = realloc(c->pool, cap);
        if (!pool) return false;
        c->pool = pool;
        c->pool_cap = cap;
    }
    return true;
}

void dsm_word_counts_add(dsm_word_counts *c, const void *word, size_t n, uint64_t hash,
                         int64_t count)
{
    if (c->failed || !reserve(c, n)) {
        c->failed = true;
        return;
    }
    size_t slot = hash & c->mask;
    for (; c->table[slot]; slot = (slot + 1) & c->mask) {
        dsm_word *w = &c->words[c->table[slot] - 1];
        if (w->hash == hash && w->length == n && memcmp(c->pool + w->offset, word, n) == 0) {
            w->count += count;
            return;
        }
    }
    memcpy(c->pool + c->pool_len, word, n);
    c->words[c->n++] = (dsm_word){hash, c->pool_len, (uint32_t)n, count};
    c->pool_len += n;
    c->table[slot] = (uint32_t)c->n;
}

void dsm_word_counts_free(dsm_word_counts *c)
{
    free(c->words);
    free(c->table);
    free(c->pool);
    memset(c, 0, sizeof *c);
}

static void add_all(dsm_word_counts *c, const dsm_word_counts *other)
{
    for (size_t i = 0; i < other->n; i++) {
        const dsm_word *w = &other->words[i];
        dsm_word_counts_add(c, other->pool + w->offset, w->length, w->hash, w->count);
    }
    c->failed = c->failed || other->failed;
}

static int by_hash(const void *a, const void *b)
{
    const dsm_word *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* --- counting ---------------------------------------------------------------------------- */

typedef struct part {
    size_t begin, end;
} part;

typedef struct counter {
    dsm_scan_fn scan;
    dsm_buf batch; /* texts of many documents */
    part *parts;
    size_t n_parts, cap;
    dsm_word_counts *tables; /* one per worker */
} counter;

static dsm_status add_part(counter *k, size_t begin, size_t end, dsm_err *err)
{
    if (k->n_parts == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 256;
        part *more = realloc(k->parts, cap * sizeof *more);
        if (!more) return dsm_fail(err, DSM_ENOMEM, "training: out of memory");
        k->parts = more;
        k->cap = cap;
    }
    k->parts[k->n_parts++] = (part){begin, end};
    return DSM_OK;
}

/* Append a document to the batch, as parts of about PART_BYTES. */
static dsm_status add_document(counter *k, const char *text, size_t n, dsm_err *err)
{
    size_t begin = k->batch.len, end = begin + n;
    dsm_buf_add(&k->batch, text, n);
    DSM_TRY(dsm_buf_check(&k->batch, "training", err));
    while (begin < end) {
        size_t cut = end - begin > PART_BYTES
                         ? dsm_scan_safe_cut(k->batch.data, begin + PART_BYTES, end)
                         : end;
        DSM_TRY(add_part(k, begin, cut, err));
        begin = cut;
    }
    return DSM_OK;
}

static void count_part(void *arg, int64_t item, int worker)
{
    counter *k = arg;
    part p = k->parts[item];
    const unsigned char *s = (const unsigned char *)k->batch.data + p.begin;
    for (size_t n = p.end - p.begin, len; n > 0; s += len, n -= len) {
        len = k->scan(s, n);
        dsm_word_counts_add(&k->tables[worker], s, len, dsm_hash_bytes(s, len), 1);
    }
}

static dsm_status too_long(dsm_err *err, size_t n)
{
    return dsm_fail(err, DSM_ELIMIT, "training: found a document of %zu bytes, expected at most %d",
                    n, MAX_WORD_BYTES);
}

static dsm_status count_stream(counter *k, dsm_pool *pool, const dsm_tokenizer_train_options *o,
                               dsm_document_fn next, void *arg, dsm_err *err)
{
    uint64_t total = 0;
    for (int more = 1; more > 0;) {
        dsm_buf_clear(&k->batch);
        k->n_parts = 0;
        while (k->batch.len < BATCH_BYTES) {
            const char *text;
            size_t n;
            more = o->max_bytes && total >= o->max_bytes ? 0 : next(arg, &text, &n, err);
            if (more <= 0) break;
            if (n > MAX_WORD_BYTES) return too_long(err, n);
            DSM_TRY(add_document(k, text, n, err));
            total += n;
        }
        if (more < 0) return err && err->code ? err->code : DSM_EIO;
        dsm_pool_run(pool, (int64_t)k->n_parts, count_part, k);
        if (o->progress) o->progress(o->progress_arg, "count", (double)total, (double)o->max_bytes);
    }
    return DSM_OK;
}

dsm_status dsm_word_counts_collect(dsm_word_counts *c, const dsm_tokenizer_train_options *o,
                                   dsm_scan_fn scan, dsm_document_fn next, void *arg, dsm_err *err)
{
    dsm_pool *pool = NULL;
    memset(c, 0, sizeof *c);
    DSM_TRY(dsm_pool_open(&pool, o->n_threads, err));
    int n_tables = dsm_pool_threads(pool);
    counter k = {.scan = scan, .tables = calloc((size_t)n_tables, sizeof *k.tables)};
    dsm_status status = k.tables ? count_stream(&k, pool, o, next, arg, err)
                                 : dsm_fail(err, DSM_ENOMEM, "training: out of memory");
    for (int i = 0; k.tables && i < n_tables; i++) {
        if (i == 0)
            *c = k.tables[0];
        else
            add_all(c, &k.tables[i]);
        if (i > 0) dsm_word_counts_free(&k.tables[i]);
    }
    free(k.tables);
    free(k.parts);
    dsm_buf_free(&k.batch);
    dsm_pool_close(pool);
    if (status == DSM_OK && c->failed)
        status = dsm_fail(err, DSM_ENOMEM, "training: out of memory");
    if (status != DSM_OK)
        dsm_word_counts_free(c);
    else if (c->n > 1)
        qsort(c->words, c->n, sizeof *c->words, by_hash);
    return status;
}
