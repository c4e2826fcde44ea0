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
    char old[sizeof err->msg];
    memcpy(old, err->msg, sizeof old);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof err->msg)
        snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", old);
    err->code = code;
    return code;
}
