/* SPDX-License-Identifier: MIT */
#include "cli/print.h"

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
