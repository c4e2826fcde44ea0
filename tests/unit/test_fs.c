/* SPDX-License-Identifier: MIT */
/* core/fs and core/json: atomic replacement, locks, typed fetches. */
#include "support/support.h"

#include "core/fs.h"
#include "core/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void replace_is_all_or_nothing(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "file");
    assert_ok(dsm_fs_replace(path, "old", 3, &err));
    dsm_file_writer w;
    assert_ok(dsm_file_begin(&w, path, &err));
    assert_ok(dsm_file_write(&w, "new and longer", 14, &err));
    dsm_buf text = {0};
    assert_ok(dsm_fs_read(&text, path, 100, &err));
    assert_string_equal(text.data, "old"); /* not visible yet */
    dsm_file_abandon(&w);
    dsm_buf_clear(&text);
    assert_ok(dsm_fs_replace(path, "new", 3, &err));
    assert_ok(dsm_fs_read(&text, path, 100, &err));
    assert_string_equal(text.data, "new");
    assert_fails(dsm_fs_read(&text, path, 2, &err), DSM_ELIMIT, "larger than the limit of 2");
    assert_fails(dsm_fs_read(&text, test_path(dir, "none"), 2, &err), DSM_ENOTFOUND, "cannot open");
    dsm_buf_free(&text);
    assert_fails(dsm_fs_replace(test_path(dir, "no/such"), "x", 1, &err), DSM_ENOTFOUND, "no/such");
    test_remove_dir(dir);
}

static void folders_appear_whole_or_not_at_all(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    char *path = dsm_fs_join(dir, "new/folder");
    dsm_folder_writer w;
    assert_ok(dsm_folder_begin(&w, path, &err));
    assert_ok(dsm_fs_replace(test_path(w.temporary, "file"), "x", 1, &err));
    assert_false(dsm_fs_exists(path));
    dsm_folder_abandon(&w);
    assert_ok(dsm_folder_begin(&w, test_path(dir, "new/folder///"), &err));
    assert_ok(dsm_fs_replace(test_path(w.temporary, "file"), "x", 1, &err));
    assert_ok(dsm_folder_commit(&w, &err));
    assert_true(dsm_fs_exists(test_path(path, "file")));
    assert_fails(dsm_folder_begin(&w, path, &err), DSM_EUSAGE, "new/folder: exists already");
    dsm_folder_abandon(&w);
    assert_fails(dsm_folder_begin(&w, test_path(path, "file"), &err), DSM_EUSAGE, "exists already");
    /* an empty folder may be filled, unless someone else was faster */
    assert_int_equal(mkdir(test_path(dir, "empty"), 0777), 0);
    assert_ok(dsm_folder_begin(&w, test_path(dir, "empty"), &err));
    assert_ok(dsm_fs_copy(test_path(dir, "empty/theirs"), test_path(path, "file"), &err));
    assert_fails(dsm_folder_commit(&w, &err), DSM_EUSAGE, "empty: exists already");
    assert_true(dsm_fs_exists(test_path(dir, "empty/theirs")));
    free(path);
    test_remove_dir(dir);
}

static void maps_files(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    dsm_map m;
    test_write_file(test_path(dir, "a"), "hello", 5);
    assert_ok(dsm_map_open(&m, test_path(dir, "a"), &err));
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "hello", 5);
    dsm_map_close(&m);
    test_write_file(test_path(dir, "b"), "", 0);
    assert_ok(dsm_map_open(&m, test_path(dir, "b"), &err));
    assert_null(m.data);
    dsm_map_close(&m);
    assert_fails(dsm_map_open(&m, dir, &err), DSM_EIO, "not a regular file");
    test_remove_dir(dir);
}

static void makes_and_removes_trees(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    assert_ok(dsm_fs_make_dirs(test_path(dir, "a/b/c"), &err));
    assert_ok(dsm_fs_make_dirs(test_path(dir, "a/b/c"), &err));
    assert_true(dsm_fs_is_dir(test_path(dir, "a/b/c")));
    test_write_file(test_path(dir, "a/file"), "x", 1);
    assert_fails(dsm_fs_make_dirs(test_path(dir, "a/file"), &err), DSM_EIO, "not a folder");
    assert_ok(dsm_fs_remove_tree(test_path(dir, "a"), &err));
    assert_false(dsm_fs_exists(test_path(dir, "a")));
    assert_ok(dsm_fs_remove_tree(test_path(dir, "a"), &err));
    test_remove_dir(dir);
}

static void a_lock_excludes_another_process(void **state)
{
    (void)state;
    dsm_err err;
    char *dir = test_make_dir();
    const char *path = test_path(dir, "lock");
    dsm_lock mine = {-1};
    assert_ok(dsm_lock_take(&mine, path, &err));
    pid_t child = fork();
    if (child == 0) {
        dsm_lock other = {-1};
        _exit(dsm_lock_take(&other, path, NULL) == DSM_EBUSY ? 0 : 1);
    }
    int result;
    waitpid(child, &result, 0);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    dsm_lock_release(&mine);
    assert_ok(dsm_lock_take(&mine, path, &err));
    dsm_lock_release(&mine);
    test_remove_dir(dir);
}

static void json_fetches_are_typed(void **state)
{
    (void)state;
    dsm_err err;
    json_t *o;
    static const char text[] = "{\"n\": 5, \"x\": 1.5, \"s\": \"t\", \"b\": true, \"z\": null}";
    assert_ok(dsm_json_parse(&o, text, sizeof text - 1, "conf", &err));
    int64_t n = 9;
    double x = 0;
    bool b = false;
    const char *s = NULL;
    assert_ok(dsm_json_int(o, "n", 0, 10, &n, "conf", &err));
    assert_ok(dsm_json_real(o, "x", &x, "conf", &err));
    assert_ok(dsm_json_bool(o, "b", &b, "conf", &err));
    assert_ok(dsm_json_string(o, "s", &s, "conf", &err));
    assert_int_equal(n, 5);
    assert_true(x == 1.5 && b);
    assert_string_equal(s, "t");
    assert_ok(
        dsm_json_int(o, "z", 0, 10, &n, "conf", &err)); /* null and missing keep the default */
    assert_ok(dsm_json_int(o, "missing", 0, 10, &n, "conf", &err));
    assert_int_equal(n, 5);
    assert_fails(dsm_json_int(o, "n", 6, 10, &n, "conf", &err), DSM_ERANGE,
                 "found 5, expected 6 to 10");
    assert_fails(dsm_json_int(o, "s", 0, 9, &n, "conf", &err), DSM_EFORMAT,
                 "conf: s: found string, expected integer");
    json_decref(o);
    assert_fails(dsm_json_parse(&o, "[1]", 3, "conf", &err), DSM_EFORMAT, "found array");
    assert_fails(dsm_json_parse(&o, "{\"a\":1,\"a\":2}", 13, "conf", &err), DSM_EFORMAT,
                 "duplicate");
    assert_fails(dsm_json_parse(&o, "{", 1, "conf", &err), DSM_EFORMAT, "line 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replace_is_all_or_nothing),
        cmocka_unit_test(folders_appear_whole_or_not_at_all),
        cmocka_unit_test(maps_files),
        cmocka_unit_test(makes_and_removes_trees),
        cmocka_unit_test(a_lock_excludes_another_process),
        cmocka_unit_test(json_fetches_are_typed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
