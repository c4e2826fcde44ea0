/* SPDX-License-Identifier: MIT */
#include "eval/analyze_source.h"

#include "eval/windows.h"

#include <string.h>

static const size_t most_text_tokens = (size_t)1 << 28; /* held in memory */

/* --- text ------------------------------------------------------------------------------------- */

static dsm_status read_documents(dsm_ids *ids, dsm_corpus *c, const dsm_tokenizer *t,
                                 const char *path, dsm_err *err)
{
    const char *text;
    size_t n;
    int rc;
    while ((rc = dsm_corpus_next(c, &text, &n, err)) == 1) {
        DSM_TRY(dsm_tokenizer_encode(t, text, n, DSM_ENCODE_PLAIN, ids, err));
        if (dsm_tokenizer_eos(t) >= 0) DSM_TRY(dsm_ids_push(ids, dsm_tokenizer_eos(t), err));
        if (ids->len > most_text_tokens)
            return dsm_fail(err, DSM_ELIMIT,
                            "%s: more than %zu tokens; prepare so much as data first", path,
                            most_text_tokens);
    }
    return rc < 0 ? err->code : DSM_OK;
}

/* Documents one after the other, each with the end of text behind it, as `data prepare` does. */
static dsm_status read_text(dsm_passage *s, const dsm_loaded *l, const char *path, dsm_err *err)
{
    dsm_corpus *corpus;
    dsm_corpus_options o;
    dsm_err own; /* read_documents needs one to tell a code */
    int32_t first;
    DSM_TRY(dsm_loaded_need_tokenizer(l, err));
    DSM_TRY(dsm_window_first_token(&first, l, err));
    DSM_TRY(dsm_ids_push(&s->ids, first, err));
    dsm_corpus_defaults(&o);
    DSM_TRY(dsm_corpus_open(&corpus, &path, 1, &o, err));
    dsm_status status = read_documents(&s->ids, corpus, l->tokenizer, path, &own);
    dsm_corpus_close(corpus);
    if (status != DSM_OK) return dsm_fail(err, status, "%s", own.msg);
    s->tokens = (int64_t)s->ids.len - 1;
    if (s->tokens > 0) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: the file is empty", path);
}

static void read_text_window(const dsm_passages *p, const dsm_passage *s, int64_t w,
                             int32_t *tokens, int32_t *targets, uint64_t *bytes)
{
    for (int64_t i = 0; i < p->seq_len; i++) {
        int64_t at = w * p->seq_len + i;
        bool there = at < s->tokens;
        size_t n = 0;
        tokens[i] = s->ids.data[there ? at : 0];
        targets[i] = there ? s->ids.data[at + 1] : -1;
        if (there && !dsm_tokenizer_is_special(p->tokenizer, targets[i]))
            dsm_tokenizer_bytes(p->tokenizer, targets[i], &n);
        *bytes += n;
    }
}

/* --- opening ---------------------------------------------------------------------------------- */

static int domain_of(dsm_passages *p, const char *name)
{
    for (int d = 0; d < p->n_domains; d++)
        if (strcmp(p->domains[d], name) == 0) return d;
    p->domains[p->n_domains] = name;
    return p->n_domains++;
}

/* How many tokens a source predicts, and its text. */
static dsm_status look_at(dsm_passages *p, dsm_passage *s, const dsm_loaded *l,
                          const dsm_analyze_source *source, bool asked, dsm_err *err)
{
    dsm_data_info info;
    if (source->text) return read_text(s, l, source->path, err);
    DSM_TRY(dsm_window_check_data(&info, l, source->path, err));
    s->tokens = info.tokens > 1 ? (int64_t)info.tokens - 1 : 0;
    if (!asked && s->tokens > 0 && s->tokens < p->seq_len) p->seq_len = s->tokens;
    return DSM_OK;
}

/* No window is longer than the longest source. */
static void shorten(dsm_passages *p)
{
    int64_t longest = 1;
    for (int i = 0; i < p->n; i++)
        if (p->items[i].tokens > longest) longest = p->items[i].tokens;
    if (p->seq_len > longest) p->seq_len = longest;
}

static dsm_status cut(dsm_passages *p, dsm_passage *s, const dsm_analyze_source *source,
                      int64_t most, dsm_err *err)
{
    int64_t T = p->seq_len;
    if (source->text) {
        s->windows = (s->tokens + T - 1) / T;
    } else {
        const dsm_source data = {source->path, 1.0};
        DSM_TRY(dsm_loader_open(&s->loader, &data, 1, T, 0, false, err));
        s->windows = (int64_t)dsm_loader_epoch_sequences(s->loader);
    }
    if (most > 0 && most < s->windows) s->windows = most;
    if (s->tokens > s->windows * T) s->tokens = s->windows * T;
    p->windows += s->windows;
    p->tokens += s->tokens;
    return DSM_OK;
}

static dsm_status open_all(dsm_passages *p, const dsm_loaded *l, const dsm_analyze_source *sources,
                           const dsm_analyze_options *o, dsm_err *err)
{
    for (int i = 0; i < p->n; i++) {
        const dsm_analyze_source *s = &sources[i];
        p->items[i].domain = domain_of(p, s->domain ? s->domain : s->path);
        DSM_TRY(look_at(p, &p->items[i], l, s, o->seq_len > 0, err));
    }
    if (o->seq_len == 0) shorten(p);
    for (int i = 0; i < p->n; i++)
        DSM_TRY(cut(p, &p->items[i], &sources[i], o->sequences, err));
    return DSM_OK;
}

dsm_status dsm_passages_open(dsm_passages *p, const dsm_loaded *l, const char *model,
                             const dsm_analyze_source *sources, int n, const dsm_analyze_options *o,
                             dsm_err *err)
{
    memset(p, 0, sizeof *p);
    if (n < 1 || n > DSM_ANALYZE_SOURCES)
        return dsm_fail(err, DSM_EUSAGE, "data: found %d sources, expected 1 to %d", n,
                        DSM_ANALYZE_SOURCES);
    p->n = n;
    p->tokenizer = l->tokenizer;
    DSM_TRY(dsm_window_length(&p->seq_len, l, model, o->seq_len, err));
    dsm_status status = open_all(p, l, sources, o, err);
    if (status != DSM_OK) dsm_passages_close(p);
    return status;
}

void dsm_passages_close(dsm_passages *p)
{
    for (int i = 0; i < p->n; i++) {
        dsm_loader_close(p->items[i].loader);
        dsm_ids_free(&p->items[i].ids);
    }
    memset(p, 0, sizeof *p);
}

dsm_status dsm_passages_read(const dsm_passages *p, int i, int64_t first, int64_t n,
                             int32_t *tokens, int32_t *targets, uint64_t *bytes, dsm_err *err)
{
    const dsm_passage *s = &p->items[i];
    *bytes = 0;
    if (s->loader) {
        const dsm_loader_state at = {.sequences = (uint64_t)first, .per_source = {(uint64_t)first}};
        DSM_TRY(dsm_loader_set_state(s->loader, &at, err));
        return dsm_loader_next(s->loader, n, tokens, targets, bytes, err);
    }
    for (int64_t w = 0; w < n; w++)
        read_text_window(p, s, first + w, tokens + w * p->seq_len, targets + w * p->seq_len, bytes);
    return DSM_OK;
}
