/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

static dsm_log_fn callback;
static void *callback_arg;

void dsm_log_set(dsm_log_fn fn, void *arg)
{
    callback = fn;
    callback_arg = arg;
}

void dsm_log_write(dsm_log_level level, const char *fmt, ...)
{
    if (!callback) return;
    char message[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    callback(callback_arg, level, message);
}
