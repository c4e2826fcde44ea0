/* SPDX-License-Identifier: MIT */
/* run/store: rows come back, a resume forgets the future, a kill loses the open transaction only.
 */
#include "support/support.h"

#include "run/store.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void rows_come_back(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_store *s;
    bool found;
    double value;
    int64_t rows;
    assert_ok(dsm_store_open(&s, test_path(dir, "runs.db"), &err));
    assert_ok(dsm_store_metric(s, 7, "loss", 0.1, &err));
    assert_ok(dsm_store_metric(s, 7, "loss", 2.5, &err)); /* replaces */
    assert_ok(dsm_store_metric(s, 7, "bad", NAN, &err));
    assert_ok(dsm_store_load(s, 7, 1, 63, 123456789012, &err));
    assert_ok(dsm_store_eval(s, 7, "valid", "loss", 3.25, &err));
    assert_ok(dsm_store_sample(s, 7, "it's \"so\"", "\xe4\xbd\xa0", &err));
    dsm_store_close(s);
    assert_ok(dsm_store_open(&s, test_path(dir, "runs.db"), &err));
    assert_ok(dsm_store_get(s, 7, "loss", &found, &value, &err));
    assert_true(found && value == 2.5);
    assert_ok(dsm_store_get(s, 7, "bad", &found, &value, &err));
    assert_false(found);
    assert_ok(dsm_store_get(s, 8, "loss", &found, &value, &err));
    assert_false(found);
    assert_ok(dsm_store_count(s, "metrics", &rows, &err));
    assert_int_equal(rows, 2);
    assert_fails(dsm_store_count(s, "x; DROP", &rows, &err), DSM_EUSAGE, "no table");
    dsm_store_close(s);
    test_remove_dir(dir);
}

/* Sums what it hears. */
static void hear_point(void *arg, int64_t step, double value)
{
    double *sum = arg;
    *sum += isnan(value) ? 1000 : (double)step * value;
}

static void hear_load(void *arg, int64_t step, int64_t layer, int64_t expert, int64_t tokens)
{
    double *sum = arg;
    *sum += (double)(step * 1000 + layer * 100 + expert * 10 + tokens);
}

static void a_reader_hears_every_row(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_store *writer, *s;
    double sum = 0;
    assert_fails(dsm_store_open_read(&s, test_path(dir, "runs.db"), &err), DSM_ENOTFOUND, "runs.db");
    assert_ok(dsm_store_open(&writer, test_path(dir, "runs.db"), &err));
    assert_ok(dsm_store_metric(writer, 2, "loss", 0.5, &err));
    assert_ok(dsm_store_metric(writer, 1, "loss", 3, &err));
    assert_ok(dsm_store_metric(writer, 3, "loss", NAN, &err));
    assert_ok(dsm_store_metric(writer, 3, "lr", 7, &err));
    assert_ok(dsm_store_load(writer, 1, 2, 3, 4, &err));
    assert_ok(dsm_store_open_read(&s, test_path(dir, "runs.db"), &err)); /* beside the writer */
    assert_ok(dsm_store_each_metric(s, "loss", hear_point, &sum, &err));
    assert_true(sum == 1004);
    assert_ok(dsm_store_each_load(s, hear_load, &sum, &err));
    assert_true(sum == 1004 + 1234);
    assert_true(dsm_store_metric(s, 9, "loss", 1, &err) != DSM_OK); /* reading alone */
    dsm_store_close(s);
    dsm_store_close(writer);
    test_remove_dir(dir);
}

static void truncate_forgets_the_future(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_store *s;
    assert_ok(dsm_store_open(&s, test_path(dir, "runs.db"), &err));
    for (int64_t step = 1; step <= 10; step++) {
        assert_ok(dsm_store_begin(s, &err));
        assert_ok(dsm_store_metric(s, step, "loss", 1.0, &err));
        assert_ok(dsm_store_load(s, step, 0, 0, 1, &err));
        assert_ok(dsm_store_eval(s, step, "valid", "loss", 1.0, &err));
        assert_ok(dsm_store_sample(s, step, "p", "t", &err));
        assert_ok(dsm_store_commit(s, &err));
    }
    assert_ok(dsm_store_truncate(s, 4, &err));
    static const char *const names[] = {"metrics", "expert_load", "evals", "samples"};
    for (size_t i = 0; i < 4; i++) {
        int64_t rows;
        assert_ok(dsm_store_count(s, names[i], &rows, &err));
        assert_int_equal(rows, 4);
    }
    dsm_store_close(s);
    test_remove_dir(dir);
}

static void write_until_killed(const char *path)
{
    dsm_err err;
    dsm_store *s;
    if (dsm_store_open(&s, path, &err) != DSM_OK) _exit(1);
    for (int64_t step = 1;; step++) {
        bool ok = dsm_store_begin(s, &err) == DSM_OK;
        for (int64_t e = 0; e < 50; e++)
            ok = ok && dsm_store_load(s, step, 0, e, e, &err) == DSM_OK;
        if (!ok || dsm_store_commit(s, &err) != DSM_OK) _exit(1);
    }
}

static void a_kill_loses_no_committed_row(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "runs.db");
    for (int round = 0; round < 5; round++) {
        pid_t child = fork();
        if (child == 0) write_until_killed(path);
        nanosleep(&(struct timespec){.tv_nsec = 20000000 + 7919000 * round}, NULL);
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        assert_true(WIFSIGNALED(how)); /* it was writing, not failing */
        dsm_store *s;
        int64_t rows;
        assert_ok(dsm_store_open(&s, path, &err));
        assert_ok(dsm_store_count(s, "expert_load", &rows, &err));
        assert_int_equal(rows % 50, 0); /* whole transactions */
        dsm_store_close(s);
    }
    test_remove_dir(dir);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_store *s;
    char noise[4096];
    memset(noise, 'x', sizeof noise);
    test_write_file(test_path(dir, "noise.db"), noise, sizeof noise);
    assert_fails(dsm_store_open(&s, test_path(dir, "noise.db"), &err), DSM_EFORMAT, "noise.db");
    assert_null(s);
    assert_fails(dsm_store_open(&s, test_path(dir, "no/such.db"), &err), DSM_EIO, "such.db");
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(a_reader_hears_every_row),
        cmocka_unit_test(truncate_forgets_the_future),
        cmocka_unit_test(a_kill_loses_no_committed_row),
        cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
