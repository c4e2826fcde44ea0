/* SPDX-License-Identifier: MIT */
/* dsmoe bench: figures with units and their share of the machine's ceilings. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "core/nearest.h"
#include "dsmoe/bench.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: dsmoe bench machine\n"
    "       dsmoe bench kernels [tiny|small|16b] [--slot NAME] [--compute f32|bf16]\n"
    "       dsmoe bench train CONFIG.json --seq N --batch N [--steps N] [--micro N]\n"
    "                         [--recompute none|experts|all] [--compute f32|bf16] [--skew]\n"
    "       dsmoe bench infer MODEL [--prompt N] [--gen N] [--chunk N] [--runs N] [--cache TYPE]\n"
    "\n"
    "machine measures the ceilings: multiply-adds of each kind, reading and copying memory, on "
    "one\n"
    "thread and on all.\n"
    "\n"
    "kernels measures every kernel at the shapes of a training step of the tiny or small "
    "(default)\n"
    "benchmark model, beside the ceiling it runs into. 16b: linear maps with stored weights of "
    "every\n"
    "type at the shapes of DeepSeekMoE 16B, one row (a token) and many (a prompt).\n"
    "\n"
    "  --slot NAME                only this kernel (names: dsmoe info --kernels)\n"
    "\n"
    "train runs the trainer's own step (forward, backward, clip, AdamW) on random tokens: one step "
    "to\n"
    "touch all memory, then --steps timed ones. Tokens/s are of the median step. FLOPs are 6 per "
    "active\n"
    "parameter (with head, without embedding) and token, and 6·L·T·d for causal attention.\n"
    "\n"
    "  --seq N                    tokens of a sequence (required)\n"
    "  --batch N                  sequences of a step (required)\n"
    "  --steps N                  timed steps (5)\n"
    "  --micro N                  sequences computed at once (all)\n"
    "  --recompute POLICY         none, experts or all: what backward computes again (none)\n"
    "  --compute PRECISION        f32 or bf16: operands of matrix products (f32; kernels too)\n"
    "  --skew                     every token picks the first expert of each layer\n"
    "\n"
    "infer feeds random tokens to a model: a prompt together, then tokens one by one. Reading "
    "memory\n"
    "is the ceiling of the latter: bytes of the weights one token uses, as stored, per second.\n"
    "\n"
    "  --prompt N, --gen N        tokens fed together (512), one by one (32)\n"
    "  --chunk N                  tokens of a prompt that go through the model together (512)\n"
    "  --runs N                   of both; figures are of the median run and of the best (3)\n"
    "  --cache TYPE               of keys and values: f32, f16 or q8_0 (f16)\n";

/* --- machine ---------------------------------------------------------------------------------- */

static json_t *machine_json(const dsm_bench_machine *m)
{
    json_t *o = json_pack("{s:i}", "threads", m->threads);
    for (int i = 0; i < m->n_rates; i++)
        json_object_set_new(o, m->rate[i].name,
                            json_pack("{s:s, s:f, s:f}", "unit", m->rate[i].unit, "one_thread",
                                      m->rate[i].one, "all_threads", m->rate[i].all));
    return o;
}

static dsm_status bench_machine(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_bench_machine m;
    if (argc > 0) return dsm_fail(err, DSM_EUSAGE, "found %s, expected no arguments", argv[0]);
    DSM_TRY(dsm_bench_machine_run(&m, cli->threads, cli->cpu_flags, err));
    if (cli->json) return dsm_print_json(machine_json(&m), err);
    printf("%-12s %10s  %d thread%s\n", "", "1 thread", m.threads, m.threads == 1 ? "" : "s");
    for (int i = 0; i < m.n_rates; i++)
        printf("%-12s %10.1f %10.1f  %s\n", m.rate[i].name, m.rate[i].one, m.rate[i].all,
               m.rate[i].unit);
    return DSM_OK;
}

/* --- kernels ---------------------------------------------------------------------------------- */

static void print_kernel(void *arg, const dsm_bench_kernel *k)
{
    const dsm_cli *cli = arg;
    if (!cli->json) {
        printf("%-14s %-36s %9.3f ms %8.1f %-7s %5.1f %% of %6.1f  %s\n", k->slot, k->shape,
               k->seconds * 1e3, k->rate, k->unit, 100 * k->share, k->ceiling, k->variant);
        fflush(stdout);
        return;
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:f, s:f, s:s, s:f, s:f}", "slot", k->slot, "variant",
                          k->variant, "shape", k->shape, "seconds", k->seconds, "rate", k->rate,
                          "unit", k->unit, "ceiling", k->ceiling, "share", k->share);
    (void)dsm_print_json(o, NULL); /* main notices output that cannot be written */
}

/* The place of a name in a NULL-terminated list. */
static dsm_status find_choice(int *out, const char *flag, const char *name,
                              const char *const *choices, dsm_err *err)
{
    char all[64] = "";
    for (int i = 0; choices[i]; i++) {
        if (strcmp(choices[i], name) == 0) return *out = i, DSM_OK;
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", i ? ", " : "", choices[i]);
    }
    return dsm_fail(err, DSM_EUSAGE, "%s: found \"%s\", expected one of: %s", flag, name, all);
}

static dsm_status bench_kernels(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    const char *slot = NULL, *name = "f32";
    const dsm_opt opts[] = {{"slot", DSM_OPT_STRING, &slot, 0, 0, ""},
                            {"compute", DSM_OPT_STRING, &name, 0, 0, ""}};
    int compute = DSM_COMPUTE_F32;
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n > 1) return dsm_fail(err, DSM_EUSAGE, "found %d models, expected tiny, small or 16b", n);
    DSM_TRY(find_choice(&compute, "--compute", name, dsm_compute_names, err));
    return dsm_bench_kernels_run(n == 1 ? argv[0] : "small", slot, cli->threads, cli->cpu_flags,
                                 (dsm_compute)compute, print_kernel, (void *)(uintptr_t)cli, err);
}

/* --- train ------------------------------------------------------------------------------------ */

static json_t *parts_json(const dsm_bench_train *r)
{
    json_t *parts = json_object();
    json_object_set_new(parts, "total", json_real(r->step_s));
    for (int i = 0; i < r->n_parts; i++)
        json_object_set_new(parts, r->part[i].name, json_real(r->part[i].seconds));
    return parts;
}

static json_t *or_null(double x)
{
    return x > 0 ? json_real(x) : json_null();
}

static json_t *train_json(const dsm_bench_train *r)
{
    return json_pack("{s:f, s:f, s:f, s:o, s:f, s:f, s:o, s:o, s:I, s:I, s:I, s:i, s:s, s:o}",
                     "tokens_per_s", r->tokens_per_s, "best_tokens_per_s", r->best_tokens_per_s,
                     "startup_s", r->startup_s, "step_s", parts_json(r), "flops_per_token",
                     r->flops_per_token, "gflops", r->gflops, "peak_gflops",
                     or_null(r->peak_gflops), "peak_share", or_null(r->peak_share),
                     "peak_rss_bytes", (json_int_t)r->peak_rss_bytes, "params",
                     (json_int_t)r->params, "active_params", (json_int_t)r->active_params,
                     "threads", r->threads, "gemm", r->gemm, "loss", dsm_json_number(r->loss));
}

static void train_print(const dsm_bench_train *r)
{
    printf("model      %s parameters, %s active per token, %d thread%s, matrix kernel %s\n",
           dsm_print_count((double)r->params), dsm_print_count((double)r->active_params),
           r->threads, r->threads == 1 ? "" : "s", r->gemm);
    printf("speed      %.0f tokens/s (best step %.0f), %.1f ms per step\n", r->tokens_per_s,
           r->best_tokens_per_s, r->step_s * 1e3);
    printf("start      %.2f s until the first step\n", r->startup_s);
    printf("arithmetic %.1f GFLOP/s", r->gflops);
    if (r->peak_gflops > 0)
        printf(", %.1f %% of the %.0f GFLOP/s measured in this run", 100 * r->peak_share,
               r->peak_gflops);
    printf("\nmemory     %sB at its peak\n", dsm_print_count((double)r->peak_rss_bytes));
    for (int i = 0; i < r->n_parts; i++)
        printf("  %-10s %8.2f ms %5.1f %%\n", r->part[i].name, r->part[i].seconds * 1e3,
               100 * r->part[i].seconds / r->step_s);
}

static dsm_status bench_train(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_bench_train_options o;
    dsm_bench_train result;
    const char *recompute = "none", *compute = "f32";
    int choice;
    dsm_bench_train_defaults(&o);
    const dsm_opt opts[] = {
        {"seq", DSM_OPT_INT, &o.seq_len, 1, 1 << 20, ""},
        {"batch", DSM_OPT_INT, &o.sequences, 1, 1 << 20, ""},
        {"steps", DSM_OPT_INT, &o.steps, 1, 1000, ""},
        {"micro", DSM_OPT_INT, &o.micro, 1, 1 << 20, ""},
        {"recompute", DSM_OPT_STRING, &recompute, 0, 0, ""},
        {"compute", DSM_OPT_STRING, &compute, 0, 0, ""},
        {"skew", DSM_OPT_FLAG, &o.skew, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d configs, expected one CONFIG.json", n);
    if (o.seq_len == 0) return dsm_fail(err, DSM_EUSAGE, "--seq N is missing");
    if (o.sequences == 0) return dsm_fail(err, DSM_EUSAGE, "--batch N is missing");
    DSM_TRY(find_choice(&choice, "--recompute", recompute, dsm_recompute_names, err));
    o.recompute = (dsm_recompute)choice;
    DSM_TRY(find_choice(&choice, "--compute", compute, dsm_compute_names, err));
    o.compute = (dsm_compute)choice;
    o.config = argv[0];
    o.n_threads = cli->threads;
    o.cpu_flags = cli->cpu_flags;
    if (cli->has_seed) o.seed = cli->seed;
    DSM_TRY(dsm_bench_train_run(&result, &o, err));
    if (cli->json) return dsm_print_json(train_json(&result), err);
    train_print(&result);
    return DSM_OK;
}

/* --- infer ------------------------------------------------------------------------------------ */

static json_t *infer_parts_json(const dsm_bench_infer *r, bool prefill)
{
    json_t *parts = json_object();
    for (int i = 0; i < r->n_parts; i++)
        json_object_set_new(parts, r->part[i].name,
                            json_real(prefill ? r->part[i].prefill_s : r->part[i].gen_s));
    return parts;
}

static json_t *infer_json(const dsm_bench_infer *r)
{
    return json_pack(
        "{s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:f, s:f, s:I, s:I, s:I, s:i,"
        " s:s, s:o, s:o}",
        "prefill_tokens_per_s", r->prefill_tokens_per_s, "best_prefill_tokens_per_s",
        r->best_prefill_tokens_per_s, "decode_tokens_per_s", r->decode_tokens_per_s,
        "best_decode_tokens_per_s", r->best_decode_tokens_per_s, "active_weight_bytes",
        (json_int_t)r->active_weight_bytes, "read_gb_per_s", r->read_gb_per_s, "bandwidth_gb_per_s",
        r->bandwidth_gb_per_s, "bandwidth_share", r->bandwidth_share, "best_bandwidth_share",
        r->best_bandwidth_share, "prefill_gops", r->prefill_gops, "int8_gops",
        or_null(r->int8_gops), "int8_share", or_null(r->int8_share), "load_s", r->load_s,
        "first_token_s", r->first_token_s, "peak_rss_bytes", (json_int_t)r->peak_rss_bytes,
        "params", (json_int_t)r->params, "active_params", (json_int_t)r->active_params, "threads",
        r->threads, "gemm", r->gemm, "prefill_part_s", infer_parts_json(r, true), "decode_part_s",
        infer_parts_json(r, false));
}

static void infer_print(const dsm_bench_infer *r)
{
    double prefill = 0, gen = 0;
    printf("model      %s parameters, %s active, %sB of weights per token, %d thread%s, %s\n",
           dsm_print_count((double)r->params), dsm_print_count((double)r->active_params),
           dsm_print_count((double)r->active_weight_bytes), r->threads, r->threads == 1 ? "" : "s",
           r->gemm);
    printf("start      loaded in %.2f s, first token after %.2f s\n", r->load_s, r->first_token_s);
    printf("prefill    %.1f tokens/s (best %.1f), %.0f Gop/s", r->prefill_tokens_per_s,
           r->best_prefill_tokens_per_s, r->prefill_gops);
    if (r->int8_gops > 0)
        printf(", %.1f %% of the %.0f of int8 dots", 100 * r->int8_share, r->int8_gops);
    printf("\ndecode     %.2f tokens/s (best %.2f), %.1f GB/s, %.1f %% (best %.1f %%) of the %.1f "
           "measured in this run\n",
           r->decode_tokens_per_s, r->best_decode_tokens_per_s, r->read_gb_per_s,
           100 * r->bandwidth_share, 100 * r->best_bandwidth_share, r->bandwidth_gb_per_s);
    printf("memory     %sB at its peak, mapped weights included\n",
           dsm_print_count((double)r->peak_rss_bytes));
    for (int i = 0; i < r->n_parts; i++)
        prefill += r->part[i].prefill_s, gen += r->part[i].gen_s;
    for (int i = 0; i < r->n_parts; i++)
        if (r->part[i].prefill_s + r->part[i].gen_s > 0)
            printf("  %-10s %5.1f %% of prefill %5.1f %% of decode\n", r->part[i].name,
                   100 * r->part[i].prefill_s / prefill, 100 * r->part[i].gen_s / gen);
}

static dsm_status bench_infer(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    dsm_bench_infer_options o;
    dsm_bench_infer result;
    dsm_bench_infer_defaults(&o);
    const dsm_opt opts[] = {
        {"prompt", DSM_OPT_INT, &o.prompt, 1, 1 << 20, ""},
        {"gen", DSM_OPT_INT, &o.gen, 1, 1 << 20, ""},
        {"chunk", DSM_OPT_INT, &o.chunk, 1, 1 << 20, ""},
        {"runs", DSM_OPT_INT, &o.runs, 1, 100, ""},
        {"cache", DSM_OPT_STRING, &o.cache, 0, 0, ""},
    };
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n != 1) return dsm_fail(err, DSM_EUSAGE, "found %d models, expected one MODEL", n);
    o.model = argv[0];
    o.n_threads = cli->threads;
    o.cpu_flags = cli->cpu_flags;
    if (cli->has_seed) o.seed = cli->seed;
    DSM_TRY(dsm_bench_infer_run(&result, &o, err));
    if (cli->json) return dsm_print_json(infer_json(&result), err);
    infer_print(&result);
    return DSM_OK;
}

/* --- the command ------------------------------------------------------------------------------ */

/* One row per kind of measurement. */
static const struct {
    const char *name;
    dsm_status (*run)(const dsm_cli *cli, int argc, char **argv, dsm_err *err);
} kinds[] = {
    {"machine", bench_machine},
    {"kernels", bench_kernels},
    {"train", bench_train},
    {"infer", bench_infer},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    if (argc == 0)
        return dsm_fail(err, DSM_EUSAGE, "what to measure is missing; see dsmoe help bench");
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(argv[0], kinds[i].name) == 0) return kinds[i].run(cli, argc - 1, argv + 1, err);
    const char *near = dsm_nearest(argv[0], kinds, N_KINDS, sizeof *kinds);
    return dsm_fail(err, DSM_EUSAGE, "found %s%s%s%s; see dsmoe help bench", argv[0],
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

const dsm_command dsm_cmd_bench = {
    .name = "bench",
    .summary = "measure this machine and what the program gets out of it",
    .help = help,
    .run = run,
};
