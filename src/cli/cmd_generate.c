/* SPDX-License-Identifier: MIT */
/* dsmoe generate: continue a prompt. */
#include "cli/cmd.h"
#include "cli/generation.h"
#include "cli/input.h"
#include "cli/print.h"
#include "core/clock.h"
#include "core/fs.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PROMPT_MAX = 1 << 30 };

static const char help[] =
    "usage: dsmoe generate MODEL --prompt TEXT [OPTIONS]\n"
    "       dsmoe generate MODEL --prompt-file FILE [OPTIONS]\n"
    "       dsmoe generate MODEL [OPTIONS] < PROMPT\n"
    "       dsmoe generate MODEL --prefix TEXT --suffix TEXT [OPTIONS]\n"
    "\n"
    "Continues the prompt and writes the continuation to stdout as it comes, whole characters "
    "only.\n"
    "The same model, prompt, options and seed give the same text.\n"
    "\n"
    "  --prompt TEXT              what to continue; without it, all of standard input\n"
    "  --prompt-file FILE         the same out of a file\n"
    "  --prefix TEXT              write what stands between this and\n"
    "  --suffix TEXT              this, with the model's own tokens for that\n"
    "  --echo                     write the prompt in front of the continuation\n"
    "  --show-experts             print each token's experts and gates, layer by layer, to "
    "stderr:\n"
    "                             of the pass that drew it; with --json as experts\n"
    "  --max-tokens N             stop after this many tokens (256); 0: when the context is full\n"
    "  --context N                tokens that fit (what is needed, at most the "
    "model's)\n" DSM_GENERATION_HELP
    "  --json                     one object: text, tokens, finish_reason (stop or length), stop,\n"
    "                             prompt_tokens, generated_tokens, prompt_tokens_per_s,\n"
    "                             decode_tokens_per_s, load_s, first_token_s\n";

/* What is asked for. */
typedef struct request {
    dsm_generation_flags flags;
    const char *prompt, *prompt_file, *prefix, *suffix;
    bool echo, show_experts;
    dsm_buf text; /* the prompt */
} request;

/* Seconds of each part, and what they were spent on. */
typedef struct timing {
    double load, prompt, first, decode;
    int64_t prompt_tokens;
} timing;

/* What goes on while text is made. */
typedef struct writer {
    const dsm_engine *engine;
    const dsm_session *session;
    bool print, show_experts;
    json_t *experts;     /* of each token, with --json */
    double start, first; /* when generation began, and its first text came; 0: not yet */
} writer;

static bool write_text(void *arg, const char *text, size_t n)
{
    writer *w = arg;
    if (w->first == 0) w->first = dsm_clock() - w->start;
    if (!w->print) return true;
    return fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0;
}

static bool show_token(void *arg, int32_t id)
{
    writer *w = arg;
    if (w->experts)
        json_array_append_new(w->experts, dsm_experts_json(w->engine, w->session));
    else if (w->show_experts)
        dsm_print_experts(w->engine, w->session, id);
    return true;
}

/* --- printing --------------------------------------------------------------------------------- */

static double rate(double tokens, double seconds)
{
    return seconds > 0 ? tokens / seconds : 0;
}

static json_t *json_ids(const dsm_generated *g)
{
    json_t *ids = json_array();
    for (int64_t i = 0; i < g->n_tokens; i++)
        json_array_append_new(ids, json_integer(g->tokens[i]));
    return ids;
}

static dsm_status print_result(const dsm_generated *g, const timing *t, json_t *experts,
                               dsm_err *err)
{
    json_t *o = json_pack(
        "{s:s#, s:o, s:s, s:s?, s:I, s:I, s:o, s:o, s:o, s:o}", "text", g->text, g->text_len,
        "tokens", json_ids(g), "finish_reason", g->finish == DSM_FINISH_LENGTH ? "length" : "stop",
        "stop", g->stop, "prompt_tokens", (json_int_t)t->prompt_tokens, "generated_tokens",
        (json_int_t)g->n_tokens, "prompt_tokens_per_s",
        dsm_json_number(rate((double)t->prompt_tokens, t->prompt)), "decode_tokens_per_s",
        dsm_json_number(rate((double)g->n_tokens, t->decode)), "load_s", dsm_json_number(t->load),
        "first_token_s", dsm_json_number(t->load + t->prompt + t->first));
    if (o && experts) json_object_set(o, "experts", experts);
    return dsm_print_json(o, err);
}

static void print_summary(const dsm_generated *g, const timing *t)
{
    static const char *const why[] = {
        [DSM_FINISH_EOS] = "end of text",
        [DSM_FINISH_STOP] = "stop string",
        [DSM_FINISH_LENGTH] = "length",
        [DSM_FINISH_CANCELLED] = "cancelled",
    };
    fprintf(stderr, "%lld tokens at %.0f per second after %lld of prompt at %.0f; ended by %s\n",
            (long long)g->n_tokens, rate((double)g->n_tokens, t->decode),
            (long long)t->prompt_tokens, rate((double)t->prompt_tokens, t->prompt), why[g->finish]);
}

/* --- running ---------------------------------------------------------------------------------- */

static dsm_status continue_session(const dsm_cli *cli, const request *q, writer *w, dsm_session *s,
                                   const dsm_ids *ids, timing *t, dsm_err *err)
{
    dsm_generate_options o = q->flags.generate;
    dsm_generated g;
    double start = dsm_clock();
    DSM_TRY(dsm_session_feed(s, ids->data, (int64_t)ids->len, err));
    w->start = dsm_clock();
    t->prompt = w->start - start;
    o.emit = write_text;
    o.token = q->show_experts ? show_token : NULL;
    o.emit_arg = w;
    DSM_TRY(dsm_session_generate(s, &o, &g, err));
    t->first = w->first;
    t->decode = g.seconds;
    dsm_status status = DSM_OK;
    if (cli->json)
        status = print_result(&g, t, w->experts, err);
    else
        putchar('\n');
    if (!cli->json && !cli->quiet) print_summary(&g, t);
    dsm_generated_free(&g);
    return status;
}

/* A context as large as this needs, at most the model's. */
static int64_t context_of(const dsm_engine *e, size_t prompt, const request *q)
{
    int64_t most = dsm_model_config_context(dsm_engine_config(e));
    int64_t tokens = q->flags.generate.max_tokens;
    if (q->flags.context > 0) return q->flags.context;
    if (tokens == 0 || (int64_t)prompt >= most) return most;
    int64_t wanted = (int64_t)prompt + tokens;
    return wanted < most ? wanted : most;
}

static dsm_status encode(const dsm_engine *e, const request *q, dsm_ids *ids, dsm_err *err)
{
    if (q->prefix)
        return dsm_engine_encode_middle(e, q->prefix, q->suffix ? q->suffix : "", ids, err);
    return dsm_engine_encode(e, q->text.data, q->text.len, ids, err);
}

static dsm_status continue_prompt(const dsm_cli *cli, dsm_engine *e, const request *q, timing *t,
                                  dsm_err *err)
{
    dsm_ids ids = {0};
    dsm_session *session = NULL;
    writer w = {.engine = e, .print = !cli->json, .show_experts = q->show_experts};
    if (cli->json && q->show_experts) w.experts = json_array();
    dsm_status status = encode(e, q, &ids, err);
    t->prompt_tokens = (int64_t)ids.len;
    if (status == DSM_OK) status = dsm_session_open(&session, e, context_of(e, ids.len, q), err);
    w.session = session;
    if (status == DSM_OK) status = continue_session(cli, q, &w, session, &ids, t, err);
    json_decref(w.experts);
    dsm_session_close(session);
    dsm_ids_free(&ids);
    return status;
}

static dsm_status generate(const dsm_cli *cli, const char *model, const request *q, dsm_err *err)
{
    dsm_engine *engine;
    timing t = {0};
    double start = dsm_clock();
    DSM_TRY(dsm_engine_open(&engine, model, &q->flags.engine, err));
    t.load = dsm_clock() - start;
    if (q->echo && !cli->json) fwrite(q->text.data, 1, q->text.len, stdout);
    dsm_status status = continue_prompt(cli, engine, q, &t, err);
    dsm_engine_close(engine);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

/* One prompt, and one only. */
static dsm_status check_prompt(const request *q, dsm_err *err)
{
    int given = (q->prompt != NULL) + (q->prompt_file != NULL) + (q->prefix != NULL);
    if (given > 1)
        return dsm_fail(err, DSM_EUSAGE, "expected one of --prompt, --prompt-file and --prefix");
    if (q->suffix && !q->prefix)
        return dsm_fail(err, DSM_EUSAGE, "--suffix goes with --prefix, which may be \"\"");
    if (given == 0 && isatty(STDIN_FILENO))
        return dsm_fail(
            err, DSM_EUSAGE,
            "a prompt is missing: --prompt TEXT, --prompt-file FILE, or on standard input");
    return DSM_OK;
}

static dsm_status read_prompt(request *q, dsm_err *err)
{
    dsm_buf_str(&q->text, q->prompt ? q->prompt : q->prefix ? q->prefix : "");
    if (q->prompt_file) return dsm_fs_read(&q->text, q->prompt_file, PROMPT_MAX, err);
    if (!q->prompt && !q->prefix) return dsm_read_stdin(&q->text, err);
    return dsm_buf_check(&q->text, "prompt", err);
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    request q = {0};
    dsm_opt opts[DSM_GENERATION_OPTS + 6];
    dsm_generation_opts(&q.flags, cli, opts);
    const dsm_opt own[] = {
        {"prompt", DSM_OPT_STRING, &q.prompt, 0, 0, ""},
        {"prompt-file", DSM_OPT_STRING, &q.prompt_file, 0, 0, ""},
        {"prefix", DSM_OPT_STRING, &q.prefix, 0, 0, ""},
        {"suffix", DSM_OPT_STRING, &q.suffix, 0, 0, ""},
        {"echo", DSM_OPT_FLAG, &q.echo, 0, 0, ""},
        {"show-experts", DSM_OPT_FLAG, &q.show_experts, 0, 0, ""},
    };
    memcpy(opts + DSM_GENERATION_OPTS, own, sizeof own);
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one MODEL", n);
    DSM_TRY(check_prompt(&q, err));
    dsm_generation_settle(&q.flags);
    dsm_status status = read_prompt(&q, err);
    if (status == DSM_OK) status = generate(cli, argv[0], &q, err);
    dsm_buf_free(&q.text);
    return status;
}

const dsm_command dsm_cmd_generate = {
    .name = "generate",
    .summary = "continue a prompt",
    .help = help,
    .run = run,
};
