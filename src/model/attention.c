/* SPDX-License-Identifier: MIT */
#include "model/attention.h"

const dsm_attention_kind *dsm_attention_of(const dsm_model_config *c)
{
    return dsm_model_config_is_mla(c) ? &dsm_attention_mla : &dsm_attention_gqa;
}
