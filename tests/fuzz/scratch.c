/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include "core/fs.h"

static char *folder;

static void remove_folder(void)
{
    dsm_fs_remove_tree(folder, NULL);
    free(folder);
}

static void make_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    folder = dsm_fs_join(tmp ? tmp : "/tmp", "dsmoe-fuzz-XXXXXX");
    FUZZ_ASSERT(folder && mkdtemp(folder));
    atexit(remove_folder);
}

const char *fuzz_scratch(const char *ending, const uint8_t *data, size_t size)
{
    static char path[4096];
    if (!folder) make_folder();
    snprintf(path, sizeof path, "%s/input%s", folder, ending);
    FILE *f = fopen(path, "wb");
    FUZZ_ASSERT(f && fwrite(data, 1, size, f) == size && fclose(f) == 0);
    return path;
}
