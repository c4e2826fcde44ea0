/* SPDX-License-Identifier: MIT */
/* dsmoe init: a randomly initialised checkpoint out of a config.json. */
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "cli/progress.h"
#include "dsmoe/dsmoe.h"
#include "dsmoe/model.h"

#include <stdio.h>

static const char help[] =
    "usage: dsmoe init CONFIG.json --out DIR|FILE.gguf [--dtype TYPE] [--seed N] [--tokenizer "
    "DIR]\n"
    "\n"
    "Writes a randomly initialised model of that shape as a Hugging Face folder or as a GGUF "
    "file.\n"
    "The values depend on the config and the seed alone. They are written tensor by tensor, so the\n"
    "model need not fit into memory. What is written appears when it is complete, Ctrl-C leaves\n"
    "nothing behind; what exists is never overwritten.\n"
    "\n"
    "  --out DIR|FILE.gguf        folder or file to make (required)\n"
    "  --dtype TYPE               element type of the weights: f32 (default), bf16 or f16, and in "
    "a\n"
    "                             GGUF file q8_0, q4_0, q4_1, q4_k, q5_k or q6_k\n"
    "  --seed N                   which random values (0)\n"
    "  --tokenizer DIR            put this tokenizer (a folder's or a GGUF file's) into it; its "
    "BOS\n"
    "                             and EOS become the model's, and it must fit the model's "
    "vocabulary\n";

static dsm_status print_made(const dsm_cli *cli, const dsm_make_options *o, dsm_err *err)
{
    dsm_model_info info;
    DSM_TRY(dsm_model_describe(&info, o->out_dir, cli->cpu_flags, err));
    dsm_status status = DSM_OK;
    if (cli->json)
        status = dsm_print_json(json_pack("{s:s, s:I, s:I, s:I, s:s}", "out", o->out_dir, "params",
                                          (json_int_t)info.params, "active_params",
                                          (json_int_t)info.active, "weight_bytes",
                                          (json_int_t)info.weight_bytes, "dtype", info.dtype),
                                err);
    else
        printf("%s: %s parameters, %s active per token, %sB of %s\n", o->out_dir,
               dsm_print_count((double)info.params), dsm_print_count((double)info.active),
               dsm_print_count((double)info.weight_bytes), info.dtype);
    dsm_model_info_free(&info);
    return status;
}

static bool show_progress(void *arg, double done, double total)
{
    dsm_progress_update(arg, done, total, NULL);
    return !dsm_interrupted();
}

static dsm_status make(const dsm_cli *cli, dsm_make_options *o, dsm_err *err)
{
    dsm_progress bar;
    dsm_progress_begin(&bar, "init", "B", 0, cli->quiet);
    dsm_interrupt_catch(NULL);
    o->progress = show_progress;
    o->progress_arg = &bar;
    dsm_status status = dsm_model_make(o, err);
    dsm_progress_end(&bar, NULL);
    return status;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_make_options o = {
        .dtype = "f32", .seed = cli->seed, .n_threads = cli->threads, .cpu_flags = cli->cpu_flags};
    const dsm_opt opts[] = {
        {"out", DSM_OPT_STRING, &o.out_dir, 0, 0, ""},
        {"dtype", DSM_OPT_STRING, &o.dtype, 0, 0, ""},
        {"tokenizer", DSM_OPT_STRING, &o.tokenizer, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected one CONFIG.json", n);
    if (!o.out_dir) return dsm_fail(err, DSM_EUSAGE, "--out DIR or FILE.gguf is missing");
    o.config = argv[0];
    DSM_TRY(make(cli, &o, err));
    return print_made(cli, &o, err);
}

const dsm_command dsm_cmd_init = {
    .name = "init",
    .summary = "make a randomly initialised checkpoint",
    .help = help,
    .run = run,
};
