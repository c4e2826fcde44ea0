/* SPDX-License-Identifier: MIT */
/* dsmoe chat: a conversation in the model's own format.
 *
 * The session's cache holds the conversation so far; before each answer the whole of it is rendered
 * anew, and only what the cache does not begin with is fed. */
#include "cli/chat_commands.h"
#include "cli/cmd.h"
#include "cli/generation.h"
#include "cli/print.h"
#include "core/clock.h"
#include "core/fs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_DEFAULT = 4096, ANSWER_DEFAULT = 1024 };

static const char help[] =
    "usage: dsmoe chat MODEL [OPTIONS]\n"
    "\n"
    "Talks with a model in the format of its own chat template. A line is a message; a backslash "
    "at\n"
    "its end continues it, \"\"\" begins and ends one of several lines. Ctrl-C stops an answer, "
    "Ctrl-D\n"
    "or /exit ends the conversation, /help lists the commands. Without a terminal, lines are read\n"
    "from standard input and the answers go to standard output.\n"
    "\n"
    "  --system TEXT              a system message\n"
    "  --load FILE                go on with a saved conversation\n"
    "  --template NAME|FILE       another of the model's chat templates, or one in a file\n"
    "  --context N                tokens the conversation may take (4096, at most the model's)\n"
    "  --max-tokens N             stop an answer after this many tokens (1024); 0: no limit\n"
    "  --show-experts             print each token's experts and gates, layer by layer, to "
    "stderr\n" DSM_GENERATION_HELP
    "  --json                     one object per answer: text, finish_reason, prompt_tokens,\n"
    "                             fed_tokens, generated_tokens, context_tokens, context,\n"
    "                             decode_tokens_per_s\n";

/* --- stopping an answer ----------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* While an answer is made, and all along on a terminal, where it could come the moment before the
 * line editor takes it as a character, Ctrl-C only raises a flag. */
static void catch_interrupts(struct sigaction *before)
{
    const struct sigaction flag = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    interrupted = 0;
    sigaction(SIGINT, &flag, before);
}

/* --- an answer -------------------------------------------------------------------------------- */

static bool write_text(void *arg, const char *text, size_t n)
{
    dsm_chat *c = arg;
    if (c->cli->json) return !interrupted;
    size_t blank = c->begun ? 0 : strspn(text, " \t\r\n"); /* a format's, not an answer's */
    if (blank > n) blank = n;
    c->begun = c->begun || blank < n;
    return fwrite(text + blank, 1, n - blank, stdout) == n - blank && fflush(stdout) == 0 &&
           !interrupted;
}

static bool count_token(void *arg, int32_t id)
{
    dsm_chat *c = arg;
    dsm_chat_count_experts(c);
    if (c->show_experts) dsm_print_experts(c->engine, c->session, id);
    return !interrupted;
}

static dsm_status print_json(const dsm_chat *c, const dsm_generated *g, dsm_err *err)
{
    int64_t last = dsm_conversation_count(c->conversation) - 1;
    static const char *const why[] = {"stop", "stop", "length", "cancelled"};
    const dsm_chat_turn *t = &c->turn;
    return dsm_print_json(
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "text",
                  dsm_conversation_text(c->conversation, last), "finish_reason", why[g->finish],
                  "prompt_tokens", (json_int_t)t->prompt, "fed_tokens", (json_int_t)t->fed,
                  "generated_tokens", (json_int_t)t->generated, "context_tokens",
                  (json_int_t)dsm_session_length(c->session), "context",
                  (json_int_t)dsm_session_context(c->session), "decode_tokens_per_s",
                  dsm_json_number(t->decode > 0 ? (double)t->generated / t->decode : 0)),
        err);
}

static void add_turn(dsm_chat_turn *sum, const dsm_chat_turn *t)
{
    sum->prompt += t->prompt;
    sum->fed += t->fed;
    sum->generated += t->generated;
    sum->prefill += t->prefill;
    sum->decode += t->decode;
}

/* The model's words become a message, also when they were cut short. */
static dsm_status keep_answer(dsm_chat *c, const dsm_generated *g, dsm_err *err)
{
    c->turn.generated = g->n_tokens;
    c->turn.decode = g->seconds;
    add_turn(&c->all, &c->turn);
    DSM_TRY(dsm_chat_add_answer(c->format, c->conversation, &c->trace, g, err));
    if (c->cli->json) return print_json(c, g, err);
    putchar('\n');
    fflush(stdout);
    if (c->cli->quiet) return DSM_OK;
    if (g->finish == DSM_FINISH_CANCELLED) fputs("(stopped)\n", stderr);
    if (g->finish == DSM_FINISH_LENGTH) fputs("(cut at the limit of tokens)\n", stderr);
    dsm_chat_print_turn(c);
    return DSM_OK;
}

/* A long prompt shows how far it is, and can be stopped. */
static bool show_prefill(void *arg, int64_t fed, int64_t all)
{
    dsm_chat *c = arg;
    if (c->terminal) dsm_progress_update(&c->progress, (double)fed, (double)all, NULL);
    return !interrupted;
}

static dsm_status feed_conversation(dsm_chat *c, dsm_err *err)
{
    dsm_ids ids = {0};
    double start = dsm_clock();
    dsm_status status = dsm_chat_encode(c->format, c->conversation, true, &c->trace, &ids, err);
    if (status == DSM_OK && ids.len == 0)
        status =
            dsm_fail(err, DSM_EFORMAT, "the chat template writes nothing for this conversation");
    if (status == DSM_OK && (int64_t)ids.len > dsm_session_context(c->session))
        status =
            dsm_fail(err, DSM_ELIMIT,
                     "the conversation takes %zu tokens, the context holds %lld: /reset, or start "
                     "with a larger --context",
                     ids.len, (long long)dsm_session_context(c->session));
    dsm_progress_begin(&c->progress, "prompt", "tokens", 0, c->cli->quiet);
    if (status == DSM_OK)
        status = dsm_session_set(c->session, ids.data, (int64_t)ids.len, &c->turn.fed, err);
    dsm_progress_hide();
    c->turn.prompt = (int64_t)ids.len;
    c->turn.prefill = dsm_clock() - start;
    dsm_ids_free(&ids);
    return status;
}

static dsm_status answer(dsm_chat *c, dsm_err *err)
{
    dsm_generated g;
    c->begun = false;
    DSM_TRY(feed_conversation(c, err));
    DSM_TRY(dsm_session_generate(c->session, &c->options, &g, err));
    dsm_status status = keep_answer(c, &g, err);
    dsm_generated_free(&g);
    return status;
}

/* A message and its answer. What goes wrong is told, and the message taken back: the conversation
 * goes on. */
static void take_turn(dsm_chat *c, const dsm_buf *text)
{
    dsm_err err;
    struct sigaction before;
    int64_t count = dsm_conversation_count(c->conversation);
    catch_interrupts(&before);
    dsm_status status = dsm_conversation_add(c->conversation, "user", text->data, text->len, &err);
    if (status == DSM_OK) status = answer(c, &err);
    sigaction(SIGINT, &before, NULL);
    if (status == DSM_OK) return;
    dsm_conversation_truncate(c->conversation, count);
    fprintf(stderr, "dsmoe chat: %s\n", err.msg);
    c->failed |= status != DSM_EINTERRUPTED;
}

/* --- the conversation ------------------------------------------------------------------------- */

static bool is_blank(const dsm_buf *text)
{
    return strspn(text->len ? text->data : "", " \t\r\n") == text->len;
}

static void converse(dsm_chat *c, dsm_line_reader *lines)
{
    dsm_buf text = {0};
    while (!c->done) {
        dsm_line_result result = dsm_line_read(lines, "> ", &text);
        if (result == DSM_LINE_END) break;
        if (result == DSM_LINE_INTERRUPTED || is_blank(&text)) continue;
        if (text.data[0] == '/')
            dsm_chat_command(c, text.data);
        else
            take_turn(c, &text);
    }
    if (dsm_line_is_terminal(lines) && !c->done) putchar('\n');
    dsm_buf_free(&text);
}

static char *history_file(void)
{
    const char *home = getenv("HOME");
    return home && *home ? dsm_fs_join(home, ".dsmoe_history") : NULL;
}

static dsm_status talk(dsm_chat *c, dsm_err *err)
{
    dsm_line_reader *lines;
    char *history = history_file();
    dsm_status status = dsm_line_open(&lines, history, err);
    free(history);
    DSM_TRY(status);
    if (dsm_line_is_terminal(lines) && !c->cli->quiet)
        fputs("/help lists the commands, Ctrl-C stops an answer, Ctrl-D ends.\n", stderr);
    struct sigaction before;
    c->terminal = dsm_line_is_terminal(lines);
    if (c->terminal) catch_interrupts(&before);
    converse(c, lines);
    if (c->terminal) sigaction(SIGINT, &before, NULL);
    dsm_line_close(lines);
    return DSM_OK;
}

/* --- opening ---------------------------------------------------------------------------------- */

static int64_t context_of(const dsm_chat *c, int64_t given)
{
    int64_t most = dsm_model_config_context(dsm_engine_config(c->engine));
    if (given > 0) return given;
    return most < CONTEXT_DEFAULT ? most : CONTEXT_DEFAULT;
}

/* What ends an answer: the flags' texts, the format's texts and tokens. */
static void set_stops(dsm_chat *c, dsm_opt_list *stops)
{
    const char *const *texts;
    int n = dsm_chat_format_stops(c->format, &texts);
    int room = (int)(sizeof stops->items / sizeof *stops->items);
    for (int i = 0; i < n && stops->n < room; i++)
        stops->items[stops->n++] = texts[i];
    c->options.stops = stops->items;
    c->options.n_stops = stops->n;
    c->options.n_stop_ids = dsm_chat_format_stop_ids(c->format, &c->options.stop_ids);
    c->options.emit = write_text;
    c->options.token = count_token;
    c->options.emit_arg = c;
}

static dsm_status open_chat(dsm_chat *c, const char *model, const char *template,
                            dsm_generation_flags *f, dsm_err *err)
{
    DSM_TRY(dsm_engine_open(&c->engine, model, &f->engine, err));
    DSM_TRY(dsm_chat_format_open(&c->format, c->engine, template, err));
    int64_t context = context_of(c, f->context);
    dsm_engine_bill bill;
    dsm_engine_bill_of(c->engine, context, &bill);
    if (!c->cli->quiet) dsm_print_bill(&bill, f->engine.cache_type);
    if (!c->cli->quiet && !dsm_chat_format_own(c->format))
        fputs("this model brings no chat template: plain \"User:\" and \"Assistant:\" instead\n",
              stderr);
    DSM_TRY(dsm_session_open(&c->session, c->engine, context, err));
    dsm_session_watch(c->session, show_prefill, c);
    c->options = f->generate;
    set_stops(c, &f->stops);
    return dsm_chat_experts_open(c, err);
}

static void close_chat(dsm_chat *c)
{
    dsm_chat_experts_close(c);
    dsm_chat_trace_free(&c->trace);
    dsm_session_close(c->session);
    dsm_chat_format_close(c->format);
    dsm_conversation_free(c->conversation);
    dsm_engine_close(c->engine);
}

static dsm_status start(dsm_chat *c, const char *system, const char *load, dsm_err *err)
{
    DSM_TRY(dsm_conversation_new(&c->conversation, err));
    if (load) DSM_TRY(dsm_conversation_read(c->conversation, load, err));
    if (system) DSM_TRY(dsm_conversation_set_system(c->conversation, system, err));
    return DSM_OK;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_generation_flags f;
    dsm_chat c = {.cli = cli};
    const char *system = NULL, *load = NULL, *template = NULL;
    dsm_opt opts[DSM_GENERATION_OPTS + 4];
    dsm_generation_opts(&f, cli, opts);
    f.generate.max_tokens = ANSWER_DEFAULT;
    opts[DSM_GENERATION_OPTS] = (dsm_opt){"system", DSM_OPT_STRING, &system, 0, 0, ""};
    opts[DSM_GENERATION_OPTS + 1] = (dsm_opt){"load", DSM_OPT_STRING, &load, 0, 0, ""};
    opts[DSM_GENERATION_OPTS + 2] =
        (dsm_opt){"show-experts", DSM_OPT_FLAG, &c.show_experts, 0, 0, ""};
    opts[DSM_GENERATION_OPTS + 3] = (dsm_opt){"template", DSM_OPT_STRING, &template, 0, 0, ""};
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one MODEL", n);
    dsm_generation_settle(&f);
    dsm_status status = start(&c, system, load, err);
    if (status == DSM_OK) status = open_chat(&c, argv[0], template, &f, err);
    if (status == DSM_OK) status = talk(&c, err);
    close_chat(&c);
    if (status == DSM_OK && c.failed)
        return dsm_fail(err, DSM_EFORMAT, "some messages got no answer, see above");
    return status;
}

const dsm_command dsm_cmd_chat = {
    .name = "chat",
    .summary = "talk with a model",
    .help = help,
    .run = run,
};
