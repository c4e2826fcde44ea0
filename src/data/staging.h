/* SPDX-License-Identifier: MIT */
/* A folder that appears under its name by one rename, when everything in it is written.
 *
 * Until then it grows as NAME.partial/data, locked; what a killed process left there is removed by
 * the next one that wants the same name. */
#ifndef DSMOE_DATA_STAGING_H
#define DSMOE_DATA_STAGING_H

#include "core/fs.h"

typedef struct dsm_staging {
    char *name;    /* without trailing slashes */
    char *partial; /* NAME.partial */
    char *data;    /* NAME.partial/data: write here */
    dsm_lock lock;
} dsm_staging;

/* Errors: DSM_EUSAGE if the name is taken (it is not touched), DSM_EBUSY if another process is
 * making it. */
dsm_status dsm_staging_begin(dsm_staging *s, const char *name, dsm_err *err);
dsm_status dsm_staging_publish(dsm_staging *s, dsm_err *err);
void dsm_staging_abandon(dsm_staging *s); /* accepts a zeroed struct; removes NAME.partial */

#endif
