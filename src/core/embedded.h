/* SPDX-License-Identifier: MIT */
/* Files of the source tree that are bytes in the library (cmake/embed.cmake). */
#ifndef DSMOE_CORE_EMBEDDED_H
#define DSMOE_CORE_EMBEDDED_H

#include <stddef.h>

typedef struct dsm_embedded_file {
    const char *name;
    const unsigned char *data;
    size_t size;
} dsm_embedded_file;

#endif
