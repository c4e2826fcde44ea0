/* SPDX-License-Identifier: MIT */
#include "support/support.h"

#include "core/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int test_contains(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

char *test_make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = dsm_fs_join(tmp ? tmp : "/tmp", "dsmoe-test-XXXXXX");
    if (!dir || !mkdtemp(dir)) fail_msg("cannot make a temporary folder");
    return dir;
}

void test_remove_dir(char *dir)
{
    dsm_fs_remove_tree(dir, NULL);
    free(dir);
}

int test_enter_dir(void **state)
{
    *state = test_make_dir();
    return 0;
}

int test_leave_dir(void **state)
{
    test_remove_dir(*state);
    return 0;
}

const char *test_path(const char *dir, const char *name)
{
    static char paths[4][4096];
    static int turn;
    char *p = paths[turn++ & 3];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

void test_write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f) != 0) fail_msg("cannot write %s", path);
}
