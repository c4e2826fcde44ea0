/* SPDX-License-Identifier: MIT */
/* Rows that the bills of `plan` share: of a model, and of each device of a layout. */
#ifndef DSMOE_CLI_PLAN_ROWS_H
#define DSMOE_CLI_PLAN_ROWS_H

#include "dsmoe/plan.h"

#include <jansson.h>

/* "  name   65.5 GB   note"; unit "" for counts, note "" for none. */
void dsm_row(const char *name, double amount, const char *unit, const char *note);

/* Bytes under each recompute policy, and the line of their names above such rows. */
void dsm_row_policy_names(void);
void dsm_row_policies(const char *name, const int64_t bytes[DSM_N_RECOMPUTE]);

json_t *dsm_policies_json(const int64_t bytes[DSM_N_RECOMPUTE]);
json_t *dsm_serving_json(const dsm_plan_serving *s);
void dsm_serving_rows(const dsm_plan_serving *s);

#endif
