/* SPDX-License-Identifier: MIT */
#include "data/inputs.h"

#include "core/fs.h"
#include "data/stream.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_DEPTH = 64, PROBE = 4096 };

static const struct ending {
    const char *text;
    dsm_input_kind kind;
} endings[] = {
    {".jsonl", DSM_INPUT_JSONL}, {".ndjson", DSM_INPUT_JSONL}, {".json", DSM_INPUT_JSONL},
    {".txt", DSM_INPUT_TEXT},    {".text", DSM_INPUT_TEXT},    {".md", DSM_INPUT_TEXT},
    {".rst", DSM_INPUT_TEXT},    {".tex", DSM_INPUT_TEXT},     {".org", DSM_INPUT_TEXT},
    {".c", DSM_INPUT_TEXT},      {".h", DSM_INPUT_TEXT},       {".cc", DSM_INPUT_TEXT},
    {".cpp", DSM_INPUT_TEXT},    {".hpp", DSM_INPUT_TEXT},     {".py", DSM_INPUT_TEXT},
    {".js", DSM_INPUT_TEXT},     {".ts", DSM_INPUT_TEXT},      {".java", DSM_INPUT_TEXT},
    {".go", DSM_INPUT_TEXT},     {".rs", DSM_INPUT_TEXT},      {".rb", DSM_INPUT_TEXT},
    {".php", DSM_INPUT_TEXT},    {".sh", DSM_INPUT_TEXT},      {".sql", DSM_INPUT_TEXT},
};

/* Formats people will try; plain text would be read from none of them. */
static const char *const unreadable[] = {".parquet", ".arrow", ".xz",  ".bz2",  ".zip", ".tar",
                                         ".tgz",     ".7z",    ".pdf", ".docx", ".epub"};

static bool ends_with(const char *s, size_t n, const char *ending)
{
    size_t e = strlen(ending);
    return n > e && memcmp(s + n - e, ending, e) == 0;
}

static const struct ending *ending_of(const char *path)
{
    size_t n = dsm_stream_stem(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(path, n, endings[i].text)) return &endings[i];
    return NULL;
}

static dsm_status check_readable(const char *path, dsm_err *err)
{
    size_t n = dsm_stream_stem(path);
    for (size_t i = 0; i < sizeof unreadable / sizeof *unreadable; i++)
        if (ends_with(path, n, unreadable[i]))
            return dsm_fail(
                err, DSM_EFORMAT,
                "%s: %s files cannot be read; expected text or jsonl, plain, .gz or .zst", path,
                unreadable[i]);
    return DSM_OK;
}

/* A NUL byte near the beginning says that this is no text. */
static dsm_status check_text(const char *path, dsm_err *err)
{
    char probe[PROBE];
    size_t n;
    dsm_stream *s;
    DSM_TRY(dsm_stream_open(&s, path, err));
    dsm_status status = dsm_stream_read(s, probe, sizeof probe, &n, err);
    dsm_stream_close(s);
    if (status != DSM_OK) return status;
    const char *nul = memchr(probe, 0, n);
    if (nul)
        return dsm_fail(err, DSM_EFORMAT, "%s: found a zero byte at offset %zu, expected text",
                        path, (size_t)(nul - probe));
    return DSM_OK;
}

static dsm_status add(dsm_inputs *in, const char *path, uint64_t bytes, dsm_input_kind kind,
                      dsm_err *err)
{
    if (in->n == in->cap) {
        size_t cap = in->cap ? 2 * in->cap : 16;
        dsm_input *items = realloc(in->items, cap * sizeof *items);
        if (!items) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
        in->items = items;
        in->cap = cap;
    }
    dsm_input *item = &in->items[in->n];
    *item = (dsm_input){strdup(path), bytes, kind};
    if (!item->path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    in->n++;
    in->bytes += bytes;
    return DSM_OK;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_hidden(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static dsm_status walk(dsm_inputs *in, const char *dir, int depth, dsm_err *err);

static dsm_status walk_entry(dsm_inputs *in, const char *path, int depth, dsm_err *err)
{
    struct stat link, st;
    if (lstat(path, &link) != 0 || stat(path, &st) != 0) return dsm_fail_errno(err, path, "read");
    if (S_ISDIR(link.st_mode)) return walk(in, path, depth + 1, err); /* linked folders may loop */
    const struct ending *e = ending_of(path);
    if (S_ISREG(st.st_mode) && e) return add(in, path, (uint64_t)st.st_size, e->kind, err);
    if (S_ISREG(st.st_mode)) in->passed_over++;
    return DSM_OK;
}

static dsm_status walk(dsm_inputs *in, const char *dir, int depth, dsm_err *err)
{
    if (depth > MAX_DEPTH)
        return dsm_fail(err, DSM_ELIMIT, "%s: folders nested deeper than %d", dir, MAX_DEPTH);
    struct dirent **names;
    int n = scandir(dir, &names, not_hidden, by_name);
    if (n < 0) return dsm_fail_errno(err, dir, "read folder");
    dsm_status status = DSM_OK;
    for (int i = 0; i < n; i++) {
        char *path = status == DSM_OK ? dsm_fs_join(dir, names[i]->d_name) : NULL;
        free(names[i]);
        if (path) status = walk_entry(in, path, depth, err);
        free(path);
    }
    free(names);
    return status;
}

static dsm_status add_folder(dsm_inputs *in, const char *dir, dsm_err *err)
{
    size_t before = in->n;
    DSM_TRY(walk(in, dir, 0, err));
    if (in->n > before) return DSM_OK;
    return dsm_fail(err, DSM_ENOTFOUND,
                    "%s: no file here ends in .txt, .jsonl or another known ending (plain, .gz or "
                    ".zst); name files to read them as plain text",
                    dir);
}

static dsm_status add_file(dsm_inputs *in, const char *path, uint64_t bytes, dsm_err *err)
{
    const struct ending *e = ending_of(path);
    if (e) return add(in, path, bytes, e->kind, err);
    DSM_TRY(check_readable(path, err));
    DSM_TRY(check_text(path, err));
    return add(in, path, bytes, DSM_INPUT_TEXT, err);
}

dsm_status dsm_inputs_list(dsm_inputs *in, const char *const *paths, size_t n, dsm_err *err)
{
    memset(in, 0, sizeof *in);
    dsm_status status = DSM_OK;
    for (size_t i = 0; i < n && status == DSM_OK; i++) {
        struct stat st;
        if (stat(paths[i], &st) != 0)
            status = dsm_fail_errno(err, paths[i], "open");
        else if (S_ISDIR(st.st_mode))
            status = add_folder(in, paths[i], err);
        else if (S_ISREG(st.st_mode))
            status = add_file(in, paths[i], (uint64_t)st.st_size, err);
        else
            status = dsm_fail(err, DSM_EIO, "%s: found neither a file nor a folder", paths[i]);
    }
    if (status != DSM_OK) dsm_inputs_free(in);
    return status;
}

void dsm_inputs_free(dsm_inputs *in)
{
    for (size_t i = 0; i < in->n; i++)
        free(in->items[i].path);
    free(in->items);
    memset(in, 0, sizeof *in);
}
