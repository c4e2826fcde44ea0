/* SPDX-License-Identifier: MIT */
/* dsmoe convert: a model in another element type or other shards. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "dsmoe/model.h"

#include <stdio.h>

static const char help[] =
    "usage: dsmoe convert SRC DST [--dtype f32|bf16|f16] [--shard-mb N]\n"
    "\n"
    "Writes the model SRC (a run directory, a checkpoint or a Hugging Face folder) to the new "
    "folder\n"
    "DST, with its tokenizer and generation settings. DST appears when it is complete.\n"
    "\n"
    "  --dtype T                  element type of the weights (default: that of SRC)\n"
    "  --shard-mb N               largest weight file in MiB (4096)\n";

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

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_convert_options o = {0};
    int64_t shard_mb = 0;
    const dsm_opt opts[] = {
        {"dtype", DSM_OPT_STRING, &o.dtype, 0, 0, ""},
        {"shard-mb", DSM_OPT_INT, &shard_mb, 1, 1e9, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 2) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected SRC and DST", n);
    o.shard_bytes = (uint64_t)shard_mb << 20;
    DSM_TRY(dsm_model_convert(argv[0], argv[1], &o, err));
    return print_converted(cli, argv[1], err);
}

const dsm_command dsm_cmd_convert = {
    .name = "convert",
    .summary = "rewrite a model in another element type or other shards",
    .help = help,
    .run = run,
};
