/* SPDX-License-Identifier: MIT */
/* Files: mapping, whole reads, and replacement that a kill or a full disk cannot tear. */
#ifndef DSMOE_CORE_FS_H
#define DSMOE_CORE_FS_H

#include "core/buf.h"
#include "dsmoe/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A read-only mapping; an empty file maps to data = NULL, size = 0. Close with dsm_map_close. */
typedef struct dsm_map {
    const unsigned char *data;
    size_t size;
} dsm_map;

dsm_status dsm_map_open(dsm_map *m, const char *path, dsm_err *err);
void dsm_map_close(dsm_map *m); /* accepts a zeroed struct */

/* Append a whole file to out. Errors: DSM_ENOTFOUND, DSM_EIO, DSM_ELIMIT beyond max_bytes. */
dsm_status dsm_fs_read(dsm_buf *out, const char *path, size_t max_bytes, dsm_err *err);

/* Write path so that it holds either its old content or all of the new: temporary file beside it,
 * fsync, rename, fsync of the folder. */
dsm_status dsm_fs_replace(const char *path, const void *data, size_t n, dsm_err *err);

/* A file being written under a temporary name: begin, fwrite to f->file, then commit (flush, fsync,
 * rename, fsync folder) or abandon (remove). After either the struct is zeroed. */
typedef struct dsm_file_writer {
    FILE *file;
    char *path, *temporary;
} dsm_file_writer;

dsm_status dsm_file_begin(dsm_file_writer *w, const char *path, dsm_err *err);
dsm_status dsm_file_commit(dsm_file_writer *w, dsm_err *err);
void dsm_file_abandon(dsm_file_writer *w); /* accepts a zeroed struct */

/* fwrite that reports: DSM_EIO with the system's reason (disk full, …). */
dsm_status dsm_file_write(dsm_file_writer *w, const void *data, size_t n, dsm_err *err);

/* Remove what processes that are gone left of writing `path`: files and folders beside it named
 * "path.PID.tmp" with a PID that no process of this machine has. For those who write large things;
 * everybody else's leftovers are small and told apart by their names. */
void dsm_fs_remove_stale(const char *path);

/* A folder being filled under a temporary name beside its own: begin, write files into
 * w->temporary, then commit (one rename, made durable) or abandon (remove). What stands at path is
 * never overwritten: anything but an empty folder there is DSM_EUSAGE. After commit or abandon the
 * struct is zeroed. */
typedef struct dsm_folder_writer {
    char *path, *temporary;
} dsm_folder_writer;

dsm_status dsm_folder_begin(dsm_folder_writer *w, const char *path, dsm_err *err);
dsm_status dsm_folder_commit(dsm_folder_writer *w, dsm_err *err);
void dsm_folder_abandon(dsm_folder_writer *w); /* accepts a zeroed struct */

/* Copy one file, atomically like dsm_fs_replace. */
dsm_status dsm_fs_copy(const char *to, const char *from, dsm_err *err);

/* Create a folder and its missing parents. */
dsm_status dsm_fs_make_dirs(const char *path, dsm_err *err);
bool dsm_fs_exists(const char *path);
bool dsm_fs_is_dir(const char *path);
dsm_status dsm_fs_remove_tree(const char *path, dsm_err *err); /* no error if it is not there */
dsm_status dsm_fs_sync_dir(const char *path, dsm_err *err);    /* make renames in it durable */

/* "a/b" in a malloc'd string (NULL when out of memory); either part may be empty. */
char *dsm_fs_join(const char *a, const char *b);

/* An exclusive advisory lock on a file (created if missing), released on close or death.
 * DSM_EBUSY when another process holds it. */
typedef struct dsm_lock {
    int fd; /* -1: not held */
} dsm_lock;
dsm_status dsm_lock_take(dsm_lock *l, const char *path, dsm_err *err);
void dsm_lock_release(dsm_lock *l);

/* The message for a failed system call on a path: "PATH: cannot VERB: REASON", with the code that
 * errno calls for (DSM_ENOTFOUND for a missing file, DSM_EIO otherwise). */
dsm_status dsm_fail_errno(dsm_err *err, const char *path, const char *verb);

#endif
