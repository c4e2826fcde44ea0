/* SPDX-License-Identifier: MIT */
#include "formats/save.h"

dsm_status dsm_save_fetch(const dsm_save_options *o, dsm_mat *values, const dsm_param *p,
                          dsm_err *err)
{
    if (o->values) return o->values(o->values_arg, values, p, err);
    *values = p->mat;
    return DSM_OK;
}

dsm_status dsm_save_tell(const dsm_save_options *o, uint64_t done, uint64_t total, const char *path,
                         dsm_err *err)
{
    if (!o->progress || o->progress(o->progress_arg, (double)done, (double)total)) return DSM_OK;
    return dsm_fail(err, DSM_EINTERRUPTED, "%s: stopped, nothing was written", path);
}
