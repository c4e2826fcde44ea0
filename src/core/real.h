/* SPDX-License-Identifier: MIT */
/* The arithmetic type of activations, parameters and gradients.
 *
 * The program uses float. The gradient tests compile core, kernels/ref and model a second time
 * with DSM_REAL_DOUBLE, so that the same code, in double, is the oracle for derivatives. */
#ifndef DSMOE_CORE_REAL_H
#define DSMOE_CORE_REAL_H

#include <math.h>

#ifdef DSM_REAL_DOUBLE
typedef double dsm_real;
#define DSM_REAL_EPS   2.2204460492503131e-16
#define dsm_exp(x)     exp(x)
#define dsm_log(x)     log(x)
#define dsm_sqrt(x)    sqrt(x)
#define dsm_fabs(x)    fabs(x)
#define dsm_fmax(a, b) fmax(a, b)
#define dsm_fmin(a, b) fmin(a, b)
#define dsm_cos(x)     cos(x)
#define dsm_sin(x)     sin(x)
#else
typedef float dsm_real;
#define DSM_REAL_EPS   1.1920928955078125e-07f
#define dsm_exp(x)     expf(x)
#define dsm_log(x)     logf(x)
#define dsm_sqrt(x)    sqrtf(x)
#define dsm_fabs(x)    fabsf(x)
#define dsm_fmax(a, b) fmaxf(a, b)
#define dsm_fmin(a, b) fminf(a, b)
#define dsm_cos(x)     cosf(x)
#define dsm_sin(x)     sinf(x)
#endif

#endif
