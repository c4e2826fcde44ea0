/* SPDX-License-Identifier: MIT */
/* The input in parts, and files for readers that want them. Files stay open and are rewritten in
 * place: creating one takes longer than most readers do. */
#include "fuzz.h"

#include "core/fs.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* --- the input -------------------------------------------------------------------------------- */

fuzz_bytes fuzz_take(fuzz_bytes *rest)
{
    const char *end = rest->n ? memchr(rest->data, 0xFF, rest->n) : NULL;
    fuzz_bytes first = {rest->data, end ? (size_t)(end - rest->data) : rest->n};
    *rest = end ? (fuzz_bytes){end + 1, rest->n - first.n - 1} : (fuzz_bytes){"", 0};
    return first;
}

void fuzz_check_error(dsm_status status, const dsm_err *err)
{
    FUZZ_ASSERT(status != DSM_OK && err->code == status && err->msg[0]);
}

static volatile unsigned touched; /* keeps reads from being optimised away */

void fuzz_touch(const void *data, size_t n)
{
    enum { ENDS = 16 };
    const unsigned char *p = data;
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == ENDS && n > 2 * ENDS) i = n - ENDS;
        sum += p[i];
    }
    touched = sum;
}

/* --- files ------------------------------------------------------------------------------------ */

static char *folder;

static void remove_folder(void)
{
    dsm_fs_remove_tree(folder, NULL);
    free(folder);
    folder = NULL;
}

const char *fuzz_folder(void)
{
    if (folder) return folder;
    const char *tmp = getenv("TMPDIR");
    if (!tmp) tmp = dsm_fs_is_dir("/dev/shm") ? "/dev/shm" : "/tmp";
    folder = dsm_fs_join(tmp, "dsmoe-fuzz-XXXXXX");
    FUZZ_ASSERT(folder && mkdtemp(folder));
    atexit(remove_folder);
    return folder;
}

enum { MAX_FILES = 8, MAX_PATH = 4096 };
static struct file {
    char name[64];
    int fd;
} files[MAX_FILES];

static struct file *file_named(const char *name, const char *path)
{
    struct file *f = files;
    while (f < files + MAX_FILES && f->name[0] && strcmp(f->name, name) != 0)
        f++;
    FUZZ_ASSERT(f < files + MAX_FILES && strlen(name) < sizeof f->name);
    if (f->name[0]) return f;
    strcpy(f->name, name);
    f->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return f;
}

const char *fuzz_file(const char *name, fuzz_bytes bytes)
{
    static char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = file_named(name, path)->fd;
    FUZZ_ASSERT(fd >= 0 && pwrite(fd, bytes.data, bytes.n, 0) == (ssize_t)bytes.n);
    FUZZ_ASSERT(ftruncate(fd, (off_t)bytes.n) == 0);
    return path;
}
