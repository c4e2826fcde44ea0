/* SPDX-License-Identifier: MIT */
#include "unit/file_bench.h"

#include "formats/gguf_config.h"
#include "formats/gguf_save.h"

#include <math.h>
#include <string.h>

dsm_model_config file_bench_config(const char *type)
{
    dsm_model_config c;
    dsm_err err;
    assert_ok(dsm_model_config_defaults_of(&c, type, "test", &err));
    c.vocab_size = 19;
    c.hidden_size = 32;
    c.intermediate_size = 64;
    c.moe_intermediate_size = 32;
    c.num_hidden_layers = 2;
    c.num_attention_heads = 4;
    c.num_key_value_heads = 2;
    c.head_dim = 8;
    c.max_position_embeddings = 32;
    c.rms_norm_eps = 1e-5;
    c.bos_token_id = 0;
    c.eos_token_id = 1;
    if (strcmp(type, "deepseek") == 0) {
        c.n_routed_experts = 4;
        c.num_experts_per_tok = 2;
        c.n_shared_experts = 1;
        c.first_k_dense_replace = 1;
    }
    return c;
}

void file_bench_open(file_bench *b, const dsm_model_config *c)
{
    dsm_err err;
    dsm_kernels_init(&b->kernels, 0);
    assert_ok(dsm_exec_init(&b->exec, &b->kernels, 2, &err));
    assert_ok(dsm_model_create(&b->m, c, DSM_MODEL_VALUES, &err));
    dsm_model_init_random(b->m, &b->exec, 7);
    for (int64_t i = 0; i < b->m->n_params; i++) { /* no two values of a vector alike */
        dsm_param *p = &b->m->params[i];
        for (int64_t j = 0; p->ndim == 1 && p->offset >= 0 && j < p->cols; j++)
            b->m->values[p->offset + j] = (dsm_real)(j + 1) / 64;
    }
    b->dir = test_make_dir();
    b->path = test_path(b->dir, "m.gguf");
}

void file_bench_close(file_bench *b)
{
    dsm_model_free(b->m);
    dsm_exec_free(&b->exec);
    test_remove_dir(b->dir);
}

dsm_status file_bench_save(const file_bench *b, dsm_dtype dtype, bool keep, dsm_err *err)
{
    dsm_gguf_meta meta = {0};
    dsm_save_options o = {.exec = &b->exec, .dtype = dtype, .keep = keep};
    dsm_status status = dsm_gguf_config_put(&meta, &b->m->config, dtype, "test", err);
    if (status == DSM_OK) status = dsm_gguf_save(b->m, b->path, &meta, &o, err);
    dsm_gguf_meta_free(&meta);
    return status;
}

static void load(dsm_real *out, const dsm_mat *m, int64_t row)
{
    dsm_dtype_load(out, (const char *)m->data + (size_t)row * dsm_dtype_bytes(m->dtype, m->cols),
                   m->dtype, m->cols);
}

void file_bench_compare(const dsm_model *a, const dsm_model *b, double relative)
{
    dsm_real x[512], y[512];
    assert_int_equal(a->n_params, b->n_params);
    for (int64_t i = 0; i < a->n_params; i++) {
        const dsm_param *p = &a->params[i], *q = &b->params[i];
        assert_string_equal(p->name, q->name);
        assert_true(p->cols <= 512);
        double allowed = p->ndim == 1 || q->mat.dtype == DSM_F32 ? 0 : relative;
        for (int64_t r = 0; r < p->rows; r++) {
            double largest = 0;
            load(x, &p->mat, r);
            load(y, &q->mat, r);
            for (int64_t j = 0; j < p->cols; j++)
                largest = fmax(largest, fabs((double)x[j]));
            for (int64_t j = 0; j < p->cols; j++)
                if (fabs((double)x[j] - (double)y[j]) > allowed * largest)
                    fail_msg("%s[%d][%d]: %g, expected %g", p->name, (int)r, (int)j, (double)y[j],
                             (double)x[j]);
        }
    }
}
