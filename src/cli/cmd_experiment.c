/* SPDX-License-Identifier: MIT */
/* dsmoe experiment: the papers' comparisons as resumable sets of runs. */
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "core/fs.h"
#include "core/json.h"
#include "dsmoe/experiment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dsmoe experiment NAME... [OPTIONS]\n"
    "       dsmoe experiment list\n"
    "\n"
    "Trains the models that an experiment of the papers compares, small, on the same data in the "
    "same\n"
    "order with the same settings, makes its analyses, and says which claims hold. Runs that are "
    "done\n"
    "are not repeated, also when another experiment made them; what was stopped or killed goes "
    "on.\n"
    "\n"
    "  --size SIZE        smoke (minutes), hour (table1 with one seed in about an hour on two "
    "cores)\n"
    "                     or night (default: hour)\n"
    "  --seeds N          runs of each model, with seeds 1 to N (1)\n"
    "  --data DIR         prepared data, DIR/train and DIR/valid (data/experiments)\n"
    "  --out DIR          where runs and results go (runs/experiments/SIZE)\n"
    "  --configs DIR      experiments/ and mini/ (configs, or those beside the program)\n"
    "  --jobs N           runs at once (one per core: small models gain little from threads)\n"
    "  --restart          set runs of an older recipe aside and train them anew\n"
    "  --dry-run          show what is done and what is to do\n"
    "  --json             results as JSON, one line per experiment\n"
    "\n"
    "Results stand in DIR/results/NAME.json; `dsmoe report DIR` makes a page of them.\n";

enum { MAX_NAMES = 32, MAX_RESULT = 1 << 26 };

/* --- telling ---------------------------------------------------------------------------------- */

typedef struct teller {
    const dsm_cli *cli;
    dsm_progress bar;
    bool begun, dry_run;
} teller;

static void on_planned(void *arg, const char *name, const char *kind, const char *state)
{
    const teller *t = arg;
    if (t->dry_run) printf("%-24s %-12s %s\n", name, kind, state);
}

static void on_progress(void *arg, const dsm_experiment_progress *p)
{
    static const double giga = 1e9;
    teller *t = arg;
    char suffix[224];
    if (!t->begun)
        dsm_progress_begin(&t->bar, "experiment", "GFLOP", p->done / giga, t->cli->quiet);
    t->begun = true;
    snprintf(suffix, sizeof suffix, "%d/%d jobs%s  %s", p->jobs_done, p->jobs,
             p->jobs_failed ? ", some failed" : "", p->text);
    dsm_progress_update(&t->bar, p->done / giga, p->total / giga, suffix);
}

static void on_finished(void *arg, const dsm_experiment_job *j)
{
    const teller *t = arg;
    if (t->cli->quiet && j->ok) return;
    dsm_progress_hide();
    if (!j->ok)
        fprintf(stderr, "%-24s %-12s failed: %s\n", j->name, j->kind, j->text);
    else if (isfinite(j->loss))
        fprintf(stderr, "%-24s %-12s valid loss %.4f in %.0f s\n", j->name, j->kind, j->loss,
                j->seconds);
    else
        fprintf(stderr, "%-24s %-12s done in %.0f s\n", j->name, j->kind, j->seconds);
}

static void tell_one(void *arg, const dsm_experiment_info *i)
{
    const dsm_cli *cli = arg;
    if (cli->json)
        (void)dsm_print_json(json_pack("{s:s, s:s, s:s, s:i, s:i, s:i}", "name", i->name, "title",
                                       i->title, "source", i->source, "runs", i->runs, "analyses",
                                       i->analyses, "claims", i->claims),
                             NULL);
    else
        printf("%-12s %s\n%-12s %d runs, %d analyses, %d claims; %s\n", i->name, i->title, "",
               i->runs, i->analyses, i->claims, i->source);
}

/* --- results ---------------------------------------------------------------------------------- */

/* Mean and deviation over seeds of one key, as "2.2431 ± 0.0042". */
static void put_mean(const json_t *seeds, const char *key, char *out, size_t size)
{
    double sum = 0, squares = 0;
    int n = 0;
    json_t *seed;
    size_t i;
    json_array_foreach(seeds, i, seed)
    {
        const json_t *v = json_object_get(seed, key);
        if (json_is_number(v)) sum += json_number_value(v), n++;
    }
    double mean = n ? sum / n : 0;
    json_array_foreach(seeds, i, seed)
    {
        const json_t *v = json_object_get(seed, key);
        if (json_is_number(v)) squares += pow(json_number_value(v) - mean, 2);
    }
    if (n == 0)
        snprintf(out, size, "-");
    else if (n == 1)
        snprintf(out, size, "%.4f", mean);
    else
        snprintf(out, size, "%.4f ± %.4f", mean, sqrt(squares / (n - 1)));
}

static void print_paper(const json_t *paper)
{
    if (json_is_number(paper))
        printf(" %8.4g", json_number_value(paper));
    else
        printf(" %8s", "");
}

/* Bytes that a text of UTF-8 has beyond its characters: printf pads by bytes. */
static int extra_bytes(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) == 0x80;
    return n;
}

static void print_text(const char *text, int width)
{
    printf("%-*s", width + extra_bytes(text), text);
}

static void print_mean(const json_t *seeds, const char *key)
{
    char text[48];
    put_mean(seeds, key, text, sizeof text);
    printf("  ");
    print_text(text, 18);
}

/* Parameters are those outside embedding and head, as tokens per parameter count them. */
static void print_runs(const json_t *o)
{
    json_t *run;
    size_t i;
    const char *metric = json_string_value(json_object_get(o, "metric"));
    printf("%-34s %8s %8s %7s  %-18s  %-18s %8s\n", "run", "params", "active", "tok/par", metric,
           "MaxVio", "paper");
    json_array_foreach(json_object_get(o, "runs"), i, run)
    {
        const json_t *seeds = json_object_get(run, "seeds");
        double active = json_number_value(json_object_get(run, "active_params_inner"));
        double ends = json_number_value(json_object_get(run, "active_params")) - active;
        print_text(json_string_value(json_object_get(run, "label")), 34);
        printf(" %8s %8s %7.0f",
               dsm_print_count(json_number_value(json_object_get(run, "params")) - ends),
               dsm_print_count(active),
               json_number_value(json_object_get(run, "tokens_per_active_param")));
        print_mean(seeds, metric);
        print_mean(seeds, "max_vio");
        print_paper(json_object_get(run, "paper"));
        printf("\n");
    }
}

static void print_analyses(const json_t *analyses)
{
    json_t *a, *p;
    size_t i, k;
    json_array_foreach(analyses, i, a)
    {
        printf("\n%s, %s\n", json_string_value(json_object_get(a, "label")),
               json_string_value(json_object_get(a, "kind")));
        json_array_foreach(json_object_get(a, "points"), k, p)
        {
            printf("  %8.4g", json_number_value(json_object_get(p, "x")));
            print_mean(json_object_get(p, "seeds"), "loss");
            print_paper(json_object_get(p, "paper"));
            printf("\n");
        }
    }
}

static void print_result(const json_t *o)
{
    json_t *claim;
    size_t i;
    printf("\n%s\n\n", json_string_value(json_object_get(o, "title")));
    print_runs(o);
    print_analyses(json_object_get(o, "analyses"));
    if (json_array_size(json_object_get(o, "claims")) > 0) printf("\n");
    json_array_foreach(json_object_get(o, "claims"), i, claim)
    {
        printf("%-28s %s\n%-28s   %s\n", json_string_value(json_object_get(claim, "verdict")),
               json_string_value(json_object_get(claim, "text")), "",
               json_string_value(json_object_get(claim, "figures")));
    }
}

static dsm_status show_result(const dsm_cli *cli, const dsm_experiment_options *o, const char *name,
                              dsm_err *err)
{
    json_t *result;
    dsm_buf path = {0};
    dsm_buf_fmt(&path, "%s/results/%s.json", o->root, name);
    dsm_status status = dsm_buf_check(&path, "results", err);
    if (status == DSM_OK) status = dsm_json_read(&result, path.data, MAX_RESULT, err);
    dsm_buf_free(&path);
    DSM_TRY(status);
    if (cli->json) return dsm_print_json(result, err);
    print_result(result);
    json_decref(result);
    return DSM_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

/* This program's path: what jobs are started with. */
static dsm_status find_program(char out[4096], dsm_err *err)
{
    ssize_t n = readlink("/proc/self/exe", out, 4095);
    if (n <= 0) return dsm_fail_errno(err, "/proc/self/exe", "read");
    out[n] = '\0';
    return DSM_OK;
}

/* ./configs, ../configs of the program (a build folder), ../share/dsmoe/configs (installed). */
static dsm_status find_configs(const char *program, char out[4200], dsm_err *err)
{
    static const char *const places[] = {"../configs", "../share/dsmoe/configs"};
    char folder[4096];
    snprintf(out, 4200, "configs");
    if (dsm_fs_is_dir("configs/experiments")) return DSM_OK;
    snprintf(folder, sizeof folder, "%s", program);
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char probe[4300];
        snprintf(out, 4200, "%s/%s", folder, places[i]);
        snprintf(probe, sizeof probe, "%s/experiments", out);
        if (dsm_fs_is_dir(probe)) return DSM_OK;
    }
    return dsm_fail(err, DSM_ENOTFOUND,
                    "configs/experiments: not found here nor beside the program; name the folder "
                    "with --configs");
}

static dsm_status run_names(const dsm_cli *cli, const char *const *names, int n,
                            const dsm_experiment_options *o, dsm_err *err)
{
    teller t = {.cli = cli, .dry_run = o->dry_run};
    const dsm_experiment_events events = {
        .arg = &t,
        .planned = on_planned,
        .progress = on_progress,
        .finished = on_finished,
        .stop = dsm_interrupt_flag(),
    };
    dsm_interrupt_catch(NULL);
    dsm_status status = dsm_experiment_run(names, n, o, &events, err);
    if (t.begun) dsm_progress_end(&t.bar, NULL);
    if (status != DSM_OK && status != DSM_EIO) return status;
    for (int i = 0; i < n && !o->dry_run; i++)
        DSM_TRY(show_result(cli, o, names[i], status == DSM_OK ? err : NULL));
    return status;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    char program[4096], configs[4200], root[256];
    dsm_experiment_options o = {.size = "hour", .data = "data/experiments", .seeds = 1};
    const dsm_opt opts[] = {
        {"size", DSM_OPT_STRING, &o.size, 0, 0, ""},
        {"seeds", DSM_OPT_INT, &o.seeds, 1, 64, ""},
        {"data", DSM_OPT_STRING, &o.data, 0, 0, ""},
        {"out", DSM_OPT_STRING, &o.root, 0, 0, ""},
        {"configs", DSM_OPT_STRING, &o.configs, 0, 0, ""},
        {"jobs", DSM_OPT_INT, &o.jobs, 1, 64, ""},
        {"restart", DSM_OPT_FLAG, &o.restart, 0, 0, ""},
        {"dry-run", DSM_OPT_FLAG, &o.dry_run, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n < 1 || n > MAX_NAMES)
        return dsm_fail(err, DSM_EUSAGE, "found %d names, expected 1 to %d (or list)", n,
                        MAX_NAMES);
    DSM_TRY(find_program(program, err));
    if (!o.configs) {
        DSM_TRY(find_configs(program, configs, err));
        o.configs = configs;
    }
    if (n == 1 && strcmp(argv[0], "list") == 0)
        return dsm_experiment_list(o.configs, tell_one, (void *)cli, err);
    snprintf(root, sizeof root, "runs/experiments/%.200s", o.size);
    if (!o.root) o.root = root;
    o.program = program;
    o.threads = cli->threads;
    return run_names(cli, (const char *const *)argv, n, &o, err);
}

const dsm_command dsm_cmd_experiment = {
    .name = "experiment",
    .summary = "the papers' comparisons as resumable sets of runs",
    .help = help,
    .run = run,
};
