/* SPDX-License-Identifier: MIT */
/* The whole public API, the version, and the few settings that belong to the process. */
#ifndef DSMOE_DSMOE_H
#define DSMOE_DSMOE_H

#include "dsmoe/analyze.h"
#include "dsmoe/bench.h"
#include "dsmoe/config.h"
#include "dsmoe/data.h"
#include "dsmoe/engine.h"
#include "dsmoe/eval.h"
#include "dsmoe/experiment.h"
#include "dsmoe/layout.h"
#include "dsmoe/model.h"
#include "dsmoe/plan.h"
#include "dsmoe/report.h"
#include "dsmoe/settings.h"
#include "dsmoe/status.h"
#include "dsmoe/tokenizer.h"
#include "dsmoe/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0", and the commit the library was built from ("unknown" outside a checkout). */
const char *dsm_version(void);
const char *dsm_commit(void);

/* Flags of this CPU that kernels may use, lowered by the mask below: what to pass wherever
 * cpu_flags are asked for. */
unsigned dsm_runtime_cpu_flags(void);

/* Use fewer instruction sets than the CPU has: "none", "avx2", "avx512", "all" or a number of flag
 * bits. DSM_EUSAGE for anything else. Call once at start, before other threads. */
dsm_status dsm_runtime_set_cpu_mask(const char *text, dsm_err *err);

#ifdef __cplusplus
}
#endif
#endif
