/* SPDX-License-Identifier: MIT */
/* Ctrl-C and SIGTERM as a question that a long job asks, so that it can undo what it has begun. */
#ifndef DSMOE_CLI_INTERRUPT_H
#define DSMOE_CLI_INTERRUPT_H

#include <stdbool.h>

/* From now on the first of these signals is only noted; the second has its usual effect. */
void dsm_interrupt_catch(void);
bool dsm_interrupted(void);

#endif
