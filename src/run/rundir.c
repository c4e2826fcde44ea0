/* SPDX-License-Identifier: MIT */
/* Run directories; see rundir.h. */
#include "run/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_FILE   "lock"
#define RECIPE_FILE "recipe.yaml"
#define TEMPORARY   ".tmp"

enum { NAME_MAX_BYTES = 256 };

static dsm_status no_memory(const char *path, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
}

/* --- walking a folder ------------------------------------------------------------------------- */

typedef dsm_status (*entry_fn)(void *arg, const char *folder, const char *name, dsm_err *err);

static dsm_status for_entries(const char *folder, entry_fn fn, void *arg, dsm_err *err)
{
    DIR *dir = opendir(folder);
    if (!dir) return dsm_fail_errno(err, folder, "read folder");
    dsm_status status = DSM_OK;
    const struct dirent *entry;
    while (status == DSM_OK && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = fn(arg, folder, entry->d_name, err);
    closedir(dir);
    return status;
}

static dsm_status remove_leftover(void *arg, const char *folder, const char *name, dsm_err *err)
{
    (void)arg;
    size_t n = strlen(name), tail = strlen(TEMPORARY);
    if (n < tail || strcmp(name + n - tail, TEMPORARY) != 0) return DSM_OK;
    char *path = dsm_fs_join(folder, name);
    if (!path) return no_memory(folder, err);
    dsm_status status = dsm_fs_remove_tree(path, err);
    free(path);
    return status;
}

static dsm_status refuse_entry(void *arg, const char *folder, const char *name, dsm_err *err)
{
    (void)arg;
    if (strcmp(name, LOCK_FILE) == 0) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE,
                    "%s: found a folder that is not empty (%s), expected a new one; "
                    "choose another name with --set run=DIR",
                    folder, name);
}

/* --- opening ---------------------------------------------------------------------------------- */

static dsm_status name_parts(dsm_rundir *d, const char *path, dsm_err *err)
{
    memset(d, 0, sizeof *d);
    d->lock.fd = -1;
    d->path = strdup(path);
    d->checkpoints = dsm_fs_join(path, "checkpoints");
    return d->path && d->checkpoints ? DSM_OK : no_memory(path, err);
}

static dsm_status take_lock(dsm_rundir *d, dsm_err *err)
{
    char *path = dsm_fs_join(d->path, LOCK_FILE);
    if (!path) return no_memory(d->path, err);
    dsm_status status = dsm_lock_take(&d->lock, path, err);
    free(path);
    if (status == DSM_EBUSY)
        return dsm_fail(err, DSM_EBUSY,
                        "%s: another process is training in this run directory; wait for it, or "
                        "choose another name with --set run=DIR",
                        d->path);
    return status;
}

/* Is there a run in the folder? */
static bool holds_run(const dsm_rundir *d)
{
    char *recipe = dsm_fs_join(d->path, RECIPE_FILE);
    bool found = recipe && dsm_fs_exists(recipe);
    free(recipe);
    return found;
}

static dsm_status claim_new(dsm_rundir *d, dsm_err *err)
{
    DSM_TRY(dsm_fs_make_dirs(d->path, err));
    DSM_TRY(take_lock(d, err));
    if (holds_run(d))
        return dsm_fail(
            err, DSM_EUSAGE,
            "%s: holds a run already; go on with it (dsmoe train --resume %s) or choose "
            "another name (--set run=DIR)",
            d->path, d->path);
    DSM_TRY(for_entries(d->path, remove_leftover, NULL, err));
    return for_entries(d->path, refuse_entry, NULL, err);
}

static dsm_status claim_old(dsm_rundir *d, dsm_err *err)
{
    if (!holds_run(d))
        return dsm_fail(err, DSM_ENOTFOUND, "%s: found no run, expected a folder with %s", d->path,
                        RECIPE_FILE);
    DSM_TRY(take_lock(d, err));
    DSM_TRY(dsm_fs_make_dirs(d->checkpoints, err));
    DSM_TRY(for_entries(d->path, remove_leftover, NULL, err));
    return for_entries(d->checkpoints, remove_leftover, NULL, err);
}

static dsm_status claim(dsm_rundir *d, const char *path,
                        dsm_status (*how)(dsm_rundir *d, dsm_err *err), dsm_err *err)
{
    dsm_status status = name_parts(d, path, err);
    if (status == DSM_OK) status = how(d, err);
    if (status != DSM_OK) dsm_rundir_close(d);
    return status;
}

dsm_status dsm_rundir_create(dsm_rundir *d, const char *path, dsm_err *err)
{
    return claim(d, path, claim_new, err);
}

dsm_status dsm_rundir_open(dsm_rundir *d, const char *path, dsm_err *err)
{
    return claim(d, path, claim_old, err);
}

void dsm_rundir_discard(dsm_rundir *d)
{
    if (d->path && !holds_run(d)) {
        char *lock = dsm_fs_join(d->path, LOCK_FILE);
        if (lock) unlink(lock);
        rmdir(d->path); /* stays if anything else is in it */
        free(lock);
    }
    dsm_rundir_close(d);
}

void dsm_rundir_close(dsm_rundir *d)
{
    if (d->path) dsm_lock_release(&d->lock);
    free(d->path);
    free(d->checkpoints);
    memset(d, 0, sizeof *d);
    d->lock.fd = -1;
}

/* --- checkpoints ------------------------------------------------------------------------------ */

static void name_of(int64_t step, char out[NAME_MAX_BYTES])
{
    snprintf(out, NAME_MAX_BYTES, "step-%08" PRId64, step);
}

/* The step of a checkpoint's name, or -1. */
static int64_t step_of(const char *name)
{
    int64_t step;
    char again[NAME_MAX_BYTES];
    if (sscanf(name, "step-%" SCNd64, &step) != 1 || step < 0) return -1;
    name_of(step, again);
    return strcmp(name, again) == 0 ? step : -1;
}

char *dsm_rundir_checkpoint(const dsm_rundir *d, int64_t step)
{
    char name[NAME_MAX_BYTES];
    name_of(step, name);
    return dsm_fs_join(d->checkpoints, name);
}

static dsm_status find_newest(void *arg, const char *folder, const char *name, dsm_err *err)
{
    (void)folder, (void)err;
    int64_t *newest = arg, step = step_of(name);
    if (step > *newest) *newest = step;
    return DSM_OK;
}

dsm_status dsm_rundir_newest(const dsm_rundir *d, int64_t *step, char **dir, dsm_err *err)
{
    *dir = NULL;
    *step = -1;
    if (dsm_fs_exists(d->checkpoints)) DSM_TRY(for_entries(d->checkpoints, find_newest, step, err));
    if (*step < 0) {
        *step = 0;
        return DSM_OK;
    }
    *dir = dsm_rundir_checkpoint(d, *step);
    return *dir ? DSM_OK : no_memory(d->path, err);
}

dsm_status dsm_rundir_begin(const dsm_rundir *d, int64_t step, dsm_folder_writer *w, dsm_err *err)
{
    char *path = dsm_rundir_checkpoint(d, step);
    if (!path) return no_memory(d->path, err);
    dsm_status status = dsm_folder_begin(w, path, err);
    free(path);
    return status;
}

/* Put a new link where the old one was, in one rename. */
static dsm_status point_latest(const dsm_rundir *d, int64_t step, dsm_err *err)
{
    char target[NAME_MAX_BYTES];
    name_of(step, target);
    char *link = dsm_fs_join(d->checkpoints, "latest");
    char *fresh = dsm_fs_join(d->checkpoints, "latest" TEMPORARY);
    dsm_status status = link && fresh ? DSM_OK : no_memory(d->path, err);
    if (status == DSM_OK && unlink(fresh) != 0 && errno != ENOENT)
        status = dsm_fail_errno(err, fresh, "remove");
    if (status == DSM_OK && symlink(target, fresh) != 0)
        status = dsm_fail_errno(err, fresh, "link");
    if (status == DSM_OK && rename(fresh, link) != 0) status = dsm_fail_errno(err, link, "replace");
    free(link);
    free(fresh);
    return status == DSM_OK ? dsm_fs_sync_dir(d->checkpoints, err) : status;
}

typedef struct oldest {
    int64_t n, step; /* how many checkpoints, and the lowest step */
} oldest;

static dsm_status find_oldest(void *arg, const char *folder, const char *name, dsm_err *err)
{
    (void)folder, (void)err;
    oldest *o = arg;
    int64_t step = step_of(name);
    if (step < 0) return DSM_OK;
    if (o->n++ == 0 || step < o->step) o->step = step;
    return DSM_OK;
}

/* Out of sight by one rename first, so that no half-removed checkpoint can be taken for one. */
static dsm_status remove_checkpoint(const dsm_rundir *d, int64_t step, dsm_err *err)
{
    char name[NAME_MAX_BYTES + 8];
    name_of(step, name);
    char *path = dsm_fs_join(d->checkpoints, name);
    strcat(name, TEMPORARY);
    char *hidden = dsm_fs_join(d->checkpoints, name);
    dsm_status status = path && hidden ? DSM_OK : no_memory(d->path, err);
    if (status == DSM_OK && rename(path, hidden) != 0) status = dsm_fail_errno(err, path, "remove");
    if (status == DSM_OK) status = dsm_fs_remove_tree(hidden, err);
    free(path);
    free(hidden);
    return status;
}

static dsm_status prune(const dsm_rundir *d, int64_t keep, dsm_err *err)
{
    for (;;) {
        oldest o = {0};
        DSM_TRY(for_entries(d->checkpoints, find_oldest, &o, err));
        if (o.n <= keep) return DSM_OK;
        DSM_TRY(remove_checkpoint(d, o.step, err));
    }
}

dsm_status dsm_rundir_publish(const dsm_rundir *d, int64_t step, int64_t keep, dsm_folder_writer *w,
                              dsm_err *err)
{
    DSM_TRY(dsm_folder_commit(w, err));
    DSM_TRY(point_latest(d, step, err));
    return prune(d, keep, err);
}
