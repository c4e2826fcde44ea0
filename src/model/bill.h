/* SPDX-License-Identifier: MIT */
/* Parts of a bill that a whole model (plan.c) and a device's part of one (layout.c) share. */
#ifndef DSMOE_MODEL_BILL_H
#define DSMOE_MODEL_BILL_H

#include "dsmoe/plan.h"
#include "model/params.h"

/* DSM_ERANGE: not 1 to 2^31 tokens. */
dsm_status dsm_bill_check_batch(int64_t sequences, int64_t seq_len, dsm_err *err);

/* One context of seq_len tokens. `params`: parameters held; of m, made of no memory, come the
 * shapes of cache and activations. */
dsm_plan_serving dsm_bill_serving(const dsm_model *m, int64_t params, int64_t seq_len);

#endif
