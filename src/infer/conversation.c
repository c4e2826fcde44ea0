/* SPDX-License-Identifier: MIT */
#include "infer/conversation.h"

#include "core/buf.h"
#include "core/json.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 28 };

static dsm_status no_memory(dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "conversation: out of memory");
}

dsm_status dsm_conversation_new(dsm_conversation **out, dsm_err *err)
{
    *out = calloc(1, sizeof **out);
    if (*out) (*out)->messages = json_array();
    if (*out && (*out)->messages) return DSM_OK;
    dsm_conversation_free(*out);
    *out = NULL;
    return no_memory(err);
}

void dsm_conversation_free(dsm_conversation *c)
{
    if (!c) return;
    json_decref(c->messages);
    json_decref(c->tools);
    free(c);
}

/* A message object, NULL when out of memory. */
static json_t *message(const char *role, const char *text, size_t n)
{
    dsm_buf whole = {0};
    dsm_utf8_repair(&whole, text, n);
    dsm_buf_add(&whole, "", 0);
    json_t *content = whole.failed ? NULL : json_stringn(whole.data, whole.len);
    dsm_buf_free(&whole);
    return content ? json_pack("{s:s, s:o}", "role", role, "content", content) : NULL;
}

dsm_status dsm_conversation_add(dsm_conversation *c, const char *role, const char *text, size_t n,
                                dsm_err *err)
{
    return json_array_append_new(c->messages, message(role, text, n)) ? no_memory(err) : DSM_OK;
}

dsm_status dsm_conversation_set_system(dsm_conversation *c, const char *text, dsm_err *err)
{
    bool there =
        dsm_conversation_count(c) > 0 && strcmp(dsm_conversation_role(c, 0), "system") == 0;
    if (there) json_array_remove(c->messages, 0);
    if (!text) return DSM_OK;
    json_t *system = message("system", text, strlen(text));
    return json_array_insert_new(c->messages, 0, system) ? no_memory(err) : DSM_OK;
}

int64_t dsm_conversation_count(const dsm_conversation *c)
{
    return (int64_t)json_array_size(c->messages);
}

static const char *member(const dsm_conversation *c, int64_t i, const char *key)
{
    const char *text =
        json_string_value(json_object_get(json_array_get(c->messages, (size_t)i), key));
    return text ? text : "";
}

const char *dsm_conversation_role(const dsm_conversation *c, int64_t i)
{
    return member(c, i, "role");
}

const char *dsm_conversation_text(const dsm_conversation *c, int64_t i)
{
    return member(c, i, "content");
}

void dsm_conversation_truncate(dsm_conversation *c, int64_t n)
{
    while (dsm_conversation_count(c) > n)
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
}

/* --- files ------------------------------------------------------------------------------------ */

static dsm_status check_messages(const json_t *messages, const char *path, dsm_err *err)
{
    if (!json_is_array(messages))
        return dsm_fail(err, DSM_EFORMAT,
                        "%s: expected {\"messages\": [{\"role\", \"content\"}, …]}", path);
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!json_is_string(json_object_get(json_array_get(messages, i), "role")))
            return dsm_fail(err, DSM_EFORMAT, "%s: message %zu: expected an object with a role",
                            path, i + 1);
    return DSM_OK;
}

static dsm_status take_file(dsm_conversation *c, const json_t *file, const char *what, dsm_err *err)
{
    json_t *messages = json_object_get(file, "messages"), *tools = json_object_get(file, "tools");
    DSM_TRY(check_messages(messages, what, err));
    if (tools && !json_is_array(tools) && !json_is_null(tools))
        return dsm_fail(err, DSM_EFORMAT, "%s: tools: expected an array", what);
    json_decref(c->messages);
    json_decref(c->tools);
    c->messages = json_incref(messages);
    c->tools = json_is_array(tools) ? json_incref(tools) : NULL;
    return DSM_OK;
}

dsm_status dsm_conversation_parse(dsm_conversation *c, const char *text, size_t n, const char *what,
                                  dsm_err *err)
{
    json_t *file;
    DSM_TRY(dsm_json_parse(&file, text, n, what, err));
    dsm_status status = take_file(c, file, what, err);
    json_decref(file);
    return status;
}

dsm_status dsm_conversation_read(dsm_conversation *c, const char *path, dsm_err *err)
{
    json_t *file;
    DSM_TRY(dsm_json_read(&file, path, FILE_MAX, err));
    dsm_status status = take_file(c, file, path, err);
    json_decref(file);
    return status;
}

dsm_status dsm_conversation_write(const dsm_conversation *c, const char *path, dsm_err *err)
{
    json_t *file = json_pack("{s:O, s:O*}", "messages", c->messages, "tools", c->tools);
    dsm_status status = file ? dsm_json_write(file, path, err) : no_memory(err);
    json_decref(file);
    return status;
}
