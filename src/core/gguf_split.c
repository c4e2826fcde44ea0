/* SPDX-License-Identifier: MIT */
/* A model in several GGUF files, PREFIX-00001-of-0000N.gguf and so on.
 *
 * The first has all metadata and some of the tensors, the others tensors alone; each says which of
 * how many it is. Whoever opens the first has them all: their tensors stand behind its own.
 * Source: llama.cpp, src/llama-model-loader.cpp and tools/gguf-split. */
#include "core/gguf_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 99999, END_MAX = 40 };

static void name_end(char out[END_MAX], int64_t part, int64_t count)
{
    snprintf(out, END_MAX, "-%05d-of-%05d.gguf", (int)part + 1, (int)count);
}

/* The bytes of f's path before "-00001-of-0000N.gguf". */
static dsm_status measure_prefix(const dsm_gguf *f, int64_t count, size_t *n, dsm_err *err)
{
    char end[END_MAX];
    int64_t part = 0;
    size_t length = strlen(f->what);
    name_end(end, 0, count);
    DSM_TRY(dsm_gguf_int(f, "split.no", 0, MAX_PARTS, &part, err));
    if (part == 0 && length > strlen(end) && strcmp(f->what + length - strlen(end), end) == 0) {
        *n = length - strlen(end);
        return DSM_OK;
    }
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: part %lld of %lld of a model; name the first one, which ends in %s",
                    f->what, (long long)part + 1, (long long)count, end);
}

/* A file that says it is the part it is named as. */
static dsm_status open_part(dsm_gguf *f, int64_t part, int64_t count, size_t prefix, dsm_err *err)
{
    char end[END_MAX];
    dsm_buf path = {0};
    int64_t found = -1, of = 0;
    name_end(end, part, count);
    dsm_buf_add(&path, f->what, prefix);
    dsm_buf_str(&path, end);
    dsm_status status = dsm_buf_check(&path, f->what, err);
    if (status == DSM_OK) status = dsm_gguf_open_one(&f->parts[f->n_parts], path.data, err);
    dsm_buf_free(&path);
    if (status != DSM_OK) return status;
    const dsm_gguf *p = f->parts[f->n_parts++];
    DSM_TRY(dsm_gguf_int(p, "split.no", 0, MAX_PARTS, &found, err));
    DSM_TRY(dsm_gguf_int(p, "split.count", 0, MAX_PARTS, &of, err));
    if (found == part && of == count) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: says it is part %lld of %lld, expected part %lld of %lld", p->what,
                    (long long)found + 1, (long long)of, (long long)part + 1, (long long)count);
}

/* The tensors of all files in one list. */
static dsm_status gather(dsm_gguf *f, dsm_err *err)
{
    int64_t n = f->n_own, expected;
    for (int64_t i = 0; i < f->n_parts; i++)
        n += f->parts[i]->n_tensors;
    expected = n;
    DSM_TRY(dsm_gguf_int(f, "split.tensors.count", 0, INT64_MAX, &expected, err));
    if (expected != n)
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: its parts hold %lld tensors, split.tensors.count is %lld", f->what,
                        (long long)n, (long long)expected);
    dsm_gguf_tensor *all = realloc(f->tensors, ((size_t)n + 1) * sizeof *all);
    if (all) f->tensors = all;
    const dsm_gguf_tensor **by_name = realloc(f->by_name, ((size_t)n + 1) * sizeof *by_name);
    if (by_name) f->by_name = by_name;
    if (!all || !by_name) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", f->what);
    for (int64_t i = 0; i < f->n_parts; i++) {
        const dsm_gguf *p = f->parts[i];
        memcpy(f->tensors + f->n_tensors, p->tensors, (size_t)p->n_tensors * sizeof *p->tensors);
        f->n_tensors += p->n_tensors;
    }
    return dsm_gguf_index(f, err);
}

dsm_status dsm_gguf_join(dsm_gguf *f, dsm_err *err)
{
    int64_t count = 1;
    size_t prefix = 0;
    DSM_TRY(dsm_gguf_int(f, "split.count", 0, MAX_PARTS, &count, err));
    if (count <= 1) return DSM_OK;
    DSM_TRY(measure_prefix(f, count, &prefix, err));
    f->parts = calloc((size_t)count, sizeof(dsm_gguf *));
    if (!f->parts) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", f->what);
    for (int64_t part = 1; part < count; part++)
        DSM_TRY(open_part(f, part, count, prefix, err));
    return gather(f, err);
}
