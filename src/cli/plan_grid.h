/* SPDX-License-Identifier: MIT */
/* `plan --layout`: the bill of every stage of a grid of devices, and which of them decide. */
#ifndef DSMOE_CLI_PLAN_GRID_H
#define DSMOE_CLI_PLAN_GRID_H

#include "dsmoe/layout.h"

#include <jansson.h>

typedef struct dsm_grid {
    dsm_layout_options options;
    double reach; /* devices of `expert` with experts of a token */
    int64_t reach_limit;
    dsm_stage_plan *stages; /* (pipe), owned */
    /* Of the stages: where training (without recompute) and serving take most, and which sends
     * most. */
    const dsm_stage_plan *fullest, *fullest_serving, *busiest;
} dsm_grid;

dsm_status dsm_grid_open(dsm_grid *g, const dsm_model_config *c, const dsm_layout_options *o,
                         dsm_err *err);
void dsm_grid_close(dsm_grid *g); /* accepts what was never opened, if zero */

/* What training takes under one policy on the device where that is most. */
int64_t dsm_grid_training(const dsm_grid *g, dsm_recompute recompute);
/* What serving takes where that is most; totals are largest, each on its own. */
dsm_plan_serving dsm_grid_serving(const dsm_grid *g);

json_t *dsm_grid_layout_json(const dsm_grid *g);
json_t *dsm_grid_communication_json(const dsm_grid *g);
void dsm_grid_print(const dsm_grid *g);

#endif
