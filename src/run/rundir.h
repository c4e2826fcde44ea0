/* SPDX-License-Identifier: MIT */
/* A run directory: who may write in it, and checkpoints that are whole or absent.
 *
 *   RUN/lock                       held while a process trains
 *   RUN/recipe.yaml                resolved; what makes the folder a run
 *   RUN/runs.db                    metrics (store.h)
 *   RUN/checkpoints/step-00001000  appears by one rename after everything in it is on disk
 *   RUN/checkpoints/latest         symbolic link to the newest
 *
 * Whatever a killed process left half done has a name ending in ".tmp" and is removed by the next
 * one that holds the lock. */
#ifndef DSMOE_RUN_RUNDIR_H
#define DSMOE_RUN_RUNDIR_H

#include "core/fs.h"
#include "dsmoe/status.h"

#include <stdint.h>

typedef struct dsm_rundir {
    char *path, *checkpoints;
    dsm_lock lock;
} dsm_rundir;

/* Make and lock a new run directory. One that holds a run, or anything else, is DSM_EUSAGE; one in
 * use is DSM_EBUSY. */
dsm_status dsm_rundir_create(dsm_rundir *d, const char *path, dsm_err *err);

/* Lock an existing run and clear its leftovers. DSM_ENOTFOUND when there is no run. */
dsm_status dsm_rundir_open(dsm_rundir *d, const char *path, dsm_err *err);
void dsm_rundir_close(dsm_rundir *d); /* accepts a zeroed or closed struct */
/* Close, and take a new directory away again if it never came to a recipe.yaml. */
void dsm_rundir_discard(dsm_rundir *d);

/* The checkpoint of the highest step: *dir malloc'd, or NULL and *step = 0 when there is none. */
dsm_status dsm_rundir_newest(const dsm_rundir *d, int64_t *step, char **dir, dsm_err *err);

/* Begin the checkpoint of a step: fill w->temporary, every file synced, then publish it (or
 * dsm_folder_abandon). Publishing moves `latest` and removes all but the `keep` newest. */
dsm_status dsm_rundir_begin(const dsm_rundir *d, int64_t step, dsm_folder_writer *w, dsm_err *err);
dsm_status dsm_rundir_publish(const dsm_rundir *d, int64_t step, int64_t keep, dsm_folder_writer *w,
                              dsm_err *err);

/* RUN/checkpoints/step-NNNNNNNN, malloc'd; NULL when out of memory. */
char *dsm_rundir_checkpoint(const dsm_rundir *d, int64_t step);

#endif
