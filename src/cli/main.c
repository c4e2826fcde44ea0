/* SPDX-License-Identifier: MIT */
/* The program: one table of commands, the options that all of them take, and the way out.
 *
 * A command returns a status; here it becomes one line on stderr and an exit code: 0, 2 for wrong
 * usage, 1 for anything else. Output that could not be written is an error too, except when the
 * reader of a pipe has gone: `dsmoe … | head` ends quietly. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/progress.h"
#include "core/log.h"
#include "core/nearest.h"
#include "dsmoe/dsmoe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One row per verb, in the order of a first session. */
/* clang-format off */
static const dsm_command *const commands[] = {
    &dsm_cmd_tokenizer,
    &dsm_cmd_data,
    &dsm_cmd_plan,
    &dsm_cmd_init,
    &dsm_cmd_train,
    &dsm_cmd_bench,
    &dsm_cmd_eval,
    &dsm_cmd_analyze,
    &dsm_cmd_experiment,
    &dsm_cmd_report,
    &dsm_cmd_generate,
    &dsm_cmd_chat,
    &dsm_cmd_info,
    &dsm_cmd_convert,
};
/* clang-format on */
enum { N_COMMANDS = sizeof commands / sizeof *commands };

/* --- options of every command --------------------------------------------------------------- */

typedef struct globals {
    dsm_cli cli;
    bool help, version;
    int64_t threads, seed; /* seed -1: not given */
    const char *cpu_mask;
    dsm_opt_list sets;
} globals;

enum { N_GLOBALS = 8 }; /* rows of globals_table */

static void globals_table(globals *g, dsm_opt table[N_GLOBALS])
{
    const dsm_opt rows[N_GLOBALS] = {
        {"json", DSM_OPT_FLAG, &g->cli.json, 0, 0, "results as JSON on stdout, nothing else there"},
        {"quiet", DSM_OPT_FLAG, &g->cli.quiet, 0, 0, "no progress, no notes"},
        {"threads", DSM_OPT_INT, &g->threads, 0, 4096, "worker threads (default: all cores)"},
        {"seed", DSM_OPT_INT, &g->seed, 0, 9e18, "seed of every random choice"},
        {"set", DSM_OPT_LIST, &g->sets, 0, 0, "key=value over a recipe's key"},
        {"cpu-mask", DSM_OPT_STRING, &g->cpu_mask, 0, 0,
         "none, avx2, avxvnni, avx512 or all: instruction sets to use (or DSM_CPU_MASK)"},
        {"help", DSM_OPT_FLAG, &g->help, 0, 0, "this text, or a command's"},
        {"version", DSM_OPT_FLAG, &g->version, 0, 0, "version, commit and compiler"},
    };
    memcpy(table, rows, sizeof rows);
}

static dsm_status check_sets(const dsm_opt_list *sets, dsm_err *err)
{
    for (int i = 0; i < sets->n; i++) {
        const char *equals = strchr(sets->items[i], '=');
        if (!equals || equals == sets->items[i])
            return dsm_fail(err, DSM_EUSAGE, "--set: found \"%s\", expected key=value",
                            sets->items[i]);
    }
    return DSM_OK;
}

/* Take the global options out of argv and settle what they mean. */
static dsm_status take_globals(globals *g, int *argc, char **argv, dsm_err *err)
{
    memset(g, 0, sizeof *g);
    g->seed = -1;
    g->cpu_mask = getenv("DSM_CPU_MASK");
    dsm_opt table[N_GLOBALS];
    globals_table(g, table);
    DSM_TRY(dsm_opts_take(table, N_GLOBALS, argc, argv, err));
    DSM_TRY(check_sets(&g->sets, err));
    if (g->cpu_mask && *g->cpu_mask) DSM_TRY(dsm_runtime_set_cpu_mask(g->cpu_mask, err));
    g->cli.threads = (int)g->threads;
    g->cli.has_seed = g->seed >= 0;
    g->cli.seed = g->cli.has_seed ? (uint64_t)g->seed : 0;
    g->cli.cpu_flags = dsm_runtime_cpu_flags();
    g->cli.sets = g->sets.items;
    g->cli.n_sets = g->sets.n;
    return DSM_OK;
}

/* --- help ----------------------------------------------------------------------------------- */

static void print_overview(void)
{
    printf("dsmoe: train and run DeepSeekMoE-family language models\n\n"
           "usage: dsmoe VERB [ARGS] [OPTIONS]      dsmoe help VERB\n\nverbs\n");
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
    printf("\noptions of every verb\n");
    globals unused;
    dsm_opt table[N_GLOBALS];
    globals_table(&unused, table);
    dsm_opts_print(table, N_GLOBALS);
}

static void print_version(void)
{
    printf("dsmoe %s (commit %s, %s %s)\n", dsm_version(), dsm_commit(),
#if defined(__clang__)
           "clang", __clang_version__);
#else
           "cc", __VERSION__);
#endif
}

static const dsm_command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static dsm_status unknown_command(const char *name, dsm_err *err)
{
    const char *names[N_COMMANDS];
    for (int i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *near = dsm_nearest(name, names, N_COMMANDS, sizeof *names);
    if (near) return dsm_fail(err, DSM_EUSAGE, "unknown verb \"%s\"; did you mean %s?", name, near);
    return dsm_fail(err, DSM_EUSAGE, "unknown verb \"%s\"; see dsmoe --help", name);
}

/* --- dispatch ------------------------------------------------------------------------------- */

static dsm_status show_help(const char *verb, dsm_err *err)
{
    if (!verb) {
        print_overview();
        return DSM_OK;
    }
    const dsm_command *c = find_command(verb);
    if (!c) return unknown_command(verb, err);
    fputs(c->help, stdout);
    return DSM_OK;
}

/* Run what argv (without the program's name) asks for; *verb is set once it is known. */
static dsm_status dispatch(int argc, char **argv, const char **verb, dsm_err *err)
{
    globals g;
    DSM_TRY(take_globals(&g, &argc, argv, err));
    if (g.version) {
        print_version();
        return DSM_OK;
    }
    if (g.help) return show_help(argc > 0 ? argv[0] : NULL, err);
    if (argc == 0) return dsm_fail(err, DSM_EUSAGE, "a verb is missing; see dsmoe --help");
    if (strcmp(argv[0], "help") == 0) return show_help(argc > 1 ? argv[1] : NULL, err);
    const dsm_command *c = find_command(argv[0]);
    if (!c) return unknown_command(argv[0], err);
    *verb = c->name;
    if (g.cli.n_sets > 0 && !c->takes_sets)
        return dsm_fail(err, DSM_EUSAGE, "--set %s: this verb reads no recipe", g.cli.sets[0]);
    return c->run(&g.cli, argc - 1, argv + 1, err);
}

/* --- the way out ---------------------------------------------------------------------------- */

static void log_to_stderr(void *arg, dsm_log_level level, const char *message)
{
    (void)arg;
    if (level == DSM_LOG_DEBUG) return;
    dsm_progress_hide();
    fprintf(stderr, "dsmoe: %s%s\n", level == DSM_LOG_WARN ? "warning: " : "", message);
}

/* Has whoever read our output through a pipe gone away? */
static bool reader_gone(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

/* Everything printed has reached its file, or *err says why not. */
static dsm_status flush_output(dsm_err *err)
{
    bool failed = ferror(stdout) != 0;
    int reason = fflush(stdout) != 0 ? errno : 0;
    if ((!failed && !reason) || reader_gone()) return DSM_OK;
    return dsm_fail(err, DSM_EIO, "cannot write to standard output: %s",
                    strerror(reason ? reason : EIO));
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a failed write is reported, not deadly */
    signal(SIGXFSZ, SIG_IGN);
    dsm_log_set(log_to_stderr, NULL);
    dsm_err err = {0};
    const char *verb = NULL;
    dsm_status status = dispatch(argc - 1, argv + 1, &verb, &err);
    if (status == DSM_OK) status = flush_output(&err);
    if (status == DSM_OK) return 0;
    dsm_progress_hide();
    fprintf(stderr, "dsmoe%s%s: %s\n", verb ? " " : "", verb ? verb : "", err.msg);
    return status == DSM_EUSAGE ? 2 : 1;
}
