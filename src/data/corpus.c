/* SPDX-License-Identifier: MIT */
/* Documents out of text, jsonl, gzip, zstd and folders: one file open, one document in memory. */
#include "dsmoe/data.h"

#include "core/buf.h"
#include "core/log.h"
#include "data/inputs.h"
#include "data/jsonl.h"
#include "data/lines.h"

#include <stdlib.h>
#include <string.h>

static const size_t max_document = (size_t)1 << 30;

struct dsm_corpus {
    dsm_corpus_options options;
    dsm_inputs inputs;
    size_t current;      /* of inputs.items; open while lines.stream is set */
    uint64_t done_bytes; /* of files already finished */
    dsm_lines lines;
    dsm_buf text, fixed; /* the document; its repaired form */
    dsm_buf place;
    dsm_corpus_stats stats;
};

void dsm_corpus_defaults(dsm_corpus_options *o)
{
    *o = (dsm_corpus_options){.text_field = "text"};
}

dsm_status dsm_corpus_open(dsm_corpus **out, const char *const *inputs, size_t n_inputs,
                           const dsm_corpus_options *o, dsm_err *err)
{
    *out = NULL;
    dsm_corpus *c = calloc(1, sizeof *c);
    if (!c) return dsm_fail(err, DSM_ENOMEM, "corpus: out of memory");
    c->options = *o;
    dsm_status status = dsm_inputs_list(&c->inputs, inputs, n_inputs, err);
    if (status != DSM_OK) {
        dsm_corpus_close(c);
        return status;
    }
    if (c->inputs.passed_over)
        dsm_log_write(DSM_LOG_WARN,
                      "%llu files with unknown endings are passed over; name them to read them",
                      (unsigned long long)c->inputs.passed_over);
    *out = c;
    return DSM_OK;
}

void dsm_corpus_close(dsm_corpus *c)
{
    if (!c) return;
    dsm_lines_close(&c->lines);
    dsm_inputs_free(&c->inputs);
    dsm_buf_free(&c->text);
    dsm_buf_free(&c->fixed);
    dsm_buf_free(&c->place);
    free(c);
}

const char *dsm_corpus_place(const dsm_corpus *c)
{
    return c->place.data ? c->place.data : "";
}

void dsm_corpus_progress(const dsm_corpus *c, uint64_t *done, uint64_t *total)
{
    *done = c->done_bytes + (c->lines.stream ? dsm_stream_position(c->lines.stream) : 0);
    *total = c->inputs.bytes;
}

void dsm_corpus_get_stats(const dsm_corpus *c, dsm_corpus_stats *s)
{
    *s = c->stats;
}

/* --- one document of each kind: 1, 0 at the end of the file, -1 ----------------------------- */

static void set_place(dsm_corpus *c, uint64_t line)
{
    const char *path = c->inputs.items[c->current].path;
    dsm_buf_clear(&c->place);
    if (line)
        dsm_buf_fmt(&c->place, "%s:%llu", path, (unsigned long long)line);
    else
        dsm_buf_str(&c->place, path);
}

static int next_jsonl(dsm_corpus *c, dsm_err *err)
{
    char *line;
    size_t n;
    int rc;
    while ((rc = dsm_lines_next(&c->lines, &line, &n, err)) == 1) {
        if (dsm_line_blank(line, n)) continue;
        set_place(c, c->lines.number);
        bool repaired;
        dsm_buf_clear(&c->text);
        dsm_status status =
            dsm_jsonl_text(&c->text, line, n, c->options.text_field, &repaired, err);
        if (status == DSM_OK) {
            c->stats.repaired += repaired;
            return 1;
        }
        if (status != DSM_EFORMAT || !c->options.skip_bad_lines) {
            dsm_fail_context(err, status, "%s", dsm_corpus_place(c));
            return -1;
        }
        c->stats.bad_lines++;
    }
    return rc;
}

static bool add_line(dsm_corpus *c, const char *line, size_t n, dsm_err *err)
{
    if (c->text.len + n + 1 > max_document) {
        dsm_fail(err, DSM_ELIMIT, "%s: a document is longer than the limit of %zu bytes",
                 dsm_corpus_place(c), max_document);
        return false;
    }
    dsm_buf_add(&c->text, line, n);
    if (c->lines.newline) dsm_buf_add(&c->text, "\n", 1);
    return dsm_buf_check(&c->text, dsm_corpus_place(c), err) == DSM_OK;
}

/* A whole file, or with split_blank_lines the lines up to a blank one. */
static int next_text(dsm_corpus *c, dsm_err *err)
{
    char *line;
    size_t n;
    int rc;
    bool split = c->options.split_blank_lines, begun = false;
    dsm_buf_clear(&c->text);
    if (!split) set_place(c, 0);
    while ((rc = dsm_lines_next(&c->lines, &line, &n, err)) == 1) {
        bool blank = split && dsm_line_blank(line, n);
        if (blank && begun) break;
        if (blank) continue;
        if (!begun && split) set_place(c, c->lines.number);
        begun = true;
        if (!add_line(c, line, n, err)) return -1;
    }
    if (rc < 0) return -1;
    if (!begun && c->lines.number == 1) c->stats.empty++; /* the file has no line at all */
    return begun;
}

static int (*const next_of_kind[])(dsm_corpus *, dsm_err *) = {
    [DSM_INPUT_TEXT] = next_text,
    [DSM_INPUT_JSONL] = next_jsonl,
};

/* --- over all files ------------------------------------------------------------------------- */

/* The next document of the current file, or of the ones after it, raw in c->text. */
static int next_raw(dsm_corpus *c, dsm_err *err)
{
    for (; c->current < c->inputs.n; c->current++) {
        const dsm_input *in = &c->inputs.items[c->current];
        if (!c->lines.stream && dsm_lines_open(&c->lines, in->path, max_document, err) != DSM_OK)
            return -1;
        int rc = next_of_kind[in->kind](c, err);
        if (rc != 0) return rc;
        dsm_lines_close(&c->lines);
        c->done_bytes += in->bytes;
    }
    return 0;
}

int dsm_corpus_next(void *corpus, const char **text, size_t *n, dsm_err *err)
{
    dsm_corpus *c = corpus;
    int rc;
    do {
        rc = next_raw(c, err);
        if (rc <= 0) return rc;
        if (c->text.len == 0) c->stats.empty++;
    } while (c->text.len == 0);

    const dsm_buf *document = &c->text;
    if (dsm_utf8_valid_prefix(c->text.data, c->text.len) < c->text.len) {
        dsm_buf_clear(&c->fixed);
        dsm_utf8_repair(&c->fixed, c->text.data, c->text.len);
        if (dsm_buf_check(&c->fixed, dsm_corpus_place(c), err) != DSM_OK) return -1;
        c->stats.repaired++;
        document = &c->fixed;
    }
    c->stats.documents++;
    c->stats.bytes += document->len;
    *text = document->data;
    *n = document->len;
    return 1;
}
