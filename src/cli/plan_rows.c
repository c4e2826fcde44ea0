/* SPDX-License-Identifier: MIT */
#include "cli/plan_rows.h"

#include "cli/print.h"

#include <stddef.h>
#include <stdio.h>

void dsm_row(const char *name, double amount, const char *unit, const char *note)
{
    int width = 8 + (*unit == '\0'); /* counts end where bytes do */
    printf("  %-22s %*s%s%s%s\n", name, width, dsm_print_count(amount), unit, *note ? "   " : "",
           note);
}

void dsm_row_policy_names(void)
{
    printf("  %-22s", "with recompute");
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        printf(" %9s", dsm_recompute_names[i]);
    printf("\n");
}

void dsm_row_policies(const char *name, const int64_t bytes[DSM_N_RECOMPUTE])
{
    printf("  %-22s", name);
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        printf(" %8sB", dsm_print_count((double)bytes[i]));
    printf("\n");
}

json_t *dsm_policies_json(const int64_t bytes[DSM_N_RECOMPUTE])
{
    json_t *out = json_object();
    for (int i = 0; i < DSM_N_RECOMPUTE; i++)
        json_object_set_new(out, dsm_recompute_names[i], json_integer((json_int_t)bytes[i]));
    return out;
}

/* --- serving: one table for both forms ---------------------------------------------------------
 */

static const struct {
    const char *key, *label;
    size_t field;
} serving[] = {
    {"weights_f32", "weights in f32", offsetof(dsm_plan_serving, weights_f32)},
    {"weights_bf16", "weights in bf16", offsetof(dsm_plan_serving, weights_bf16)},
    {"kv_cache", "KV cache in f16", offsetof(dsm_plan_serving, kv_cache)},
    {"activations", "activations", offsetof(dsm_plan_serving, activations)},
    {"total_f32", "in all, f32", offsetof(dsm_plan_serving, total_f32)},
    {"total_bf16", "in all, bf16", offsetof(dsm_plan_serving, total_bf16)},
};
enum { N_SERVING = sizeof serving / sizeof *serving };

static int64_t serving_bytes(const dsm_plan_serving *s, int i)
{
    return *(const int64_t *)(const void *)((const char *)s + serving[i].field);
}

json_t *dsm_serving_json(const dsm_plan_serving *s)
{
    json_t *out = json_object();
    for (int i = 0; i < N_SERVING; i++)
        json_object_set_new(out, serving[i].key, json_integer((json_int_t)serving_bytes(s, i)));
    return out;
}

void dsm_serving_rows(const dsm_plan_serving *s)
{
    for (int i = 0; i < N_SERVING; i++)
        dsm_row(serving[i].label, (double)serving_bytes(s, i), "B", "");
}
