/* SPDX-License-Identifier: MIT */
/* Experiments from their names to their results. */
#include "dsmoe/experiment.h"

#include "core/fs.h"
#include "experiment/results.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the list --------------------------------------------------------------------------------- */

dsm_status dsm_experiment_list(const char *configs,
                               void (*tell)(void *arg, const dsm_experiment_info *i), void *arg,
                               dsm_err *err)
{
    char **names;
    int n;
    DSM_TRY(dsm_definition_list(&names, &n, configs, err));
    dsm_status status = DSM_OK;
    for (int i = 0; i < n && status == DSM_OK; i++) {
        dsm_definition d;
        status = dsm_definition_read(&d, configs, names[i], err);
        if (status != DSM_OK) break;
        tell(arg,
             &(dsm_experiment_info){d.name, d.title, d.source, d.n_runs, d.n_analyses, d.n_claims});
        dsm_definition_free(&d);
    }
    dsm_definition_list_free(names, n);
    return status;
}

/* --- running ---------------------------------------------------------------------------------- */

static dsm_status make_folders(const dsm_experiment_options *o, dsm_err *err)
{
    static const char *const folders[] = {"recipes", "runs", "logs", "analyses", "results"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = dsm_fs_join(o->root, folders[i]);
        dsm_status status = path ? dsm_fs_make_dirs(path, err)
                                 : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", o->root);
        free(path);
        DSM_TRY(status);
    }
    return DSM_OK;
}

static dsm_status take_root(dsm_lock *lock, const dsm_experiment_options *o, dsm_err *err)
{
    DSM_TRY(make_folders(o, err));
    char *path = dsm_fs_join(o->root, "lock");
    if (!path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", o->root);
    dsm_status status = dsm_lock_take(lock, path, err);
    free(path);
    if (status != DSM_EBUSY) return status;
    return dsm_fail(err, DSM_EBUSY,
                    "%s: another process runs experiments here; wait for it, or choose another "
                    "folder (--out DIR)",
                    o->root);
}

static dsm_status check_data(const dsm_experiment_options *o, dsm_err *err)
{
    static const char *const parts[] = {"train/data.json", "valid/data.json"};
    for (int i = 0; i < 2; i++) {
        char *path = dsm_fs_join(o->data, parts[i]);
        bool there = path && dsm_fs_exists(path);
        free(path);
        if (!there)
            return dsm_fail(err, DSM_ENOTFOUND,
                            "%s: found no %s; make prepared data with scripts/experiments.sh "
                            "--data-only, or name another folder with --data",
                            o->data, parts[i]);
    }
    return DSM_OK;
}

static int count_failed(const dsm_jobs *s)
{
    int n = 0;
    for (int i = 0; i < s->n_jobs; i++)
        n += s->jobs[i].state == DSM_JOB_FAILED;
    return n;
}

/* Results are written also after a stop or a failure: of what there is. */
static dsm_status run_planned(dsm_jobs *s, const dsm_definition *d, int n, dsm_err *err)
{
    dsm_status status = dsm_jobs_run(s, err);
    if (status != DSM_OK && status != DSM_EINTERRUPTED) return status;
    for (int i = 0; i < n; i++)
        DSM_TRY(dsm_results_write(&d[i], s, err));
    int failed = count_failed(s);
    if (status == DSM_OK && failed)
        return dsm_fail(err, DSM_EIO,
                        "%d of %d jobs failed; their logs are in %s/logs, the same command tries "
                        "them again",
                        failed, s->n_jobs, s->options->root);
    return status;
}

static dsm_status run_definitions(const dsm_definition *d, int n, const dsm_experiment_options *o,
                                  const dsm_experiment_events *events, dsm_err *err)
{
    dsm_jobs s = {0};
    dsm_lock lock = {.fd = -1};
    DSM_TRY(check_data(o, err));
    dsm_status status = o->dry_run ? DSM_OK : take_root(&lock, o, err);
    if (status == DSM_OK) status = dsm_jobs_make(&s, d, n, o, events, err);
    if (status == DSM_OK && !o->dry_run) status = run_planned(&s, d, n, err);
    dsm_jobs_free(&s);
    dsm_lock_release(&lock);
    return status;
}

dsm_status dsm_experiment_run(const char *const *names, int n, const dsm_experiment_options *o,
                              const dsm_experiment_events *events, dsm_err *err)
{
    dsm_definition *d = calloc((size_t)n + 1, sizeof *d);
    if (!d) return dsm_fail(err, DSM_ENOMEM, "experiments: out of memory");
    dsm_status status = DSM_OK;
    for (int i = 0; i < n && status == DSM_OK; i++)
        status = dsm_definition_read(&d[i], o->configs, names[i], err);
    if (status == DSM_OK) status = run_definitions(d, n, o, events, err);
    for (int i = 0; i < n; i++)
        dsm_definition_free(&d[i]);
    free(d);
    return status;
}
