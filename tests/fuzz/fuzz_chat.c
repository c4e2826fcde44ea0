/* SPDX-License-Identifier: MIT */
/* A conversation as /load reads it. Every message of one that is accepted can be shown; it survives
 * what a user may do to it next, and being saved and loaded. One that is refused changes nothing.
 */
#include "fuzz.h"

#include "dsmoe/chat.h"

#include <string.h>

static void show(const dsm_conversation *c)
{
    for (int64_t i = 0; i < dsm_conversation_count(c); i++) {
        fuzz_touch(dsm_conversation_role(c, i), strlen(dsm_conversation_role(c, i)));
        fuzz_touch(dsm_conversation_text(c, i), strlen(dsm_conversation_text(c, i)));
    }
}

static void save_and_load(dsm_conversation *c)
{
    dsm_err err = {0};
    char path[4096];
    int64_t count = dsm_conversation_count(c);
    snprintf(path, sizeof path, "%s/chat.json", fuzz_folder());
    FUZZ_ASSERT(dsm_conversation_write(c, path, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_conversation_read(c, path, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_conversation_count(c) == count);
}

static void go_on(dsm_conversation *c)
{
    dsm_err err = {0};
    FUZZ_ASSERT(dsm_conversation_set_system(c, "S", &err) == DSM_OK);
    FUZZ_ASSERT(strcmp(dsm_conversation_role(c, 0), "system") == 0);
    FUZZ_ASSERT(dsm_conversation_add(c, "user", "\xC3", 1, &err) == DSM_OK);
    FUZZ_ASSERT(strcmp(dsm_conversation_text(c, dsm_conversation_count(c) - 1), "\xEF\xBF\xBD") ==
                0);
    dsm_conversation_truncate(c, 1);
    FUZZ_ASSERT(dsm_conversation_count(c) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_conversation *c;
    FUZZ_ASSERT(dsm_conversation_new(&c, &err) == DSM_OK);
    FUZZ_ASSERT(dsm_conversation_add(c, "user", "before", 6, &err) == DSM_OK);
    dsm_status status = dsm_conversation_parse(c, (const char *)data, size, "fuzz", &err);
    if (status == DSM_OK) {
        show(c);
        if (size % 16 == 0) save_and_load(c);
    } else {
        fuzz_check_error(status, &err);
        FUZZ_ASSERT(strcmp(dsm_conversation_text(c, 0), "before") == 0);
    }
    go_on(c);
    dsm_conversation_free(c);
    return 0;
}
