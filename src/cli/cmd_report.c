/* SPDX-License-Identifier: MIT */
/* dsmoe report: what runs and experiments found, on one page. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "dsmoe/report.h"

#include <stdio.h>

static const char help[] =
    "usage: dsmoe report PATH... [--out FILE.html] [--csv DIR_OR_FILE] [--markdown FILE]\n"
    "\n"
    "Reports on run directories and on the folders of experiments (dsmoe experiment), together:\n"
    "tables with the paper's figure beside ours, verdicts, curves, loads of experts over time.\n"
    "\n"
    "  --out FILE.html    one page with everything in it: no network, no scripts, light and dark\n"
    "  --csv FILE.csv     every number, one a line: experiment,run,seed,metric,x,value,paper\n"
    "  --csv DIR          the same in DIR/summary.csv, DIR/curves.csv and DIR/loads.csv\n"
    "  --markdown FILE    the summary as tables\n"
    "  --json             experiments, runs, plots, missing (plots), broken (what cannot be read)\n"
    "\n"
    "Plots are drawn by gnuplot; without it the page has the tables and says so. A run that "
    "cannot\n"
    "be read is named on the page and does not sink the others.\n";

/* "3 runs"; `before` if something stands before it. */
static void print_number(const char *before, int n, const char *what)
{
    printf("%s%d %s%s", before, n, what, n == 1 ? "" : "s");
}

static void print_summary(const dsm_report_summary *s, const dsm_report_options *o)
{
    const char *const files[] = {o->html, o->csv, o->markdown};
    const char *before = ": ";
    if (s->experiments) print_number("", s->experiments, "experiment");
    print_number(s->experiments ? ", " : "", s->runs, "run");
    print_number(", ", s->plots, "plot");
    if (s->broken) printf(", %d could not be read", s->broken);
    for (int i = 0; i < 3; i++) {
        if (!files[i]) continue;
        printf("%s%s", before, files[i]);
        before = ", ";
    }
    putchar('\n');
}

static json_t *summary_json(const dsm_report_summary *s)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:i}", "experiments", s->experiments, "runs", s->runs,
                     "plots", s->plots, "missing", s->missing, "broken", s->broken);
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_report_options o = {0};
    dsm_report_summary s;
    int n;
    const dsm_opt opts[] = {
        {"out", DSM_OPT_STRING, &o.html, 0, 0, ""},
        {"csv", DSM_OPT_STRING, &o.csv, 0, 0, ""},
        {"markdown", DSM_OPT_STRING, &o.markdown, 0, 0, ""},
    };
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n == 0)
        return dsm_fail(err, DSM_EUSAGE, "expected run directories or an experiment's folder");
    if (!o.html && !o.csv && !o.markdown)
        return dsm_fail(err, DSM_EUSAGE,
                        "nothing to write: expected --out FILE.html, --csv or --markdown");
    DSM_TRY(dsm_report_make((const char *const *)argv, n, &o, &s, err));
    if (cli->json) return dsm_print_json(summary_json(&s), err);
    if (!cli->quiet) print_summary(&s, &o);
    return DSM_OK;
}

const dsm_command dsm_cmd_report = {
    .name = "report",
    .summary = "one page on runs and experiments",
    .help = help,
    .run = run,
};
