/* SPDX-License-Identifier: MIT */
#include "eval/windows.h"

dsm_status dsm_window_length(int64_t *seq_len, const dsm_loaded *l, const char *model,
                             int64_t asked, dsm_err *err)
{
    int64_t context = l->model->config.max_position_embeddings;
    if (asked > context)
        return dsm_fail(err, DSM_ERANGE,
                        "%s: the model was made for %lld tokens, found a window of %lld", model,
                        (long long)context, (long long)asked);
    *seq_len = asked > 0 ? asked : context < DSM_WINDOW_MOST ? context : DSM_WINDOW_MOST;
    return DSM_OK;
}

int64_t dsm_window_batch(const dsm_model_config *c, int64_t seq_len, int64_t n)
{
    int64_t batch = (c->chunk > DSM_BATCH_TOKENS ? c->chunk : DSM_BATCH_TOKENS) / seq_len;
    if (batch > n) batch = n;
    return batch > 1 ? batch : 1;
}

dsm_status dsm_window_check_data(dsm_data_info *info, const dsm_loaded *l, const char *dir,
                                 dsm_err *err)
{
    DSM_TRY(dsm_data_get_info(info, dir, err));
    DSM_TRY(dsm_check_vocabulary(&l->model->config, info->vocab_size, dir, err));
    const dsm_tokenizer *t = l->tokenizer;
    if (t && dsm_tokenizer_fingerprint(t) != info->tokenizer_fingerprint)
        return dsm_fail(err, DSM_ESHAPE, "%s: made by another tokenizer than the one in %s", dir,
                        l->dir);
    return DSM_OK;
}

dsm_status dsm_window_first_token(int32_t *id, const dsm_loaded *l, dsm_err *err)
{
    const dsm_tokenizer *t = l->tokenizer;
    *id = dsm_tokenizer_bos(t) >= 0 ? dsm_tokenizer_bos(t) : dsm_tokenizer_eos(t);
    if (*id >= 0) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT,
                    "%s: its tokenizer has neither BOS nor EOS to begin a text with", l->dir);
}
