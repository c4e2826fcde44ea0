/* SPDX-License-Identifier: MIT */
/* dsmoe generate: continue a prompt. */
#include "cli/cmd.h"
#include "cli/input.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "core/clock.h"
#include "dsmoe/engine.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dsmoe generate MODEL --prompt TEXT [OPTIONS]\n"
    "       dsmoe generate MODEL [OPTIONS] < PROMPT\n"
    "\n"
    "Continues the prompt and writes the continuation to stdout as it comes, whole characters "
    "only.\n"
    "The same model, prompt, options and seed give the same text.\n"
    "\n"
    "  --prompt TEXT              what to continue; without it, all of standard input\n"
    "  --echo                     write the prompt in front of the continuation\n"
    "  --max-tokens N             stop after this many tokens (256); 0: when the context is full\n"
    "  --temperature X            below 1 sharper, above 1 flatter (0.8); 0: the most likely "
    "token\n"
    "  --top-k N                  draw among the N most likely tokens (0: all)\n"
    "  --top-p X                  draw among the most likely that have this much probability "
    "(0.95)\n"
    "  --min-p X                  drop tokens less likely than X times the most likely (0)\n"
    "  --repeat-penalty X         make tokens already there less likely, 1.1 say (1: off)\n"
    "  --stop TEXT                end before this text (repeatable)\n"
    "  --ignore-eos               go on after an end-of-text token\n"
    "  --seed N                   which random draws (0)\n"
    "  --json                     one object: text, tokens, finish_reason (stop or length), stop,\n"
    "                             prompt_tokens, generated_tokens, prompt_tokens_per_s,\n"
    "                             decode_tokens_per_s, load_s, first_token_s\n";

/* Seconds of each part, and what they were spent on. */
typedef struct timing {
    double load, prompt, first, decode;
    int64_t prompt_tokens;
} timing;

/* What the first piece of text needs: when generation began, and when it came. */
typedef struct writer {
    bool print;
    double start, first; /* first 0: nothing came yet */
} writer;

static bool write_text(void *arg, const char *text, size_t n)
{
    writer *w = arg;
    if (w->first == 0) w->first = dsm_clock() - w->start;
    if (!w->print) return true;
    return fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0;
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

static dsm_status print_result(const dsm_generated *g, const timing *t, dsm_err *err)
{
    json_t *o = json_pack(
        "{s:s#, s:o, s:s, s:s?, s:I, s:I, s:o, s:o, s:o, s:o}", "text", g->text, g->text_len,
        "tokens", json_ids(g), "finish_reason", g->finish == DSM_FINISH_LENGTH ? "length" : "stop",
        "stop", g->stop, "prompt_tokens", (json_int_t)t->prompt_tokens, "generated_tokens",
        (json_int_t)g->n_tokens, "prompt_tokens_per_s",
        dsm_json_number(rate((double)t->prompt_tokens, t->prompt)), "decode_tokens_per_s",
        dsm_json_number(rate((double)g->n_tokens, t->decode)), "load_s", dsm_json_number(t->load),
        "first_token_s", dsm_json_number(t->load + t->prompt + t->first));
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

static dsm_status continue_session(const dsm_cli *cli, dsm_session *s, const dsm_ids *ids,
                                   dsm_generate_options *o, timing *t, dsm_err *err)
{
    double start = dsm_clock();
    DSM_TRY(dsm_session_feed(s, ids->data, (int64_t)ids->len, err));
    writer w = {.print = !cli->json, .start = dsm_clock()};
    t->prompt = w.start - start;
    o->emit = write_text;
    o->emit_arg = &w;
    dsm_generated g;
    DSM_TRY(dsm_session_generate(s, o, &g, err));
    t->first = w.first;
    t->decode = g.seconds;
    dsm_status status = DSM_OK;
    if (cli->json)
        status = print_result(&g, t, err);
    else
        putchar('\n');
    if (!cli->json && !cli->quiet) print_summary(&g, t);
    dsm_generated_free(&g);
    return status;
}

/* A context as large as this needs, at most the model's. */
static int64_t context_of(const dsm_engine *e, size_t prompt, const dsm_generate_options *o)
{
    int64_t most = dsm_engine_config(e)->max_position_embeddings;
    if (o->max_tokens == 0 || (int64_t)prompt >= most) return most;
    int64_t wanted = (int64_t)prompt + o->max_tokens;
    return wanted < most ? wanted : most;
}

static dsm_status continue_prompt(const dsm_cli *cli, dsm_engine *e, const char *prompt, size_t n,
                                  dsm_generate_options *o, timing *t, dsm_err *err)
{
    dsm_ids ids = {0};
    dsm_session *session = NULL;
    dsm_status status = dsm_engine_encode(e, prompt, n, &ids, err);
    t->prompt_tokens = (int64_t)ids.len;
    if (status == DSM_OK) status = dsm_session_open(&session, e, context_of(e, ids.len, o), err);
    if (status == DSM_OK) status = continue_session(cli, session, &ids, o, t, err);
    dsm_session_close(session);
    dsm_ids_free(&ids);
    return status;
}

static dsm_status generate(const dsm_cli *cli, const char *model, const dsm_buf *prompt, bool echo,
                           dsm_generate_options *o, dsm_err *err)
{
    dsm_engine_options options;
    dsm_engine *engine;
    timing t = {0};
    dsm_engine_defaults(&options);
    options.n_threads = cli->threads;
    options.cpu_flags = cli->cpu_flags;
    double start = dsm_clock();
    DSM_TRY(dsm_engine_open(&engine, model, &options, err));
    t.load = dsm_clock() - start;
    if (echo && !cli->json) fwrite(prompt->data, 1, prompt->len, stdout);
    dsm_status status = continue_prompt(cli, engine, prompt->data, prompt->len, o, &t, err);
    dsm_engine_close(engine);
    return status;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    const char *given = NULL;
    bool echo = false;
    dsm_opt_list stops = {0};
    dsm_generate_options o;
    dsm_generate_defaults(&o);
    o.sampling.seed = cli->seed;
    const dsm_opt opts[] = {
        {"prompt", DSM_OPT_STRING, &given, 0, 0, ""},
        {"echo", DSM_OPT_FLAG, &echo, 0, 0, ""},
        {"max-tokens", DSM_OPT_INT, &o.max_tokens, 0, 1e9, ""},
        {"temperature", DSM_OPT_REAL, &o.sampling.temperature, 0, 1000, ""},
        {"top-k", DSM_OPT_INT, &o.sampling.top_k, 0, 1e9, ""},
        {"top-p", DSM_OPT_REAL, &o.sampling.top_p, 0, 1, ""},
        {"min-p", DSM_OPT_REAL, &o.sampling.min_p, 0, 1, ""},
        {"repeat-penalty", DSM_OPT_REAL, &o.sampling.repeat_penalty, 0.001, 1000, ""},
        {"stop", DSM_OPT_LIST, &stops, 0, 0, ""},
        {"ignore-eos", DSM_OPT_FLAG, &o.ignore_eos, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one MODEL", n);
    if (!given && isatty(STDIN_FILENO))
        return dsm_fail(err, DSM_EUSAGE,
                        "a prompt is missing: --prompt TEXT, or on standard input");
    o.stops = stops.items;
    o.n_stops = stops.n;
    dsm_buf prompt = {0};
    dsm_status status = DSM_OK;
    if (given)
        dsm_buf_str(&prompt, given);
    else
        status = dsm_read_stdin(&prompt, err);
    if (status == DSM_OK) status = dsm_buf_check(&prompt, "prompt", err);
    if (status == DSM_OK) status = generate(cli, argv[0], &prompt, echo, &o, err);
    dsm_buf_free(&prompt);
    return status;
}

const dsm_command dsm_cmd_generate = {
    .name = "generate",
    .summary = "continue a prompt",
    .help = help,
    .run = run,
};
