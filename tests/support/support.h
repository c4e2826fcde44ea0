/* SPDX-License-Identifier: MIT */
/* What every cmocka test includes, and helpers several share. */
#ifndef DSMOE_TESTS_SUPPORT_H
#define DSMOE_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dsmoe/status.h"

/* Fail with err's message unless status is DSM_OK. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        dsm_status assert_status_ = (call);                                                        \
        if (assert_status_ != DSM_OK) fail_msg("%s: %s", #call, err.msg);                          \
    } while (0)

/* Expect this code and a message that contains text. */
#define assert_fails(call, expected_code, text)                                                    \
    do {                                                                                           \
        dsm_status assert_status_ = (call);                                                        \
        if (assert_status_ != (expected_code))                                                     \
            fail_msg("%s: status %d (%s), expected %d", #call, (int)assert_status_, err.msg,       \
                     (int)(expected_code));                                                        \
        if (!test_contains(err.msg, text))                                                         \
            fail_msg("message \"%s\" does not contain \"%s\"", err.msg, text);                     \
    } while (0)

int test_contains(const char *text, const char *part);

/* A fresh empty folder for one test, removed by test_remove_dir; exits the test on failure. */
char *test_make_dir(void);
void test_remove_dir(char *dir);

/* The same as a cmocka setup and teardown: *state is the folder. */
int test_enter_dir(void **state);
int test_leave_dir(void **state);

/* dir/name in a static buffer of four in turn. */
const char *test_path(const char *dir, const char *name);

/* Write bytes to a file, or fail the test. */
void test_write_file(const char *path, const void *data, size_t n);

#endif
