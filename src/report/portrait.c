/* SPDX-License-Identifier: MIT */
#include "report/portrait.h"

#include "core/fs.h"
#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 256 << 20 };

typedef struct reader {
    const char *path;
    const json_t *domains;
} reader;

static dsm_status no_memory(const char *path, dsm_err *err)
{
    return dsm_fail(err, DSM_ENOMEM, "%s: out of memory", path);
}

/* An array of a key, NULL when there is none. */
static dsm_status get_array(const json_t *o, const char *key, const json_t **out, const char *what,
                            dsm_err *err)
{
    *out = json_object_get(o, key);
    if (!*out || json_is_array(*out)) return DSM_OK;
    return dsm_fail(err, DSM_EFORMAT, "%s: %s: found %s, expected array", what, key,
                    dsm_json_type_name(*out));
}

/* --- experts ---------------------------------------------------------------------------------- */

/* domain_share is (domains, experts): an expert's share of each domain's picks. */
static double domain_share(const json_t *layer, size_t domain, size_t expert)
{
    const json_t *row = json_array_get(json_object_get(layer, "domain_share"), domain);
    return json_number_value(json_array_get(row, expert));
}

/* The domain that an expert serves most, against what it serves of the average domain. */
static void find_domain(dsm_expert_portrait *e, const reader *r, const json_t *layer)
{
    size_t n = json_array_size(r->domains);
    double sum = 0, most = 0;
    if (n < 2) return;
    for (size_t d = 0; d < n; d++) {
        double share = domain_share(layer, d, (size_t)e->expert);
        sum += share;
        if (share <= most) continue;
        most = share;
        e->domain = json_string_value(json_object_get(json_array_get(r->domains, d), "name"));
    }
    e->domain_lift = sum > 0 ? most * (double)n / sum : 0;
}

static dsm_status read_expert(dsm_expert_portrait *e, const json_t *from, const reader *r,
                              dsm_err *err)
{
    e->load = NAN;
    DSM_TRY(dsm_json_real(from, "load", &e->load, r->path, err));
    DSM_TRY(get_array(from, "top_tokens", &e->top_tokens, r->path, err));
    return get_array(from, "contexts", &e->contexts, r->path, err);
}

/* --- layers ----------------------------------------------------------------------------------- */

static dsm_status read_layer(dsm_layer_portrait *l, const json_t *from, const reader *r,
                             dsm_err *err)
{
    const json_t *experts;
    l->max_vio = l->routing_entropy = NAN;
    DSM_TRY(dsm_json_int(from, "layer", 0, INT32_MAX, &l->layer, r->path, err));
    DSM_TRY(dsm_json_int(from, "dead", 0, INT32_MAX, &l->dead, r->path, err));
    DSM_TRY(dsm_json_real(from, "max_vio", &l->max_vio, r->path, err));
    DSM_TRY(dsm_json_real(from, "routing_entropy", &l->routing_entropy, r->path, err));
    DSM_TRY(get_array(from, "experts", &experts, r->path, err));
    l->experts = calloc(json_array_size(experts) + 1, sizeof *l->experts);
    if (!l->experts) return no_memory(r->path, err);
    l->n = (int)json_array_size(experts);
    for (int i = 0; i < l->n; i++) {
        l->experts[i].expert = i;
        DSM_TRY(read_expert(&l->experts[i], json_array_get(experts, (size_t)i), r, err));
        find_domain(&l->experts[i], r, from);
    }
    return DSM_OK;
}

/* --- files ------------------------------------------------------------------------------------ */

static char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *end = strstr(name, ".json");
    return end ? strndup(name, (size_t)(end - name)) : strdup(name);
}

static dsm_status read_file(dsm_portrait *p, const char *path, dsm_err *err)
{
    reader r = {.path = path};
    const json_t *layers;
    if (!(p->name = name_of(path))) return no_memory(path, err);
    DSM_TRY(dsm_json_read(&p->file, path, MAX_FILE, err));
    DSM_TRY(dsm_json_string(p->file, "model", &p->model, path, err));
    DSM_TRY(get_array(p->file, "domains", &r.domains, path, err));
    DSM_TRY(get_array(p->file, "layers", &layers, path, err));
    if (!layers)
        return dsm_fail(err, DSM_EFORMAT, "%s: found no layers, expected the output of analyze",
                        path);
    if (!(p->layers = calloc(json_array_size(layers) + 1, sizeof *p->layers)))
        return no_memory(path, err);
    p->n = (int)json_array_size(layers);
    for (int i = 0; i < p->n; i++)
        DSM_TRY(read_layer(&p->layers[i], json_array_get(layers, (size_t)i), &r, err));
    return DSM_OK;
}

dsm_status dsm_portrait_read(dsm_portrait *p, const char *path, dsm_err *err)
{
    memset(p, 0, sizeof *p);
    dsm_status status = read_file(p, path, err);
    if (status != DSM_OK) dsm_portrait_free(p);
    return status;
}

void dsm_portrait_free(dsm_portrait *p)
{
    for (int i = 0; i < p->n; i++)
        free(p->layers[i].experts);
    free(p->layers);
    free(p->name);
    json_decref(p->file);
    memset(p, 0, sizeof *p);
}

bool dsm_portrait_speaks(const dsm_portrait *p)
{
    for (int i = 0; i < p->n; i++)
        for (int e = 0; e < p->layers[i].n; e++)
            if (json_array_size(p->layers[i].experts[e].top_tokens) > 0 ||
                json_array_size(p->layers[i].experts[e].contexts) > 0)
                return true;
    return false;
}
