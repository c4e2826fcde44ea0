/* SPDX-License-Identifier: MIT */
#include "cli/print.h"

#include "core/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

dsm_status dsm_print_json(json_t *o, dsm_err *err)
{
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return dsm_fail(err, DSM_ENOMEM, "out of memory");
    puts(text);
    fflush(stdout);
    free(text);
    return DSM_OK;
}

json_t *dsm_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

const char *dsm_print_count(double x)
{
    static const char *const prefixes[] = {"", " k", " M", " G", " T", " P", " E"};
    static char texts[4][32];
    static unsigned next;
    char *text = texts[next++ % 4];
    size_t i = 0;
    while (fabs(x) >= 999.5 && i + 1 < sizeof prefixes / sizeof *prefixes) {
        x /= 1000.0;
        i++;
    }
    snprintf(text, sizeof texts[0], "%.3g%s", x, prefixes[i]);
    return text;
}

static void escape(dsm_buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c;
        int length = dsm_utf8_decode(s + i, n - i, &c);
        if (length == 0 || c < 0x20 || c == 0x7F)
            dsm_buf_fmt(out, s[i] == '\n' ? "\\n" : "\\x%02X", (unsigned char)s[i]);
        else
            dsm_buf_add(out, s + i, (size_t)length);
        i += length > 0 ? (size_t)length : 1;
    }
}

void dsm_print_quoted(const char *bytes, size_t n, char *out, size_t size)
{
    dsm_buf text = {0};
    dsm_buf_str(&text, "\"");
    escape(&text, bytes, n);
    dsm_buf_str(&text, "\"");
    snprintf(out, size, "%s", text.failed ? "" : text.data);
    dsm_buf_free(&text);
}
