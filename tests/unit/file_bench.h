/* SPDX-License-Identifier: MIT */
/* A small model and the GGUF file it becomes, for the tests of formats/gguf_*. */
#ifndef DSMOE_TESTS_UNIT_FILE_BENCH_H
#define DSMOE_TESTS_UNIT_FILE_BENCH_H

#include "support/support.h"

#include "core/exec.h"
#include "kernels/kernels.h"
#include "model/params.h"

typedef struct file_bench {
    dsm_kernels kernels;
    dsm_exec exec;
    char *dir;
    dsm_model *m;
    const char *path; /* of a file that is not there yet */
} file_bench;

/* A small shape of a model type; of `deepseek` with experts. */
dsm_model_config file_bench_config(const char *type);

/* A model of that shape with random values, and vectors of which no two values are alike. */
void file_bench_open(file_bench *b, const dsm_model_config *c);
void file_bench_close(file_bench *b);

dsm_status file_bench_save(const file_bench *b, dsm_dtype dtype, bool keep, dsm_err *err);

/* Every value of every parameter, within `relative` of the largest in its row; vectors and f32 are
 * equal. */
void file_bench_compare(const dsm_model *a, const dsm_model *b, double relative);

#endif
