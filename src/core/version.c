/* SPDX-License-Identifier: MIT */
/* Version and commit, defined for this file alone so that a new commit rebuilds nothing else. */
#include "dsmoe/dsmoe.h"

#ifndef DSMOE_VERSION
#define DSMOE_VERSION "unknown"
#endif
#ifndef DSMOE_COMMIT
#define DSMOE_COMMIT "unknown"
#endif

const char *dsm_version(void)
{
    return DSMOE_VERSION;
}

const char *dsm_commit(void)
{
    return DSMOE_COMMIT;
}
