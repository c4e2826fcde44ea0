/* SPDX-License-Identifier: MIT */
#include "core/host.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The value of the first "model name" of /proc/cpuinfo; "" where there is none. */
static void read_cpu(char *out, size_t size)
{
    char line[256];
    out[0] = '\0';
    FILE *f = fopen("/proc/cpuinfo", "r");
    if (!f) return;
    while (out[0] == '\0' && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value) continue;
        value += 1 + strspn(value + 1, " \t");
        snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
    }
    fclose(f);
}

void dsm_host_name(char *out, size_t size)
{
    struct utsname u;
    char cpu[192];
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    bool known = uname(&u) == 0;
    read_cpu(cpu, sizeof cpu);
    snprintf(out, size, "%s %s%s%s, %ld CPU%s", known ? u.sysname : "unknown",
             known ? u.machine : "system", cpu[0] ? ", " : "", cpu, n, n == 1 ? "" : "s");
}
