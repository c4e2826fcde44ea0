/* SPDX-License-Identifier: MIT */
#include "report/sources.h"

#include "core/fs.h"
#include "core/log.h"
#include "report/markup.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* --- files ------------------------------------------------------------------------------------ */

/* Note something that cannot be read, and go on. */
static void note_broken(dsm_sources *r, const dsm_err *why)
{
    if (r->n_broken++ == 0) r->first = *why;
    dsm_log_write(DSM_LOG_WARN, "%s", why->msg);
    dsm_html_element(&r->broken, "li", NULL, why->msg);
}

static dsm_status add_results(dsm_sources *r, const char *path, dsm_err *err)
{
    dsm_err why;
    dsm_outcome *more = realloc(r->outcomes, (size_t)(r->n + 2) * sizeof *more);
    if (!more) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    r->outcomes = more;
    dsm_status status = dsm_outcome_read(&r->outcomes[r->n], path, &why);
    if (status == DSM_OK)
        r->n_experiments = ++r->n;
    else
        note_broken(r, &why);
    return DSM_OK;
}

static dsm_status add_analysis(dsm_sources *r, const char *path, dsm_err *err)
{
    dsm_err why;
    dsm_portrait *more = realloc(r->portraits, (size_t)(r->n_portraits + 1) * sizeof *more);
    if (!more) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    r->portraits = more;
    if (dsm_portrait_read(&r->portraits[r->n_portraits], path, &why) == DSM_OK)
        r->n_portraits++;
    else
        note_broken(r, &why);
    return DSM_OK;
}

bool dsm_name_ends_in(const char *name, const char *ending)
{
    size_t n = strlen(name), end = strlen(ending);
    return n > end && strcmp(name + n - end, ending) == 0;
}

static int only_json(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && dsm_name_ends_in(entry->d_name, ".json");
}

/* The order in which the papers ask their questions; others follow by name. */
static int rank(const char *name)
{
    static const char *const order[] = {"table1.json",  "table2.json",     "ablation.json",
                                        "half.json",    "redundancy.json", "shared.json",
                                        "fewer.json",   "balance.json",    "collapse.json",
                                        "routers.json", "leakage.json"};
    int i = 0;
    while (i < (int)(sizeof order / sizeof *order) && strcmp(order[i], name) != 0)
        i++;
    return i;
}

static int by_rank(const struct dirent **a, const struct dirent **b)
{
    int difference = rank((*a)->d_name) - rank((*b)->d_name);
    return difference ? difference : strcmp((*a)->d_name, (*b)->d_name);
}

/* Take every NAME.json of a folder, in the papers' order; *found: how many there are. */
typedef dsm_status (*add_fn)(dsm_sources *r, const char *path, dsm_err *err);

static dsm_status add_folder(dsm_sources *r, const char *folder, add_fn add, int *found,
                             dsm_err *err)
{
    struct dirent **entries;
    dsm_err why;
    dsm_status status = DSM_OK;
    *found = scandir(folder, &entries, only_json, by_rank);
    if (*found < 0) {
        dsm_fail_errno(&why, folder, "read folder");
        note_broken(r, &why);
        return DSM_OK;
    }
    for (int i = 0; i < *found; i++) {
        char *path = dsm_fs_join(folder, entries[i]->d_name);
        if (!path) status = dsm_fail(err, DSM_ENOMEM, "%s: out of memory", folder);
        if (status == DSM_OK) status = add(r, path, err);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* ROOT/results and, if there are any, ROOT/analyses. */
static dsm_status add_root(dsm_sources *r, const char *root, const char *results, dsm_err *err)
{
    int found;
    dsm_err why;
    DSM_TRY(add_folder(r, results, add_results, &found, err));
    if (found == 0) {
        dsm_fail(&why, DSM_ENOTFOUND, "%s: found no NAME.json, expected the results of experiments",
                 results);
        note_broken(r, &why);
    }
    char *analyses = dsm_fs_join(root, "analyses");
    if (!analyses) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", root);
    dsm_status status =
        dsm_fs_is_dir(analyses) ? add_folder(r, analyses, add_analysis, &found, err) : DSM_OK;
    free(analyses);
    return status;
}

/* One file: of an experiment, or what analyze printed. */
static dsm_status add_file(dsm_sources *r, const char *path, dsm_err *err)
{
    dsm_portrait p;
    if (dsm_portrait_read(&p, path, NULL) != DSM_OK) return add_results(r, path, err);
    dsm_portrait_free(&p);
    return add_analysis(r, path, err);
}

static void add_nothing(dsm_sources *r, const char *path)
{
    dsm_err why;
    if (!dsm_fs_exists(path))
        dsm_fail(&why, DSM_ENOTFOUND, "%s: no such file or folder", path);
    else
        dsm_fail(&why, DSM_ENOTFOUND,
                 "%s: found neither runs.db nor results/NAME.json, expected a run directory or the "
                 "folder of an experiment",
                 path);
    note_broken(r, &why);
}

static dsm_status add_path(dsm_sources *r, const char *path, dsm_err *err)
{
    char *store = dsm_fs_join(path, "runs.db"), *results = dsm_fs_join(path, "results");
    dsm_status status = DSM_OK;
    if (!store || !results)
        status = dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
    else if (dsm_fs_exists(store))
        r->runs[r->n_runs++] = path;
    else if (dsm_fs_is_dir(results))
        status = add_root(r, path, results, err);
    else if (dsm_name_ends_in(path, ".json") && dsm_fs_exists(path))
        status = add_file(r, path, err);
    else
        add_nothing(r, path);
    free(store);
    free(results);
    return status;
}

/* Runs that could not be read are told as such things too. */
static int count_readable(dsm_sources *r, const dsm_outcome *o)
{
    int readable = 0;
    for (int i = 0; i < o->n_runs; i++) {
        const dsm_seed_outcome *s = &o->runs[i].seeds[0];
        if (s->record.dir) {
            readable++;
            continue;
        }
        dsm_err why;
        dsm_fail(&why, DSM_EFORMAT, "%s", s->problem);
        note_broken(r, &why);
    }
    return readable;
}

static dsm_status add_runs(dsm_sources *r, dsm_err *err)
{
    if (r->n_runs == 0) return DSM_OK;
    dsm_outcome *more = realloc(r->outcomes, (size_t)(r->n + 1) * sizeof *more);
    if (!more) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", r->runs[0]);
    r->outcomes = more;
    DSM_TRY(dsm_outcome_of_runs(&r->outcomes[r->n], r->runs, r->n_runs, err));
    if (count_readable(r, &r->outcomes[r->n]) > 0)
        r->n++;
    else
        dsm_outcome_free(&r->outcomes[r->n]);
    return DSM_OK;
}

static dsm_status read_paths(dsm_sources *r, const char *const *paths, int n, dsm_err *err)
{
    r->runs = calloc((size_t)n, sizeof *r->runs);
    if (!r->runs) return dsm_fail(err, DSM_ENOMEM, "report: out of memory");
    for (int i = 0; i < n; i++)
        DSM_TRY(add_path(r, paths[i], err));
    DSM_TRY(add_runs(r, err));
    if (r->n + r->n_portraits == 0) return dsm_fail(err, r->first.code, "%s", r->first.msg);
    return DSM_OK;
}

dsm_status dsm_sources_read(dsm_sources *r, const char *const *paths, int n, dsm_err *err)
{
    memset(r, 0, sizeof *r);
    dsm_status status = read_paths(r, paths, n, err);
    if (status != DSM_OK) dsm_sources_free(r);
    return status;
}

void dsm_sources_free(dsm_sources *r)
{
    for (int i = 0; i < r->n; i++)
        dsm_outcome_free(&r->outcomes[i]);
    for (int i = 0; i < r->n_portraits; i++)
        dsm_portrait_free(&r->portraits[i]);
    free(r->portraits);
    free(r->outcomes);
    free(r->runs);
    dsm_buf_free(&r->broken);
    memset(r, 0, sizeof *r);
}
