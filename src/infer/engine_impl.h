/* SPDX-License-Identifier: MIT */
/* Inside an engine and a session. */
#ifndef DSMOE_INFER_ENGINE_IMPL_H
#define DSMOE_INFER_ENGINE_IMPL_H

#include "dsmoe/engine.h"
#include "infer/loaded.h"
#include "infer/sample.h"
#include "model/net.h"

enum { DSM_MAX_EOS = 8 };

struct dsm_engine {
    dsm_loaded loaded;
    dsm_net *net; /* shared by the sessions, which take turns */
    int64_t chunk;
    dsm_dtype cache_type;
    int32_t eos[DSM_MAX_EOS];
    int n_eos;
};

struct dsm_session {
    dsm_engine *engine;
    dsm_cache *cache;
    dsm_sampler *sampler;
    float *logits; /* (V) after the last token fed */
    int32_t *ids;  /* (context) tokens fed */
    int64_t context;
    bool (*go_on)(void *arg, int64_t fed, int64_t all); /* NULL: nobody watches */
    void *go_on_arg;
};

#endif
