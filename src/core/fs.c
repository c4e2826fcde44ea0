/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "core/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

dsm_status dsm_fail_errno(dsm_err *err, const char *path, const char *verb)
{
    dsm_status code = errno == ENOENT || errno == ENOTDIR ? DSM_ENOTFOUND : DSM_EIO;
    return dsm_fail(err, code, "%s: cannot %s: %s", path, verb, strerror(errno));
}

dsm_status dsm_map_open(dsm_map *m, const char *path, dsm_err *err)
{
    memset(m, 0, sizeof *m);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return dsm_fail_errno(err, path, "open");
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return dsm_fail(err, DSM_EIO, "%s: not a regular file", path);
    }
    if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            close(fd);
            return dsm_fail_errno(err, path, "map");
        }
        m->data = p;
        m->size = (size_t)st.st_size;
    }
    close(fd);
    return DSM_OK;
}

void dsm_map_close(dsm_map *m)
{
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    memset(m, 0, sizeof *m);
}

dsm_status dsm_fs_read(dsm_buf *out, const char *path, size_t max_bytes, dsm_err *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f) return dsm_fail_errno(err, path, "open");
    char chunk[1 << 16];
    size_t n, total = 0;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        total += n;
        if (total > max_bytes) {
            fclose(f);
            return dsm_fail(err, DSM_ELIMIT, "%s: larger than the limit of %zu bytes", path,
                            max_bytes);
        }
        dsm_buf_add(out, chunk, n);
    }
    bool bad = ferror(f) != 0;
    int saved = errno;
    fclose(f);
    errno = saved;
    if (bad) return dsm_fail_errno(err, path, "read");
    return dsm_buf_check(out, path, err);
}

char *dsm_fs_join(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    bool slash = na > 0 && nb > 0 && a[na - 1] != '/';
    char *p = malloc(na + nb + 2);
    if (!p) return NULL;
    memcpy(p, a, na);
    if (slash) p[na++] = '/';
    memcpy(p + na, b, nb + 1);
    return p;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

dsm_status dsm_fs_sync_dir(const char *path, dsm_err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return dsm_fail_errno(err, path, "open folder");
    int bad = fsync(fd);
    close(fd);
    if (bad && errno != EINVAL) return dsm_fail_errno(err, path, "sync folder");
    return DSM_OK;
}

dsm_status dsm_file_begin(dsm_file_writer *w, const char *path, dsm_err *err)
{
    memset(w, 0, sizeof *w);
    dsm_buf name = {0};
    dsm_buf_fmt(&name, "%s.%ld.tmp", path, (long)getpid());
    w->path = strdup(path);
    if (name.failed || !w->path) {
        dsm_buf_free(&name);
        dsm_file_abandon(w);
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    }
    w->temporary = name.data;
    w->file = fopen(w->temporary, "wbe");
    if (!w->file) {
        dsm_status status = dsm_fail_errno(err, path, "create");
        dsm_file_abandon(w);
        return status;
    }
    return DSM_OK;
}

void dsm_file_abandon(dsm_file_writer *w)
{
    if (w->file) {
        fclose(w->file);
        unlink(w->temporary);
    }
    free(w->path);
    free(w->temporary);
    memset(w, 0, sizeof *w);
}

dsm_status dsm_file_write(dsm_file_writer *w, const void *data, size_t n, dsm_err *err)
{
    if (n && fwrite(data, 1, n, w->file) != n) return dsm_fail_errno(err, w->path, "write");
    return DSM_OK;
}

dsm_status dsm_file_commit(dsm_file_writer *w, dsm_err *err)
{
    if (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0) {
        dsm_status status = dsm_fail_errno(err, w->path, "write");
        dsm_file_abandon(w);
        return status;
    }
    if (rename(w->temporary, w->path) != 0) {
        dsm_status status = dsm_fail_errno(err, w->path, "replace");
        dsm_file_abandon(w);
        return status;
    }
    fclose(w->file);
    w->file = NULL; /* nothing left to remove */
    char *parent = parent_of(w->path);
    dsm_status status = parent ? dsm_fs_sync_dir(parent, err) : DSM_OK;
    free(parent);
    dsm_file_abandon(w);
    return status;
}

dsm_status dsm_fs_replace(const char *path, const void *data, size_t n, dsm_err *err)
{
    dsm_file_writer w;
    DSM_TRY(dsm_file_begin(&w, path, err));
    dsm_status status = dsm_file_write(&w, data, n, err);
    if (status != DSM_OK) {
        dsm_file_abandon(&w);
        return status;
    }
    return dsm_file_commit(&w, err);
}

dsm_status dsm_fs_copy(const char *to, const char *from, dsm_err *err)
{
    dsm_map m;
    DSM_TRY(dsm_map_open(&m, from, err));
    dsm_status status = dsm_fs_replace(to, m.data, m.size, err);
    dsm_map_close(&m);
    return status;
}

static bool is_empty_dir(const char *path)
{
    DIR *d = opendir(path);
    if (!d) return false;
    int n = 0;
    while (n <= 2 && readdir(d))
        n++;
    closedir(d);
    return n == 2; /* "." and ".." */
}

static dsm_status already_there(const char *path, dsm_err *err)
{
    return dsm_fail(err, DSM_EUSAGE, "%s: exists already and is not overwritten; name a new folder",
                    path);
}

/* "a/b" of "a/b/". */
static char *without_slashes(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return strndup(path, n);
}

dsm_status dsm_folder_begin(dsm_folder_writer *w, const char *path, dsm_err *err)
{
    memset(w, 0, sizeof *w);
    dsm_buf name = {0};
    w->path = without_slashes(path);
    dsm_buf_fmt(&name, "%s.%ld.tmp", w->path ? w->path : path, (long)getpid());
    if (name.failed || !w->path) {
        dsm_buf_free(&name);
        dsm_folder_abandon(w);
        return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    }
    dsm_status status = DSM_OK;
    if (dsm_fs_exists(w->path) && !is_empty_dir(w->path))
        status = already_there(w->path, err);
    else
        status = dsm_fs_make_dirs(name.data, err);
    if (status == DSM_OK)
        w->temporary = name.data;
    else {
        dsm_buf_free(&name);
        dsm_folder_abandon(w);
    }
    return status;
}

dsm_status dsm_folder_commit(dsm_folder_writer *w, dsm_err *err)
{
    dsm_status status = dsm_fs_sync_dir(w->temporary, err);
    if (status == DSM_OK && rename(w->temporary, w->path) != 0)
        status = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                     ? already_there(w->path, err)
                     : dsm_fail_errno(err, w->path, "create");
    if (status == DSM_OK) { /* nothing left to remove */
        free(w->temporary);
        w->temporary = NULL;
        char *parent = parent_of(w->path);
        if (parent) status = dsm_fs_sync_dir(parent, err);
        free(parent);
    }
    dsm_folder_abandon(w);
    return status;
}

void dsm_folder_abandon(dsm_folder_writer *w)
{
    if (w->temporary) (void)dsm_fs_remove_tree(w->temporary, NULL);
    free(w->path);
    free(w->temporary);
    memset(w, 0, sizeof *w);
}

dsm_status dsm_fs_make_dirs(const char *path, dsm_err *err)
{
    char *p = strdup(path);
    if (!p) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0') continue;
        char keep = *s;
        *s = '\0';
        if (mkdir(p, 0777) != 0 && errno != EEXIST) {
            dsm_status status = dsm_fail_errno(err, p, "create folder");
            free(p);
            return status;
        }
        *s = keep;
        if (!keep) break;
    }
    bool ok = dsm_fs_is_dir(path);
    free(p);
    if (!ok) return dsm_fail(err, DSM_EIO, "%s: exists and is not a folder", path);
    return DSM_OK;
}

bool dsm_fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool dsm_fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *walk)
{
    (void)st, (void)flag, (void)walk;
    return remove(path);
}

dsm_status dsm_fs_remove_tree(const char *path, dsm_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) return DSM_OK;
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return dsm_fail_errno(err, path, "remove");
    return DSM_OK;
}

/* The process that "NAME.PID.tmp" belongs to; 0: it is not such a name. */
static pid_t owner_of(const char *entry, const char *name)
{
    size_t n = strlen(name);
    char *end;
    if (n == 0 || strncmp(entry, name, n) != 0 || entry[n] != '.') return 0;
    long pid = strtol(entry + n + 1, &end, 10);
    return pid > 0 && pid <= INT_MAX && strcmp(end, ".tmp") == 0 ? (pid_t)pid : 0;
}

static void remove_stale(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *parent = parent_of(path);
    DIR *d = parent ? opendir(parent) : NULL;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        pid_t pid = owner_of(e->d_name, name);
        char *stale =
            pid > 0 && kill(pid, 0) != 0 && errno == ESRCH ? dsm_fs_join(parent, e->d_name) : NULL;
        if (stale) (void)dsm_fs_remove_tree(stale, NULL);
        free(stale);
    }
    if (d) closedir(d);
    free(parent);
}

void dsm_fs_remove_stale(const char *path)
{
    char *plain = without_slashes(path);
    if (plain) remove_stale(plain);
    free(plain);
}

dsm_status dsm_lock_take(dsm_lock *l, const char *path, dsm_err *err)
{
    l->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (l->fd < 0) return dsm_fail_errno(err, path, "create lock");
    if (flock(l->fd, LOCK_EX | LOCK_NB) == 0) return DSM_OK;
    bool busy = errno == EWOULDBLOCK;
    dsm_status status = busy ? dsm_fail(err, DSM_EBUSY, "%s: locked by another process", path)
                             : dsm_fail_errno(err, path, "lock");
    dsm_lock_release(l);
    return status;
}

void dsm_lock_release(dsm_lock *l)
{
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
}
