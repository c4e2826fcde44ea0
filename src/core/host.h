/* SPDX-License-Identifier: MIT */
/* What computer this is, in words: for records of what was measured on it. */
#ifndef DSMOE_CORE_HOST_H
#define DSMOE_CORE_HOST_H

#include <stddef.h>

/* "Linux x86_64, Intel(R) Xeon(R) CPU @ 2.80GHz, 2 CPUs" into out (size > 0), cut if longer; what
 * the system does not tell is left out. */
void dsm_host_name(char *out, size_t size);

#endif
