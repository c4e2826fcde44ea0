/* SPDX-License-Identifier: MIT */
/* dsmoe convert: a model in another format, element type or other shards. */
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "dsmoe/model.h"

#include <stdio.h>

static const char help[] =
    "usage: dsmoe convert SRC DST [--dtype TYPE] [--shard-mb N]\n"
    "\n"
    "Writes the model SRC (a run directory, a checkpoint, a Hugging Face folder or a GGUF file) "
    "to\n"
    "the new folder DST, or with a name that ends in .gguf to a new GGUF file, with its "
    "tokenizer,\n"
    "chat template and generation settings. Weights go from file to file, so the model need not "
    "fit\n"
    "into memory. DST appears when it is complete; Ctrl-C leaves nothing behind.\n"
    "\n"
    "  --dtype TYPE               element type of the weights (default: that of SRC): f32, bf16 "
    "or\n"
    "                             f16, and in a GGUF file q8_0, q4_0, q4_1, q4_k, q5_k or q6_k.\n"
    "                             Norms, biases and routers of GGUF files stay f32\n"
    "  --shard-mb N               largest weight file of a folder in MiB (4096)\n";

static dsm_status print_converted(const dsm_cli *cli, const char *dst, dsm_err *err)
{
    dsm_model_info info;
    DSM_TRY(dsm_model_describe(&info, dst, cli->cpu_flags, err));
    dsm_status status = DSM_OK;
    if (cli->json)
        status = dsm_print_json(json_pack("{s:s, s:s, s:i, s:I}", "out", dst, "dtype", info.dtype,
                                          "files", info.n_files, "weight_bytes",
                                          (json_int_t)info.weight_bytes),
                                err);
    else
        printf("%s: %sB of %s in %d file%s\n", dst, dsm_print_count((double)info.weight_bytes),
               info.dtype, info.n_files, info.n_files == 1 ? "" : "s");
    dsm_model_info_free(&info);
    return status;
}

static bool show_progress(void *arg, double done, double total)
{
    dsm_progress_update(arg, done, total, NULL);
    return !dsm_interrupted();
}

static dsm_status convert(const dsm_cli *cli, const char *src, const char *dst,
                          dsm_convert_options *o, dsm_err *err)
{
    dsm_progress bar;
    dsm_progress_begin(&bar, "convert", "B", 0, cli->quiet);
    dsm_interrupt_catch(NULL);
    o->progress = show_progress;
    o->progress_arg = &bar;
    dsm_status status = dsm_model_convert(src, dst, o, err);
    dsm_progress_end(&bar, NULL);
    return status;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_convert_options o = {.n_threads = cli->threads, .cpu_flags = cli->cpu_flags};
    int64_t shard_mb = 0;
    const dsm_opt opts[] = {
        {"dtype", DSM_OPT_STRING, &o.dtype, 0, 0, ""},
        {"shard-mb", DSM_OPT_INT, &shard_mb, 1, 1e9, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 2) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected SRC and DST", n);
    o.shard_bytes = (uint64_t)shard_mb << 20;
    DSM_TRY(convert(cli, argv[0], argv[1], &o, err));
    return print_converted(cli, argv[1], err);
}

const dsm_command dsm_cmd_convert = {
    .name = "convert",
    .summary = "rewrite a model in another format, element type or other shards",
    .help = help,
    .run = run,
};
