/* SPDX-License-Identifier: MIT */
/* Status codes and the error a fallible call fills in.
 *
 * Every function that can fail returns a dsm_status (0 is success, everywhere) and takes, as its
 * last parameter, a caller-owned dsm_err that may be NULL. A message names the object, what was
 * found, what was expected and, if known, what to do. There is no thread-local "last error". */
#ifndef DSMOE_STATUS_H
#define DSMOE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define DSM_STATUS_LIST(X)                                                                         \
    X(DSM_OK, "success")                                                                           \
    X(DSM_EUSAGE, "wrong usage")                                                                   \
    X(DSM_ENOMEM, "out of memory")                                                                 \
    X(DSM_EIO, "input or output failed")                                                           \
    X(DSM_ENOTFOUND, "not found")                                                                  \
    X(DSM_EFORMAT, "damaged or unsupported data")                                                  \
    X(DSM_ESHAPE, "shapes do not match")                                                           \
    X(DSM_ERANGE, "value out of range")                                                            \
    X(DSM_EBUSY, "in use by another process")                                                      \
    X(DSM_ENONFINITE, "a value is not finite")                                                     \
    X(DSM_EINTERRUPTED, "interrupted")                                                             \
    X(DSM_ELIMIT, "a limit was reached")

typedef enum dsm_status {
#define X(code, text) code,
    DSM_STATUS_LIST(X)
#undef X
} dsm_status;

typedef struct dsm_err {
    dsm_status code;
    char msg[512];
} dsm_err;

/* The fixed text of a code; never NULL. */
const char *dsm_status_text(dsm_status code);

#if defined(__GNUC__)
#define DSM_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define DSM_PRINTF(fmt, first)
#endif

/* Fill err (may be NULL) with code and the formatted message; returns code. */
dsm_status dsm_fail(dsm_err *err, dsm_status code, const char *fmt, ...) DSM_PRINTF(3, 4);

/* Put "context: " in front of the message err already holds; returns err's code. */
dsm_status dsm_fail_context(dsm_err *err, dsm_status code, const char *fmt, ...) DSM_PRINTF(3, 4);

/* Forward a failure to the caller. */
#define DSM_TRY(call)                                                                              \
    do {                                                                                           \
        dsm_status try_status_ = (call);                                                           \
        if (try_status_ != DSM_OK) return try_status_;                                             \
    } while (0)

/* Forward a failure to the function's own `fail:` label; needs a local `dsm_status status`. */
#define DSM_TRY_GOTO(call)                                                                         \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != DSM_OK) goto fail;                                                           \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
