/* SPDX-License-Identifier: MIT */
/* The recipe's key table (dsmoe/train.h has the struct): what docs/recipe.md lists. */
#ifndef DSMOE_TRAIN_RECIPE_H
#define DSMOE_TRAIN_RECIPE_H

#include "core/settings.h"
#include "dsmoe/train.h"

extern const dsm_setting dsm_recipe_table[];
extern const size_t dsm_recipe_rows;

/* On top of a recipe read from `what`, an override that may not change the past of a run:
 * DSM_EUSAGE for keys that a resumed run must keep. */
dsm_status dsm_recipe_resume(dsm_recipe *r, const char *path, const char *const *sets, int n_sets,
                             dsm_err *err);

#endif
