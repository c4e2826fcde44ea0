/* SPDX-License-Identifier: MIT */
/* The papers' configurations, for tests. */
#ifndef DSMOE_TESTS_SUPPORT_PAPERS_H
#define DSMOE_TESTS_SUPPORT_PAPERS_H

#include "support/support.h"

#include "dsmoe/config.h"

#include <stdio.h>

/* configs/paper/NAME.json, or fail the test. */
static inline dsm_model_config test_paper_config(const char *name)
{
    char path[512];
    dsm_model_config c;
    dsm_err err;
    snprintf(path, sizeof path, TEST_SOURCE_DIR "/configs/paper/%s.json", name);
    assert_ok(dsm_model_config_read(&c, path, &err));
    return c;
}

#endif
