/* SPDX-License-Identifier: MIT */
/* A config.json. Whatever is accepted is a possible shape: it can be written and read back to the
 * same, and what a model of it holds can be counted. */
#include "fuzz.h"

#include "dsmoe/config.h"
#include "model/count.h"

#include <string.h>

/* Building the table costs memory per parameter: only models of a few layers and experts. */
static void build(const dsm_model_config *c)
{
    dsm_err err = {0};
    dsm_model *m;
    int64_t experts = c->n_routed_experts > 0 ? c->n_routed_experts : 1;
    if (c->num_hidden_layers > 8 || experts > 16 || c->vocab_size > 1 << 20) return;
    if (c->hidden_size > 1 << 16 || c->num_attention_heads > 1 << 6) return;
    dsm_status status = dsm_model_create(&m, c, 0, &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        return;
    }
    FUZZ_ASSERT(dsm_model_count(m).active <= dsm_model_count(m).params);
    dsm_model_free(m);
}

static void write_and_read(const dsm_model_config *c)
{
    dsm_err err = {0};
    dsm_model_config back;
    char path[4096];
    snprintf(path, sizeof path, "%s/config.json", fuzz_folder());
    FUZZ_ASSERT(dsm_model_config_write(c, path, "f32", &err) == DSM_OK);
    FUZZ_ASSERT(dsm_model_config_read(&back, path, &err) == DSM_OK);
    FUZZ_ASSERT(strcmp(c->model_type, back.model_type) == 0 && c->router == back.router);
    FUZZ_ASSERT(c->vocab_size == back.vocab_size && c->hidden_size == back.hidden_size);
    FUZZ_ASSERT(c->n_routed_experts == back.n_routed_experts && c->head_dim == back.head_dim);
    FUZZ_ASSERT(c->eos_token_id == back.eos_token_id && c->bias == back.bias);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dsm_err err = {0};
    dsm_model_config c;
    dsm_status status = dsm_model_config_parse(&c, (const char *)data, size, "fuzz", &err);
    if (status != DSM_OK) {
        fuzz_check_error(status, &err);
        return 0;
    }
    build(&c);
    if (size % 16 == 0) write_and_read(&c);
    return 0;
}
