/* SPDX-License-Identifier: MIT */
/* A chat template, and behind its first 0xFF byte (which UTF-8 does not hold) the variables as
 * JSON. Whatever it is, it compiles or fails with a message, and renders valid UTF-8 or fails with
 * a message, within its limits (of steps fewer than a user gives it, for speed). */
#include "fuzz.h"

#include "core/json.h"
#include "template/template.h"

#include <string.h>

static const char conversation[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"S\"}, {\"role\": \"user\", \"content\": "
    "\"U \\u00e9\"}, {\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"type\": "
    "\"function\", \"function\": {\"name\": \"f\", \"arguments\": {\"a\": [1, 2.5, true]}}}]}], "
    "\"tools\": null, \"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"eos_token\": "
    "\"</s>\"}";

static json_t *variables_of(const char *json, size_t n)
{
    json_t *v = json_loadb(json, n, JSON_ALLOW_NUL, NULL);
    if (json_is_object(v)) return v;
    json_decref(v);
    return json_loads(conversation, 0, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_template *t;
    dsm_buf out = {0};
    const dsm_template_options o = {.now = 1, .steps = 20000};
    const uint8_t *end = size ? memchr(data, 0xFF, size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    const char *json = end ? (const char *)end + 1 : "";
    if (dsm_template_compile(&t, (const char *)data, n, "fuzz", &err) != DSM_OK) {
        FUZZ_ASSERT(err.msg[0] && !t);
        return 0;
    }
    json_t *variables = variables_of(json, end ? size - n - 1 : 0);
    if (dsm_template_render(t, variables, &o, &out, &err) == DSM_OK)
        FUZZ_ASSERT(dsm_utf8_valid_prefix(out.data, out.len) == out.len);
    else
        FUZZ_ASSERT(err.msg[0]);
    json_decref(variables);
    dsm_buf_free(&out);
    dsm_template_free(t);
    return 0;
}
