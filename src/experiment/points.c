/* SPDX-License-Identifier: MIT */
#include "experiment/points.h"

#include <math.h>
#include <string.h>

static bool same_x(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static bool is_of(const json_t *p, dsm_analysis_kind kind)
{
    const char *name = json_string_value(json_object_get(p, "kind"));
    return name && strcmp(name, dsm_analysis_names[kind]) == 0;
}

static double x_of(const json_t *p)
{
    return json_number_value(json_object_get(p, "x"));
}

/* NULL: not there. */
static const json_t *find(const json_t *file, dsm_analysis_kind kind, double x)
{
    json_t *p;
    size_t i;
    json_array_foreach(json_object_get(file, "points"), i, p)
    {
        if (is_of(p, kind) && same_x(x_of(p), x)) return p;
    }
    return NULL;
}

double dsm_points_loss(const json_t *file, dsm_analysis_kind kind, double x)
{
    const json_t *loss = json_object_get(find(file, kind, x), "loss");
    return json_is_number(loss) ? json_number_value(loss) : (double)NAN;
}

bool dsm_points_complete(const json_t *file, const dsm_def_analysis *a)
{
    if (a->kind == DSM_ANALYSIS_EXPERTS) return json_is_array(json_object_get(file, "layers"));
    for (int i = 0; i < a->n; i++)
        if (!find(file, a->kind, a->at[i])) return false;
    return true;
}

static bool asks_for(const dsm_def_analysis *a, double x)
{
    for (int i = 0; i < a->n; i++)
        if (same_x(a->at[i], x)) return true;
    return false;
}

dsm_status dsm_points_add(dsm_def_analysis *a, const dsm_def_analysis *more, const char *id,
                          dsm_err *err)
{
    for (int i = 0; i < more->n; i++) {
        if (asks_for(a, more->at[i])) continue;
        if (a->n == DSM_MAX_POINTS)
            return dsm_fail(err, DSM_ELIMIT, "%s: analysis %s: found more than %d points", id,
                            dsm_analysis_names[a->kind], DSM_MAX_POINTS);
        a->at[a->n++] = more->at[i];
    }
    return DSM_OK;
}

void dsm_points_add_known(dsm_def_analysis *a, const json_t *file)
{
    json_t *p;
    size_t i;
    json_array_foreach(json_object_get(file, "points"), i, p)
    {
        if (is_of(p, a->kind) && !asks_for(a, x_of(p)) && a->n < DSM_MAX_POINTS)
            a->at[a->n++] = x_of(p);
    }
}
