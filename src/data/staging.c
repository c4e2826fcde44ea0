/* SPDX-License-Identifier: MIT */
#include "data/staging.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dsm_status refuse_existing(const char *name, dsm_err *err)
{
    if (!dsm_fs_exists(name)) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE, "%s: exists already; choose another name or remove it", name);
}

static dsm_status make_names(dsm_staging *s, const char *name, dsm_err *err)
{
    size_t n = strlen(name);
    while (n > 1 && name[n - 1] == '/')
        n--;
    if (n == 0) return dsm_fail(err, DSM_EUSAGE, "the output folder has an empty name");
    dsm_buf partial = {0};
    s->name = strndup(name, n);
    dsm_buf_fmt(&partial, "%.*s.partial", (int)n, name);
    s->partial = partial.data;
    s->data = s->partial ? dsm_fs_join(s->partial, "data") : NULL;
    if (s->name && s->data && !partial.failed) return DSM_OK;
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", name);
}

static dsm_status lock(dsm_staging *s, dsm_err *err)
{
    char *path = dsm_fs_join(s->partial, "lock");
    if (!path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", s->name);
    dsm_status status = dsm_lock_take(&s->lock, path, err);
    if (status == DSM_EBUSY)
        status = dsm_fail(err, DSM_EBUSY, "%s: another process is making it (%s is locked)",
                          s->name, path);
    free(path);
    return status;
}

/* Free without touching the disk. */
static void forget(dsm_staging *s)
{
    if (s->partial) dsm_lock_release(&s->lock);
    free(s->name);
    free(s->partial);
    free(s->data);
    memset(s, 0, sizeof *s);
}

dsm_status dsm_staging_begin(dsm_staging *s, const char *name, dsm_err *err)
{
    memset(s, 0, sizeof *s);
    s->lock.fd = -1;
    dsm_status status = make_names(s, name, err);
    if (status == DSM_OK) status = refuse_existing(s->name, err);
    if (status == DSM_OK) status = dsm_fs_make_dirs(s->partial, err);
    if (status == DSM_OK) status = lock(s, err);
    if (status == DSM_OK) status = dsm_fs_remove_tree(s->data, err);
    if (status == DSM_OK) status = dsm_fs_make_dirs(s->data, err);
    if (status == DSM_OK) return DSM_OK;
    if (s->lock.fd >= 0)
        dsm_staging_abandon(s);
    else
        forget(s); /* the folder may be another process's */
    return status;
}

dsm_status dsm_staging_publish(dsm_staging *s, dsm_err *err)
{
    dsm_status status = refuse_existing(s->name, err);
    if (status == DSM_OK && rename(s->data, s->name) != 0)
        status = dsm_fail_errno(err, s->name, "create");
    char *parent = status == DSM_OK ? dsm_fs_join(s->name, "..") : NULL;
    if (parent) status = dsm_fs_sync_dir(parent, err);
    free(parent);
    dsm_staging_abandon(s);
    return status;
}

void dsm_staging_abandon(dsm_staging *s)
{
    if (s->partial) dsm_fs_remove_tree(s->partial, NULL);
    forget(s);
}
