/* SPDX-License-Identifier: MIT */
/* Where an experiment keeps things, and what a run of it must be.
 *
 *   ROOT/lock                            held while experiments run
 *   ROOT/recipes/RUN-sSEED/recipe.yaml   what is trained, whole
 *                          config.json   the model's shape, copied
 *                          data.json     what the training data was, copied
 *                          cost.json     seconds spent, over all attempts
 *   ROOT/runs/RUN-sSEED/                 the run directory (run/rundir.h)
 *   ROOT/logs/RUN-sSEED.log              what its processes said
 *   ROOT/analyses/RUN-sSEED.KIND.json    output of `dsmoe analyze --json`
 *   ROOT/results/EXPERIMENT.json         numbers and verdicts (results.h)
 *
 * A run belongs to an experiment when its three files say the same as the experiment would write
 * today; paths and what decides no number (how often is evaluated, logged, saved) do not count. */
#ifndef DSMOE_EXPERIMENT_WANTED_H
#define DSMOE_EXPERIMENT_WANTED_H

#include "dsmoe/experiment.h"
#include "dsmoe/train.h"
#include "experiment/definition.h"

typedef enum dsm_run_state {
    DSM_RUN_NEW,  /* nothing there */
    DSM_RUN_PART, /* begun: goes on from its newest checkpoint */
    DSM_RUN_DONE, /* trained and evaluated */
    DSM_RUN_UNFIT /* made by another recipe, model or data, or damaged */
} dsm_run_state;

/* One training run: of a definition's run, with a seed. */
typedef struct dsm_wanted {
    const dsm_def_run *run;
    int64_t seed;
    char id[72]; /* RUN-sSEED */
    char *recipes, *dir, *log;
    dsm_recipe *recipe; /* what it must be trained by */
    char *config;       /* CONFIGS/mini/SIZE/MODEL.json */
    dsm_run_state state;
    char difference[160]; /* DSM_RUN_UNFIT: what is wrong with it */
    int64_t step;         /* done so far */
    double work;          /* FLOPs of the whole run, for the time left */
} dsm_wanted;

/* Read the size's recipe, apply the run's own settings, find out what is there. */
dsm_status dsm_wanted_make(dsm_wanted *w, const dsm_experiment_options *o, const dsm_def_run *run,
                           int64_t seed, dsm_err *err);
void dsm_wanted_free(dsm_wanted *w); /* accepts a zeroed struct */

/* Write the three files that say what the run is. */
dsm_status dsm_wanted_write(const dsm_wanted *w, dsm_err *err);

/* Move what stands there aside (".old", ".old.2" …), its analyses too, to begin anew. */
dsm_status dsm_wanted_set_aside(dsm_wanted *w, const dsm_experiment_options *o, dsm_err *err);

/* ROOT/FOLDER/NAME, malloc'd; NULL when out of memory. */
char *dsm_experiment_path(const dsm_experiment_options *o, const char *folder, const char *name);
/* ROOT/analyses/ID.KIND.json */
char *dsm_analysis_path(const dsm_experiment_options *o, const char *id, dsm_analysis_kind kind);

/* Seconds spent on a run over all its attempts, and adding to them. */
typedef struct dsm_cost {
    double wall_s, cpu_s;
} dsm_cost;
dsm_cost dsm_wanted_cost(const dsm_wanted *w);
dsm_status dsm_wanted_add_cost(const dsm_wanted *w, dsm_cost more, dsm_err *err);

#endif
