/* SPDX-License-Identifier: MIT */
/* dsmoe data: text to token shards, and what a prepared folder holds. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "core/fs.h"
#include "core/json.h"
#include "dsmoe/dsmoe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: dsmoe data prepare --tokenizer DIR --out DIR [OPTIONS] INPUT...\n"
    "       dsmoe data info DIR [--check]\n"
    "\n"
    "prepare reads text, jsonl (one {\"text\": ...} per line), both also as .gz and .zst, and\n"
    "folders of them, and writes memory-mapped token shards with document boundaries. Which\n"
    "documents are kept for validation follows from a hash of their text. The data set appears\n"
    "when everything is written.\n"
    "\n"
    "  --tokenizer DIR            the tokenizer to encode with (required)\n"
    "  --out DIR                  data set to make (required)\n"
    "  --valid-fraction F         share of the documents kept for validation, 0 to below 1:\n"
    "                             makes two sets, OUT/train and OUT/valid\n"
    "  --text-field NAME          key of jsonl documents (text)\n"
    "  --split-blank-lines        plain text: a document per block between blank lines\n"
    "  --skip-bad-lines           count damaged jsonl lines and go on\n"
    "  --shard-tokens N           tokens per shard file (67108864)\n"
    "  --bos                      begin each document with the BOS token\n"
    "  --no-eos                   do not end each document with the EOS token\n"
    "\n"
    "info prints documents, tokens and bytes of a prepared folder; --check reads all of it and\n"
    "verifies its checksums.\n";

/* --- printing ------------------------------------------------------------------------------- */

static json_t *info_json(const dsm_data_info *i)
{
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016llx",
             (unsigned long long)i->tokenizer_fingerprint);
    return json_pack("{s:I, s:I, s:I, s:i, s:i, s:s}", "documents", (json_int_t)i->documents,
                     "tokens", (json_int_t)i->tokens, "bytes", (json_int_t)i->bytes, "shards",
                     i->n_shards, "vocab_size", (int)i->vocab_size, "tokenizer_fingerprint",
                     fingerprint);
}

static void info_print(const char *name, const dsm_data_info *i)
{
    double bytes_per_token = i->tokens ? (double)i->bytes / (double)i->tokens : 0;
    printf("%-8s %llu documents, %llu tokens, %llu bytes of text", name,
           (unsigned long long)i->documents, (unsigned long long)i->tokens,
           (unsigned long long)i->bytes);
    printf(" (%.3f bytes per token), %d shard%s\n", bytes_per_token, i->n_shards,
           i->n_shards == 1 ? "" : "s");
}

/* --- prepare -------------------------------------------------------------------------------- */

static void show_progress(void *arg, double done, double total, uint64_t tokens)
{
    char suffix[48];
    snprintf(suffix, sizeof suffix, "%.2f M tokens", (double)tokens / 1e6);
    dsm_progress_update(arg, done, total, suffix);
}

static dsm_status print_prepared(const dsm_cli *cli, const char *out, const dsm_data_info *train,
                                 const dsm_data_info *valid, const dsm_corpus_stats *s,
                                 dsm_err *err)
{
    bool split = valid->n_shards > 0;
    if (cli->json) {
        json_t *o = json_pack("{s:s, s:o, s:I, s:I, s:I}", "out", out, "train", info_json(train),
                              "repaired", (json_int_t)s->repaired, "empty", (json_int_t)s->empty,
                              "bad_lines", (json_int_t)s->bad_lines);
        if (split) json_object_set_new(o, "valid", info_json(valid));
        return dsm_print_json(o, err);
    }
    info_print(split ? "train" : "data", train);
    if (split) info_print("valid", valid);
    if (s->repaired)
        printf("%llu documents had invalid UTF-8, replaced by U+FFFD\n",
               (unsigned long long)s->repaired);
    if (s->empty) printf("%llu empty documents passed over\n", (unsigned long long)s->empty);
    if (s->bad_lines) printf("%llu bad lines passed over\n", (unsigned long long)s->bad_lines);
    printf("written to %s\n", out);
    return DSM_OK;
}

static dsm_status prepare(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    const char *tokenizer_dir = NULL;
    int64_t shard_tokens;
    bool no_eos = false;
    dsm_prepare_options o;
    dsm_prepare_defaults(&o);
    shard_tokens = (int64_t)o.shard_tokens;
    const dsm_opt opts[] = {
        {"tokenizer", DSM_OPT_STRING, &tokenizer_dir, 0, 0, ""},
        {"out", DSM_OPT_STRING, &o.out_dir, 0, 0, ""},
        {"valid-fraction", DSM_OPT_REAL, &o.valid_fraction, 0, 0, ""},
        {"text-field", DSM_OPT_STRING, &o.corpus.text_field, 0, 0, ""},
        {"split-blank-lines", DSM_OPT_FLAG, &o.corpus.split_blank_lines, 0, 0, ""},
        {"skip-bad-lines", DSM_OPT_FLAG, &o.corpus.skip_bad_lines, 0, 0, ""},
        {"shard-tokens", DSM_OPT_INT, &shard_tokens, 1, 1e15, ""},
        {"bos", DSM_OPT_FLAG, &o.prepend_bos, 0, 0, ""},
        {"no-eos", DSM_OPT_FLAG, &no_eos, 0, 0, ""},
    };
    int n_inputs;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n_inputs, err));
    if (!tokenizer_dir) return dsm_fail(err, DSM_EUSAGE, "--tokenizer DIR is missing");
    if (!o.out_dir) return dsm_fail(err, DSM_EUSAGE, "--out DIR is missing");
    if (n_inputs == 0) return dsm_fail(err, DSM_EUSAGE, "no input is named");

    dsm_progress bar;
    dsm_data_info train = {0}, valid = {0};
    dsm_corpus_stats stats = {0};
    dsm_tokenizer *tokenizer;
    DSM_TRY(dsm_tokenizer_open(&tokenizer, tokenizer_dir, err));
    o.append_eos = !no_eos;
    o.shard_tokens = (uint64_t)shard_tokens;
    o.n_threads = cli->threads;
    o.progress = show_progress;
    o.progress_arg = &bar;
    dsm_progress_begin(&bar, "prepare", "B", 0, cli->quiet);
    dsm_status status = dsm_data_prepare(tokenizer, (const char *const *)argv, (size_t)n_inputs, &o,
                                         &train, &valid, &stats, err);
    dsm_progress_end(&bar, NULL);
    dsm_tokenizer_close(tokenizer);
    if (status != DSM_OK) return status;
    return print_prepared(cli, o.out_dir, &train, &valid, &stats, err);
}

/* --- info ----------------------------------------------------------------------------------- */

/* One data set, or the part `name` of a split one. */
static dsm_status one_info(const dsm_cli *cli, const char *dir, const char *name, bool check,
                           json_t *object, dsm_err *err)
{
    dsm_data_info info;
    char *path = dsm_fs_join(dir, name);
    if (!path) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    dsm_status status = dsm_data_get_info(&info, path, err);
    if (status == DSM_OK && check) status = dsm_data_check(path, err);
    free(path);
    if (status != DSM_OK) return status;
    if (cli->json)
        json_object_set_new(object, *name ? name : "data", info_json(&info));
    else
        info_print(*name ? name : "data", &info);
    return DSM_OK;
}

static bool has_index(const char *dir, const char *name)
{
    dsm_buf path = {0};
    dsm_buf_fmt(&path, "%s/%s/data.json", dir, name);
    bool there = !path.failed && dsm_fs_exists(path.data);
    dsm_buf_free(&path);
    return there;
}

static dsm_status info(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    bool check = false;
    const dsm_opt opts[] = {{"check", DSM_OPT_FLAG, &check, 0, 0, ""}};
    int n;
    DSM_TRY(dsm_opts_parse(opts, 1, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "info: found %d folders, expected one", n);
    static const char *const parts[] = {"train", "valid"};
    json_t *object = json_object();
    dsm_status status = DSM_OK;
    int found = 0;
    for (int i = 0; i < 2 && status == DSM_OK; i++) {
        if (!has_index(argv[0], parts[i])) continue;
        found++;
        status = one_info(cli, argv[0], parts[i], check, object, err);
    }
    if (!found) status = one_info(cli, argv[0], "", check, object, err);
    if (status == DSM_OK && check && !cli->json) puts("every checksum fits");
    if (status == DSM_OK && cli->json) return dsm_print_json(object, err);
    json_decref(object);
    return status;
}

/* -------------------------------------------------------------------------------------------- */

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    static const struct action {
        const char *name;
        dsm_status (*run)(const dsm_cli *cli, int argc, char **argv, dsm_err *err);
    } actions[] = {{"prepare", prepare}, {"info", info}};
    const char *name = argc > 0 ? argv[0] : "nothing";
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0) return actions[i].run(cli, argc - 1, argv + 1, err);
    return dsm_fail(err, DSM_EUSAGE, "found %s, expected prepare or info; see dsmoe help data",
                    name);
}

const dsm_command dsm_cmd_data = {
    .name = "data",
    .summary = "turn text into token shards; show what a data set holds",
    .help = help,
    .run = run,
};
