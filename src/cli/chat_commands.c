/* SPDX-License-Identifier: MIT */
#include "cli/chat_commands.h"

#include "core/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPERTS_SHOWN = 8 };

/* With --json standard output is for answers alone. */
static FILE *out_of(const dsm_chat *c)
{
    return c->cli->json ? stderr : stdout;
}

/* --- figures ---------------------------------------------------------------------------------- */

static double rate(int64_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

void dsm_chat_print_turn(const dsm_chat *c)
{
    const dsm_chat_turn *t = &c->turn;
    fprintf(stderr, "[%lld tokens, %.1f per second; fed %lld of %lld; context %lld of %lld]\n",
            (long long)t->generated, rate(t->generated, t->decode), (long long)t->fed,
            (long long)t->prompt, (long long)dsm_session_length(c->session),
            (long long)dsm_session_context(c->session));
}

static void stats(dsm_chat *c, const char *argument)
{
    (void)argument;
    const dsm_chat_turn *a = &c->all;
    int64_t length = dsm_session_length(c->session), most = dsm_session_context(c->session);
    fprintf(out_of(c), "messages   %lld\n", (long long)dsm_conversation_count(c->conversation));
    fprintf(out_of(c), "prompts    %lld tokens, %lld of them fed, %.1f per second\n",
            (long long)a->prompt, (long long)a->fed, rate(a->fed, a->prefill));
    fprintf(out_of(c), "answers    %lld tokens, %.1f per second\n", (long long)a->generated,
            rate(a->generated, a->decode));
    fprintf(out_of(c), "context    %lld of %lld tokens, %.0f %%\n", (long long)length,
            (long long)most, 100.0 * (double)length / (double)most);
}

/* --- experts ---------------------------------------------------------------------------------- */

dsm_status dsm_chat_experts_open(dsm_chat *c, dsm_err *err)
{
    const dsm_model_config *g = dsm_engine_config(c->engine);
    if (g->n_routed_experts == 0) return DSM_OK;
    c->picks = calloc((size_t)(g->num_hidden_layers * g->n_routed_experts), sizeof *c->picks);
    return c->picks ? DSM_OK : dsm_fail(err, DSM_ENOMEM, "chat: out of memory");
}

void dsm_chat_experts_close(dsm_chat *c)
{
    free(c->picks);
    c->picks = NULL;
}

void dsm_chat_count_experts(dsm_chat *c)
{
    const dsm_model_config *g = dsm_engine_config(c->engine);
    const int32_t *pick;
    const float *gate;
    for (int64_t l = 0; c->picks && l < g->num_hidden_layers; l++) {
        int64_t K = dsm_session_routing(c->session, l, &pick, &gate);
        for (int64_t k = 0; k < K; k++)
            c->picks[l * g->n_routed_experts + pick[k]]++;
    }
}

static int64_t most_picked(const int64_t *picks, const bool *shown, int64_t E)
{
    int64_t best = -1;
    for (int64_t e = 0; e < E; e++)
        if (!shown[e] && picks[e] > 0 && (best < 0 || picks[e] > picks[best])) best = e;
    return best;
}

/* "layer 3   41 of 64 used: 12 (9.1 %), 7 (6.0 %), …" */
static void print_layer(FILE *out, const int64_t *picks, bool *shown, int64_t l, int64_t E)
{
    int64_t sum = 0, used = 0;
    for (int64_t e = 0; e < E; e++) {
        sum += picks[e];
        used += picks[e] > 0;
        shown[e] = false;
    }
    if (sum == 0) return;
    fprintf(out, "layer %-3lld %lld of %lld used:", (long long)l, (long long)used, (long long)E);
    for (int i = 0; i < EXPERTS_SHOWN; i++) {
        int64_t e = most_picked(picks, shown, E);
        if (e < 0) break;
        shown[e] = true;
        fprintf(out, "%s %lld (%.1f %%)", i > 0 ? "," : "", (long long)e,
                100.0 * (double)picks[e] / (double)sum);
    }
    fputc('\n', out);
}

static void experts(dsm_chat *c, const char *argument)
{
    const dsm_model_config *g = dsm_engine_config(c->engine);
    int64_t E = g->n_routed_experts;
    bool *shown = calloc((size_t)E + 1, sizeof *shown);
    if (strcmp(argument, "on") == 0 || strcmp(argument, "off") == 0)
        c->show_experts = strcmp(argument, "on") == 0;
    else if (!c->picks)
        fprintf(out_of(c), "%s\n", "this model has no experts");
    else if (c->all.generated == 0)
        fprintf(out_of(c), "%s\n", "no answer yet");
    else
        for (int64_t l = 0; shown && l < g->num_hidden_layers; l++)
            print_layer(out_of(c), c->picks + l * E, shown, l, E);
    free(shown);
}

/* --- the conversation ------------------------------------------------------------------------- */

static void forget_figures(dsm_chat *c)
{
    const dsm_model_config *g = dsm_engine_config(c->engine);
    size_t n = (size_t)(g->num_hidden_layers * g->n_routed_experts);
    c->all = (dsm_chat_turn){0};
    if (c->picks) memset(c->picks, 0, n * sizeof *c->picks);
}

/* A system message stays. */
static void reset(dsm_chat *c, const char *argument)
{
    (void)argument;
    bool system = dsm_conversation_count(c->conversation) > 0 &&
                  strcmp(dsm_conversation_role(c->conversation, 0), "system") == 0;
    dsm_conversation_truncate(c->conversation, system ? 1 : 0);
    forget_figures(c);
}

static void complain(const dsm_err *err)
{
    fprintf(stderr, "dsmoe chat: %s\n", err->msg);
}

static void system_message(dsm_chat *c, const char *argument)
{
    dsm_err err;
    const char *text = strcmp(argument, "none") == 0 ? NULL : argument;
    bool there = dsm_conversation_count(c->conversation) > 0 &&
                 strcmp(dsm_conversation_role(c->conversation, 0), "system") == 0;
    if (*argument == '\0')
        fprintf(out_of(c), "%s\n",
                there ? dsm_conversation_text(c->conversation, 0) : "no system message");
    else if (dsm_conversation_set_system(c->conversation, text, &err) != DSM_OK)
        complain(&err);
}

static void save(dsm_chat *c, const char *path)
{
    dsm_err err;
    if (dsm_conversation_write(c->conversation, path, &err) != DSM_OK) complain(&err);
}

static void load(dsm_chat *c, const char *path)
{
    dsm_err err;
    if (dsm_conversation_read(c->conversation, path, &err) != DSM_OK)
        complain(&err);
    else
        fprintf(out_of(c), "%lld messages\n", (long long)dsm_conversation_count(c->conversation));
}

static void show_prompt(dsm_chat *c, const char *argument)
{
    dsm_err err;
    char *text;
    size_t n;
    (void)argument;
    if (dsm_chat_render(c->format, c->conversation, true, &text, &n, &err) != DSM_OK) {
        complain(&err);
        return;
    }
    fwrite(text, 1, n, out_of(c));
    fputc('\n', out_of(c));
    free(text);
}

static void leave(dsm_chat *c, const char *argument)
{
    (void)argument;
    c->done = true;
}

static void list_commands(dsm_chat *c, const char *argument);

static const struct {
    const char *name, *argument, *help;
    bool needs_argument;
    void (*run)(dsm_chat *c, const char *argument);
} commands[] = {
    {"/help", "", "this list", false, list_commands},
    {"/reset", "", "begin a new conversation; the system message stays", false, reset},
    {"/system", "[TEXT]", "set the system message (none: without one); alone: show it", false,
     system_message},
    {"/save", "FILE", "write the conversation as JSON", true, save},
    {"/load", "FILE", "go on with a conversation from a file", true, load},
    {"/prompt", "", "show the conversation as the model reads it", false, show_prompt},
    {"/stats", "", "tokens, speed and use of the context", false, stats},
    {"/experts", "[on|off]", "who made the answers; on: print each token's experts", false,
     experts},
    {"/exit", "", "end, as Ctrl-D does", false, leave},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void list_commands(dsm_chat *c, const char *argument)
{
    (void)argument;
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out_of(c), "%-9s%-10s %s\n", commands[i].name, commands[i].argument,
                commands[i].help);
    fprintf(out_of(c), "%s\n",
            "A backslash at the end of a line continues the message on the next one;\n"
            "\"\"\" begins and ends one of several lines.");
}

static void unknown(const char *name)
{
    const char *near = dsm_nearest(name, commands, N_COMMANDS, sizeof *commands);
    fprintf(stderr, "dsmoe chat: unknown command %s; %s%s\n", name, near ? "did you mean " : "see ",
            near ? near : "/help");
}

void dsm_chat_command(dsm_chat *c, const char *line)
{
    char name[16];
    size_t n = strcspn(line, " \t\n");
    const char *argument = line + n + strspn(line + n, " \t");
    snprintf(name, sizeof name, "%.*s", (int)n, line);
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) != 0) continue;
        if (commands[i].needs_argument && !*argument)
            fprintf(stderr, "dsmoe chat: %s: expected a %s\n", name, commands[i].argument);
        else
            commands[i].run(c, argument);
        fflush(stdout);
        return;
    }
    unknown(name);
}
