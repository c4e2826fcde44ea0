/* SPDX-License-Identifier: MIT */
/* A model's chat template at work: its text, its stop tokens and its one BOS.
 *
 * The token that ends a turn is not written down anywhere as such, so it is asked of the template:
 * the first special token behind an assistant's text in a rendered conversation. */
#include "infer/conversation.h"

#include "core/buf.h"
#include "core/fs.h"
#include "formats/checkpoint.h"
#include "infer/engine_impl.h"
#include "template/template.h"

#include <stdlib.h>
#include <string.h>

enum { TEMPLATE_MAX = 16 << 20 };

struct dsm_chat_format {
    const dsm_engine *engine;
    dsm_template *template;
    bool own;
    int32_t turn_end; /* -1: none */
};

/* The dialogue of the DeepSeek LLM models, which a model without a template may know from its text;
 * the next "User:" ends an answer. */
static const char plain_format[] =
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message.role == 'user' %}{{ 'User: ' ~ message.content ~ '\\n\\n' }}"
    "{% elif message.role == 'assistant' %}{{ 'Assistant: ' ~ message.content ~ '\\n\\n' }}"
    "{% else %}{{ message.content ~ '\\n\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";
static const char *const plain_stops[] = {"\n\nUser:", "\nUser:"};

/* --- opening ---------------------------------------------------------------------------------- */

static dsm_status read_file(char **text, const char *path, dsm_err *err)
{
    dsm_buf file = {0};
    dsm_status status = dsm_fs_read(&file, path, TEMPLATE_MAX, err);
    if (status == DSM_OK) dsm_buf_add(&file, "", 0);
    if (status == DSM_OK) status = dsm_buf_check(&file, path, err);
    if (status == DSM_OK)
        *text = file.data;
    else
        dsm_buf_free(&file);
    return status;
}

/* The model's own (NULL: it has none), or what is asked for: another of its own by name, a file. */
static dsm_status find_template(char **text, const dsm_chat_format *f, const char *wanted,
                                dsm_err *err)
{
    const char *model = f->engine->loaded.dir;
    DSM_TRY(dsm_checkpoint_chat_template(text, model, wanted, err));
    if (*text || !wanted) return DSM_OK;
    if (dsm_fs_exists(wanted)) return read_file(text, wanted, err);
    return dsm_fail(err, DSM_ENOTFOUND,
                    "template: found \"%s\", neither one of the model's by name nor a file",
                    wanted);
}

static dsm_status compile(dsm_chat_format *f, const char *wanted, dsm_err *err)
{
    char *text;
    DSM_TRY(find_template(&text, f, wanted, err));
    f->own = text != NULL;
    const char *used = text ? text : plain_format;
    dsm_status status =
        dsm_template_compile(&f->template, used, strlen(used), "chat template", err);
    free(text);
    return status;
}

static const char marker[] = "0123456789MARKER9876543210";

/* Text of a conversation of one turn, from behind the assistant's words; NULL if the template
 * refuses it or hides them. */
static char *text_behind_answer(const dsm_chat_format *f)
{
    dsm_conversation *c;
    char *text = NULL, *behind = NULL;
    size_t n;
    if (dsm_conversation_new(&c, NULL) != DSM_OK) return NULL;
    if (dsm_conversation_add(c, "user", "Hello", 5, NULL) == DSM_OK &&
        dsm_conversation_add(c, "assistant", marker, strlen(marker), NULL) == DSM_OK &&
        dsm_chat_render(f, c, false, &text, &n, NULL) == DSM_OK)
        behind = strstr(text, marker);
    if (behind) behind = strdup(behind + strlen(marker));
    free(text);
    dsm_conversation_free(c);
    return behind;
}

/* The first special token of a text but BOS, -1 if it has none. */
static int32_t first_special(const dsm_tokenizer *t, const char *text)
{
    dsm_ids ids = {0};
    int32_t found = -1;
    if (dsm_tokenizer_encode(t, text, strlen(text), DSM_ENCODE_SPECIAL, &ids, NULL) == DSM_OK)
        for (size_t i = 0; i < ids.len && found < 0; i++)
            if (dsm_tokenizer_is_special(t, ids.data[i]) && ids.data[i] != dsm_tokenizer_bos(t))
                found = ids.data[i];
    dsm_ids_free(&ids);
    return found;
}

static void find_turn_end(dsm_chat_format *f)
{
    char *behind = f->own ? text_behind_answer(f) : NULL;
    f->turn_end = behind ? first_special(f->engine->loaded.tokenizer, behind) : -1;
    free(behind);
}

dsm_status dsm_chat_format_open(dsm_chat_format **out, const dsm_engine *e, const char *wanted,
                                dsm_err *err)
{
    *out = NULL;
    dsm_chat_format *f = calloc(1, sizeof *f);
    if (!f) return dsm_fail(err, DSM_ENOMEM, "chat: out of memory");
    f->engine = e;
    dsm_status status = compile(f, wanted, err);
    if (status != DSM_OK) {
        dsm_chat_format_close(f);
        return dsm_fail_context(err, status, "%s", e->loaded.dir);
    }
    find_turn_end(f);
    *out = f;
    return DSM_OK;
}

void dsm_chat_format_close(dsm_chat_format *f)
{
    if (!f) return;
    dsm_template_free(f->template);
    free(f);
}

bool dsm_chat_format_own(const dsm_chat_format *f)
{
    return f->own;
}

int dsm_chat_format_stop_ids(const dsm_chat_format *f, const int32_t **ids)
{
    *ids = &f->turn_end;
    return f->turn_end >= 0;
}

int dsm_chat_format_stops(const dsm_chat_format *f, const char *const **stops)
{
    *stops = plain_stops;
    return f->own ? 0 : (int)(sizeof plain_stops / sizeof *plain_stops);
}

/* --- rendering -------------------------------------------------------------------------------- */

/* A special token's text as a variable; a model without it leaves it undefined. */
static void set_token(json_t *variables, const char *name, const dsm_tokenizer *t, int32_t id)
{
    const char *text = id >= 0 ? dsm_tokenizer_token(t, id) : NULL;
    if (text) json_object_set_new(variables, name, json_string(text));
}

/* What transformers gives a template. */
static json_t *variables_of(const dsm_chat_format *f, const dsm_conversation *c, bool prompt)
{
    const dsm_tokenizer *t = f->engine->loaded.tokenizer;
    json_t *v = json_pack("{s:O, s:O?, s:n, s:b}", "messages", c->messages, "tools", c->tools,
                          "documents", "add_generation_prompt", prompt);
    if (!v) return NULL;
    set_token(v, "bos_token", t, dsm_tokenizer_bos(t));
    set_token(v, "eos_token", t, dsm_tokenizer_eos(t));
    return v;
}

dsm_status dsm_chat_render(const dsm_chat_format *f, const dsm_conversation *c, bool prompt,
                           char **text, size_t *n, dsm_err *err)
{
    dsm_buf out = {0};
    json_t *variables = variables_of(f, c, prompt);
    *text = NULL;
    *n = 0;
    dsm_status status = variables ? dsm_template_render(f->template, variables, NULL, &out, err)
                                  : dsm_fail(err, DSM_ENOMEM, "chat: out of memory");
    json_decref(variables);
    if (status == DSM_OK) {
        dsm_buf_add(&out, "", 0);
        status = dsm_buf_check(&out, "chat", err);
    }
    if (status != DSM_OK) {
        dsm_buf_free(&out);
        return status;
    }
    *text = out.data;
    *n = out.len;
    return DSM_OK;
}

/* Does this tokenizer put BOS in front of a text? */
static dsm_status puts_bos(const dsm_tokenizer *t, bool *puts, dsm_err *err)
{
    dsm_ids ids = {0};
    dsm_status status = dsm_tokenizer_encode(t, "", 0, DSM_ENCODE_POST, &ids, err);
    *puts = ids.len > 0 && dsm_tokenizer_bos(t) >= 0 && ids.data[0] == dsm_tokenizer_bos(t);
    dsm_ids_free(&ids);
    return status;
}

/* A template may write BOS or leave it to the tokenizer: one of them, not both, not neither. */
static dsm_status settle_bos(const dsm_tokenizer *t, dsm_ids *ids, size_t begin, dsm_err *err)
{
    bool puts;
    int32_t bos = dsm_tokenizer_bos(t);
    size_t n = 0, all = ids->len - begin;
    DSM_TRY(puts_bos(t, &puts, err));
    while (bos >= 0 && n < all && ids->data[begin + n] == bos)
        n++;
    if (n > 1) {
        int32_t *first = ids->data + begin;
        memmove(first + 1, first + n, (all - n) * sizeof *first);
        ids->len -= n - 1;
    } else if (n == 0 && puts) {
        DSM_TRY(dsm_ids_push(ids, bos, err));
        int32_t *first = ids->data + begin;
        memmove(first + 1, first, all * sizeof *first);
        *first = bos;
    }
    return DSM_OK;
}

/* --- what a session holds --------------------------------------------------------------------- */

void dsm_chat_trace_free(dsm_chat_trace *t)
{
    free(t->text);
    dsm_ids_free(&t->ids);
    memset(t, 0, sizeof *t);
}

static dsm_status append_ids(dsm_ids *to, const int32_t *ids, size_t n, dsm_err *err)
{
    for (size_t i = 0; i < n; i++)
        DSM_TRY(dsm_ids_push(to, ids[i], err));
    return DSM_OK;
}

/* Does the text go on where the trace ends? */
static bool goes_on(const dsm_chat_trace *t, const char *text, size_t n)
{
    return t && t->n > 0 && t->n <= n && memcmp(t->text, text, t->n) == 0;
}

static dsm_status encode_text(const dsm_tokenizer *t, const dsm_chat_trace *trace, const char *text,
                              size_t n, dsm_ids *ids, dsm_err *err)
{
    size_t begin = ids->len;
    if (!goes_on(trace, text, n)) {
        DSM_TRY(dsm_tokenizer_encode(t, text, n, DSM_ENCODE_SPECIAL, ids, err));
        return settle_bos(t, ids, begin, err);
    }
    DSM_TRY(append_ids(ids, trace->ids.data, trace->ids.len, err));
    return dsm_tokenizer_encode(t, text + trace->n, n - trace->n, DSM_ENCODE_SPECIAL, ids, err);
}

dsm_status dsm_chat_encode(const dsm_chat_format *f, const dsm_conversation *c, bool prompt,
                           dsm_chat_trace *trace, dsm_ids *ids, dsm_err *err)
{
    char *text;
    size_t n, begin = ids->len;
    DSM_TRY(dsm_chat_render(f, c, prompt, &text, &n, err));
    dsm_status status = encode_text(f->engine->loaded.tokenizer, trace, text, n, ids, err);
    if (trace) dsm_chat_trace_free(trace);
    if (!trace || status != DSM_OK) {
        free(text);
        return status;
    }
    trace->text = text;
    trace->n = n;
    return append_ids(&trace->ids, ids->data + begin, ids->len - begin, err);
}

/* Do the tokens spell the text, byte for byte? */
static dsm_status spells(const dsm_tokenizer *t, const dsm_generated *g, bool *same, dsm_err *err)
{
    char *text;
    size_t n;
    DSM_TRY(dsm_tokenizer_decode(t, g->tokens, (size_t)g->n_tokens, false, &text, &n, err));
    *same = n == g->text_len && memcmp(text, g->text, n) == 0;
    free(text);
    return DSM_OK;
}

static dsm_status trace_answer(dsm_chat_trace *t, const dsm_chat_format *f, const dsm_generated *g,
                               dsm_err *err)
{
    bool same;
    DSM_TRY(spells(f->engine->loaded.tokenizer, g, &same, err));
    char *text = same && t->n > 0 ? realloc(t->text, t->n + g->text_len + 1) : NULL;
    if (!text) {
        dsm_chat_trace_free(t);
        return DSM_OK;
    }
    memcpy(text + t->n, g->text, g->text_len);
    t->text = text;
    t->n += g->text_len;
    return append_ids(&t->ids, g->tokens, (size_t)g->n_tokens, err);
}

/* Would the next prompt go on behind the trace? A template may refuse a conversation that ends with
 * an answer: then nobody knows. */
static bool keeps_trace(const dsm_chat_format *f, const dsm_conversation *c,
                        const dsm_chat_trace *t)
{
    char *text;
    size_t n;
    if (dsm_chat_render(f, c, false, &text, &n, NULL) != DSM_OK) return true;
    bool keeps = goes_on(t, text, n);
    free(text);
    return keeps;
}

dsm_status dsm_chat_add_answer(const dsm_chat_format *f, dsm_conversation *c, dsm_chat_trace *trace,
                               const dsm_generated *g, dsm_err *err)
{
    size_t skip = strspn(g->text, " \t\r\n");
    int64_t count = dsm_conversation_count(c);
    DSM_TRY(trace_answer(trace, f, g, err));
    DSM_TRY(dsm_conversation_add(c, "assistant", g->text, g->text_len, err));
    if (skip == 0 || keeps_trace(f, c, trace)) return DSM_OK;
    dsm_conversation_truncate(c, count);
    return dsm_conversation_add(c, "assistant", g->text + skip, g->text_len - skip, err);
}
