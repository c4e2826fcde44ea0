/* SPDX-License-Identifier: MIT */
/* Planning and running jobs; see jobs.h. */
#include "experiment/jobs.h"

#include "core/fs.h"
#include "core/json.h"
#include "core/threads.h"
#include "experiment/command.h"
#include "experiment/points.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_AT_ONCE = 64, POLL_MS = 200, MAX_RESULT = 1 << 28 };

static const double analysis_share = 0.004; /* work of one point, as a share of its training */

/* --- which runs ------------------------------------------------------------------------------- */

static dsm_wanted *find_id(const dsm_jobs *s, const char *id)
{
    for (int i = 0; i < s->n_wanted; i++)
        if (strcmp(s->wanted[i].id, id) == 0) return &s->wanted[i];
    return NULL;
}

static bool same_run(const dsm_def_run *a, const dsm_def_run *b)
{
    bool same_set = (!a->set && !b->set) || (a->set && b->set && json_equal(a->set, b->set));
    return same_set && strcmp(a->model, b->model) == 0;
}

/* Takes w over. */
static dsm_status keep_wanted(dsm_jobs *s, dsm_wanted *w, dsm_err *err)
{
    dsm_wanted *more = realloc(s->wanted, (size_t)(s->n_wanted + 1) * sizeof *more);
    if (!more) {
        dsm_wanted_free(w);
        return dsm_fail(err, DSM_ENOMEM, "experiments: out of memory");
    }
    s->wanted = more;
    s->wanted[s->n_wanted++] = *w;
    return DSM_OK;
}

static dsm_status add_wanted(dsm_jobs *s, const dsm_def_run *run, int64_t seed, dsm_err *err)
{
    dsm_wanted w;
    DSM_TRY(dsm_wanted_make(&w, s->options, run, seed, err));
    const dsm_wanted *known = find_id(s, w.id);
    if (!known) return keep_wanted(s, &w, err);
    bool same = same_run(known->run, run);
    dsm_wanted_free(&w);
    if (same) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT,
                    "run %s: two experiments define it differently; give one another name",
                    run->name);
}

/* All that cannot be used are set aside, or named in one message. */
static dsm_status settle_changed(dsm_jobs *s, dsm_err *err)
{
    dsm_buf list = {0};
    for (int i = 0; i < s->n_wanted; i++) {
        dsm_wanted *w = &s->wanted[i];
        if (w->state != DSM_RUN_UNFIT) continue;
        if (s->options->restart && !s->options->dry_run)
            DSM_TRY(dsm_wanted_set_aside(w, s->options, err));
        else
            dsm_buf_fmt(&list, "%s%s (%s)", list.len ? ", " : "", w->id, w->difference);
    }
    dsm_status status = DSM_OK;
    if (list.len && !s->options->dry_run)
        status = dsm_fail(err, DSM_EUSAGE,
                          "%s holds runs that cannot be used: %.300s; --restart sets them aside "
                          "and trains them anew",
                          s->options->root, list.data);
    dsm_buf_free(&list);
    return status;
}

/* A run with a seed that was not asked for: what was trained some other time counts as well. */
static dsm_status add_trained(dsm_jobs *s, const dsm_def_run *run, int64_t seed, dsm_err *err)
{
    dsm_wanted w;
    DSM_TRY(dsm_wanted_make(&w, s->options, run, seed, err));
    if (w.state != DSM_RUN_DONE || find_id(s, w.id)) {
        dsm_wanted_free(&w);
        return DSM_OK;
    }
    s->seeds = seed;
    return keep_wanted(s, &w, err);
}

static dsm_status plan_runs(dsm_jobs *s, const dsm_definition *d, int n, dsm_err *err)
{
    s->seeds = s->options->seeds;
    for (int64_t seed = 1; seed <= s->options->seeds; seed++)
        for (int i = 0; i < n; i++)
            for (int r = 0; r < d[i].n_runs; r++)
                DSM_TRY(add_wanted(s, &d[i].runs[r], seed, err));
    for (int64_t seed = s->seeds + 1; seed == s->seeds + 1; seed++)
        for (int i = 0; i < n; i++)
            for (int r = 0; r < d[i].n_runs; r++)
                DSM_TRY(add_trained(s, &d[i].runs[r], seed, err));
    return settle_changed(s, err);
}

/* --- which jobs ------------------------------------------------------------------------------- */

static void add_training(dsm_jobs *s, dsm_wanted *w)
{
    dsm_job *j = &s->jobs[s->n_jobs++];
    *j = (dsm_job){.wanted = w, .work = w->work, .was_done = w->state == DSM_RUN_DONE};
    j->state = j->was_done ? DSM_JOB_DONE : DSM_JOB_WAITING;
    j->done = w->work * (double)w->step / (double)w->recipe->steps;
}

/* What an earlier call found out about the run as it is; NULL: nothing. The caller frees it. */
static json_t *read_analysis(const dsm_jobs *s, const dsm_job *j)
{
    json_t *file = NULL;
    char *path = dsm_analysis_path(s->options, j->wanted->id, j->analysis->kind);
    if (j->after->was_done && path && dsm_fs_exists(path))
        (void)dsm_json_read(&file, path, MAX_RESULT, NULL); /* damaged: measured again */
    free(path);
    return file;
}

static bool analysis_is_done(const dsm_jobs *s, const dsm_job *j)
{
    json_t *file = read_analysis(s, j);
    bool done = file && dsm_points_complete(file, j->analysis);
    json_decref(file);
    return done;
}

static dsm_job *training_of(const dsm_jobs *s, const dsm_wanted *w)
{
    for (int i = 0; i < s->n_jobs; i++)
        if (!s->jobs[i].analysis && s->jobs[i].wanted == w) return &s->jobs[i];
    return NULL;
}

static dsm_job *find_planned(const dsm_jobs *s, const dsm_wanted *w, dsm_analysis_kind kind)
{
    for (int i = 0; i < s->n_jobs; i++)
        if (s->jobs[i].wanted == w && s->jobs[i].analysis && s->jobs[i].analysis->kind == kind)
            return &s->jobs[i];
    return NULL;
}

/* Points of earlier calls go into the file again that is about to be replaced. */
static void add_known_points(const dsm_jobs *s, dsm_job *j)
{
    json_t *file = read_analysis(s, j);
    dsm_points_add_known(&j->points, file);
    json_decref(file);
}

static void see_analysis(const dsm_jobs *s, dsm_job *j)
{
    int n = j->analysis->n > 0 ? j->analysis->n : 1;
    j->work = analysis_share * j->wanted->work * n;
    j->was_done = analysis_is_done(s, j);
    j->state = j->was_done ? DSM_JOB_DONE : DSM_JOB_WAITING;
    j->done = j->was_done ? j->work : 0;
}

static dsm_status add_analysis(dsm_jobs *s, const dsm_definition *d, const dsm_def_analysis *a,
                               int64_t seed, dsm_err *err)
{
    const dsm_wanted *w = dsm_jobs_find(s, &d->runs[a->run], seed);
    dsm_job *training = w ? training_of(s, w) : NULL, *j;
    if (!training) return DSM_OK;
    if ((j = find_planned(s, w, a->kind))) {
        DSM_TRY(dsm_points_add(&j->points, a, w->id, err));
    } else {
        j = &s->jobs[s->n_jobs++];
        *j = (dsm_job){.wanted = training->wanted, .after = training, .points = *a};
        j->analysis = &j->points;
    }
    see_analysis(s, j);
    return DSM_OK;
}

static dsm_status plan_jobs(dsm_jobs *s, const dsm_definition *d, int n, dsm_err *err)
{
    size_t most = (size_t)s->n_wanted;
    for (int i = 0; i < n; i++)
        most += (size_t)(d[i].n_analyses * s->seeds);
    s->jobs = calloc(most, sizeof *s->jobs);
    if (!s->jobs) return dsm_fail(err, DSM_ENOMEM, "experiments: out of memory");
    for (int i = 0; i < s->n_wanted; i++)
        add_training(s, &s->wanted[i]);
    for (int64_t seed = 1; seed <= s->seeds; seed++)
        for (int i = 0; i < n; i++)
            for (int a = 0; a < d[i].n_analyses; a++)
                DSM_TRY(add_analysis(s, &d[i], &d[i].analyses[a], seed, err));
    return DSM_OK;
}

static const char *state_text(const dsm_job *j)
{
    static const char *const states[] = {
        [DSM_RUN_NEW] = "to do",
        [DSM_RUN_PART] = "begun",
        [DSM_RUN_DONE] = "done",
        [DSM_RUN_UNFIT] = "cannot be used",
    };
    if (j->analysis) return j->was_done ? "done" : "to do";
    return states[j->wanted->state];
}

static const char *kind_of(const dsm_job *j)
{
    return j->analysis ? dsm_analysis_names[j->analysis->kind] : "train";
}

static void share_threads(dsm_jobs *s)
{
    int cores = s->options->threads > 0 ? s->options->threads : dsm_cores_available();
    s->n_at_once = s->options->jobs > 0 ? (int)s->options->jobs : cores;
    if (s->n_at_once > MAX_AT_ONCE) s->n_at_once = MAX_AT_ONCE;
    s->threads = cores / s->n_at_once > 0 ? cores / s->n_at_once : 1;
}

dsm_status dsm_jobs_make(dsm_jobs *s, const dsm_definition *definitions, int n,
                         const dsm_experiment_options *o, const dsm_experiment_events *events,
                         dsm_err *err)
{
    *s = (dsm_jobs){.options = o, .events = events};
    share_threads(s);
    dsm_status status = plan_runs(s, definitions, n, err);
    if (status == DSM_OK) status = plan_jobs(s, definitions, n, err);
    if (status != DSM_OK) {
        dsm_jobs_free(s);
        return status;
    }
    for (int i = 0; i < s->n_jobs && events->planned; i++)
        events->planned(events->arg, s->jobs[i].wanted->id, kind_of(&s->jobs[i]),
                        state_text(&s->jobs[i]));
    return DSM_OK;
}

void dsm_jobs_free(dsm_jobs *s)
{
    for (int i = 0; i < s->n_jobs; i++) {
        dsm_child_close(&s->jobs[i].child);
        json_decref(s->jobs[i].result);
    }
    for (int i = 0; i < s->n_wanted; i++)
        dsm_wanted_free(&s->wanted[i]);
    free(s->jobs);
    free(s->wanted);
    memset(s, 0, sizeof *s);
}

const dsm_wanted *dsm_jobs_find(const dsm_jobs *s, const dsm_def_run *run, int64_t seed)
{
    for (int i = 0; i < s->n_wanted; i++)
        if (s->wanted[i].seed == seed && strcmp(s->wanted[i].run->name, run->name) == 0)
            return &s->wanted[i];
    return NULL;
}

const dsm_job *dsm_jobs_training(const dsm_jobs *s, const dsm_wanted *w)
{
    return training_of(s, w);
}

/* --- starting one ----------------------------------------------------------------------------- */

static dsm_status start(const dsm_jobs *s, dsm_job *j, dsm_err *err)
{
    dsm_command c;
    if (j->analysis)
        add_known_points(s, j);
    else if (j->wanted->state == DSM_RUN_NEW)
        DSM_TRY(dsm_wanted_write(j->wanted, err));
    DSM_TRY(dsm_command_make(&c, s, j, err));
    dsm_status status = dsm_child_start(&j->child, (char *const *)c.argv, j->wanted->log, err);
    dsm_command_free(&c);
    if (status == DSM_OK) j->state = DSM_JOB_RUNNING;
    return status;
}

static bool stop_asked(const dsm_jobs *s)
{
    return s->events->stop && *s->events->stop;
}

/* --- hearing and ending one ------------------------------------------------------------------- */

static void tell_progress(const dsm_jobs *s, const dsm_job *heard)
{
    dsm_experiment_progress p = {.jobs = s->n_jobs, .text = heard ? heard->text : ""};
    for (int i = 0; i < s->n_jobs; i++) {
        const dsm_job *j = &s->jobs[i];
        p.total += j->state == DSM_JOB_FAILED ? j->done : j->work;
        p.done += j->state == DSM_JOB_DONE ? j->work : j->done;
        p.jobs_done += j->state == DSM_JOB_DONE;
        p.jobs_failed += j->state == DSM_JOB_FAILED;
    }
    if (s->events->progress) s->events->progress(s->events->arg, &p);
}

/* A line of JSON: a step, or the result. */
static void hear(void *arg, const char *line)
{
    dsm_job *j = arg;
    json_t *o = json_loads(line, 0, NULL);
    const json_t *step = json_object_get(o, "step");
    if (!json_is_object(o)) {
        json_decref(o);
        return;
    }
    if (step && !j->analysis) {
        int64_t n = (int64_t)json_integer_value(step), steps = j->wanted->recipe->steps;
        const json_t *loss = json_object_get(o, "loss");
        j->done = j->work * (double)n / (double)steps;
        if (loss)
            snprintf(j->text, sizeof j->text, "%s step %" PRId64 "/%" PRId64 " loss %.3f",
                     j->wanted->id, n, steps, json_number_value(loss));
    }
    json_decref(j->result);
    j->result = o;
}

static dsm_status keep_analysis(const dsm_jobs *s, const dsm_job *j, dsm_err *err)
{
    char *path = dsm_analysis_path(s->options, j->wanted->id, j->analysis->kind);
    dsm_status status = DSM_OK;
    if (!path)
        status = dsm_fail(err, DSM_ENOMEM, "%s: out of memory", j->wanted->id);
    else if (!dsm_points_complete(j->result, j->analysis))
        status = dsm_fail(err, DSM_EFORMAT, "%s: analysis %s: points are missing", j->wanted->id,
                          kind_of(j));
    else
        status = dsm_json_write(j->result, path, err);
    free(path);
    return status;
}

/* The last line of a log: why a job failed. */
static void last_words(const char *log, char *out, size_t size)
{
    dsm_buf text = {0};
    if (dsm_fs_read(&text, log, MAX_RESULT, NULL) == DSM_OK && text.len > 0) {
        while (text.len > 0 && text.data[text.len - 1] == '\n')
            text.data[--text.len] = '\0';
        const char *last = strrchr(text.data, '\n');
        snprintf(out, size, "%.150s", last ? last + 1 : text.data);
    }
    dsm_buf_free(&text);
}

static double loss_of(const dsm_job *j)
{
    const json_t *loss = j->analysis ? NULL : json_object_get(j->result, "valid_loss");
    return json_is_number(loss) ? json_number_value(loss) : (double)NAN;
}

static void tell_end(const dsm_jobs *s, const dsm_job *j)
{
    bool ok = j->state == DSM_JOB_DONE;
    const dsm_experiment_job told = {
        .name = j->wanted->id,
        .kind = kind_of(j),
        .ok = ok,
        .seconds = j->child.seconds,
        .loss = loss_of(j),
        .text = ok ? NULL : j->text,
    };
    if (s->events->finished) s->events->finished(s->events->arg, &told);
}

/* The process has closed its output. One that was asked to stop has not failed. */
static dsm_status end(const dsm_jobs *s, dsm_job *j, dsm_err *err)
{
    dsm_err why = {0};
    DSM_TRY(dsm_child_wait(&j->child, err));
    bool ok = j->child.ok;
    if (!j->analysis)
        DSM_TRY(dsm_wanted_add_cost(j->wanted, (dsm_cost){j->child.seconds, j->child.cpu_s}, err));
    if (ok && j->analysis) ok = keep_analysis(s, j, &why) == DSM_OK;
    if (!ok) {
        snprintf(j->text, sizeof j->text, "%s", j->child.how);
        last_words(j->wanted->log, j->text, sizeof j->text);
        if (*why.msg) snprintf(j->text, sizeof j->text, "%.150s", why.msg);
    }
    j->state = ok ? DSM_JOB_DONE : stop_asked(s) ? DSM_JOB_WAITING : DSM_JOB_FAILED;
    if (j->state != DSM_JOB_WAITING) tell_end(s, j);
    dsm_child_close(&j->child);
    return DSM_OK;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int count_running(const dsm_jobs *s)
{
    int n = 0;
    for (int i = 0; i < s->n_jobs; i++)
        n += s->jobs[i].state == DSM_JOB_RUNNING;
    return n;
}

/* Start what can start; an analysis of a failed run fails with it. */
static dsm_status start_ready(dsm_jobs *s, dsm_err *err)
{
    int running = count_running(s);
    for (int i = 0; i < s->n_jobs && !stop_asked(s); i++) {
        dsm_job *j = &s->jobs[i];
        if (j->state != DSM_JOB_WAITING) continue;
        if (j->after && j->after->state == DSM_JOB_FAILED) j->state = DSM_JOB_FAILED;
        if (j->after && j->after->state != DSM_JOB_DONE) continue;
        if (running == s->n_at_once) return DSM_OK;
        DSM_TRY(start(s, j, err));
        running++;
    }
    return DSM_OK;
}

static dsm_status hear_one(const dsm_jobs *s, dsm_job *j, dsm_err *err)
{
    bool ended;
    DSM_TRY(dsm_child_read(&j->child, hear, j, &ended, err));
    if (ended) DSM_TRY(end(s, j, err));
    tell_progress(s, j);
    return DSM_OK;
}

/* Wait a little for any of those that run, and hear those that have something to say. */
static dsm_status hear_all(const dsm_jobs *s, dsm_err *err)
{
    struct pollfd polled[MAX_AT_ONCE];
    dsm_job *job[MAX_AT_ONCE];
    nfds_t n = 0;
    for (int i = 0; i < s->n_jobs; i++)
        if (s->jobs[i].state == DSM_JOB_RUNNING) {
            job[n] = &s->jobs[i];
            polled[n] = (struct pollfd){.fd = job[n]->child.out, .events = POLLIN};
            n++;
        }
    if (poll(polled, n, POLL_MS) < 0 && errno != EINTR) return dsm_fail_errno(err, "jobs", "wait");
    for (nfds_t i = 0; i < n; i++)
        if (polled[i].revents) DSM_TRY(hear_one(s, job[i], err));
    return DSM_OK;
}

static void stop_all(const dsm_jobs *s)
{
    for (int i = 0; i < s->n_jobs; i++)
        if (s->jobs[i].state == DSM_JOB_RUNNING) dsm_child_stop(&s->jobs[i].child);
}

dsm_status dsm_jobs_run(dsm_jobs *s, dsm_err *err)
{
    bool stopping = false;
    for (;;) {
        DSM_TRY(start_ready(s, err));
        if (count_running(s) == 0) break;
        if (stop_asked(s) && !stopping) {
            stopping = true;
            stop_all(s);
        }
        DSM_TRY(hear_all(s, err));
    }
    if (!stopping && !stop_asked(s)) return DSM_OK;
    return dsm_fail(err, DSM_EINTERRUPTED,
                    "stopped; what was trained is kept, the same command goes on");
}
