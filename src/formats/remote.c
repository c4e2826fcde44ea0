/* SPDX-License-Identifier: MIT */
/* The Python files are src/formats/remote/, put into the program at build time (cmake/embed.cmake).
 */
#include "formats/remote.h"

#include "core/fs.h"
#include "core/log.h"
#include "formats/remote_files.h"
#include "model/family.h"

#include <stdlib.h>

static dsm_status write_file(const dsm_embedded_file *f, const char *dir, dsm_err *err)
{
    char *path = dsm_fs_join(dir, f->name);
    dsm_status status = path ? dsm_fs_replace(path, f->data, f->size, err)
                             : dsm_fail(err, DSM_ENOMEM, "%s: out of memory", dir);
    free(path);
    return status;
}

dsm_status dsm_remote_code_write(const dsm_model_config *c, const char *dir, dsm_err *err)
{
    if (dsm_family_of(c->model_type)->bit != DSM_FAMILY_V1) return DSM_OK;
    for (size_t i = 0; i < dsm_n_remote_files; i++)
        DSM_TRY(write_file(&dsm_remote_files[i], dir, err));
    return DSM_OK;
}

void dsm_remote_warn(const dsm_model_config *c)
{
    unsigned family = dsm_family_of(c->model_type)->bit;
    bool second = family == DSM_FAMILY_V2, latent = family & DSM_FAMILY_MLA;
    const struct {
        bool set;
        const char *key;
    } ignored[] = {
        {second && c->norm_topk_prob && c->num_experts_per_tok > 1, "norm_topk_prob"},
        {latent && c->moe_layer_freq != 1, "moe_layer_freq"},
    };
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (ignored[i].set)
            dsm_log_write(
                DSM_LOG_WARN,
                "transformers ignores %s of type %s, so this model gives other logits there",
                ignored[i].key, c->model_type);
}
