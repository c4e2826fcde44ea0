/* SPDX-License-Identifier: MIT */
/* What this CPU can run, and what its operating system saves on a context switch: an instruction
 * set counts only when both agree (CPUID for the first, XGETBV for the second). */
#define _DEFAULT_SOURCE /* syscall */
#include "kernels/kernels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CPU_ALL = (1u << 7) - 1 };

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Register state that the system saves: bit 1 xmm, 2 ymm, 5-7 the AVX-512 registers, 17 and 18 the
 * AMX tiles. */
static uint64_t saved_state(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static bool all_bits(uint64_t value, uint64_t bits)
{
    return (value & bits) == bits;
}

/* Tiles are 8 KiB more to save per thread: Linux wants to be asked for them, once per process. */
static bool may_use_tiles(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

unsigned dsm_cpu_flags(void)
{
    enum { FMA = 1u << 12, OSXSAVE = 1u << 27, F16C = 1u << 29 }; /* leaf 1, ecx */
    enum { AVX2 = 1u << 5, F = 1u << 16, DQ = 1u << 17, CD = 1u << 28, BW = 1u << 30 }; /* 7, ebx */
    const uint32_t VL = 1u << 31;
    enum { VNNI = 1u << 11, FP16 = 1u << 23 };         /* 7 ecx; 7 edx */
    enum { BF16 = 1u << 5, AVX_VNNI = 1u << 4 };       /* 7.1 eax */
    enum { AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24 }; /* 7 edx */
    uint32_t a, b, c, d, c1, a71 = 0, unused;
    if (!__get_cpuid(1, &a, &b, &c1, &d) || !all_bits(c1, OSXSAVE | FMA | F16C)) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (a >= 1) __get_cpuid_count(7, 1, &a71, &unused, &unused, &unused);

    unsigned flags = 0;
    uint64_t state = saved_state();
    if (!all_bits(state, 0x06) || !(b & AVX2)) return 0;
    flags |= DSM_CPU_AVX2;
    if (a71 & AVX_VNNI) flags |= DSM_CPU_AVX_VNNI;
    if (!all_bits(state, 0xE6) || !all_bits(b, (uint32_t)F | DQ | CD | BW | VL)) return flags;
    flags |= DSM_CPU_AVX512;
    if (c & VNNI) flags |= DSM_CPU_AVX512_VNNI;
    if (a71 & BF16) flags |= DSM_CPU_AVX512_BF16;
    if (d & FP16) flags |= DSM_CPU_AVX512_FP16;
    if (all_bits(d, AMX_BF16 | AMX_TILE) && all_bits(state, 0x60000) && may_use_tiles())
        flags |= DSM_CPU_AMX;
    return flags;
}
#else
unsigned dsm_cpu_flags(void)
{
    return 0;
}
#endif

dsm_status dsm_cpu_mask_parse(unsigned *mask, const char *text, dsm_err *err)
{
    static const struct {
        const char *name;
        unsigned mask;
    } names[] = {{"none", 0},
                 {"avx2", DSM_CPU_AVX2},
                 {"avxvnni", DSM_CPU_AVX2 | DSM_CPU_AVX_VNNI},
                 {"avx512", CPU_ALL & ~DSM_CPU_AMX},
                 {"all", CPU_ALL}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i].name) == 0) {
            *mask = names[i].mask;
            return DSM_OK;
        }
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 0);
    if (end == text || *end || errno || n > CPU_ALL || text[0] == '-')
        return dsm_fail(
            err, DSM_EUSAGE,
            "cpu mask: found \"%s\", expected none, avx2, avxvnni, avx512, all or 0 to %u", text,
            (unsigned)CPU_ALL);
    *mask = (unsigned)n;
    return DSM_OK;
}
