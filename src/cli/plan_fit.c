/* SPDX-License-Identifier: MIT */
#include "cli/plan_fit.h"

#include "cli/print.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dsm_status dsm_fit_parse(int64_t *bytes, const char *text, dsm_err *err)
{
    static const char prefixes[] = "kMGT";
    char *end;
    double value = strtod(text, &end), base = 1000;
    while (*end == ' ')
        end++;
    const char *prefix = *end ? strchr(prefixes, *end == 'K' ? 'k' : *end) : NULL;
    if (prefix) {
        end++;
        if (*end == 'i') base = 1024, end++;
        for (const char *p = prefixes; p <= prefix; p++)
            value *= base;
    }
    if (*end == 'B') end++;
    if (!isdigit((unsigned char)*text) || *end != '\0' || !(value >= 1 && value < 1e18))
        return dsm_fail(err, DSM_EUSAGE, "--device-memory: found \"%s\", expected a size like 40GB",
                        text);
    *bytes = (int64_t)value;
    return DSM_OK;
}

/* One thing to do on the device. contexts: how many fit; -1: not asked. */
typedef struct row {
    char key[32], label[48];
    int64_t needs, contexts;
} row;

enum { N_ROWS = 2 + DSM_N_RECOMPUTE };

/* Contexts that fit beside the weights and the activations of one prefill. */
static int64_t contexts(const dsm_fit *f, int64_t weights)
{
    int64_t left = f->device - weights - f->serve.activations;
    return left < 0 ? 0 : left / f->serve.kv_cache;
}

static void fill(const dsm_fit *f, row rows[N_ROWS])
{
    rows[0] =
        (row){"serve_f32", "serving in f32", f->serve.total_f32, contexts(f, f->serve.weights_f32)};
    rows[1] = (row){"serve_bf16", "serving in bf16", f->serve.total_bf16,
                    contexts(f, f->serve.weights_bf16)};
    for (int i = 0; i < DSM_N_RECOMPUTE; i++) {
        row *r = &rows[2 + i];
        *r = (row){.needs = f->train[i], .contexts = -1};
        snprintf(r->key, sizeof r->key, "train_%s", dsm_recompute_names[i]);
        snprintf(r->label, sizeof r->label, "training, recompute %s", dsm_recompute_names[i]);
    }
}

json_t *dsm_fit_json(const dsm_fit *f)
{
    row rows[N_ROWS];
    json_t *out =
        json_pack("{s:I, s:s}", "bytes", (json_int_t)f->device, "train_dtype", f->train_dtype);
    fill(f, rows);
    for (int i = 0; i < N_ROWS; i++) {
        json_t *r = json_pack("{s:I, s:b}", "needs", (json_int_t)rows[i].needs, "fits",
                              rows[i].needs <= f->device);
        if (rows[i].contexts >= 0)
            json_object_set_new(r, "contexts", json_integer((json_int_t)rows[i].contexts));
        json_object_set_new(out, rows[i].key, r);
    }
    return out;
}

void dsm_fit_print(const dsm_fit *f)
{
    row rows[N_ROWS];
    printf("a device of %sB (training in %s)\n", dsm_print_count((double)f->device),
           f->train_dtype);
    fill(f, rows);
    for (int i = 0; i < N_ROWS; i++) {
        int64_t left = f->device - rows[i].needs;
        printf("  %-27s %s: needs %sB, %sB %s", rows[i].label, left >= 0 ? "fits" : "does not fit",
               dsm_print_count((double)rows[i].needs), dsm_print_count(fabs((double)left)),
               left >= 0 ? "left" : "too much");
        if (left >= 0 && rows[i].contexts > 1)
            printf("; %lld contexts of %lld tokens", (long long)rows[i].contexts,
                   (long long)f->seq_len);
        printf("\n");
    }
}
