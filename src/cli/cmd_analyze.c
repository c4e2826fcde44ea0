/* SPDX-License-Identifier: MIT */
/* dsmoe analyze: what experts do, and what becomes of the loss without some of them. */
#include "cli/analyze_print.h"
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: dsmoe analyze MODEL --data [NAME=]DIR... [--layer L] [--expert E]\n"
    "       dsmoe analyze MODEL --data DIR --mask-top R,... --drop-shared --active K,...\n"
    "\n"
    "What the routed experts of MODEL do while it reads text, and with one of the three changes,\n"
    "what becomes of its loss (DeepSeekMoE, section 4.5). Weights stay as they are.\n"
    "\n"
    "  --data [NAME=]DIR          prepared data (repeatable); sources of one NAME are one domain\n"
    "  --text [NAME=]FILE         text, jsonl, .gz, .zst or a folder of them (repeatable)\n"
    "  --seq N                    tokens of a window (the model's context, at most 2048)\n"
    "  --sequences N              look at the first N windows of each source (all)\n"
    "\n"
    "  --mask-top R,...           no token may use its R·E most probable experts: 0,1/16,2/16\n"
    "  --drop-shared              without the shared experts, as many routed ones more; and with\n"
    "                             them, for comparison\n"
    "  --active K,...             K routed experts per token\n"
    "\n"
    "Without these three, or with --experts: which tokens each expert is picked for, how alike "
    "the\n"
    "experts are, which are picked together, and how domains differ.\n"
    "\n"
    "  --experts                  tell that beside the three changes too\n"
    "  --layer L                  list the experts of this layer (the last)\n"
    "  --expert E                 tell all about one of them\n"
    "  --top N                    tokens and examples of an expert (10)\n"
    "  --min-count N              name tokens that it saw this often (0: a thousandth of all it\n"
    "                             saw, at least 5)\n"
    "  --context N                tokens on each side of an example (8, at most 16)\n"
    "  --samples N                tokens on which outputs of all experts are compared (256)\n"
    "  --json                     one object with everything: tokens, loss, points, domains, "
    "layers\n";

/* --- lists and names -------------------------------------------------------------------------- */

/* "0.125", "2/16" or "3" up to the next comma; *text moves behind it. */
static dsm_status take_number(double *out, const char **text, const char *flag, dsm_err *err)
{
    char *end;
    const char *begin = *text;
    double x = strtod(begin, &end), below = 1;
    bool good = end != begin;
    if (good && *end == '/') {
        const char *second = end + 1;
        below = strtod(second, &end);
        good = end != second && below != 0;
    }
    if (!good || (*end != ',' && *end != '\0') || !(x / below > -1e15 && x / below < 1e15))
        return dsm_fail(err, DSM_EUSAGE,
                        "--%s: found \"%.*s\", expected numbers like 3, 0.25 or 1/16", flag,
                        (int)strcspn(begin, ","), begin);
    *out = x / below;
    *text = *end == ',' ? end + 1 : NULL;
    return DSM_OK;
}

static dsm_status parse_numbers(double *out, int *n, const char *text, const char *flag,
                                dsm_err *err)
{
    for (*n = 0; text; (*n)++) {
        if (*n == DSM_ANALYZE_POINTS / 2 - 1)
            return dsm_fail(err, DSM_EUSAGE, "--%s: found more than %d numbers", flag, *n);
        DSM_TRY(take_number(&out[*n], &text, flag, err));
    }
    return DSM_OK;
}

static dsm_status parse_counts(int64_t *out, int *n, const char *text, dsm_err *err)
{
    double numbers[DSM_ANALYZE_POINTS];
    DSM_TRY(parse_numbers(numbers, n, text, "active", err));
    for (int i = 0; i < *n; i++) {
        out[i] = (int64_t)numbers[i];
        if ((double)out[i] != numbers[i])
            return dsm_fail(err, DSM_EUSAGE, "--active: found %g, expected a whole number",
                            numbers[i]);
    }
    return DSM_OK;
}

/* Sources as the flags name them; the names are the caller's to free. */
typedef struct source_list {
    dsm_analyze_source items[DSM_ANALYZE_SOURCES];
    char *names[DSM_ANALYZE_SOURCES];
    int n;
} source_list;

/* "NAME=PATH", unless there is a file whose name has the sign. */
static dsm_status add_source(source_list *l, const char *text, bool is_text, dsm_err *err)
{
    const char *equals = strchr(text, '=');
    if (l->n == DSM_ANALYZE_SOURCES)
        return dsm_fail(err, DSM_EUSAGE, "found more than %d sources", DSM_ANALYZE_SOURCES);
    dsm_analyze_source *s = &l->items[l->n];
    *s = (dsm_analyze_source){.path = text, .text = is_text};
    if (equals && equals > text && access(text, F_OK) != 0) {
        s->domain = l->names[l->n] = strndup(text, (size_t)(equals - text));
        s->path = equals + 1;
        if (!s->domain) return dsm_fail(err, DSM_ENOMEM, "out of memory");
    }
    l->n++;
    return DSM_OK;
}

static dsm_status add_sources(source_list *l, const dsm_opt_list *data, const dsm_opt_list *text,
                              dsm_err *err)
{
    for (int i = 0; i < data->n; i++)
        DSM_TRY(add_source(l, data->items[i], false, err));
    for (int i = 0; i < text->n; i++)
        DSM_TRY(add_source(l, text->items[i], true, err));
    if (l->n == 0) return dsm_fail(err, DSM_EUSAGE, "expected --data DIR or --text FILE");
    return DSM_OK;
}

static void free_sources(source_list *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->names[i]);
}

/* --- the command ------------------------------------------------------------------------------ */

/* What the flags hold. */
typedef struct flags {
    dsm_opt_list data, text;
    const char *mask_top, *active;
    bool drop_shared, experts;
    int64_t layer, expert;
    dsm_analyze_options options;
    double shares[DSM_ANALYZE_POINTS];
    int64_t counts[DSM_ANALYZE_POINTS];
} flags;

static dsm_status parse(flags *f, int argc, char **argv, dsm_err *err)
{
    dsm_analyze_options *o = &f->options;
    const dsm_opt opts[] = {
        {"data", DSM_OPT_LIST, &f->data, 0, 0, ""},
        {"text", DSM_OPT_LIST, &f->text, 0, 0, ""},
        {"seq", DSM_OPT_INT, &o->seq_len, 1, 1e9, ""},
        {"sequences", DSM_OPT_INT, &o->sequences, 1, 1e15, ""},
        {"mask-top", DSM_OPT_STRING, &f->mask_top, 0, 0, ""},
        {"drop-shared", DSM_OPT_FLAG, &o->drop_shared, 0, 0, ""},
        {"active", DSM_OPT_STRING, &f->active, 0, 0, ""},
        {"experts", DSM_OPT_FLAG, &o->experts, 0, 0, ""},
        {"layer", DSM_OPT_INT, &f->layer, 0, 1e6, ""},
        {"expert", DSM_OPT_INT, &f->expert, 0, 1e6, ""},
        {"top", DSM_OPT_INT, &o->top, 0, 1000, ""},
        {"min-count", DSM_OPT_INT, &o->min_count, 0, 1e15, ""},
        {"context", DSM_OPT_INT, &o->context, 0, DSM_ANALYZE_CONTEXT, ""},
        {"samples", DSM_OPT_INT, &o->samples, 0, 1e6, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one MODEL", n);
    DSM_TRY(parse_numbers(f->shares, &o->n_mask_top, f->mask_top, "mask-top", err));
    DSM_TRY(parse_counts(f->counts, &o->n_active, f->active, err));
    o->mask_top = f->shares, o->active = f->counts;
    bool changes = o->n_mask_top > 0 || o->n_active > 0 || o->drop_shared;
    if (!changes || f->layer >= 0 || f->expert >= 0) o->experts = true;
    return DSM_OK;
}

static dsm_status check_view(const dsm_analysis *a, const dsm_analyze_view *v, dsm_err *err)
{
    bool found = v->layer < 0;
    for (int i = 0; i < a->n_layers; i++)
        found = found || a->layers[i].layer == v->layer;
    if (!found)
        return dsm_fail(err, DSM_EUSAGE,
                        "--layer: found %lld, which has no experts; expected %lld"
                        " to %lld",
                        (long long)v->layer, (long long)a->layers[0].layer,
                        (long long)a->layers[a->n_layers - 1].layer);
    if (v->expert < a->n_experts) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE, "--expert: found %lld, expected 0 to %lld",
                    (long long)v->expert, (long long)a->n_experts - 1);
}

static void show_progress(void *arg, double done, double total)
{
    dsm_progress_update(arg, done, total, NULL);
}

static dsm_status analyze(const dsm_cli *cli, flags *f, const dsm_analyze_view *v, dsm_err *err)
{
    dsm_analysis a;
    dsm_progress bar;
    f->options.progress = show_progress, f->options.progress_arg = &bar;
    dsm_progress_begin(&bar, "analyze", "seq", 0, cli->quiet);
    dsm_status status = dsm_analyze(&a, v->model, v->sources, v->n_sources, &f->options, err);
    dsm_progress_end(&bar, NULL);
    if (status == DSM_OK) status = check_view(&a, v, err);
    if (status == DSM_OK && cli->json) status = dsm_print_json(dsm_analyze_json(&a, v), err);
    if (status == DSM_OK && !cli->json) dsm_analyze_print(&a, v);
    dsm_analysis_free(&a);
    return status;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    flags f = {.layer = -1, .expert = -1};
    source_list sources = {0};
    dsm_analyze_defaults(&f.options);
    f.options.n_threads = cli->threads, f.options.cpu_flags = cli->cpu_flags;
    DSM_TRY(parse(&f, argc, argv, err));
    dsm_status status = add_sources(&sources, &f.data, &f.text, err);
    const dsm_analyze_view view = {.model = argv[0],
                                   .sources = sources.items,
                                   .n_sources = sources.n,
                                   .experts = f.options.experts,
                                   .layer = f.layer,
                                   .expert = f.expert};
    if (status == DSM_OK) status = analyze(cli, &f, &view, err);
    free_sources(&sources);
    return status;
}

const dsm_command dsm_cmd_analyze = {
    .name = "analyze",
    .summary = "what experts do, and the loss without some of them",
    .help = help,
    .run = run,
};
