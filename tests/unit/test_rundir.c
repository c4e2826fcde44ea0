/* SPDX-License-Identifier: MIT */
/* run/rundir: one owner, nothing overwritten, checkpoints whole or absent. */
#include "support/support.h"

#include "run/rundir.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void publish(const dsm_rundir *d, int64_t step, int64_t keep)
{
    dsm_err err;
    dsm_folder_writer w;
    assert_ok(dsm_rundir_begin(d, step, &w, &err));
    test_write_file(test_path(w.temporary, "model"), &step, sizeof step);
    assert_ok(dsm_rundir_publish(d, step, keep, &w, &err));
}

static void mark_as_run(const char *path)
{
    test_write_file(test_path(path, "recipe.yaml"), "x", 1);
}

static void latest_follows_and_old_ones_go(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    char *run = dsm_fs_join(dir, "runs/a");
    dsm_rundir d;
    assert_ok(dsm_rundir_create(&d, run, &err));
    int64_t step;
    char *newest;
    assert_ok(dsm_rundir_newest(&d, &step, &newest, &err));
    assert_true(step == 0 && newest == NULL);
    static const int64_t steps[] = {5, 10, 100000000, 20};
    for (size_t i = 0; i < 3; i++)
        publish(&d, steps[i], 2);
    assert_ok(dsm_rundir_newest(&d, &step, &newest, &err));
    assert_int_equal(step, 100000000);
    free(newest);
    assert_false(dsm_fs_exists(test_path(run, "checkpoints/step-00000005")));
    assert_true(dsm_fs_exists(test_path(run, "checkpoints/step-00000010/model")));
    char target[PATH_MAX] = {0};
    assert_true(readlink(test_path(run, "checkpoints/latest"), target, sizeof target - 1) > 0);
    assert_string_equal(target, "step-100000000");
    dsm_folder_writer w; /* a checkpoint is never overwritten */
    assert_fails(dsm_rundir_begin(&d, 10, &w, &err), DSM_EUSAGE, "step-00000010");
    dsm_rundir_close(&d);
    free(run);
    test_remove_dir(dir);
}

static void leftovers_are_cleared(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_rundir d;
    assert_ok(dsm_rundir_create(&d, dir, &err));
    mark_as_run(dir);
    publish(&d, 3, 9);
    dsm_folder_writer w;
    assert_ok(dsm_rundir_begin(&d, 4, &w, &err)); /* and then the process dies */
    test_write_file(test_path(w.temporary, "half"), "x", 1);
    char *half = strdup(w.temporary);
    test_write_file(test_path(dir, "recipe.yaml.77.tmp"), "x", 1);
    mkdir(test_path(dir, "checkpoints/step-abc"), 0777); /* not ours: ignored */
    dsm_rundir_close(&d);
    assert_ok(dsm_rundir_open(&d, dir, &err));
    assert_false(dsm_fs_exists(half));
    assert_false(dsm_fs_exists(test_path(dir, "recipe.yaml.77.tmp")));
    int64_t step;
    char *newest;
    assert_ok(dsm_rundir_newest(&d, &step, &newest, &err));
    assert_int_equal(step, 3);
    free(newest);
    free(half);
    free(w.path);
    free(w.temporary);
    dsm_rundir_close(&d);
    test_remove_dir(dir);
}

static void nothing_is_overwritten(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_rundir d;
    test_write_file(test_path(dir, "thesis.tex"), "x", 1);
    assert_fails(dsm_rundir_create(&d, dir, &err), DSM_EUSAGE, "not empty (thesis.tex)");
    assert_fails(dsm_rundir_open(&d, dir, &err), DSM_ENOTFOUND, "found no run");
    mark_as_run(dir);
    assert_fails(dsm_rundir_create(&d, dir, &err), DSM_EUSAGE, "holds a run already");
    assert_fails(dsm_rundir_create(&d, test_path(dir, "thesis.tex/run"), &err), DSM_ENOTFOUND,
                 "thesis.tex");
    test_remove_dir(dir);
}

static void a_start_that_failed_leaves_nothing(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    char *run = dsm_fs_join(dir, "run");
    dsm_rundir d;
    assert_ok(dsm_rundir_create(&d, run, &err));
    dsm_rundir_discard(&d);
    assert_false(dsm_fs_exists(run));
    assert_ok(dsm_rundir_create(&d, run, &err));
    mark_as_run(run);
    dsm_rundir_discard(&d); /* a run stays */
    assert_true(dsm_fs_exists(test_path(run, "recipe.yaml")));
    free(run);
    test_remove_dir(dir);
}

static void one_process_at_a_time(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_rundir d;
    assert_ok(dsm_rundir_create(&d, dir, &err));
    mark_as_run(dir);
    pid_t child = fork();
    if (child == 0) {
        dsm_rundir other;
        dsm_err e;
        _exit(dsm_rundir_open(&other, dir, &e) == DSM_EBUSY &&
                      strstr(e.msg, "another process is training")
                  ? 0
                  : 1);
    }
    int how;
    waitpid(child, &how, 0);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    dsm_rundir_close(&d);
    assert_ok(dsm_rundir_open(&d, dir, &err));
    dsm_rundir_close(&d);
    dsm_rundir_close(&d); /* twice is fine */
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(latest_follows_and_old_ones_go),
        cmocka_unit_test(leftovers_are_cleared),
        cmocka_unit_test(nothing_is_overwritten),
        cmocka_unit_test(a_start_that_failed_leaves_nothing),
        cmocka_unit_test(one_process_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
