/* SPDX-License-Identifier: MIT */
/* Ctrl-C and SIGTERM as a question that a long job asks, so that it can end well. */
#ifndef DSMOE_CLI_INTERRUPT_H
#define DSMOE_CLI_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

/* From now on the first of these signals is only noted, and `said` (a literal; may be NULL) goes to
 * stderr; the second has its usual effect. */
void dsm_interrupt_catch(const char *said);
bool dsm_interrupted(void);

/* The same for those that look at a flag: 0 until the signal came. */
const volatile sig_atomic_t *dsm_interrupt_flag(void);

#endif
