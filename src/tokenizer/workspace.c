/* SPDX-License-Identifier: MIT */
#include "tokenizer/tok.h"

#include <stdlib.h>
#include <string.h>

static void workspace_free(dsm_workspace *w)
{
    if (!w) return;
    free(w->memory);
    dsm_bpe_work_free(&w->bpe);
    dsm_pretok_work_free(&w->pretok);
    dsm_normalizer_work_free(&w->normalizer);
    free(w);
}

static dsm_workspace *workspace_new(void)
{
    dsm_workspace *w = calloc(1, sizeof *w);
    /* not memset: a page of zeros costs nothing until a word falls into it */
    if (w) w->memory = calloc(DSM_CACHE_SLOTS + 1, sizeof *w->cache);
    if (w && w->memory) {
        size_t line = sizeof *w->cache;
        w->cache = (void *)(((uintptr_t)w->memory + line - 1) / line * line);
        return w;
    }
    free(w);
    return NULL;
}

dsm_workspace *dsm_workspace_take(dsm_tokenizer *t)
{
    pthread_mutex_lock(&t->lock);
    dsm_workspace *w = t->idle;
    if (w) t->idle = w->next;
    pthread_mutex_unlock(&t->lock);
    return w ? w : workspace_new();
}

void dsm_workspace_put(dsm_tokenizer *t, dsm_workspace *w)
{
    pthread_mutex_lock(&t->lock);
    w->next = t->idle;
    t->idle = w;
    pthread_mutex_unlock(&t->lock);
}

void dsm_workspace_free_all(dsm_tokenizer *t)
{
    while (t->idle) {
        dsm_workspace *next = t->idle->next;
        workspace_free(t->idle);
        t->idle = next;
    }
}
