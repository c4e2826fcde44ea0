/* SPDX-License-Identifier: MIT */
/* What fuzz targets share. A target defines LLVMFuzzerTestOneInput and asserts what must hold for
 * any input; crashes and sanitizer reports are the other failures. */
#ifndef DSMOE_TESTS_FUZZ_H
#define DSMOE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Path of a file that holds data and whose name ends in `ending`, for parsers that take a path; the
 * text is borrowed until the next call, the file is rewritten by it. It is removed at exit. */
const char *fuzz_scratch(const char *ending, const uint8_t *data, size_t size);

/* Like assert, but in every build. */
#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
