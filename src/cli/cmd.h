/* SPDX-License-Identifier: MIT */
/* What main knows of a command, and what a command gets from main.
 *
 * One row per verb in main.c's table. A command parses its own arguments with dsm_opts (opts.h),
 * calls the library and returns a status; main prints the error and turns it into an exit code
 * (0, 2 for DSM_EUSAGE, else 1). Results go to stdout; with --json one JSON object per line and
 * nothing else. Progress and messages go to stderr. */
#ifndef DSMOE_CLI_CMD_H
#define DSMOE_CLI_CMD_H

#include "dsmoe/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Options every command takes, already taken out of argv. */
typedef struct dsm_cli {
    bool json, quiet;
    int threads; /* 0: all cores */
    bool has_seed;
    uint64_t seed;
    unsigned cpu_flags; /* of this CPU, lowered by --cpu-mask / DSM_CPU_MASK */
    const char **sets;  /* --set key=value, in order */
    int n_sets;
} dsm_cli;

typedef struct dsm_command {
    const char *name, *summary, *help;
    dsm_status (*run)(const dsm_cli *cli, int argc, char **argv, dsm_err *err);
    bool takes_sets; /* --set key=value means something here; elsewhere it is wrong usage */
} dsm_command;

/* Each in its own cmd_<name>.c; argv[0] is the first argument after the verb. */
extern const dsm_command dsm_cmd_tokenizer, dsm_cmd_data, dsm_cmd_plan, dsm_cmd_train,
    dsm_cmd_generate, dsm_cmd_eval, dsm_cmd_init, dsm_cmd_bench, dsm_cmd_info, dsm_cmd_convert,
    dsm_cmd_chat, dsm_cmd_report, dsm_cmd_analyze, dsm_cmd_experiment;

#endif
