/* SPDX-License-Identifier: MIT */
/* A recipe and one override: up to a line "@@" the YAML file, after it a --set. Whatever is
 * accepted must be written and read back as the same recipe, and have a schedule. */
#include "fuzz.h"

#include "train/recipe.h"
#include "train/schedule.h"

#include <string.h>

static const char separator[] = "\n@@\n";

/* Where the override begins, or NULL. */
static const char *find_set(const char *text, size_t size)
{
    size_t n = sizeof separator - 1;
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(text + i, separator, n) == 0) return text + i;
    return NULL;
}

static void write_and_read(const dsm_recipe *r)
{
    static dsm_recipe again;
    dsm_err err = {0};
    char *text = dsm_recipe_text(r);
    FUZZ_ASSERT(text);
    FUZZ_ASSERT(dsm_recipe_parse(&again, text, strlen(text), "again", NULL, 0, &err) == DSM_OK);
    FUZZ_ASSERT(memcmp(r, &again, sizeof again) == 0);
    free(text);
}

static void check_schedule(const dsm_recipe *r)
{
    FUZZ_ASSERT(dsm_schedule_sequences(r, 0) >= 1);
    FUZZ_ASSERT(dsm_schedule_sequences(r, 0) <= r->batch.sequences);
    if (r->steps > 1000) return; /* a long ramp is walked step by step */
    dsm_schedule s;
    dsm_schedule_init(&s, r);
    double lr = dsm_schedule_lr(&s, r->steps - 1);
    FUZZ_ASSERT(lr >= 0 && lr <= r->optimizer.peak_lr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static dsm_recipe r;
    dsm_err err = {0};
    const char *text = (const char *)data, *at = find_set(text, size);
    size_t n = at ? (size_t)(at - text) : size;
    char *set = NULL;
    if (at) {
        size_t rest = size - n - (sizeof separator - 1);
        set = calloc(rest + 1, 1);
        FUZZ_ASSERT(set);
        memcpy(set, at + sizeof separator - 1, rest);
    }
    const char *sets[] = {set};
    dsm_status status = dsm_recipe_parse(&r, text, n, "fuzz", sets, set != NULL, &err);
    FUZZ_ASSERT(status == DSM_OK || err.msg[0]);
    if (status == DSM_OK && size % 4 == 0) write_and_read(&r);
    if (status == DSM_OK) check_schedule(&r);
    free(set);
    return 0;
}
