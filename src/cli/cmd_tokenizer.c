/* SPDX-License-Identifier: MIT */
/* dsmoe tokenizer: train one from text, turn text into ids and back, show what a folder holds. */
#include "cli/cmd.h"
#include "cli/input.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "dsmoe/dsmoe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static const char help[] =
    "usage: dsmoe tokenizer train --vocab-size N --out DIR [OPTIONS] INPUT...\n"
    "       dsmoe tokenizer encode DIR [TEXT] [--no-special] [--post] [--null]\n"
    "       dsmoe tokenizer decode DIR [ID...] [--skip-special]\n"
    "       dsmoe tokenizer info DIR\n"
    "       dsmoe tokenizer bench DIR INPUT...\n"
    "\n"
    "train learns a byte-level BPE vocabulary from text, jsonl, .gz, .zst and folders of them, "
    "and\n"
    "writes tokenizer.json, tokenizer_config.json and special_tokens_map.json.\n"
    "\n"
    "  --vocab-size N             entries: special tokens, 256 bytes and merges together "
    "(required)\n"
    "  --out DIR                  where to write (required)\n"
    "  --pretokenizer NAME        deepseek-v3 (default), deepseek-llm, deepseek-coder, gpt2\n"
    "  --special TEXT             a special token; may be repeated. They come behind the default\n"
    "                             begin, end and padding tokens, in this order\n"
    "  --no-default-special       without those three\n"
    "  --bos TEXT, --eos TEXT, --pad TEXT   which special token begins, ends, pads\n"
    "  --min-frequency N          merge only pairs that occur this often (0)\n"
    "  --max-bytes N              stop reading after this much text (0: read all)\n"
    "  --text-field NAME          key of jsonl documents (text)\n"
    "  --split-blank-lines        plain text: a document per block between blank lines\n"
    "\n"
    "encode prints ids, of TEXT or of standard input. Text that spells a special token becomes "
    "that\n"
    "token, unless --no-special; --post adds what the file adds around a text (BOS). With --null\n"
    "standard input holds texts that end in a NUL byte, and each gives a line of ids.\n"
    "decode prints the text of ids, from the command line or standard input.\n"
    "bench reads the inputs into memory and prints how fast they are encoded.\n";

/* --- train ------------------------------------------------------------------------------------ */

/* A corpus with a progress bar on it. */
typedef struct reading {
    dsm_corpus *corpus;
    dsm_progress bar;
    bool merging; /* the bar shows merges now */
} reading;

static int next_document(void *arg, const char **text, size_t *n, dsm_err *err)
{
    reading *r = arg;
    uint64_t done, total;
    dsm_corpus_progress(r->corpus, &done, &total);
    dsm_progress_update(&r->bar, (double)done, (double)total, NULL);
    return dsm_corpus_next(r->corpus, text, n, err);
}

static void show_merges(void *arg, const char *phase, double done, double total)
{
    reading *r = arg;
    if (strcmp(phase, "merge") != 0) return;
    if (!r->merging) {
        bool quiet = r->bar.quiet;
        dsm_progress_end(&r->bar, NULL);
        dsm_progress_begin(&r->bar, "merge", "entries", 0, quiet);
        r->merging = true;
    }
    dsm_progress_update(&r->bar, done, total, NULL);
}

/* The specials in order: the defaults (unless left out), then the given ones. */
static size_t collect_specials(const dsm_tokenizer_train_options *defaults, bool with_defaults,
                               const dsm_opt_list *given, const char **out)
{
    size_t n = 0;
    for (size_t i = 0; with_defaults && i < defaults->n_specials; i++)
        out[n++] = defaults->specials[i];
    for (int i = 0; i < given->n; i++)
        out[n++] = given->items[i];
    return n;
}

static dsm_status print_trained(const dsm_cli *cli, const dsm_tokenizer *t, const char *out,
                                const dsm_corpus_stats *s, double seconds, dsm_err *err)
{
    if (cli->json)
        return dsm_print_json(json_pack("{s:s, s:i, s:I, s:I, s:f}", "out", out, "vocab_size",
                                        (int)dsm_tokenizer_size(t), "documents",
                                        (json_int_t)s->documents, "bytes", (json_int_t)s->bytes,
                                        "seconds", seconds),
                              err);
    printf("%d entries from %llu documents, %llu bytes; written to %s\n",
           (int)dsm_tokenizer_size(t), (unsigned long long)s->documents,
           (unsigned long long)s->bytes, out);
    return DSM_OK;
}

static dsm_status train_on(const dsm_cli *cli, dsm_tokenizer_train_options *o,
                           const dsm_corpus_options *corpus, char **inputs, int n_inputs,
                           const char *out, dsm_err *err)
{
    reading r = {0};
    dsm_tokenizer *t = NULL;
    dsm_corpus_stats stats;
    DSM_TRY(dsm_corpus_open(&r.corpus, (const char *const *)inputs, (size_t)n_inputs, corpus, err));
    o->n_threads = cli->threads;
    o->progress = show_merges;
    o->progress_arg = &r;
    dsm_progress_begin(&r.bar, "read", "B", 0, cli->quiet);
    double start = dsm_clock();
    dsm_status status = dsm_tokenizer_train(&t, o, next_document, &r, err);
    double seconds = dsm_clock() - start;
    dsm_progress_end(&r.bar, NULL);
    dsm_corpus_get_stats(r.corpus, &stats);
    dsm_corpus_close(r.corpus);
    if (status == DSM_OK) status = dsm_tokenizer_save(t, out, err);
    if (status == DSM_OK && !cli->quiet && dsm_tokenizer_size(t) < o->vocab_size)
        fprintf(stderr, "note: the text has no more pairs to merge: %d entries instead of %d\n",
                (int)dsm_tokenizer_size(t), (int)o->vocab_size);
    if (status == DSM_OK) status = print_trained(cli, t, out, &stats, seconds, err);
    dsm_tokenizer_close(t);
    return status;
}

/* A tokenizer is what data sets and models were made with: it is never overwritten. */
static dsm_status expect_no_tokenizer(const char *dir, dsm_err *err)
{
    char *file = dsm_fs_join(dir, "tokenizer.json");
    if (!file) return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    bool taken = dsm_fs_exists(file);
    free(file);
    if (!taken) return DSM_OK;
    return dsm_fail(err, DSM_EUSAGE,
                    "%s: holds a tokenizer already; name another --out, or remove it first", dir);
}

static dsm_status train(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_tokenizer_train_options o;
    dsm_corpus_options corpus;
    dsm_opt_list given = {0};
    int64_t vocab_size = 0, max_bytes = 0;
    const char *out = NULL, *bos = NULL, *eos = NULL, *pad = NULL;
    bool no_defaults = false;
    dsm_tokenizer_train_defaults(&o);
    dsm_corpus_defaults(&corpus);
    const dsm_opt opts[] = {
        {"vocab-size", DSM_OPT_INT, &vocab_size, 1, 1 << 22, ""},
        {"out", DSM_OPT_STRING, &out, 0, 0, ""},
        {"pretokenizer", DSM_OPT_STRING, &o.pretokenizer, 0, 0, ""},
        {"special", DSM_OPT_LIST, &given, 0, 0, ""},
        {"no-default-special", DSM_OPT_FLAG, &no_defaults, 0, 0, ""},
        {"bos", DSM_OPT_STRING, &bos, 0, 0, ""},
        {"eos", DSM_OPT_STRING, &eos, 0, 0, ""},
        {"pad", DSM_OPT_STRING, &pad, 0, 0, ""},
        {"min-frequency", DSM_OPT_INT, &o.min_frequency, 0, 9e18, ""},
        {"max-bytes", DSM_OPT_INT, &max_bytes, 0, 9e18, ""},
        {"text-field", DSM_OPT_STRING, &corpus.text_field, 0, 0, ""},
        {"split-blank-lines", DSM_OPT_FLAG, &corpus.split_blank_lines, 0, 0, ""},
    };
    int n_inputs;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n_inputs, err));
    if (!vocab_size) return dsm_fail(err, DSM_EUSAGE, "--vocab-size N is missing");
    if (!out) return dsm_fail(err, DSM_EUSAGE, "--out DIR is missing");
    if (n_inputs == 0) return dsm_fail(err, DSM_EUSAGE, "no input is named");
    DSM_TRY(expect_no_tokenizer(out, err));

    const char *specials[sizeof given.items / sizeof *given.items + 8];
    o.n_specials = collect_specials(&o, !no_defaults, &given, specials);
    o.specials = specials;
    o.bos = bos ? bos : no_defaults ? NULL : o.bos;
    o.eos = eos ? eos : no_defaults ? NULL : o.eos;
    o.pad = pad ? pad : no_defaults ? NULL : o.pad;
    o.vocab_size = (int32_t)vocab_size;
    o.max_bytes = (uint64_t)max_bytes;
    return train_on(cli, &o, &corpus, argv, n_inputs, out, err);
}

/* --- encode ------------------------------------------------------------------------------ */

static dsm_status print_ids(const dsm_cli *cli, const dsm_tokenizer *t, const dsm_ids *ids,
                            dsm_err *err)
{
    if (!cli->json) {
        for (size_t i = 0; i < ids->len; i++)
            printf("%s%d", i ? " " : "", (int)ids->data[i]);
        putchar('\n');
        return DSM_OK;
    }
    json_t *numbers = json_array(), *tokens = json_array();
    for (size_t i = 0; i < ids->len; i++) {
        json_array_append_new(numbers, json_integer(ids->data[i]));
        json_array_append_new(tokens, json_string(dsm_tokenizer_token(t, ids->data[i])));
    }
    return dsm_print_json(json_pack("{s:o, s:o}", "ids", numbers, "tokens", tokens), err);
}

static dsm_status encode_one(const dsm_cli *cli, const dsm_tokenizer *t, const char *text, size_t n,
                             unsigned flags, dsm_ids *ids, dsm_err *err)
{
    ids->len = 0;
    DSM_TRY(dsm_tokenizer_encode(t, text, n, flags, ids, err));
    return print_ids(cli, t, ids, err);
}

static dsm_status encode_stdin(const dsm_cli *cli, const dsm_tokenizer *t, unsigned flags,
                               dsm_ids *ids, dsm_err *err)
{
    dsm_buf text = {0};
    dsm_status status = dsm_read_stdin(&text, err);
    if (status == DSM_OK) status = encode_one(cli, t, text.data, text.len, flags, ids, err);
    dsm_buf_free(&text);
    return status;
}

static dsm_status encode_null_ended(const dsm_cli *cli, const dsm_tokenizer *t, unsigned flags,
                                    dsm_ids *ids, dsm_err *err)
{
    char *text = NULL;
    size_t cap = 0;
    dsm_status status = DSM_OK;
    for (ssize_t n; status == DSM_OK && (n = getdelim(&text, &cap, '\0', stdin)) > 0;) {
        bool ended = text[n - 1] == '\0';
        status = encode_one(cli, t, text, (size_t)n - ended, flags, ids, err);
    }
    free(text);
    if (status == DSM_OK && ferror(stdin))
        status = dsm_fail(err, DSM_EIO, "standard input: %s", strerror(errno));
    return status;
}

static dsm_status encode(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    bool no_special = false, post = false, null_ended = false;
    const dsm_opt opts[] = {{"no-special", DSM_OPT_FLAG, &no_special, 0, 0, ""},
                            {"post", DSM_OPT_FLAG, &post, 0, 0, ""},
                            {"null", DSM_OPT_FLAG, &null_ended, 0, 0, ""}};
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n < 1 || n > 2 || (n == 2 && null_ended))
        return dsm_fail(err, DSM_EUSAGE,
                        "encode: found %d arguments, expected DIR and at most one TEXT "
                        "(none with --null)",
                        n);
    unsigned flags = (no_special ? 0 : DSM_ENCODE_SPECIAL) | (post ? DSM_ENCODE_POST : 0);
    dsm_tokenizer *t;
    dsm_ids ids = {0};
    DSM_TRY(dsm_tokenizer_open(&t, argv[0], err));
    dsm_status status = n == 2 ? encode_one(cli, t, argv[1], strlen(argv[1]), flags, &ids, err)
                        : null_ended ? encode_null_ended(cli, t, flags, &ids, err)
                                     : encode_stdin(cli, t, flags, &ids, err);
    dsm_ids_free(&ids);
    dsm_tokenizer_close(t);
    return status;
}

/* --- decode ------------------------------------------------------------------------------ */

/* Append the id that `word` spells. */
static dsm_status push_id(const dsm_tokenizer *t, const char *word, dsm_buf *ids, dsm_err *err)
{
    char *end;
    errno = 0;
    long id = strtol(word, &end, 10);
    if (!*word || *end || errno || id < 0 || id >= dsm_tokenizer_size(t))
        return dsm_fail(err, DSM_EUSAGE, "decode: found \"%.40s\", expected an id from 0 to %d",
                        word, (int)dsm_tokenizer_size(t) - 1);
    dsm_buf_add(ids, &(int32_t){(int32_t)id}, sizeof(int32_t));
    return DSM_OK;
}

static dsm_status stdin_ids(const dsm_tokenizer *t, dsm_buf *ids, dsm_err *err)
{
    dsm_buf text = {0};
    char *state = NULL;
    dsm_status status = dsm_read_stdin(&text, err);
    for (char *word = strtok_r(text.data ? text.data : (char[]){""}, " \t\r\n,", &state);
         status == DSM_OK && word; word = strtok_r(NULL, " \t\r\n,", &state))
        status = push_id(t, word, ids, err);
    dsm_buf_free(&text);
    return status;
}

static dsm_status print_text(const dsm_cli *cli, const char *text, size_t n, dsm_err *err)
{
    if (!cli->json) {
        fwrite(text, 1, n, stdout);
        putchar('\n');
        return DSM_OK;
    }
    dsm_buf valid = {0}; /* JSON holds valid UTF-8 only */
    dsm_buf_add(&valid, "", 0);
    dsm_utf8_repair(&valid, text, n);
    json_t *o = valid.failed ? NULL : json_pack("{s:s#}", "text", valid.data, valid.len);
    dsm_buf_free(&valid);
    return dsm_print_json(o, err);
}

static dsm_status decode(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    bool skip_special = false;
    const dsm_opt opts[] = {{"skip-special", DSM_OPT_FLAG, &skip_special, 0, 0, ""}};
    int n;
    DSM_TRY(dsm_opts_parse(opts, 1, argc, argv, &n, err));
    if (n < 1) return dsm_fail(err, DSM_EUSAGE, "decode: the tokenizer's folder is missing");
    dsm_tokenizer *t;
    dsm_buf ids = {0};
    char *text = NULL;
    size_t len = 0;
    DSM_TRY(dsm_tokenizer_open(&t, argv[0], err));
    dsm_status status = DSM_OK;
    for (int i = 1; i < n && status == DSM_OK; i++)
        status = push_id(t, argv[i], &ids, err);
    if (n == 1) status = stdin_ids(t, &ids, err);
    if (status == DSM_OK) status = dsm_buf_check(&ids, "decode", err);
    if (status == DSM_OK)
        status = dsm_tokenizer_decode(t, (const int32_t *)(void *)ids.data,
                                      ids.len / sizeof(int32_t), skip_special, &text, &len, err);
    if (status == DSM_OK) status = print_text(cli, text, len, err);
    free(text);
    dsm_buf_free(&ids);
    dsm_tokenizer_close(t);
    return status;
}

/* --- info -------------------------------------------------------------------------------- */

static const char *name_of(const dsm_tokenizer *t, int32_t id)
{
    const char *text = dsm_tokenizer_token(t, id);
    return text ? text : "none";
}

static dsm_status info(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    int n;
    DSM_TRY(dsm_opts_parse(NULL, 0, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "info: found %d folders, expected one", n);
    dsm_tokenizer *t;
    DSM_TRY(dsm_tokenizer_open(&t, argv[0], err));
    int size = dsm_tokenizer_size(t), specials = 0;
    for (int id = 0; id < size; id++)
        specials += dsm_tokenizer_is_special(t, id);
    int bos = dsm_tokenizer_bos(t), eos = dsm_tokenizer_eos(t);
    const char *pretokenizer = dsm_tokenizer_pretokenizer(t);
    char fingerprint[24];
    snprintf(fingerprint, sizeof fingerprint, "%016llx",
             (unsigned long long)dsm_tokenizer_fingerprint(t));
    dsm_status status = DSM_OK;
    if (cli->json) {
        status = dsm_print_json(json_pack("{s:i, s:i, s:i, s:i, s:s?, s:s}", "vocab_size", size,
                                          "specials", specials, "bos", bos, "eos", eos,
                                          "pretokenizer", pretokenizer, "fingerprint", fingerprint),
                                err);
    } else {
        printf("entries        %d, %d of them special\n", size, specials);
        printf("begin          %s (%d)\n", name_of(t, bos), bos);
        printf("end            %s (%d)\n", name_of(t, eos), eos);
        printf("pre-tokenizer  %s\n", pretokenizer ? pretokenizer : "the file's own chain");
        printf("fingerprint    %s\n", fingerprint);
    }
    dsm_tokenizer_close(t);
    return status;
}

/* --- bench ------------------------------------------------------------------------------- */

/* Documents in memory. */
typedef struct texts {
    char **data;
    size_t *lengths, n, cap, bytes;
} texts;

static void texts_free(texts *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->data[i]);
    free(x->data);
    free(x->lengths);
}

static dsm_status keep_text(texts *x, const char *text, size_t n, dsm_err *err)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 256;
        char **data = realloc(x->data, cap * sizeof *data);
        if (data) x->data = data;
        size_t *lengths = realloc(x->lengths, cap * sizeof *lengths);
        if (lengths) x->lengths = lengths;
        if (!data || !lengths) return dsm_fail(err, DSM_ENOMEM, "out of memory");
        x->cap = cap;
    }
    char *copy = malloc(n + 1);
    if (!copy) return dsm_fail(err, DSM_ENOMEM, "out of memory");
    memcpy(copy, text, n);
    x->data[x->n] = copy;
    x->lengths[x->n++] = n;
    x->bytes += n;
    return DSM_OK;
}

static dsm_status keep_all(texts *x, char **inputs, int n_inputs, dsm_err *err)
{
    dsm_corpus *corpus;
    dsm_corpus_options o;
    const char *text;
    size_t n;
    int more;
    dsm_corpus_defaults(&o);
    DSM_TRY(dsm_corpus_open(&corpus, (const char *const *)inputs, (size_t)n_inputs, &o, err));
    dsm_status status = DSM_OK;
    while (status == DSM_OK && (more = dsm_corpus_next(corpus, &text, &n, err)) != 0)
        status = more < 0 ? err->code : keep_text(x, text, n, err);
    dsm_corpus_close(corpus);
    return status;
}

static dsm_status time_encoding(const dsm_cli *cli, const dsm_tokenizer *t, const texts *x,
                                dsm_err *err)
{
    dsm_ids *ids = calloc(x->n + 1, sizeof *ids);
    size_t n_ids = 0;
    if (!ids) return dsm_fail(err, DSM_ENOMEM, "out of memory");
    double start = dsm_clock();
    dsm_status status = dsm_tokenizer_encode_batch(t, (const char *const *)x->data, x->lengths,
                                                   x->n, DSM_ENCODE_PLAIN, cli->threads, ids, err);
    double seconds = dsm_clock() - start;
    for (size_t i = 0; i < x->n; i++) {
        n_ids += ids[i].len;
        dsm_ids_free(&ids[i]);
    }
    free(ids);
    if (status != DSM_OK) return status;
    if (cli->json)
        return dsm_print_json(json_pack("{s:I, s:I, s:I, s:f, s:f}", "documents", (json_int_t)x->n,
                                        "bytes", (json_int_t)x->bytes, "tokens", (json_int_t)n_ids,
                                        "seconds", seconds, "mb_per_s",
                                        (double)x->bytes / seconds / 1e6),
                              err);
    printf("%zu documents, %zu bytes, %zu tokens in %.3f s: %.1f MB/s\n", x->n, x->bytes, n_ids,
           seconds, (double)x->bytes / seconds / 1e6);
    return DSM_OK;
}

static dsm_status bench(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    int n;
    DSM_TRY(dsm_opts_parse(NULL, 0, argc, argv, &n, err));
    if (n < 2)
        return dsm_fail(err, DSM_EUSAGE, "bench: found %d arguments, expected DIR and inputs", n);
    dsm_tokenizer *t;
    texts x = {0};
    DSM_TRY(dsm_tokenizer_open(&t, argv[0], err));
    dsm_status status = keep_all(&x, argv + 1, n - 1, err);
    if (status == DSM_OK) status = time_encoding(cli, t, &x, err);
    texts_free(&x);
    dsm_tokenizer_close(t);
    return status;
}

/* ---------------------------------------------------------------------------------------------- */

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    static const struct action {
        const char *name;
        dsm_status (*run)(const dsm_cli *cli, int argc, char **argv, dsm_err *err);
    } actions[] = {
        {"train", train}, {"encode", encode}, {"decode", decode}, {"info", info}, {"bench", bench}};
    const char *name = argc > 0 ? argv[0] : "nothing";
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0) return actions[i].run(cli, argc - 1, argv + 1, err);
    return dsm_fail(
        err, DSM_EUSAGE,
        "found %s, expected train, encode, decode, info or bench; see dsmoe help tokenizer", name);
}

const dsm_command dsm_cmd_tokenizer = {
    .name = "tokenizer",
    .summary = "train a tokenizer; turn text into ids and back",
    .help = help,
    .run = run,
};
