/* SPDX-License-Identifier: MIT */
#include "cli/interrupt.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static const char *note; /* set before the handler is */

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
    if (note && write(STDERR_FILENO, note, strlen(note)) < 0) return; /* nobody to tell */
}

void dsm_interrupt_catch(const char *said)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    note = said;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool dsm_interrupted(void)
{
    return interrupted != 0;
}

const volatile sig_atomic_t *dsm_interrupt_flag(void)
{
    return &interrupted;
}
