/* SPDX-License-Identifier: MIT */
/* dsmoe info: a model's card, its memory, and which kernels this machine runs. */
#include "cli/cmd.h"
#include "cli/opts.h"
#include "cli/print.h"
#include "core/threads.h"
#include "dsmoe/dsmoe.h"
#include "dsmoe/model.h"

#include <stdio.h>

static const char help[] =
    "usage: dsmoe info [MODEL] [--memory] [--check] [--kernels]\n"
    "\n"
    "Without MODEL: this program and machine.\n"
    "\n"
    "  --memory                   what running MODEL takes, by purpose\n"
    "  --check                    look at every weight: tensors with NaN or infinity are listed, "
    "and\n"
    "                             the exit status is 1 if there are any\n"
    "  --kernels                  the variant that runs in each kernel slot\n";

/* --- the model -------------------------------------------------------------------------------- */

static void print_experts(const dsm_model_info *i)
{
    const dsm_model_config *c = &i->config;
    if (i->moe_layers == 0) return;
    printf("experts        %lld shared and %lld routed of width %lld, %lld per token, in %lld "
           "layers\n",
           (long long)c->n_shared_experts, (long long)c->n_routed_experts,
           (long long)c->moe_intermediate_size, (long long)c->num_experts_per_tok,
           (long long)i->moe_layers);
    if (c->n_routed_experts > 0 && c->router != DSM_ROUTER_SOFTMAX)
        printf("router         %s\n", dsm_model_config_router(c));
}

static void print_attention(const dsm_model_config *c)
{
    if (!dsm_model_config_is_mla(c)) return;
    printf("attention      latent: %lld of keys and values", (long long)c->kv_lora_rank);
    if (c->q_lora_rank > 0) printf(", %lld of queries", (long long)c->q_lora_rank);
    printf("; heads of %lld + %lld rotated, values of %lld\n", (long long)c->qk_nope_head_dim,
           (long long)c->qk_rope_head_dim, (long long)c->v_head_dim);
}

static void print_card(const dsm_model_info *i)
{
    const dsm_model_config *c = &i->config;
    printf("model          %s\n", i->dir);
    printf("architecture   %s, %lld layers of width %lld, %lld heads (%lld of keys) of %lld\n",
           c->model_type, (long long)c->num_hidden_layers, (long long)c->hidden_size,
           (long long)c->num_attention_heads, (long long)c->num_key_value_heads,
           (long long)c->head_dim);
    print_attention(c);
    print_experts(i);
    printf("parameters     %s, %s active per token\n", dsm_print_count((double)i->params),
           dsm_print_count((double)i->active));
    printf("context        %lld tokens\n", (long long)dsm_model_config_context(c));
    printf("vocabulary     %lld%s\n", (long long)c->vocab_size,
           c->tie_word_embeddings ? ", embedding and head tied" : "");
    if (i->tokenizer_size >= 0)
        printf("tokenizer      %d entries, BOS %d, EOS %d\n", (int)i->tokenizer_size, (int)i->bos,
               (int)i->eos);
    else
        printf("tokenizer      none goes along\n");
    printf("weights        %lld tensors, %sB of %s in %d file%s\n", (long long)i->tensors,
           dsm_print_count((double)i->weight_bytes), i->dtype, i->n_files,
           i->n_files == 1 ? "" : "s");
}

static void print_memory(const dsm_model_info *i)
{
    printf("\nmemory to run it\n");
    printf("  weights      %sB, mapped from the files\n", dsm_print_count((double)i->weight_bytes));
    printf("  cache        %sB per token, %sB for the whole context\n",
           dsm_print_count((double)i->cache_bytes_per_token),
           dsm_print_count((double)i->cache_bytes_full));
    printf("  buffers      %sB for %lld tokens at a time\n",
           dsm_print_count((double)i->buffer_bytes), (long long)i->chunk);
}

static json_t *card_json(const dsm_model_info *i)
{
    const dsm_model_config *c = &i->config;
    json_t *o = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "model", i->dir, "model_type", c->model_type,
        "params", (json_int_t)i->params, "active_params", (json_int_t)i->active, "layers",
        (json_int_t)c->num_hidden_layers, "moe_layers", (json_int_t)i->moe_layers, "context",
        (json_int_t)c->max_position_embeddings, "vocab_size", (json_int_t)c->vocab_size);
    json_object_set_new(o, "n_routed_experts", json_integer(c->n_routed_experts));
    json_object_set_new(o, "n_shared_experts", json_integer(c->n_shared_experts));
    json_object_set_new(o, "num_experts_per_tok", json_integer(c->num_experts_per_tok));
    json_object_set_new(
        o, "router", c->n_routed_experts ? json_string(dsm_model_config_router(c)) : json_null());
    json_object_set_new(o, "tokenizer_size",
                        i->tokenizer_size < 0 ? json_null() : json_integer(i->tokenizer_size));
    json_object_set_new(o, "dtype", json_string(i->dtype));
    json_object_set_new(o, "tensors", json_integer(i->tensors));
    json_object_set_new(o, "files", json_integer(i->n_files));
    json_object_set_new(o, "memory",
                        json_pack("{s:I, s:I, s:I, s:I}", "weights", (json_int_t)i->weight_bytes,
                                  "cache_per_token", (json_int_t)i->cache_bytes_per_token, "cache",
                                  (json_int_t)i->cache_bytes_full, "buffers",
                                  (json_int_t)i->buffer_bytes));
    return o;
}

/* --- every weight ----------------------------------------------------------------------------- */

/* Tensors with weights that are not finite. */
typedef struct findings {
    bool print; /* as text, at once */
    json_t *list;
    int64_t n;
} findings;

static void find(void *arg, const char *tensor, int64_t n_nan, int64_t n_inf)
{
    findings *f = arg;
    if (f->print)
        printf("%-14s %s: %lld NaN, %lld infinite\n", f->n == 0 ? "not finite" : "", tensor,
               (long long)n_nan, (long long)n_inf);
    json_array_append_new(f->list, json_pack("{s:s, s:I, s:I}", "tensor", tensor, "nan",
                                             (json_int_t)n_nan, "infinite", (json_int_t)n_inf));
    f->n++;
}

/* The list is the caller's, also on failure. */
static dsm_status check_weights(const dsm_cli *cli, const char *model, findings *f, dsm_err *err)
{
    *f = (findings){.print = !cli->json, .list = json_array()};
    DSM_TRY(dsm_model_check(model, cli->threads, cli->cpu_flags, find, f, err));
    if (f->n == 0 && f->print) printf("checked        every weight is finite\n");
    return DSM_OK;
}

static dsm_status judge(const char *model, const findings *f, dsm_err *err)
{
    if (f->n == 0) return DSM_OK;
    return dsm_fail(err, DSM_ENONFINITE, "%s: %lld tensors with weights that are not finite", model,
                    (long long)f->n);
}

/* --- the machine ------------------------------------------------------------------------------ */

static void print_program(void)
{
    printf("dsmoe          %s (commit %s)\n", dsm_version(), dsm_commit());
    printf("cores          %d\n", dsm_cores_available());
}

static void print_kernels(const dsm_kernel_table *t)
{
    for (int i = 0; i < t->n_rows; i++)
        printf("%-14s %s\n", t->rows[i].name, t->rows[i].variant);
    if (t->tile_m > 0)
        printf("matrix tile    %lld x %lld, %lld deep\n", (long long)t->tile_m,
               (long long)t->tile_n, (long long)t->block_k);
}

static json_t *kernels_json(const dsm_kernel_table *t)
{
    json_t *o = json_object();
    for (int i = 0; i < t->n_rows; i++)
        json_object_set_new(o, t->rows[i].name, json_string(t->rows[i].variant));
    return o;
}

/* --- the command ------------------------------------------------------------------------------ */

/* What is asked for beside the card. */
typedef struct wishes {
    bool memory, check, kernels;
} wishes;

static json_t *program_json(void)
{
    return json_pack("{s:s, s:s, s:i}", "version", dsm_version(), "commit", dsm_commit(), "cores",
                     dsm_cores_available());
}

/* Takes o. */
static dsm_status print_as_json(const dsm_cli *cli, json_t *o, bool kernels, dsm_err *err)
{
    dsm_kernel_table table;
    dsm_kernel_table_get(&table, cli->cpu_flags);
    if (kernels) json_object_set_new(o, "kernels", kernels_json(&table));
    return dsm_print_json(o, err);
}

static void print_kernels_of(const dsm_cli *cli)
{
    dsm_kernel_table table;
    dsm_kernel_table_get(&table, cli->cpu_flags);
    putchar('\n');
    print_kernels(&table);
}

static dsm_status print_program_info(const dsm_cli *cli, const wishes *w, dsm_err *err)
{
    if (cli->json) return print_as_json(cli, program_json(), w->kernels, err);
    print_program();
    if (w->kernels) print_kernels_of(cli);
    return DSM_OK;
}

static dsm_status print_model_info(const dsm_cli *cli, const dsm_model_info *info, const wishes *w,
                                   dsm_err *err)
{
    findings found = {0};
    dsm_status status = DSM_OK;
    if (!cli->json) print_card(info);
    if (w->check) status = check_weights(cli, info->dir, &found, err);
    if (!cli->json && w->memory) print_memory(info);
    if (!cli->json && w->kernels) print_kernels_of(cli);
    if (cli->json && status == DSM_OK) {
        json_t *o = card_json(info);
        if (w->check) json_object_set(o, "not_finite", found.list);
        status = print_as_json(cli, o, w->kernels, err);
    }
    json_decref(found.list);
    return status == DSM_OK ? judge(info->dir, &found, err) : status;
}

static dsm_status run(const dsm_cli *cli, int argc, char **argv, dsm_err *err)
{
    wishes w = {0};
    const dsm_opt opts[] = {{"kernels", DSM_OPT_FLAG, &w.kernels, 0, 0, ""},
                            {"memory", DSM_OPT_FLAG, &w.memory, 0, 0, ""},
                            {"check", DSM_OPT_FLAG, &w.check, 0, 0, ""}};
    int n;
    DSM_TRY(dsm_opts_parse(opts, sizeof opts / sizeof *opts, argc, argv, &n, err));
    if (n > 1)
        return dsm_fail(err, DSM_EUSAGE, "found %d arguments, expected at most one MODEL", n);
    if (n == 0 && w.memory) return dsm_fail(err, DSM_EUSAGE, "--memory needs a MODEL");
    if (n == 0 && w.check) return dsm_fail(err, DSM_EUSAGE, "--check needs a MODEL");
    if (n == 0) return print_program_info(cli, &w, err);
    dsm_model_info info;
    DSM_TRY(dsm_model_describe(&info, argv[0], cli->cpu_flags, err));
    dsm_status status = print_model_info(cli, &info, &w, err);
    dsm_model_info_free(&info);
    return status;
}

const dsm_command dsm_cmd_info = {
    .name = "info",
    .summary = "a model's card and memory; which kernels run here",
    .help = help,
    .run = run,
};
