/* SPDX-License-Identifier: MIT */
/* Status texts and message formatting; see dsmoe/status.h for the rules. */
#include "dsmoe/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *dsm_status_text(dsm_status code)
{
    switch (code) {
#define X(name, text)                                                                              \
    case name:                                                                                     \
        return text;
        DSM_STATUS_LIST(X)
#undef X
    }
    return "unknown status";
}

dsm_status dsm_fail(dsm_err *err, dsm_status code, const char *fmt, ...)
{
    if (!err) return code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, args);
    va_end(args);
    err->code = code;
    return code;
}

dsm_status dsm_fail_context(dsm_err *err, dsm_status code, const char *fmt, ...)
{
    if (!err) return code;
    char context[sizeof err->msg / 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    size_t n = strlen(context), keep = strlen(err->msg), room = sizeof err->msg - n - 3;
    if (keep > room) keep = room;
    memmove(err->msg + n + 2, err->msg, keep);
    err->msg[n + 2 + keep] = '\0';
    memcpy(err->msg, context, n);
    memcpy(err->msg + n, ": ", 2);
    err->code = code;
    return code;
}
