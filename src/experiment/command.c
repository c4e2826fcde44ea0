/* SPDX-License-Identifier: MIT */
#include "experiment/command.h"

#include "core/fs.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(dsm_command *c, const char *text)
{
    c->argv[c->n++] = text;
}

static dsm_status put_made(dsm_command *c, char *text, dsm_err *err)
{
    if (!text) return dsm_fail(err, DSM_ENOMEM, "a job: out of memory");
    c->made[c->n_made++] = text;
    put(c, text);
    return DSM_OK;
}

static dsm_status put_training(dsm_command *c, const dsm_wanted *w, dsm_err *err)
{
    put(c, "train");
    if (w->state != DSM_RUN_PART) return put_made(c, dsm_fs_join(w->recipes, "recipe.yaml"), err);
    put(c, "--resume");
    put(c, w->dir);
    return DSM_OK;
}

/* "--data english=DATA/domains/english" of every folder there; the validation data where there is
 * none. */
static dsm_status put_domains(dsm_command *c, const dsm_jobs *s, const dsm_wanted *w, dsm_err *err)
{
    glob_t found = {0};
    char *pattern = dsm_format("%s/domains/*/data.json", s->options->data);
    dsm_status status = DSM_OK;
    if (pattern) glob(pattern, 0, NULL, &found);
    for (size_t i = 0; i < found.gl_pathc && i < DSM_MAX_DOMAINS && status == DSM_OK; i++) {
        const char *path = found.gl_pathv[i], *end = strrchr(path, '/'), *name = end;
        while (name[-1] != '/')
            name--;
        put(c, "--data");
        status = put_made(
            c, dsm_format("%.*s=%.*s", (int)(end - name), name, (int)(end - path), path), err);
    }
    if (found.gl_pathc == 0) {
        put(c, "--data");
        put(c, w->recipe->data.valid);
    }
    globfree(&found);
    free(pattern);
    return status;
}

/* "--active 3,4,5"; --drop-shared measures both of its points by itself. Windows are those of
 * training. */
static dsm_status put_analysis(dsm_command *c, const dsm_jobs *s, const dsm_job *j, dsm_err *err)
{
    static const char *const flags[DSM_N_ANALYSES] = {"--mask-top", "--drop-shared", "--active"};
    const dsm_def_analysis *a = j->analysis;
    const dsm_wanted *w = j->wanted;
    dsm_buf list = {0};
    put(c, "analyze");
    put(c, w->dir);
    put(c, "--seq");
    DSM_TRY(put_made(c, dsm_format("%" PRId64, w->recipe->data.seq_len), err));
    if (a->kind == DSM_ANALYSIS_EXPERTS) return put_domains(c, s, w, err);
    put(c, "--data");
    put(c, w->recipe->data.valid);
    put(c, flags[a->kind]);
    if (a->kind == DSM_ANALYSIS_DROP_SHARED) return DSM_OK;
    for (int i = 0; i < a->n; i++)
        dsm_buf_fmt(&list, "%s%.12g", i ? "," : "", a->at[i]);
    return put_made(c, list.failed ? NULL : list.data, err);
}

dsm_status dsm_command_make(dsm_command *c, const dsm_jobs *s, const dsm_job *j, dsm_err *err)
{
    *c = (dsm_command){0};
    snprintf(c->threads, sizeof c->threads, "%d", s->threads);
    put(c, s->options->program);
    dsm_status status = j->analysis ? put_analysis(c, s, j, err) : put_training(c, j->wanted, err);
    put(c, "--json");
    put(c, "--quiet");
    put(c, "--threads");
    put(c, c->threads);
    if (status != DSM_OK) dsm_command_free(c);
    return status;
}

void dsm_command_free(dsm_command *c)
{
    for (int i = 0; i < c->n_made; i++)
        free(c->made[i]);
    memset(c, 0, sizeof *c);
}
