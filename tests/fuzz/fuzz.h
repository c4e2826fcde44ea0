/* SPDX-License-Identifier: MIT */
/* What fuzz targets share. A target defines LLVMFuzzerTestOneInput and asserts what must hold for
 * any input; crashes and sanitizer reports are the other failures. A reader gets its input from
 * memory where it can; one that wants files gets them from a folder in memory. */
#ifndef DSMOE_TESTS_FUZZ_H
#define DSMOE_TESTS_FUZZ_H

#include "dsmoe/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Like assert, but in every build. */
#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* --- the input -------------------------------------------------------------------------------- */

/* Bytes of the input, borrowed. */
typedef struct fuzz_bytes {
    const char *data; /* never NULL */
    size_t n;
} fuzz_bytes;

/* Inputs of several texts have a 0xFF byte, which no UTF-8 holds, between them: take the first. */
fuzz_bytes fuzz_take(fuzz_bytes *rest);

/* A failure has its code and a message. */
void fuzz_check_error(dsm_status status, const dsm_err *err);

/* Read the first and the last bytes, so that a sanitizer sees them leave their buffer. */
void fuzz_touch(const void *data, size_t n);

/* --- files ------------------------------------------------------------------------------------ */

/* A folder of this process, in memory where the system has such a place, removed at exit. */
const char *fuzz_folder(void);

/* Let file `name` of the folder hold `bytes`; names stay few. Returns its path, borrowed until the
 * next call. */
const char *fuzz_file(const char *name, fuzz_bytes bytes);

/* --- mutation --------------------------------------------------------------------------------- */

/* libFuzzer's own mutations of data (max bytes); returns the new size. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* Mutations after which lengths and offsets still fit, most of the time: what lies behind them is
 * reached by no other. */
size_t fuzz_mutate_safetensors(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t fuzz_mutate_gguf(uint8_t *data, size_t size, size_t max, unsigned seed);

#endif
