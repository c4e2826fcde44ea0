/* SPDX-License-Identifier: MIT */
#ifndef DSMOE_CORE_CLOCK_H
#define DSMOE_CORE_CLOCK_H

/* Seconds of a monotonic clock with an arbitrary origin. */
double dsm_clock(void);

#endif
