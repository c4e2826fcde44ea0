/* SPDX-License-Identifier: MIT */
/* dsmoe eval: loss, perplexity, bits per byte, and who did the work. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "core/buf.h"
#include "dsmoe/eval.h"

#include <stdio.h>

static const char help[] =
    "usage: dsmoe eval MODEL --data DIR [--sequences N] [--seq N] [--load]\n"
    "       dsmoe eval MODEL --text FILE... [--seq N] [--stride N]\n"
    "\n"
    "Scores MODEL (a run directory, a checkpoint or a Hugging Face folder) on prepared data, "
    "packed\n"
    "into sequences as training packs it, or on text files, each a document of its own.\n"
    "\n"
    "  --data DIR                 prepared data (dsmoe data prepare)\n"
    "  --text FILE                a text file (repeatable)\n"
    "  --seq N                    tokens of a window (the model's context, at most 2048)\n"
    "  --sequences N              prepared data: score the first N sequences (all)\n"
    "  --stride N                 text: distance between windows (N of --seq: disjoint). Below "
    "that,\n"
    "                             windows overlap and a token is scored with more text before it\n"
    "  --token-logprobs           text: print every token with its log-probability (nats) and "
    "rank;\n"
    "                             with --json one line each (file, position, id, text, logprob, "
    "rank;\n"
    "                             bytes where they are no UTF-8), and the figures in a last line\n"
    "  --load                     print the load of every expert, as a multiple of an even share\n"
    "  --json                     one object: loss (nats per token), perplexity, bits_per_byte,\n"
    "                             tokens, bytes, seq_len, seconds; with prepared data also "
    "max_vio,\n"
    "                             dead, entropy and per layer load\n";

enum { PER_LINE = 16 }; /* experts */

/* --- printing --------------------------------------------------------------------------------- */

static json_t *load_json(const dsm_eval_result *r)
{
    json_t *layers = json_array();
    for (int64_t i = 0; i < r->n_loads; i++) {
        const dsm_eval_load *l = &r->loads[i];
        json_t *counts = json_array();
        for (int64_t e = 0; e < l->n_experts; e++)
            json_array_append_new(counts, json_integer(l->count[e]));
        json_array_append_new(
            layers, json_pack("{s:I, s:o, s:I, s:o, s:o}", "layer", (json_int_t)l->layer, "max_vio",
                              dsm_json_number(l->max_vio), "dead", (json_int_t)l->dead, "entropy",
                              dsm_json_number(l->entropy), "counts", counts));
    }
    return layers;
}

static dsm_status print_json(const dsm_eval_result *r, dsm_err *err)
{
    json_t *o = json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:o}", "loss", dsm_json_number(r->loss),
                          "perplexity", dsm_json_number(r->perplexity), "bits_per_byte",
                          dsm_json_number(r->bits_per_byte), "tokens", (json_int_t)r->tokens,
                          "bytes", (json_int_t)r->bytes, "seq_len", (json_int_t)r->seq_len,
                          "seconds", dsm_json_number(r->seconds));
    if (o && r->n_loads > 0) {
        json_object_set_new(o, "max_vio", dsm_json_number(r->max_vio));
        json_object_set_new(o, "dead", json_integer(r->dead));
        json_object_set_new(o, "entropy", dsm_json_number(r->entropy));
        json_object_set_new(o, "load", load_json(r));
    }
    return dsm_print_json(o, err);
}

static void print_load(const dsm_eval_result *r)
{
    printf("\nlayer  MaxVio  dead  entropy   load of each expert, 1.00 = an even share\n");
    for (int64_t i = 0; i < r->n_loads; i++) {
        const dsm_eval_load *l = &r->loads[i];
        double even = (double)l->picks / (double)l->n_experts;
        printf("%5lld  %6.2f  %4lld  %7.3f  ", (long long)l->layer, l->max_vio, (long long)l->dead,
               l->entropy);
        for (int64_t e = 0; e < l->n_experts; e++) {
            if (e > 0 && e % PER_LINE == 0) printf("\n%30s", "");
            printf(" %4.2f", even > 0 ? (double)l->count[e] / even : 0.0);
        }
        putchar('\n');
    }
}

static void print_text(const dsm_eval_result *r, bool load)
{
    printf("loss           %.4f nats per token\n", r->loss);
    printf("perplexity     %.3f\n", r->perplexity);
    printf("bits per byte  %.4f\n", r->bits_per_byte);
    printf("scored         %s tokens, %s bytes of text, windows of %lld, %.0f tokens/s\n",
           dsm_print_count((double)r->tokens), dsm_print_count((double)r->bytes),
           (long long)r->seq_len, r->seconds > 0 ? (double)r->tokens / r->seconds : 0.0);
    if (r->n_loads == 0) return;
    printf("experts        MaxVio %.3f and router entropy %.3f nats, means of %lld layers; %lld "
           "dead\n",
           r->max_vio, r->entropy, (long long)r->n_loads, (long long)r->dead);
    if (load) print_load(r);
}

/* --- the command ------------------------------------------------------------------------------ */

/* --- token by token --------------------------------------------------------------------------- */

/* Where tokens are told to. */
typedef struct listing {
    const dsm_cli *cli;
    const char *const *files;
    int file; /* whose heading stands already */
    dsm_err *err;
    dsm_status status;
} listing;

static json_t *bytes_json(const char *bytes, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer((unsigned char)bytes[i]));
    return list;
}

static void list_json(listing *l, const dsm_eval_token *t)
{
    dsm_buf text = {0};
    dsm_utf8_repair(&text, t->bytes, t->n);
    dsm_buf_add(&text, "", 0);
    json_t *o = json_pack("{s:s, s:I, s:i, s:s#, s:o, s:I}", "file", l->files[t->file], "position",
                          (json_int_t)t->position, "id", t->id, "text", text.data, (int)text.len,
                          "logprob", dsm_json_number(t->logprob), "rank", (json_int_t)t->rank);
    if (o && dsm_utf8_valid_prefix(t->bytes, t->n) < t->n)
        json_object_set_new(o, "bytes", bytes_json(t->bytes, t->n));
    dsm_buf_free(&text);
    if (l->status == DSM_OK)
        l->status = dsm_print_json(o, l->err);
    else
        json_decref(o);
}

static void list_token(void *arg, const dsm_eval_token *t)
{
    listing *l = arg;
    char text[128];
    if (l->cli->json) {
        list_json(l, t);
        return;
    }
    if (l->file != t->file)
        printf("%s\nposition      id    logprob    rank  text\n", l->files[t->file]);
    l->file = t->file;
    dsm_print_quoted(t->bytes, t->n, text, sizeof text);
    printf("%8lld  %6d  %9.4f  %6lld  %s\n", (long long)t->position, t->id, t->logprob,
           (long long)t->rank, text);
}

static void show_progress(void *arg, double done, double total)
{
    dsm_progress_update(arg, done, total, NULL);
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    const char *data = NULL;
    dsm_opt_list files = {0};
    bool load = false, tokens = false;
    dsm_progress bar;
    dsm_eval_options o = {.n_threads = cli->threads,
                          .cpu_flags = cli->cpu_flags,
                          .progress = show_progress,
                          .progress_arg = &bar};
    const dsm_opt opts[] = {
        {"data", DSM_OPT_STRING, &data, 0, 0, ""},
        {"text", DSM_OPT_LIST, &files, 0, 0, ""},
        {"seq", DSM_OPT_INT, &o.seq_len, 1, 1e9, ""},
        {"sequences", DSM_OPT_INT, &o.sequences, 1, 1e15, ""},
        {"stride", DSM_OPT_INT, &o.stride, 1, 1e9, ""},
        {"load", DSM_OPT_FLAG, &load, 0, 0, ""},
        {"token-logprobs", DSM_OPT_FLAG, &tokens, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one MODEL", n);
    if ((data != NULL) == (files.n > 0))
        return dsm_fail(err, DSM_EUSAGE, "expected either --data DIR or --text FILE");
    if (data && o.stride)
        return dsm_fail(err, DSM_EUSAGE,
                        "--stride goes with --text: prepared data is packed already");
    if (!data && (load || o.sequences))
        return dsm_fail(err, DSM_EUSAGE, "--load and --sequences go with --data");
    if (data && tokens) return dsm_fail(err, DSM_EUSAGE, "--token-logprobs goes with --text");
    listing list = {.cli = cli, .files = files.items, .file = -1, .err = err};
    if (tokens) {
        o.token = list_token;
        o.token_arg = &list;
    }
    dsm_eval_result r;
    dsm_progress_begin(&bar, "eval", "seq", 0, cli->quiet);
    dsm_status status = data ? dsm_eval_data(&r, argv[0], data, &o, err)
                             : dsm_eval_text(&r, argv[0], files.items, files.n, &o, err);
    dsm_progress_end(&bar, NULL);
    if (status == DSM_OK) status = list.status;
    DSM_TRY(status);
    if (cli->json)
        status = print_json(&r, err);
    else
        print_text(&r, load);
    dsm_eval_result_free(&r);
    return status;
}

const dsm_command dsm_cmd_eval = {
    .name = "eval",
    .summary = "loss, perplexity, bits per byte and expert load",
    .help = help,
    .run = run,
};
