/* SPDX-License-Identifier: MIT */
/* The loop that continues a session: draw, show, feed. */
#include "core/clock.h"
#include "infer/emit.h"
#include "infer/engine_impl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void dsm_generate_defaults(dsm_generate_options *o)
{
    memset(o, 0, sizeof *o);
    dsm_sampling_defaults(&o->sampling);
    o->max_tokens = 256;
}

static bool is_among(int32_t id, const int32_t *ids, int n)
{
    for (int i = 0; i < n; i++)
        if (ids[i] == id) return true;
    return false;
}

static bool ends_text(const dsm_engine *e, const dsm_generate_options *o, int32_t id)
{
    if (o->ignore_eos) return false;
    return is_among(id, e->eos, e->n_eos) || is_among(id, o->stop_ids, o->n_stop_ids);
}

/* Special tokens are not text: they show nothing. */
static void show(dsm_emitter *e, const dsm_tokenizer *t, int32_t id)
{
    if (dsm_tokenizer_is_special(t, id)) return;
    size_t n;
    const char *bytes = dsm_tokenizer_bytes(t, id, &n);
    dsm_emitter_add(e, bytes, n);
}

/* Draw and show until something ends it; g->tokens has room for `most`. */
static dsm_status run(dsm_session *s, const dsm_generate_options *o, int64_t most,
                      dsm_emitter *emitter, dsm_generated *g, dsm_err *err)
{
    const dsm_engine *e = s->engine;
    while (g->n_tokens < most) {
        int64_t length = dsm_session_length(s);
        int32_t id;
        DSM_TRY(dsm_sampler_draw(s->sampler, &o->sampling, s->logits, (uint64_t)length, &id, err));
        if (ends_text(e, o, id)) {
            g->finish = DSM_FINISH_EOS;
            return DSM_OK;
        }
        g->tokens[g->n_tokens++] = id;
        if (o->token && !o->token(o->emit_arg, id)) emitter->cancelled = true;
        show(emitter, e->loaded.tokenizer, id);
        if (emitter->stop || emitter->cancelled) {
            g->finish = emitter->stop ? DSM_FINISH_STOP : DSM_FINISH_CANCELLED;
            return DSM_OK;
        }
        dsm_sampler_saw(s->sampler, id);
        if (g->n_tokens < most) DSM_TRY(dsm_session_feed(s, &id, 1, err));
    }
    g->finish = DSM_FINISH_LENGTH;
    return DSM_OK;
}

/* Tokens that may be drawn: the one after a full context needs no place in it. */
static int64_t room(const dsm_session *s, const dsm_generate_options *o)
{
    int64_t left = s->context - dsm_session_length(s) + 1;
    return o->max_tokens > 0 && o->max_tokens < left ? o->max_tokens : left;
}

static void remember_sequence(dsm_session *s)
{
    dsm_sampler_forget(s->sampler);
    for (int64_t i = 0; i < dsm_session_length(s); i++)
        dsm_sampler_saw(s->sampler, s->ids[i]);
}

/* The emitter's text becomes the result's. */
static dsm_status take_text(dsm_emitter *e, dsm_generated *g, dsm_err *err)
{
    dsm_buf_add(&e->text, "", 0); /* an empty text is a string too */
    DSM_TRY(dsm_buf_check(&e->held, "generated text", err));
    DSM_TRY(dsm_buf_check(&e->text, "generated text", err));
    g->text = e->text.data;
    g->text_len = e->text.len;
    memset(&e->text, 0, sizeof e->text);
    g->stop = e->stop;
    return DSM_OK;
}

dsm_status dsm_session_generate(dsm_session *s, const dsm_generate_options *o, dsm_generated *out,
                                dsm_err *err)
{
    memset(out, 0, sizeof *out);
    assert(dsm_session_length(s) > 0);
    DSM_TRY(dsm_sampling_check(&o->sampling, err));
    int64_t most = room(s, o);
    out->tokens = malloc((size_t)most * sizeof *out->tokens);
    if (!out->tokens) return dsm_fail(err, DSM_ENOMEM, "generation: out of memory");
    dsm_emitter emitter = {
        .stops = o->stops, .n_stops = o->n_stops, .emit = o->emit, .arg = o->emit_arg};
    remember_sequence(s);
    double start = dsm_clock();
    dsm_status status = run(s, o, most, &emitter, out, err);
    if (status == DSM_OK) {
        dsm_emitter_end(&emitter);
        status = take_text(&emitter, out, err);
    }
    out->seconds = dsm_clock() - start;
    dsm_emitter_free(&emitter);
    if (status != DSM_OK) dsm_generated_free(out);
    return status;
}

void dsm_generated_free(dsm_generated *g)
{
    free(g->text);
    free(g->tokens);
    memset(g, 0, sizeof *g);
}
