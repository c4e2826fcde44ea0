/* SPDX-License-Identifier: MIT */
/* What `generate` and `chat` share: flags of sampling and of the engine, the memory bill, and which
 * experts made a token. */
#ifndef DSMOE_CLI_GENERATION_H
#define DSMOE_CLI_GENERATION_H

#include "cli/cmd.h"
#include "cli/opts.h"
#include "dsmoe/engine.h"

#include <jansson.h>

typedef struct dsm_generation_flags {
    dsm_generate_options generate;
    dsm_engine_options engine;
    dsm_opt_list stops;
    int64_t context; /* 0: not given */
} dsm_generation_flags;

enum { DSM_GENERATION_OPTS = 10 };

/* Defaults, and the rows of the flags, into table (DSM_GENERATION_OPTS). */
void dsm_generation_opts(dsm_generation_flags *f, const dsm_cli *cli, dsm_opt *table);
/* After parsing: what the flags say together. */
void dsm_generation_settle(dsm_generation_flags *f);

/* Their help, lines as in the commands' own. */
#define DSM_GENERATION_HELP                                                                        \
    "  --temperature X            below 1 sharper, above 1 flatter (0.8); 0: the most likely "     \
    "token\n"                                                                                      \
    "  --top-k N                  draw among the N most likely tokens (0: all)\n"                  \
    "  --top-p X                  draw among the most likely that have this much probability "     \
    "(0.95)\n"                                                                                     \
    "  --min-p X                  drop tokens less likely than X times the most likely (0)\n"      \
    "  --repeat-penalty X         make tokens already there less likely, 1.1 say (1: off)\n"       \
    "  --stop TEXT                end before this text (repeatable)\n"                             \
    "  --ignore-eos               go on after an end-of-text token\n"                              \
    "  --cache-type TYPE          keys and values as f32, f16 or q8_0 (f16)\n"                     \
    "  --seed N                   which random draws (0)\n"

/* "memory: weights …, buffers …, cache …" to stderr, and the same as JSON. */
void dsm_print_bill(const dsm_engine_bill *b, const char *cache_type);
json_t *dsm_bill_json(const dsm_engine_bill *b);

/* Experts behind the token just drawn: a line per layer "  layer 3: 12 0.31, 5 0.22, …" on stderr,
 * or [{"layer", "experts", "gates"}, …]. */
void dsm_print_experts(const dsm_engine *e, const dsm_session *s, int32_t id);
json_t *dsm_experts_json(const dsm_engine *e, const dsm_session *s);

#endif
