/* SPDX-License-Identifier: MIT */
/* A chat at work, and what lines that begin with "/" do to it. */
#ifndef DSMOE_CLI_CHAT_COMMANDS_H
#define DSMOE_CLI_CHAT_COMMANDS_H

#include "cli/cmd.h"
#include "cli/line.h"
#include "cli/progress.h"
#include "dsmoe/chat.h"

/* Figures of the last answer: tokens of the whole conversation in front of it, those of them that
 * were not in the cache, and its own; seconds. */
typedef struct dsm_chat_turn {
    int64_t prompt, fed, generated;
    double prefill, decode;
} dsm_chat_turn;

typedef struct dsm_chat {
    const dsm_cli *cli;
    dsm_engine *engine;
    dsm_session *session;
    dsm_chat_format *format;
    dsm_conversation *conversation;
    dsm_chat_trace trace; /* of what the session holds */
    dsm_generate_options options;
    dsm_chat_turn turn;
    dsm_chat_turn all; /* sums over the answers so far */
    int64_t *picks;    /* (L, E) how often answers' tokens went to an expert; NULL: no experts */
    dsm_progress progress; /* of a long prompt */
    bool terminal;
    bool show_experts; /* while an answer is made */
    bool begun;        /* the answer has shown something */
    bool done;         /* /exit */
    bool failed;       /* a message got no answer */
} dsm_chat;

/* Do what a line says ("/reset"); mistakes are told on stderr. */
void dsm_chat_command(dsm_chat *c, const char *line);

/* "12 tokens, 34 per second; fed 5 of 60; context 72 of 4096" to stderr. */
void dsm_chat_print_turn(const dsm_chat *c);

/* Counting experts. */
dsm_status dsm_chat_experts_open(dsm_chat *c, dsm_err *err);
void dsm_chat_count_experts(dsm_chat *c); /* of the token just drawn */
void dsm_chat_experts_close(dsm_chat *c);

#endif
