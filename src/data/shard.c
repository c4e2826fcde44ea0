/* SPDX-License-Identifier: MIT */
/* The file is written front to back under a temporary name; only the header, which holds the counts
 * and the checksum, is filled in at the end. Documents never straddle shards. */
#include "data/shard.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "shards are read in place, little endian");

static const char magic[8] = {'D', 'S', 'M', 'S', 'H', 'A', 'R', 'D'};
enum { VERSION = 1, PACK_TOKENS = 1 << 15 };

typedef struct header {
    char magic[8];
    uint32_t version, width;
    uint32_t vocab, reserved;
    uint64_t fingerprint;
    uint64_t tokens, documents;
    uint64_t text_bytes, token_bytes;
    uint32_t body_crc;   /* of every byte after the header */
    uint32_t header_crc; /* of the bytes before this field */
} header;
_Static_assert(sizeof(header) == 72, "on-disk header");
_Static_assert(sizeof(dsm_shard_document) == 16, "on-disk document index");

static uint32_t crc_of(uint32_t crc, const void *data, size_t n)
{
    return n ? (uint32_t)crc32_z(crc, data, n) : crc; /* zlib restarts at a NULL pointer */
}

static uint32_t header_crc(const header *h)
{
    return crc_of(0, h, offsetof(header, header_crc));
}

static uint64_t padded(uint64_t n)
{
    return (n + 7) / 8 * 8;
}

/* Two bytes hold every id of a vocabulary up to 65,536. */
static uint32_t width_for(uint32_t vocab)
{
    return vocab <= 65536 ? 2 : 4;
}

/* --- writing -------------------------------------------------------------------------------- */

static dsm_status put(dsm_shard_writer *w, const void *data, size_t n, dsm_err *err)
{
    w->crc = crc_of(w->crc, data, n);
    return dsm_file_write(&w->file, data, n, err);
}

static dsm_status put_padding(dsm_shard_writer *w, uint64_t section_bytes, dsm_err *err)
{
    static const char zeros[8];
    return put(w, zeros, padded(section_bytes) - section_bytes, err);
}

dsm_status dsm_shard_begin(dsm_shard_writer *w, const char *path, const dsm_shard_vocab *vocab,
                           dsm_err *err)
{
    memset(w, 0, sizeof *w);
    DSM_TRY(dsm_file_begin(&w->file, path, err));
    w->vocab = *vocab;
    w->width = width_for(vocab->size);
    w->packed = malloc(PACK_TOKENS * sizeof(uint32_t));
    static const header blank;
    dsm_status status = w->packed ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    if (status == DSM_OK) status = dsm_file_write(&w->file, &blank, sizeof blank, err);
    uint64_t table = (uint64_t)vocab->size * sizeof *vocab->n_bytes;
    if (status == DSM_OK) status = put(w, vocab->n_bytes, table, err);
    if (status == DSM_OK) status = put_padding(w, table, err);
    if (status != DSM_OK) dsm_shard_abandon(w);
    return status;
}

void dsm_shard_abandon(dsm_shard_writer *w)
{
    dsm_file_abandon(&w->file);
    free(w->documents);
    free(w->packed);
    memset(w, 0, sizeof *w);
}

static dsm_status index_document(dsm_shard_writer *w, uint64_t text_bytes, dsm_err *err)
{
    if (w->n_documents == w->cap_documents) {
        size_t cap = w->cap_documents ? 2 * w->cap_documents : 1024;
        void *grown = realloc(w->documents, cap * sizeof *w->documents);
        if (!grown) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", w->file.path);
        w->documents = grown;
        w->cap_documents = cap;
    }
    w->documents[w->n_documents++] = (dsm_shard_document){w->tokens, text_bytes};
    w->text_bytes += text_bytes;
    return DSM_OK;
}

static void pack(const dsm_shard_writer *w, const int32_t *ids, size_t n)
{
    uint16_t *narrow = w->packed;
    uint32_t *wide = w->packed;
    for (size_t i = 0; i < n; i++) {
        assert(ids[i] >= 0 && (uint32_t)ids[i] < w->vocab.size);
        if (w->width == 2)
            narrow[i] = (uint16_t)ids[i];
        else
            wide[i] = (uint32_t)ids[i];
    }
}

dsm_status dsm_shard_add(dsm_shard_writer *w, const int32_t *ids, size_t n, uint64_t text_bytes,
                         dsm_err *err)
{
    DSM_TRY(index_document(w, text_bytes, err));
    for (size_t done = 0; done < n; done += PACK_TOKENS) {
        size_t part = n - done < PACK_TOKENS ? n - done : PACK_TOKENS;
        pack(w, ids + done, part);
        DSM_TRY(put(w, w->packed, part * w->width, err));
    }
    for (size_t i = 0; i < n; i++)
        w->token_bytes += w->vocab.n_bytes[ids[i]];
    w->tokens += n;
    return DSM_OK;
}

static dsm_status put_header(dsm_shard_writer *w, dsm_err *err)
{
    header h = {
        .version = VERSION,
        .width = w->width,
        .vocab = w->vocab.size,
        .fingerprint = w->vocab.fingerprint,
        .tokens = w->tokens,
        .documents = w->n_documents,
        .text_bytes = w->text_bytes,
        .token_bytes = w->token_bytes,
        .body_crc = w->crc,
    };
    memcpy(h.magic, magic, sizeof magic);
    h.header_crc = header_crc(&h);
    if (fseeko(w->file.file, 0, SEEK_SET) != 0) return dsm_fail_errno(err, w->file.path, "write");
    return dsm_file_write(&w->file, &h, sizeof h, err);
}

dsm_status dsm_shard_commit(dsm_shard_writer *w, dsm_err *err)
{
    dsm_status status = put_padding(w, w->tokens * w->width, err);
    if (status == DSM_OK) status = put(w, w->documents, w->n_documents * sizeof *w->documents, err);
    if (status == DSM_OK) status = put_header(w, err);
    if (status == DSM_OK) status = dsm_file_commit(&w->file, err);
    dsm_shard_abandon(w);
    return status;
}

/* --- reading -------------------------------------------------------------------------------- */

static dsm_status bad_header(const char *path, const char *what, unsigned long long found,
                             unsigned long long expected, dsm_err *err)
{
    return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %llu, expected %llu", path, what, found,
                    expected);
}

static dsm_status check_header(const header *h, const char *path, dsm_err *err)
{
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return dsm_fail(err, DSM_EFORMAT, "%s: not a token shard", path);
    if (h->version != VERSION) return bad_header(path, "version", h->version, VERSION, err);
    if (h->header_crc != header_crc(h))
        return dsm_fail(err, DSM_EFORMAT, "%s: damaged header: its checksum does not fit", path);
    if (h->vocab == 0 || h->vocab > INT32_MAX)
        return dsm_fail(err, DSM_EFORMAT, "%s: impossible vocabulary of %u tokens", path, h->vocab);
    if (h->width != width_for(h->vocab))
        return bad_header(path, "bytes per token", h->width, width_for(h->vocab), err);
    return DSM_OK;
}

/* Offsets of the sections, each computed only from counts already known to fit. */
static dsm_status lay_out(dsm_shard *s, const header *h, dsm_err *err)
{
    uint64_t at = sizeof *h, size = s->size;
    bool fits = h->tokens <= size / h->width && h->documents <= size / sizeof *s->documents;
    uint64_t table = padded((uint64_t)h->vocab * sizeof *s->vocab.n_bytes);
    uint64_t tokens = fits ? padded(h->tokens * h->width) : 0;
    uint64_t documents = fits ? h->documents * sizeof *s->documents : 0;
    uint64_t expected = at + table + tokens + documents;
    if (!fits || expected > size)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: truncated: %llu bytes cannot hold %llu tokens and %llu documents",
                        s->path, (unsigned long long)size, (unsigned long long)h->tokens,
                        (unsigned long long)h->documents);
    if (expected < size) return bad_header(s->path, "bytes in the file", size, expected, err);
    s->vocab.n_bytes = (const uint16_t *)(const void *)(s->bytes + at);
    s->token = s->bytes + at + table;
    s->documents = (const dsm_shard_document *)(const void *)(s->token + tokens);
    return DSM_OK;
}

static dsm_status read_header(dsm_shard *s, const char *path, dsm_err *err)
{
    header h;
    s->path = strdup(path);
    if (!s->path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    if (s->size < sizeof h)
        return dsm_fail(err, DSM_EFORMAT, "%s: truncated: %zu bytes, the header alone has %zu",
                        path, s->size, sizeof h);
    memcpy(&h, s->bytes, sizeof h);
    DSM_TRY(check_header(&h, path, err));
    s->width = h.width;
    s->vocab.size = h.vocab;
    s->vocab.fingerprint = h.fingerprint;
    s->tokens = h.tokens;
    s->n_documents = h.documents;
    s->text_bytes = h.text_bytes;
    s->token_bytes = h.token_bytes;
    return lay_out(s, &h, err);
}

static dsm_status open_bytes(dsm_shard *s, const void *bytes, size_t n, const char *what,
                             dsm_err *err)
{
    s->bytes = bytes;
    s->size = n;
    dsm_status status = read_header(s, what, err);
    if (status != DSM_OK) dsm_shard_close(s);
    return status;
}

dsm_status dsm_shard_open(dsm_shard *s, const char *path, dsm_err *err)
{
    memset(s, 0, sizeof *s);
    DSM_TRY(dsm_map_open(&s->map, path, err));
    return open_bytes(s, s->map.data, s->map.size, path, err);
}

dsm_status dsm_shard_open_memory(dsm_shard *s, const void *bytes, size_t n, const char *what,
                                 dsm_err *err)
{
    assert((uintptr_t)bytes % 8 == 0);
    memset(s, 0, sizeof *s);
    return open_bytes(s, bytes, n, what, err);
}

void dsm_shard_close(dsm_shard *s)
{
    dsm_map_close(&s->map);
    free(s->path);
    memset(s, 0, sizeof *s);
}

/* The bytes are aligned and sections are padded to 8, so tokens can be read in place. */
static uint32_t token_at(const dsm_shard *s, uint64_t i)
{
    return s->width == 2 ? ((const uint16_t *)(const void *)s->token)[i]
                         : ((const uint32_t *)(const void *)s->token)[i];
}

dsm_status dsm_shard_copy(const dsm_shard *s, uint64_t first, size_t n, int32_t *ids, dsm_err *err)
{
    assert(first <= s->tokens && n <= s->tokens - first);
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t id = token_at(s, first + i);
        largest = id > largest ? id : largest;
        ids[i] = (int32_t)id;
    }
    if (largest < s->vocab.size) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: damaged: found token %u, the vocabulary has %u", s->path,
                    largest, s->vocab.size);
}

static dsm_status check_documents(const dsm_shard *s, dsm_err *err)
{
    uint64_t bytes = 0, before = 0;
    for (uint64_t i = 0; i < s->n_documents; i++) {
        uint64_t first = s->documents[i].first;
        if (first < before || first > s->tokens || (i == 0 && first != 0))
            return dsm_fail(err, DSM_EFORMAT, "%s: damaged: document %llu begins at token %llu",
                            s->path, (unsigned long long)i, (unsigned long long)first);
        before = first;
        bytes += s->documents[i].text_bytes;
    }
    if (bytes != s->text_bytes)
        return bad_header(s->path, "text bytes of the documents", bytes, s->text_bytes, err);
    return DSM_OK;
}

static dsm_status check_tokens(const dsm_shard *s, dsm_err *err)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < s->tokens; i++) {
        uint32_t id = token_at(s, i);
        if (id >= s->vocab.size) return dsm_shard_copy(s, i, 1, &(int32_t){0}, err);
        bytes += s->vocab.n_bytes[id];
    }
    if (bytes != s->token_bytes)
        return bad_header(s->path, "text bytes of the tokens", bytes, s->token_bytes, err);
    return DSM_OK;
}

dsm_status dsm_shard_check(const dsm_shard *s, dsm_err *err)
{
    header h;
    memcpy(&h, s->bytes, sizeof h);
    if (crc_of(0, s->bytes + sizeof h, s->size - sizeof h) != h.body_crc)
        return dsm_fail(err, DSM_EFORMAT, "%s: damaged: its checksum does not fit", s->path);
    DSM_TRY(check_documents(s, err));
    return check_tokens(s, err);
}
