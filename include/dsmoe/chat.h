/* SPDX-License-Identifier: MIT */
/* Conversations, and how a model wants them written.
 *
 * A conversation is a list of messages. A format is the model's own chat template, which turns it
 * into the very text and tokens the model was trained on; docs/chat.md tells where it is looked for
 * and what happens without one. */
#ifndef DSMOE_CHAT_H
#define DSMOE_CHAT_H

#include "dsmoe/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- conversations ---------------------------------------------------------------------------- */

typedef struct dsm_conversation dsm_conversation;

dsm_status dsm_conversation_new(dsm_conversation **out, dsm_err *err);
void dsm_conversation_free(dsm_conversation *c); /* accepts NULL */

/* Append a message of a role ("system", "user", "assistant", …). Bytes that are not UTF-8 become
 * U+FFFD. */
dsm_status dsm_conversation_add(dsm_conversation *c, const char *role, const char *text, size_t n,
                                dsm_err *err);

/* Replace the system message in front, add one if there is none, or take it away (text NULL). */
dsm_status dsm_conversation_set_system(dsm_conversation *c, const char *text, dsm_err *err);

int64_t dsm_conversation_count(const dsm_conversation *c);
/* Of message i, borrowed until it is removed; text is "" for one that has no text. */
const char *dsm_conversation_role(const dsm_conversation *c, int64_t i);
const char *dsm_conversation_text(const dsm_conversation *c, int64_t i);
void dsm_conversation_truncate(dsm_conversation *c, int64_t n); /* forget messages from n on */

/* A conversation as JSON: {"messages": [{"role": …, "content": …}, …], "tools": […]}, as the chat
 * interfaces of this world have it. Reading replaces what *c holds; members beyond role and content
 * (tool calls, say) are kept and reach the template. Errors: those of files; DSM_EFORMAT when it is
 * something else. */
dsm_status dsm_conversation_read(dsm_conversation *c, const char *path, dsm_err *err);
/* Reading from text[0 … n-1], which `what` names in messages. */
dsm_status dsm_conversation_parse(dsm_conversation *c, const char *text, size_t n, const char *what,
                                  dsm_err *err);
dsm_status dsm_conversation_write(const dsm_conversation *c, const char *path, dsm_err *err);

/* --- formats ---------------------------------------------------------------------------------- */

typedef struct dsm_chat_format dsm_chat_format;

/* The format of an engine's model, which must outlive it: by its template of that name or by one in
 * a file; NULL: by its default one. Errors: DSM_ENOTFOUND; DSM_EFORMAT, with its line, for a
 * template that goes beyond the supported language. */
dsm_status dsm_chat_format_open(dsm_chat_format **out, const dsm_engine *e, const char *wanted,
                                dsm_err *err);
void dsm_chat_format_close(dsm_chat_format *f); /* accepts NULL */

/* Does the format come with the model? False: it is the plain one of docs/chat.md. */
bool dsm_chat_format_own(const dsm_chat_format *f);

/* Tokens besides the model's end of text that end a turn, and texts that do; borrowed. */
int dsm_chat_format_stop_ids(const dsm_chat_format *f, const int32_t **ids);
int dsm_chat_format_stops(const dsm_chat_format *f, const char *const **stops);

/* The conversation as text, malloc'd, with what makes the model answer behind it if `prompt`.
 * Errors: what the template complains of (roles that do not alternate, say). */
dsm_status dsm_chat_render(const dsm_chat_format *f, const dsm_conversation *c, bool prompt,
                           char **text, size_t *n, dsm_err *err);

/* What the tokens of a session say, so that the next prompt goes on behind them: tokens that a
 * model drew need not be the ones its text would be cut into. Start zeroed. */
typedef struct dsm_chat_trace {
    char *text; /* (n) */
    size_t n;
    dsm_ids ids;
} dsm_chat_trace;

/* Append the same as ids, with exactly one BOS where the model has one. trace (may be NULL): where
 * the text begins with the traced one, the ids do with the traced ones; it becomes this prompt
 * then. */
dsm_status dsm_chat_encode(const dsm_chat_format *f, const dsm_conversation *c, bool prompt,
                           dsm_chat_trace *trace, dsm_ids *ids, dsm_err *err);

/* Append an answer to the conversation, and to its traced prompt. Without the whitespace it begins
 * with where the format puts that before an answer itself ("Assistant:" is a prompt, "Assistant: "
 * stands before an answer). Where the tokens do not spell the text (a stop text came up, special
 * tokens are not shown) the trace is forgotten. */
dsm_status dsm_chat_add_answer(const dsm_chat_format *f, dsm_conversation *c, dsm_chat_trace *trace,
                               const dsm_generated *g, dsm_err *err);
void dsm_chat_trace_free(dsm_chat_trace *trace); /* accepts a zeroed struct */

#ifdef __cplusplus
}
#endif
#endif
