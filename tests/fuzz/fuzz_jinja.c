/* SPDX-License-Identifier: MIT */
/* The text of a chat template, compiled and no more; fuzz_template.c renders, too. */
#include "fuzz.h"

#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_template *t;
    dsm_status status = dsm_template_compile(&t, (const char *)data, size, "fuzz", &err);
    FUZZ_ASSERT((status == DSM_OK) == (t != NULL));
    if (status != DSM_OK) fuzz_check_error(status, &err);
    dsm_template_free(t);
    return 0;
}
