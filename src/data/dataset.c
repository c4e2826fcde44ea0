/* SPDX-License-Identifier: MIT */
/* data.json is written last, so a folder that has one is complete. It repeats each shard's counts:
 * a shard that was lost, swapped or cut is noticed when the set is opened. */
#include "data/dataset.h"

#include "core/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char index_name[] = "data.json";
enum { VERSION = 1, MAX_DOCUMENTS = 1 << 22, MAX_INDEX_BYTES = 64 << 20 };

/* --- writing -------------------------------------------------------------------------------- */

dsm_status dsm_dataset_begin(dsm_dataset_writer *w, const char *dir, const dsm_shard_vocab *vocab,
                             uint64_t shard_tokens, dsm_err *err)
{
    memset(w, 0, sizeof *w);
    w->vocab = *vocab;
    w->shard_tokens = shard_tokens;
    w->info.vocab_size = (int32_t)vocab->size;
    w->info.tokenizer_fingerprint = vocab->fingerprint;
    w->dir = strdup(dir);
    w->shards = json_array();
    if (w->dir && w->shards) return DSM_OK;
    dsm_dataset_abandon(w);
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
}

void dsm_dataset_abandon(dsm_dataset_writer *w)
{
    if (w->shard_open) dsm_shard_abandon(&w->shard);
    free(w->dir);
    json_decref(w->shards);
    memset(w, 0, sizeof *w);
}

static void shard_name(char name[32], int i)
{
    snprintf(name, 32, "shard-%05d.bin", i);
}

static dsm_status open_shard(dsm_dataset_writer *w, dsm_err *err)
{
    char name[32];
    shard_name(name, w->info.n_shards);
    char *path = dsm_fs_join(w->dir, name);
    if (!path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", w->dir);
    dsm_status status = dsm_shard_begin(&w->shard, path, &w->vocab, err);
    w->shard_open = status == DSM_OK;
    free(path);
    return status;
}

static dsm_status close_shard(dsm_dataset_writer *w, dsm_err *err)
{
    char name[32];
    shard_name(name, w->info.n_shards);
    json_t *row = json_pack(
        "{s:s, s:I, s:I, s:I}", "file", name, "tokens", (json_int_t)w->shard.tokens, "documents",
        (json_int_t)w->shard.n_documents, "bytes", (json_int_t)w->shard.text_bytes);
    if (json_array_append_new(w->shards, row) != 0)
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", w->dir);
    w->info.n_shards++;
    w->shard_open = false;
    return dsm_shard_commit(&w->shard, err);
}

dsm_status dsm_dataset_add(dsm_dataset_writer *w, const int32_t *ids, size_t n, uint64_t text_bytes,
                           dsm_err *err)
{
    if (!w->shard_open) DSM_TRY(open_shard(w, err));
    DSM_TRY(dsm_shard_add(&w->shard, ids, n, text_bytes, err));
    w->info.documents++;
    w->info.tokens += n;
    w->info.bytes += text_bytes;
    if (w->shard.tokens >= w->shard_tokens || w->shard.n_documents >= MAX_DOCUMENTS)
        return close_shard(w, err);
    return DSM_OK;
}

static dsm_status write_index(dsm_dataset_writer *w, dsm_err *err)
{
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, w->info.tokenizer_fingerprint);
    json_t *index = json_pack("{s:s, s:i, s:i, s:s, s:I, s:I, s:I, s:O}", "format", "dsmoe-data",
                              "version", VERSION, "vocab_size", (int)w->info.vocab_size,
                              "tokenizer_fingerprint", fingerprint, "documents",
                              (json_int_t)w->info.documents, "tokens", (json_int_t)w->info.tokens,
                              "bytes", (json_int_t)w->info.bytes, "shards", w->shards);
    char *path = dsm_fs_join(w->dir, index_name);
    dsm_status status = index && path ? dsm_json_write(index, path, err)
                                      : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", w->dir);
    json_decref(index);
    free(path);
    return status;
}

dsm_status dsm_dataset_finish(dsm_dataset_writer *w, dsm_data_info *info, dsm_err *err)
{
    dsm_status status = w->shard_open ? close_shard(w, err) : DSM_OK;
    if (status == DSM_OK) status = write_index(w, err);
    if (info) *info = w->info;
    dsm_dataset_abandon(w);
    return status;
}

/* --- reading -------------------------------------------------------------------------------- */

static dsm_status index_count(const json_t *o, const char *key, uint64_t *out, const char *path,
                              dsm_err *err)
{
    int64_t value = -1;
    DSM_TRY(dsm_json_int(o, key, 0, INT64_MAX, &value, path, err));
    if (value < 0) return dsm_fail(err, DSM_EFORMAT, "%s: %s is missing", path, key);
    *out = (uint64_t)value;
    return DSM_OK;
}

static dsm_status read_fingerprint(dsm_dataset *d, const json_t *index, const char *path,
                                   dsm_err *err)
{
    const char *text = "";
    char *end;
    DSM_TRY(dsm_json_string(index, "tokenizer_fingerprint", &text, path, err));
    d->info.tokenizer_fingerprint = strtoull(text, &end, 16);
    if (strlen(text) != 16 || *end)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: tokenizer_fingerprint: found \"%.20s\", expected 16 hex digits", path,
                        text);
    return DSM_OK;
}

static dsm_status read_totals(dsm_dataset *d, const json_t *index, const char *path, dsm_err *err)
{
    const char *format = "";
    int64_t version = 0, vocab = 0;
    DSM_TRY(dsm_json_string(index, "format", &format, path, err));
    if (strcmp(format, "dsmoe-data") != 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: format: found \"%.40s\", expected \"dsmoe-data\"",
                        path, format);
    DSM_TRY(dsm_json_int(index, "version", VERSION, VERSION, &version, path, err));
    DSM_TRY(dsm_json_int(index, "vocab_size", 1, INT32_MAX, &vocab, path, err));
    d->info.vocab_size = (int32_t)vocab;
    DSM_TRY(index_count(index, "documents", &d->info.documents, path, err));
    DSM_TRY(index_count(index, "tokens", &d->info.tokens, path, err));
    DSM_TRY(index_count(index, "bytes", &d->info.bytes, path, err));
    return read_fingerprint(d, index, path, err);
}

/* A row may only name a file of the folder itself. */
static dsm_status row_path(char **out, const dsm_dataset *d, const json_t *row, const char *path,
                           dsm_err *err)
{
    const char *file = "";
    if (!json_is_object(row))
        return dsm_fail(err, DSM_EFORMAT, "%s: shards: expected a list of objects", path);
    DSM_TRY(dsm_json_string(row, "file", &file, path, err));
    if (!*file || strchr(file, '/'))
        return dsm_fail(err, DSM_EFORMAT, "%s: shards: \"%.40s\" is no file name", path, file);
    *out = dsm_fs_join(d->dir, file);
    return *out ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
}

static dsm_status check_shard(const dsm_dataset *d, const dsm_shard *s, const json_t *row,
                              const char *path, dsm_err *err)
{
    uint64_t tokens = 0, documents = 0, bytes = 0;
    DSM_TRY(index_count(row, "tokens", &tokens, path, err));
    DSM_TRY(index_count(row, "documents", &documents, path, err));
    DSM_TRY(index_count(row, "bytes", &bytes, path, err));
    if (s->tokens != tokens || s->n_documents != documents || s->text_bytes != bytes)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: found %" PRIu64 " tokens in %" PRIu64 " documents, %s says %" PRIu64
                        " in %" PRIu64,
                        s->path, s->tokens, s->n_documents, index_name, tokens, documents);
    if (s->vocab.fingerprint != d->info.tokenizer_fingerprint ||
        s->vocab.size != (uint32_t)d->info.vocab_size)
        return dsm_fail(err, DSM_EFORMAT, "%s: made by another tokenizer than %s says", s->path,
                        index_name);
    return DSM_OK;
}

static dsm_status open_shards(dsm_dataset *d, const json_t *index, const char *path, dsm_err *err)
{
    const json_t *rows = json_object_get(index, "shards");
    size_t n = json_array_size(rows);
    if (n == 0 || n > INT32_MAX)
        return dsm_fail(err, DSM_EFORMAT, "%s: shards: expected a list of shards", path);
    d->shards = calloc(n, sizeof *d->shards);
    d->first = calloc(n + 1, sizeof *d->first);
    if (!d->shards || !d->first) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        dsm_shard *s = &d->shards[i];
        char *file;
        DSM_TRY(row_path(&file, d, row, path, err));
        dsm_status status = dsm_shard_open(s, file, err);
        free(file);
        if (status != DSM_OK) return status;
        d->info.n_shards++;
        DSM_TRY(check_shard(d, s, row, path, err));
        d->first[i + 1] = d->first[i] + s->tokens;
        d->token_bytes += s->token_bytes;
    }
    d->n_bytes = d->shards[0].vocab.n_bytes;
    if (d->first[n] != d->info.tokens)
        return dsm_fail(err, DSM_EFORMAT, "%s: tokens: found %" PRIu64 ", the shards hold %" PRIu64,
                        path, d->info.tokens, d->first[n]);
    return DSM_OK;
}

dsm_status dsm_dataset_open(dsm_dataset *d, const char *dir, dsm_err *err)
{
    memset(d, 0, sizeof *d);
    json_t *index = NULL;
    d->dir = strdup(dir);
    char *path = dsm_fs_join(dir, index_name);
    dsm_status status = d->dir && path ? dsm_json_read(&index, path, MAX_INDEX_BYTES, err)
                                       : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    if (status == DSM_OK) status = read_totals(d, index, path, err);
    if (status == DSM_OK) status = open_shards(d, index, path, err);
    json_decref(index);
    free(path);
    if (status != DSM_OK) dsm_dataset_close(d);
    return status;
}

void dsm_dataset_close(dsm_dataset *d)
{
    for (int i = 0; i < d->info.n_shards; i++)
        dsm_shard_close(&d->shards[i]);
    free(d->shards);
    free(d->first);
    free(d->dir);
    memset(d, 0, sizeof *d);
}

/* Index of the shard that holds a token, by bisection. */
static int shard_of(const dsm_dataset *d, uint64_t token)
{
    int low = 0, high = d->info.n_shards - 1;
    while (low < high) {
        int middle = low + (high - low + 1) / 2;
        if (d->first[middle] <= token)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

dsm_status dsm_dataset_copy(const dsm_dataset *d, uint64_t first, size_t n, int32_t *ids,
                            dsm_err *err)
{
    assert(first <= d->info.tokens && n <= d->info.tokens - first);
    for (int i = n ? shard_of(d, first) : 0; n > 0; i++) {
        uint64_t left = d->first[i + 1] - first;
        size_t part = left < n ? (size_t)left : n;
        DSM_TRY(dsm_shard_copy(&d->shards[i], first - d->first[i], part, ids, err));
        first += part;
        ids += part;
        n -= part;
    }
    return DSM_OK;
}

dsm_status dsm_data_get_info(dsm_data_info *info, const char *dir, dsm_err *err)
{
    dsm_dataset d;
    DSM_TRY(dsm_dataset_open(&d, dir, err));
    *info = d.info;
    dsm_dataset_close(&d);
    return DSM_OK;
}

dsm_status dsm_data_check(const char *dir, dsm_err *err)
{
    dsm_dataset d;
    DSM_TRY(dsm_dataset_open(&d, dir, err));
    dsm_status status = DSM_OK;
    for (int i = 0; i < d.info.n_shards && status == DSM_OK; i++)
        status = dsm_shard_check(&d.shards[i], err);
    dsm_dataset_close(&d);
    return status;
}
